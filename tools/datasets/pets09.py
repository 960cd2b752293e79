#!/usr/bin/env python3
"""Makes the labelled set pets09: frames of vtest.avi with the people in them, as a sequence of MOT Challenge.

The ground truth is that of PETS09-S2L1 (2D MOT 2015, CC BY-NC-SA 3.0), which whoever uses it gives with --ground-truth;
it is no part of patchdex. Frames keep their numbers, from 1. Queries are boxes of the frames themselves, of people who
are seen in another frame too, and wholly inside their frame.
"""

import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the files beside it are run from here, not installed
import labelled  # noqa: E402
import sources  # noqa: E402
from labelled import setup  # noqa: E402
from tokens import EVERY, positive  # noqa: E402

NAME = "pets09"
QUERIES, SEED = 120, 0
LICENCE = "The boxes are those of PETS09-S2L1, 2D MOT 2015, CC BY-NC-SA 3.0."


def truth(path):
    """The boxes of a gt.txt by the number of their frame: (track, box) in the order of the file."""
    boxes = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            frame, track, *box = line.split(",")[:6]
            x, y, width, height = map(float, box)
            boxes.setdefault(int(frame), []).append((int(track), [x, y, width, height]))
        except ValueError:
            raise setup.Failure(f"{path}, line {number}: not frame,track,left,top,width,height") from None
    return boxes


def is_inside(box, image):
    x, y, width, height = box
    return x >= 0 and y >= 0 and x + width <= image["width"] and y + height <= image["height"]


def ask(gallery, inside):
    """Queries: some of the gallery's boxes whose numbers are in `inside`."""
    import numpy as np

    tracks = [box["attributes"]["instance_id"] for box in gallery.boxes]
    able = [box for box, track in zip(gallery.boxes, tracks) if box["id"] in inside and tracks.count(track) > 1]
    chosen = np.random.default_rng(SEED).choice(len(able), min(QUERIES, len(able)), replace=False)
    queries = labelled.Coco(gallery.category)
    queries.boxes = [{**able[at], "id": number} for number, at in enumerate(sorted(chosen), 1)]
    asked = {box["image_id"] for box in queries.boxes}
    queries.images = [image for image in gallery.images if image["id"] in asked]
    return queries


def make(arguments, pictures, folder):
    video = pictures.path(sources.VIDEO)
    pictures.notes.append(LICENCE)
    boxes = truth(arguments.ground_truth)
    gallery, inside, count = labelled.Coco("person"), set(), 0
    for number, frame in sources.frames(video):
        count = number
        if (number - 1) % arguments.every:
            continue
        file_name = f"img1/{number:06}.jpg"
        labelled.save(folder / file_name, frame)
        image = gallery.image(file_name, frame, video_id=1, frame_index=number)
        for track, box in boxes.get(number, []):
            if gallery.box(image, track, box) and is_inside(box, image):
                inside.add(len(gallery.boxes))
    if not gallery.boxes:
        raise setup.Failure(f"{arguments.ground_truth}: no box is in a frame of {video}")
    (folder / "gt").mkdir()
    shutil.copyfile(arguments.ground_truth, folder / "gt" / "gt.txt")
    height, width = gallery.images[0]["height"], gallery.images[0]["width"]
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={NAME}\nimDir=img1\nframeRate=7\nseqLength={count}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.jpg\n"
    )
    return gallery, ask(gallery, inside)


def add_arguments(parser):
    parser.add_argument("--ground-truth", type=Path, required=True, metavar="FILE", help="gt.txt of PETS09-S2L1")
    parser.add_argument("--every", type=positive, default=EVERY, metavar="N", help="take each Nth frame (%(default)s)")


if __name__ == "__main__":
    about = "Make the labelled set pets09: people in the frames of a video."
    sys.exit(labelled.main(__file__, NAME, about, make, add_arguments))
