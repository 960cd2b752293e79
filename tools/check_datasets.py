#!/usr/bin/env python3
"""Holds the tools of labelled sets (datasets/, baselines.py) against pictures, a video and rankings made up here, of
which all is known.

`check_datasets.py FOLDER` makes sets in FOLDER and asserts that boxes lie where things are, that files come out the
same each time, that nothing but a set is replaced, and that figures are as worked by hand; tests/datasets.rs runs it.
Without FOLDER it only fetches its environment (requirements-tokens.txt, Python 3.11 or later) into the cache.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
sys.path.insert(1, str(Path(__file__).resolve().parent / "datasets"))
import baselines  # noqa: E402
import compose  # noqa: E402
import labelled  # noqa: E402
import pairs  # noqa: E402
import pets09  # noqa: E402
import setup  # noqa: E402
import sources  # noqa: E402

SIZE = 320, 240
FRAMES = 24
SCENES = 120
THINGS = {
    "green": ((0, 200, 0), [[60, 40], [220, 50], [200, 190], [70, 170]]),
    "red": ((0, 0, 200), [[100, 30], [240, 120], [90, 210]]),
}
TOLERANCE = 12  # of a box, in pixels: sharp corners of a thing fade


def require(holds, what):
    if not holds:
        raise setup.Failure(f"{what} is wrong")


def refused(make, part):
    """Requires that `make` fails with a message that holds `part`."""
    try:
        make()
    except setup.Failure as error:
        require(part in str(error), f"the message '{error}'")
    else:
        raise setup.Failure(f"nothing was said of '{part}'")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def loaded(path):
    """What `labelled.Coco.write` wrote."""
    content = json.loads(path.read_text())
    coco = labelled.Coco(content["categories"][0]["name"])
    coco.images, coco.boxes = content["images"], content["annotations"]
    return coco


def check_boxes(folder, coco):
    """Boxes lie inside their images, which are there and have the size that is written down."""
    images = {image["id"]: image for image in coco.images}
    for box in coco.boxes:
        x, y, width, height = box["bbox"]
        image = images[box["image_id"]]
        require(min(x, y) >= 0 and min(width, height) > 0, f"box {box['bbox']}")
        require(x + width <= image["width"] and y + height <= image["height"], f"box {box['bbox']}")
    for image in coco.images:
        picture = sources.read(folder / image["file_name"])
        require(picture.shape[:2] == (image["height"], image["width"]), f"the size of {image['file_name']}")


def scenes(folder, count):
    """Makes scenes of a green and a red thing on grey; gives the gallery."""
    import numpy as np

    things = []
    for name, (colour, outline) in THINGS.items():
        picture = np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)
        things.append(compose.Thing(name, f"{name}.png", picture, np.float32(outline)))
    grey = {"grey.png": np.full((480, 640, 3), 90, np.uint8)}
    gallery = compose.make_scenes(things, grey, {}, SimpleNamespace(images=count, seed=0), folder)
    check_boxes(folder, gallery)
    return gallery


def coloured(picture, channel, other):
    """Where a picture has a colour; without the specks that JPEG leaves beside another one."""
    import cv2
    import numpy as np

    mask = (picture[..., channel].astype(int) - picture[..., other] > 40).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))


def check_labels(path, seen):
    """The label map says of each pixel which of the things is seen there; at their rims either is right."""
    import cv2
    import numpy as np

    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    for level, name in enumerate(THINGS, 1):
        wrong = ((labels == level) != (seen[name] > 0)).astype(np.uint8)
        inside = cv2.erode(wrong, np.ones((TOLERANCE, TOLERANCE), np.uint8))
        require(not inside.any(), f"the label map {path.name} where it says {name}")
    require(labels.max() <= len(THINGS), f"the greatest level of {path.name}")


def check_scenes(folder):
    import cv2
    import numpy as np

    gallery = scenes(folder / "scenes", SCENES)
    boxes = {}
    for box in gallery.boxes:
        boxes.setdefault(box["image_id"], []).append(box)
    require(0 < len(gallery.images) - len(boxes) < SCENES / 2, "the number of scenes without objects")
    hidden = 0
    for image in gallery.images:
        picture = sources.read(folder / "scenes" / image["file_name"])
        seen = {"green": coloured(picture, 1, 2), "red": coloured(picture, 2, 1)}
        check_labels(folder / "scenes" / image["file_name"].replace("images", "labels").replace("jpg", "png"), seen)
        for box in boxes.get(image["id"], []):
            attributes = box["attributes"]
            require(0 <= attributes["occlusion"] <= 1 - compose.VISIBLE, f"occlusion {attributes['occlusion']}")
            require(abs(attributes["rotation"]) <= compose.TURN, f"rotation {attributes['rotation']}")
            require(compose.SCALE[0] <= attributes["scale"] <= compose.SCALE[1], f"scale {attributes['scale']}")
            hidden += attributes["occlusion"] > 0.05
            mask = seen.pop(attributes["instance_id"])
            rows, columns = mask.nonzero()
            found = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
            require(
                np.abs(np.subtract(found, box["bbox"])).max() <= TOLERANCE, f"box {box['bbox']}, where {found} is seen,"
            )
            whole = cv2.contourArea(np.float32(THINGS[attributes["instance_id"]][1])) * attributes["scale"] ** 2
            # Seen aslant it may be larger or smaller.
            share = np.count_nonzero(mask) / whole + attributes["occlusion"]
            require(abs(share - 1) < 0.25, f"a share of {share}, seen and hidden together,")
        for name, mask in seen.items():
            require(not mask.any(), f"{image['file_name']}, which shows {name} and has no box of it,")
    require(hidden > 2, "the number of hidden objects")

    scenes(folder / "fewer", SCENES // 2)
    fewer, all_of_them = contents(folder / "fewer"), contents(folder / "scenes")
    # A picture and a label map each.
    require(len(fewer) == 2 * (SCENES // 2) and fewer.items() <= all_of_them.items(), "a scene made again")


def check_background():
    """What is cut out of a photograph leaves out what has to be left out."""
    import numpy as np

    picture = np.zeros((480, 640, 3), np.uint8)
    picture[100:180, 420:500] = 255
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cut, name = compose.background(rng, {"a": picture}, {"a": [[420, 100, 80, 80]]})
        require(name == "a" and max(cut.shape) == compose.LONG_SIDE and cut.max() == 0, "a background")


def check_pets09(folder):
    import cv2
    import numpy as np

    video = folder / "doc" / sources.VIDEO
    video.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE)
    for number in range(FRAMES):
        writer.write(np.full((SIZE[1], SIZE[0], 3), number * 10, np.uint8))
    writer.release()
    lines = [f"{frame},7,{10 + frame},20,30,60,1,0,0,0" for frame in range(1, FRAMES + 1)]
    lines += [f"{frame},8,-10,50,40,50,1,0,0,0" for frame in range(1, FRAMES + 1)]
    lines += ["1,9,200,100,20,40,1,0,0,0"]
    truth = folder / "gt.txt"
    truth.write_text("\n".join(lines) + "\n")
    arguments = SimpleNamespace(cache=folder, opencv_doc=folder / "doc", ground_truth=truth, every=8)
    for name in ("pets09", "again"):
        labelled.write(folder / name, arguments, pets09.make)
    require(contents(folder / "pets09") == contents(folder / "again"), "a sequence made again")
    gallery, queries = (loaded(folder / "pets09" / name) for name in (labelled.GALLERY, labelled.QUERIES))
    check_boxes(folder / "pets09", gallery)
    frames = {image["id"]: image["frame_index"] for image in gallery.images}
    require(list(frames.values()) == [1, 9, 17], "the numbers of frames")
    require(gallery.images[1]["file_name"] == "img1/000009.jpg", "the name of a frame")
    for box in gallery.boxes:
        left = {7: 10 + frames[box["image_id"]], 8: 0, 9: 200}[box["attributes"]["instance_id"]]
        require(box["bbox"][0] == left, f"box {box['bbox']}")
    # Track 8 is cut by the border, track 9 is in one frame only.
    require({box["attributes"]["instance_id"] for box in queries.boxes} == {7}, "what queries ask for")
    truth.write_text("1,7,1,2\n")
    refused(lambda: labelled.write(folder / "other", arguments, pets09.make), "line 1")
    require(not (folder / "other").exists(), "a set that failed, which is there,")


def check_places(folder):
    """A folder that is no set stays as it is."""
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    arguments = SimpleNamespace(cache=folder, opencv_doc=folder / "doc")
    refused(lambda: labelled.write(folder / "mine", arguments, lambda *_: None), "no labelled set")
    require((folder / "mine" / "thesis.txt").exists(), "what was in the way")


def check_tables():
    """What is written down of the photographs is complete."""
    import numpy as np

    require(set(sources.SAMPLE_LICENCES) == set(setup.PHOTOS), "the table of licences")
    objects, avoid = compose.outlines()
    names = [name for name, _, _ in objects]
    require(len(names) == len(set(names)) >= 40, "the number of objects")
    for name, photograph, outline in objects:
        require(len(outline) > 3 and labelled.bounds(outline) in avoid[photograph], f"the outline of {name}")
    disparity = np.full((100, 100), 12.0)
    disparity[:40] = np.inf
    require(pairs.shifted((50, 30, 20, 40), disparity) == [38, 30, 20, 40], "a box moved by disparities")
    moved = np.float64([[2, 0, 5], [0, 1, -3], [0, 0, 1]])
    require(pairs.projected((10, 20, 30, 40), moved) == [25, 17, 60, 40], "a box moved by a homography")


def check_measures():
    """Figures worked by hand, the same as in src/eval/measures."""
    truth = [(0, (0, 0, 10, 10)), (0, (20, 0, 10, 10)), (1, (0, 0, 10, 10))]
    hits = [(0, (0, 0, 8, 10)), (0, (1, 0, 9, 10)), (7, (0, 0, 10, 10)), (1, (4, 0, 10, 10))]
    figures = dict(zip(baselines.FIGURES, baselines.judge(hits, truth)))
    # Images: right, wrong, right. Boxes: IoU .8, the same again, another image, 6/14.
    expected = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2) / 2, 1, 1, 1, 1 / 3
    for (name, figure), value in zip(figures.items(), expected):
        require(abs(figure - value) < 1e-12, f"{name}, {figure} and not {value},")
    # Three of four right images, at places 0, 2 and 5.
    known = (1 + (1 / 2 + 2 / 3) / 2 + (2 / 5 + 3 / 6) / 2) / 4
    require(abs(baselines.average_precision([0, 2, 5], 4) - known) < 1e-12, "an average precision")
    interval = baselines.mean_and_interval([[0.5] * len(figures)] * 9)[baselines.FIGURES[0]]
    require(interval == {"value": 0.5, "ci95": [0.5, 0.5]}, "the interval of equal values")
    frames = [{"content": str(at), "video_id": 1, "frame_index": at} for at in (1, 9, 17)]
    require([baselines.is_junk(frame, frames[0], 9) for frame in frames] == [True, True, False], "what does not count")


def check_ways():
    """A crop that is a part of an image's own tokens is found where it is."""
    import numpy as np

    grid = baselines.unit(np.random.default_rng(0).standard_normal((12, 16, 32), dtype=np.float32))
    seen = baselines.Seen(None, grid)
    crop = baselines.Asked(0, baselines.IN_PLACE, (4, 3), None, grid[6:9, 8:12], 100)
    for name in ("tiles", "windows", "maxsim"):
        scores, places = baselines.WAYS[name]([crop]).look(seen)
        place = (0, 0, 1, 1) if name == "maxsim" else (0.5, 0.5, 0.25, 0.25)
        require(np.allclose(places[0], place) and abs(scores[0] - 1) < 1e-5, f"the place or score of {name}")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold the tools of labelled sets against made-up pictures.")
    parser.add_argument("folder", type=Path, nargs="?", help="an empty folder, which gets small sets")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    environment = setup.Environment(arguments.cache.absolute() / "venv-tokens")
    status = environment.run_again(__file__, labelled.REQUIREMENTS, (3, 11))
    if status is not None:
        return status
    if arguments.folder:
        folder = arguments.folder.absolute()
        check_tables()
        check_measures()
        check_ways()
        check_background()
        check_pets09(folder)
        check_scenes(folder)
        check_places(folder)
    setup.say("ready", "OpenCV, NumPy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
