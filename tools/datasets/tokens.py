#!/usr/bin/env python3
"""Makes sets of patch tokens, base.npy and queries.npy, in the cache's folder datasets/SET, for tools/peers --set.

video: frames 1 to 641 of vtest.avi, every 8th; queries are of every 12th frame from 700. photographs: the pictures in
opencv-doc's folders data and text, and the sample photographs; every tenth is left out and gives the queries, in tiles
of 256 pixels that overlap by 64. Of the tokens of queries 2,000 are taken, equally far apart. Tokens are those that
patchdex stores, of the default model with its whitening; raw-video and raw-photographs have the last layer of the whole
model as it is: tokens that are all alike, which is the hard case.

The package opencv-doc (Debian) is taken from its installed place, from --opencv-doc, or fetched with apt-get. Frames
are decoded in an environment of its own (requirements-tokens.txt, Python 3.11 or later) in the cache.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import setup  # noqa: E402
import sources  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-tokens.txt"
SETS = ("video", "photographs", "raw-video", "raw-photographs")
RAW = "raw-"
EVERY, LAST_FRAME = 8, 641
QUERY_EVERY, FIRST_QUERY_FRAME = 12, 700
PICTURES = {"data": (".jpg", ".png"), "text": (".jpg",)}  # the .png in text are masks
HELD_OUT, OF = 5, 10  # photographs whose number leaves this remainder give the queries
TILES = "256/64"
QUERIES = 2_000
LONG_SIDES = {"video": 770, "photographs": 518}  # frames as they are, pictures as patchdex has them


def frames(video, folder, every):
    """Writes the frames of base and queries as pictures; gives both folders."""
    import cv2

    parts = folder / "base", folder / "queries"
    for part in parts:
        part.mkdir()
    number = 0
    for number, frame in sources.frames(video):
        is_base = number <= LAST_FRAME and (number - 1) % every == 0
        is_query = number >= FIRST_QUERY_FRAME and number % QUERY_EVERY == 0
        for part, wanted in zip(parts, (is_base, is_query)):
            if wanted and not cv2.imwrite(str(part / f"f{number:04}.png"), frame):
                raise setup.Failure(f"cannot write frame {number} into {part}")
    if number <= FIRST_QUERY_FRAME:
        raise setup.Failure(f"{video}: {number} frames could be decoded, which is not the whole video")
    return parts


def photographs(root, photos, folder):
    """Copies the photographs of base and queries; gives both folders."""
    found = [photos / name for name in setup.PHOTOS]
    for place, kinds in PICTURES.items():
        found += sorted(path for path in (root / place).glob("*") if path.suffix in kinds)
    parts = folder / "base", folder / "queries"
    for part in parts:
        part.mkdir()
    for number, path in enumerate(found):
        # The number keeps their order: rows lie in the order of paths.
        shutil.copyfile(path, parts[number % OF == HELD_OUT] / f"{number:03}_{path.name}")
    return parts


def tokens(arguments, pictures, out, options):
    """Writes the tokens of a folder of pictures into `out`."""
    count = len(list(pictures.iterdir()))
    setup.say("embed", f"{count} pictures of {pictures.name}")
    collection = pictures.with_suffix(".pdx")
    commands = [
        ["index", pictures, "--out", collection, "--index", "exact", *options],
        ["export", collection, out],
    ]
    for command in commands:
        if subprocess.call([str(arguments.program), *map(str, command)]) != 0:
            raise setup.Failure(f"patchdex {command[0]} failed")
    shutil.rmtree(collection)


def spread(rows, count):
    """`count` rows, equally far apart; all of them where there are fewer."""
    return rows[:: max(1, len(rows) // count)][:count]


def make(name, arguments, root, folder):
    """Makes one set in `folder`."""
    import numpy as np

    kind = name.removeprefix(RAW)
    long_side = arguments.long_side or LONG_SIDES[kind]
    options = ["--model", "dinov2-small", "--prepare", "none"] if name.startswith(RAW) else []
    options += ["--long-side", long_side]
    if kind == "video":
        setup.say("decode", f"{sources.VIDEO}, one frame of {arguments.every}")
        base, queries = frames(root / sources.VIDEO, folder, arguments.every)
        query_options = options
    else:
        base, queries = photographs(root, arguments.cache / "photos", folder)
        query_options = [*options, "--views", f"tiles:{TILES}"]
    tokens(arguments, base, folder / "base.npy", options)
    tokens(arguments, queries, folder / "all-queries.npy", query_options)
    chosen = spread(np.load(folder / "all-queries.npy", mmap_mode="r"), QUERIES)
    np.save(folder / "queries.npy", chosen)
    rows = np.load(folder / "base.npy", mmap_mode="r")
    about = {"rows": len(rows), "dim": rows.shape[1], "queries": len(chosen), "long_side": long_side}
    if kind == "video":
        about["every"] = arguments.every
    place = arguments.cache / "datasets" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "about.json").unlink(missing_ok=True)  # it stands for a whole set
    for file in ("base.npy", "queries.npy"):
        (folder / file).replace(place / file)
    setup.write_if_changed(place / "about.json", (json.dumps(about, indent=1) + "\n").encode())
    setup.say("ready", f"{place}: {len(rows):,} rows of {rows.shape[1]} numbers, {len(chosen):,} queries")


def run(arguments):
    datasets = arguments.cache / "datasets"
    datasets.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=datasets, prefix=".making-") as folder:
        folder = Path(folder)
        root = sources.opencv_doc(arguments, folder)
        for name in dict.fromkeys(arguments.sets):
            (folder / name).mkdir()
            make(name, arguments, root, folder / name)
            shutil.rmtree(folder / name)
    setup.say("next", f"tools/peers --set {','.join(dict.fromkeys(arguments.sets))}")


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


@setup.told("sets that were ready stay")
def main():
    parser = argparse.ArgumentParser(description="Make sets of patch tokens to measure graphs with, in the cache.")
    parser.add_argument("program", type=Path, help="the patchdex program, a release build")
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"some of {', '.join(SETS)} (the first two)")
    parser.add_argument("--every", type=positive, default=EVERY, metavar="N", help="take each Nth frame (%(default)s)")
    parser.add_argument(
        "--long-side",
        type=positive,
        metavar="PX",
        help="of a picture before the model (770 for frames, 518 for photographs)",
    )
    parser.add_argument("--opencv-doc", type=Path, metavar="DIR", help="the package's examples, instead of fetching it")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets or list(SETS[:2])
    unknown = [name for name in arguments.sets if name not in SETS]
    if unknown:
        parser.error(f"no such set: {', '.join(unknown)} (choose from {', '.join(SETS)})")
    if not arguments.program.is_file():
        raise setup.Failure(f"{arguments.program} is missing; build it with 'cargo build --release'")
    arguments.program, arguments.cache = arguments.program.absolute(), arguments.cache.absolute()
    status = setup.Environment(arguments.cache / "venv-tokens").run_again(__file__, REQUIREMENTS, (3, 11))
    if status is None:
        run(arguments)
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
