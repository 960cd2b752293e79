#!/usr/bin/env python3
"""Fits the whitening that the default model ships: tools/models/dinov2-small-b7/preparation.pdx.

Usage: fit_preparation.py PATCHDEX, the built program. Fitted on the sample photographs and on the photographs among the
examples of Debian's package opencv-doc (Apache-2.0), each at two sizes. The package is taken from its installed place or
fetched with apt-get into the cache. Sums are exact to the last bits only, so another CPU may give another digest.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

MODEL = "dinov2-small-b7"
OUT = setup.HERE / "models" / MODEL / "preparation.pdx"
LONG_SIDES = "518,336"
EXAMPLES = Path("usr/share/doc/opencv-doc/examples")
PHOTOS = {
    "alphamat/input_images": "plant.jpg",
    "text": "scenetext01.jpg scenetext02.jpg scenetext03.jpg scenetext04.jpg scenetext05.jpg scenetext06.jpg "
    "scenetext_segmented_word01.jpg scenetext_segmented_word02.jpg scenetext_segmented_word03.jpg "
    "scenetext_segmented_word04.jpg scenetext_segmented_word05.jpg",
    "data": "HappyFish.jpg aero1.jpg aero3.jpg aloeL.jpg apple.jpg baboon.jpg basketball1.png board.jpg box_in_scene.png "
    "building.jpg butterfly.jpg cards.png chicky_512.png ela_original.jpg fruits.jpg graf1.png graf3.png home.jpg "
    "left.jpg left01.jpg left05.jpg leuvenA.jpg licenseplate_motion.jpg messi5.jpg orange.jpg pca_test1.jpg "
    "rubberwhale1.png smarties.png squirrel_cls.jpg starry_night.jpg stuff.jpg",
    "hfs/data": "000.jpg 001.jpg 002.jpg",
}


def examples(folder):
    """The root of a file system that has the package's examples: the machine's own, or one unpacked into `folder`."""
    if Path("/", EXAMPLES).is_dir():
        return Path("/")
    setup.say("download", "Debian's opencv-doc")
    for command in (["apt-get", "download", "--quiet", "opencv-doc"], ["dpkg-deb", "-x"]):
        if command[0] == "dpkg-deb":
            command += [str(next(folder.glob("*.deb"))), str(folder)]
        done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            reason = setup.last_line(done.stderr)
            raise setup.Failure(f"{command[0]}: {reason}; this needs Debian or Ubuntu, or the package installed")
    return folder


def fit(patchdex, cache):
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        root = examples(Path(folder)) / EXAMPLES
        photos = [root / place / name for place, names in PHOTOS.items() for name in names.split()]
        photos += [cache / "photos" / name for name in setup.PHOTOS]
        missing = [photo for photo in photos if not photo.is_file()]
        if missing:
            raise setup.Failure(f"{missing[0]} is missing; run tools/setup.py, or use a newer list of photographs")
        command = [patchdex, "model", "prepare", *photos, "--model", MODEL, "--long-sides", LONG_SIDES, "--out", OUT]
        if subprocess.call(command) != 0:
            raise setup.Failure("the fit failed")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Fit the preparation that the default model ships.")
    parser.add_argument("patchdex", type=Path, help="the built program")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    fit(arguments.patchdex.absolute(), arguments.cache.absolute())
    return 0


if __name__ == "__main__":
    sys.exit(main())
