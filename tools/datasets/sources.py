"""Where the pictures of the sets come from: the sample photographs in the cache, and the examples of Debian's package
opencv-doc, installed, unpacked or fetched. Knows who made them and under which licence; knows nothing of sets.

A picture is named as it lies: photos/NAME is a sample photograph, every other name is a path below the examples.
"""

import sys
import zipfile
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from the folder above, not installed
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import setup  # noqa: E402
from fit_preparation import EXAMPLES, examples  # noqa: E402

VIDEO = "data/vtest.avi"
SAMPLES = "photos/"

CC0 = "CC0 1.0"
PUBLIC = "public domain"
# Of the sample photographs, as scikit-image's documentation of each says.
SAMPLE_LICENCES = {
    "astronaut.png": ("NASA", PUBLIC),
    "brick.png": ("CC0Textures", CC0),
    "camera.png": ("Lav Varshney", CC0),
    "cell.png": ("Paul Müller et al.", CC0),
    "chelsea.png": ("Stefan van der Walt", CC0),
    "clock_motion.png": ("Stefan van der Walt", PUBLIC),
    "coffee.png": ("Rachel Michetti", CC0),
    "coins.png": ("Brooklyn Museum", "no known copyright restrictions"),
    "grass.png": ("CC0Textures", CC0),
    "gravel.png": ("CC0Textures", CC0),
    "hubble_deep_field.jpg": ("NASA", PUBLIC),
    "ihc.png": ("Center for Microscopy And Molecular Imaging", "no known copyright restrictions"),
    "moon.png": ("not said", "not said"),
    "motorcycle_left.png": ("Middlebury stereo 2014", "not said"),
    "motorcycle_right.png": ("Middlebury stereo 2014", "not said"),
    "retina.jpg": ("Mikael Häggström", CC0),
    "rocket.jpg": ("SpaceX", PUBLIC),
}
DISPARITY = "2e49c8cebff3fa20359a0cc6880c82e1c03bbb106da81a177218281bc2f113d7"
PACKAGE_LICENCE = "Apache-2.0 and BSD-3-Clause, as the package's copyright file says for all files"


def opencv_doc(arguments, folder):
    """The folder of the package's examples."""
    root = arguments.opencv_doc or examples(folder) / EXAMPLES
    if not (root / VIDEO).is_file():
        raise setup.Failure(f"{root / VIDEO} is missing; --opencv-doc is the folder of the package's examples")
    return root


def frames(video):
    """The frames of a video with their numbers, from 1."""
    import cv2

    reader = cv2.VideoCapture(str(video))
    number = 0
    while True:
        is_there, frame = reader.read()
        if not is_there:
            return
        number += 1
        yield number, frame


def read(path):
    """A picture in three channels, blue first, or a failure that names it."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise setup.Failure(f"{path} is missing or no picture; a newer opencv-doc may lack it")
    return picture


class Pictures:
    """Pictures by name; remembers which were asked for. `notes` are what else their licences need said."""

    def __init__(self, root, cache):
        self.root, self.cache, self.used, self.notes = root, cache, set(), []

    def path(self, name):
        self.used.add(name)
        return (self.cache if name.startswith(SAMPLES) else self.root) / name

    def read(self, name):
        return read(self.path(name))

    def licences(self):
        """A table of who made the pictures that were asked for, in Markdown."""
        rows = ["# Licences", "", "| picture | source | licence |", "|---|---|---|"]
        for name in sorted(self.used):
            if name.startswith(SAMPLES):
                author, licence = SAMPLE_LICENCES[name.removeprefix(SAMPLES)]
                rows.append(f"| {name} | {author}; comes with scikit-image | {licence} |")
            else:
                rows.append(f"| {name} | Debian's opencv-doc | {PACKAGE_LICENCE} |")
        return "\n".join(rows + [line for note in self.notes for line in ("", note)]) + "\n"


def sample_photographs(cache):
    """Sees to it that the sample photographs are in the cache."""
    with setup.exclusive(cache / "setup.lock"):
        setup.Setup(cache, False).photos()


def motorcycle_disparity(cache):
    """The file of the disparities of motorcycle_left.png, in pixels; comes with the sample photographs' package."""
    path = cache / "datasets" / "motorcycle_disp.npz"
    with setup.exclusive(cache / "setup.lock"):
        filled = setup.Setup(cache, False)
        if not filled.checked.holds(path, DISPARITY):
            with (
                filled.environment.wheel(filled.downloads, *setup.PICTURES) as wheel,
                zipfile.ZipFile(wheel) as archive,
            ):
                filled.extract(archive, f"skimage/data/{path.name}", path, DISPARITY)
    return path
