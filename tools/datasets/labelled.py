"""Writes a labelled set: pictures with boxes of instances to find, and the boxes to ask with, in two COCO files.

A set is a folder with gallery.json, queries.json and LICENCES.md. Boxes of one instance_id show one and the same thing,
in either file. A set is made beside its place and takes it when it is whole. Also owns the command line of the tools.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import setup  # noqa: E402
import sources  # noqa: E402

REQUIREMENTS = setup.HERE / "requirements-tokens.txt"
GALLERY, QUERIES, LICENCES = "gallery.json", "queries.json", "LICENCES.md"


class Coco:
    """Images and boxes of one file, numbered from 1 in the order in which they come."""

    def __init__(self, category):
        self.images, self.boxes, self.category = [], [], category

    def image(self, file_name, picture, **more):
        """Adds an image of the size of `picture`; gives its entry."""
        height, width = picture.shape[:2]
        entry = {"id": len(self.images) + 1, "file_name": file_name, "width": width, "height": height, **more}
        self.images.append(entry)
        return entry

    def box(self, image, instance, box, **attributes):
        """Adds a box (x, y, width, height), cut to its image; says whether anything of it is inside."""
        x, y = max(0, box[0]), max(0, box[1])
        width = min(image["width"], box[0] + box[2]) - x
        height = min(image["height"], box[1] + box[3]) - y
        if width <= 0 or height <= 0:
            return False
        box = [round(float(side), 2) for side in (x, y, width, height)]
        self.boxes.append(
            {
                "id": len(self.boxes) + 1,
                "image_id": image["id"],
                "category_id": 1,
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "attributes": {"instance_id": instance, **attributes},
            }
        )
        return True

    def write(self, path):
        used = [{"id": 1, "name": self.category}]
        content = {"images": self.images, "annotations": self.boxes, "categories": used}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def bounds(points):
    """The box around points, (x, y, width, height)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return [*map(float, low), *map(float, high - low)]


def save(path, picture, quality=95):
    """Writes a picture as its suffix says; `quality` is of a JPEG."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    if not cv2.imwrite(str(path), picture, options):
        raise setup.Failure(f"cannot write {path}")


def copy(path, folder, part, name):
    """Copies a picture, named as in sources, into a part of the set; gives its file_name there."""
    file_name = f"{part}/{name.replace('/', '_')}"
    (folder / file_name).parent.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / file_name)
    return file_name


@contextlib.contextmanager
def whole(place):
    """A folder to fill, which takes `place` when the block ends well. Only an older set gives way."""
    if place.exists() and not (place / GALLERY).is_file() and any(place.iterdir()):
        raise setup.Failure(f"{place} is no labelled set; name another place with --out")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".making-") as folder:
        made = Path(folder) / place.name
        made.mkdir()
        yield made
        if place.exists():
            shutil.rmtree(place)
        made.rename(place)


def write(place, arguments, make):
    """Makes a set in `place`: `make(arguments, pictures, folder)` writes pictures, gives gallery and queries."""
    with tempfile.TemporaryDirectory(dir=arguments.cache) as package, whole(place) as folder:
        pictures = sources.Pictures(sources.opencv_doc(arguments, Path(package)), arguments.cache)
        gallery, queries = make(arguments, pictures, folder)
        gallery.write(folder / GALLERY)
        queries.write(folder / QUERIES)
        (folder / LICENCES).write_text(pictures.licences(), encoding="utf-8")
    setup.say(
        "ready",
        f"{place}: {len(gallery.images):,} images, {len(gallery.boxes):,} boxes, {len(queries.boxes):,} queries",
    )


@setup.told("run this again")
def main(script, name, description, make, add_arguments=lambda parser: None):
    """The command line of a tool that makes the set `name`; gives the exit status."""
    parser = argparse.ArgumentParser(description=description)
    add_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"instead of the cache's folder datasets/{name}")
    parser.add_argument("--opencv-doc", type=Path, metavar="DIR", help="the package's examples, instead of fetching it")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    arguments.cache = arguments.cache.absolute()
    status = setup.Environment(arguments.cache / "venv-tokens").run_again(script, REQUIREMENTS, (3, 11))
    if status is None:
        sources.sample_photographs(arguments.cache)
        write((arguments.out or arguments.cache / "datasets" / name).absolute(), arguments, make)
        status = 0
    return status
