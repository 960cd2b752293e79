#!/usr/bin/env python3
"""Makes the labelled set pairs: two real pictures of one thing, a box in the first to ask with, its box in the second.

Stereo, other viewpoints, frames of a film, a changed copy, renderings, a turned text. Second boxes come from
disparities (aloe, motorcycle), a homography (graf), the corners of the chessboard, of which there are 25 second
pictures, or were drawn by hand. The rest of the gallery shows none of the things, and no first picture is in it.
"""

import re
import sys

sys.dont_write_bytecode = True  # the files beside it are run from here, not installed
import labelled  # noqa: E402
import sources  # noqa: E402

NAME = "pairs"
CHESSBOARD = "data/left01.jpg"
CHESSBOARDS = [
    f"data/{side}{number:02}.jpg" for side in ("left", "right") for number in (*range(1, 10), *range(11, 15))
]
CORNERS = 9, 6
HOMOGRAPHY = "data/H1to3p.xml"  # from graf1 to graf3
DISPARITY = "data/aloeGT.png"  # of aloeL, in pixels; 0 where it is not known

# Pair: first picture, second picture, and each thing: its box in the first, and in the second where it was drawn by hand.
PAIRS = {
    "cookies": ("data/box.png", "data/box_in_scene.png", {"box": ((1, 3, 320, 216), (99, 161, 163, 135))}),
    "graf": (
        "data/graf1.png",
        "data/graf3.png",
        {
            "face": ((260, 130, 160, 130), None),
            "chicken": ((440, 150, 150, 190), None),
            "feet": ((500, 400, 160, 140), None),
        },
    ),
    "leuven": (
        "data/leuvenA.jpg",
        "data/leuvenB.jpg",
        {
            "timbered_house": ((265, 164, 141, 175), (517, 197, 127, 144)),
            "lantern_house": ((105, 18, 117, 388), (376, 123, 88, 281)),
            "urn": ((542, 260, 61, 140), (632, 310, 45, 90)),
        },
    ),
    "aloe": (
        "data/aloeL.jpg",
        "data/aloeR.jpg",
        {"pot": ((720, 815, 350, 275), None), "heart": ((690, 560, 230, 190), None)},
    ),
    "motorcycle": (
        "photos/motorcycle_left.png",
        "photos/motorcycle_right.png",
        {
            "engine": ((330, 240, 160, 125), None),
            "headlamp": ((505, 110, 80, 80), None),
            "seat": ((135, 150, 220, 75), None),
        },
    ),
    "rubberwhale": (
        "data/rubberwhale1.png",
        "data/rubberwhale2.png",
        {
            "whale": ((219, 90, 98, 92), (219, 89, 98, 92)),
            "shell": ((62, 141, 90, 39), (63, 141, 90, 39)),
            "wheel": ((73, 294, 110, 94), (72, 294, 110, 94)),
        },
    ),
    "basketball": (
        "data/basketball1.png",
        "data/basketball2.png",
        {
            "ball": ((124, 97, 55, 51), (147, 86, 50, 54)),
            "man": ((35, 78, 150, 395), (37, 84, 157, 390)),
            "shirt": ((505, 140, 135, 300), (509, 140, 131, 300)),
        },
    ),
    "books": (
        "data/left.jpg",
        "data/right.jpg",
        {
            "c": ((86, 134, 186, 245), (217, 110, 131, 216)),
            "electronics": ((263, 104, 136, 222), (318, 108, 235, 312)),
        },
    ),
    "notebook": ("data/ela_original.jpg", "data/ela_modified.jpg", {"strap": ((541, 0, 216, 631), (503, 0, 216, 494))}),
    "aerial": (
        "data/aero1.jpg",
        "data/aero3.jpg",
        {"blue_roofs": ((249, 211, 165, 76), (186, 225, 127, 62)), "towers": ((199, 169, 50, 47), (288, 186, 40, 38))},
    ),
    "table": ("reg/LR_05.png", "reg/LR_06.png", {"table": ((2, 6, 98, 161), (1, 6, 102, 156))}),
    "suzanne": (
        "data/Blender_Suzanne1.jpg",
        "data/Blender_Suzanne2.jpg",
        {"nose": ((395, 150, 240, 290), (19, 136, 282, 331))},
    ),
    "text": ("data/imageTextN.png", "data/imageTextR.png", {"lines": ((30, 75, 230, 110), (15, 93, 250, 149))}),
}

# What else is in the gallery.
OTHERS = {
    "alphamat/input_images/": "plant.jpg",
    "data/": "HappyFish.jpg LinuxLogo.jpg WindowsLogo.jpg apple.jpg baboon.jpg blox.jpg board.jpg building.jpg "
    "butterfly.jpg cards.png chicky_512.png detect_blob.png digits.png ellipses.jpg fruits.jpg gradient.png home.jpg "
    "licenseplate_motion.jpg messi5.jpg ml.png notes.png opencv-logo.png orange.jpg pca_test1.jpg pic1.png pic2.png "
    "pic3.png pic4.png pic5.png pic6.png smarties.png squirrel_cls.jpg starry_night.jpg stuff.jpg sudoku.png "
    "text_defocus.jpg text_motion.jpg",
    "dnn_superres/": "butterfly.png",
    "fuzzy/": "input.png",
    "hfs/data/": "000.jpg 001.jpg 002.jpg",
    "photos/": "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png grass.png "
    "gravel.png hubble_deep_field.jpg ihc.png moon.png retina.jpg rocket.jpg",
    "reg/": "home.png",
    "text/": "scenetext01.jpg scenetext02.jpg scenetext03.jpg scenetext04.jpg scenetext05.jpg scenetext06.jpg "
    "scenetext_segmented_word01.jpg scenetext_segmented_word02.jpg scenetext_segmented_word03.jpg "
    "scenetext_segmented_word04.jpg scenetext_segmented_word05.jpg scenetext_word02.jpg scenetext_word03.jpg "
    "scenetext_word04.jpg",
    "ximgproc/": "stanford.png",
}


def projected(box, homography):
    """The box around what a homography makes of a box."""
    import cv2
    import numpy as np

    x, y, width, height = box
    corners = np.float32([[[x, y], [x + width, y], [x + width, y + height], [x, y + height]]])
    return labelled.bounds(cv2.perspectiveTransform(corners, homography)[0].round())


def shifted(box, disparity):
    """The box in the right picture: as far to the left as the median of its disparities says."""
    import numpy as np

    x, y, width, height = box
    inside = disparity[y : y + height, x : x + width]
    return [x - round(float(np.median(inside[np.isfinite(inside) & (inside > 0)]))), y, width, height]


def chessboard(picture, name):
    """The box of the squares, of which OpenCV finds the inner corners."""
    import cv2
    import numpy as np

    is_there, corners = cv2.findChessboardCorners(picture, CORNERS)
    if not is_there:
        raise labelled.setup.Failure(f"{name}: the corners of the chessboard were not found")
    columns, rows = CORNERS
    grid = np.float32([[column, row] for row in range(rows) for column in range(columns)])
    homography, _ = cv2.findHomography(grid, corners)
    return projected((-1, -1, columns + 1, rows + 1), homography)


def maps(pictures):
    """How boxes of pairs come from the first picture into the second, where they do."""
    import cv2
    import numpy as np

    numbers = re.search(r"<data>([^<]*)", pictures.path(HOMOGRAPHY).read_text()).group(1).split()
    homography = np.array(numbers, float).reshape(3, 3)
    aloe = cv2.cvtColor(pictures.read(DISPARITY), cv2.COLOR_BGR2GRAY).astype(float)
    motorcycle = np.load(sources.motorcycle_disparity(pictures.cache))["arr_0"]
    return {
        "graf": lambda box: projected(box, homography),
        "aloe": lambda box: shifted(box, aloe),
        "motorcycle": lambda box: shifted(box, motorcycle),
    }


def make(arguments, pictures, folder):
    gallery, queries = labelled.Coco("object"), labelled.Coco("object")

    def add(coco, part, name):
        return coco.image(labelled.copy(pictures.path(name), folder, part, name), pictures.read(name))

    known = maps(pictures)
    for pair, (first, second, things) in PAIRS.items():
        asked, answer = add(queries, "queries", first), add(gallery, "images", second)
        for thing, (box, drawn) in things.items():
            queries.box(asked, f"{pair}_{thing}", box)
            gallery.box(answer, f"{pair}_{thing}", drawn or known[pair](box))
    for name in CHESSBOARDS:
        coco, part = (queries, "queries") if name == CHESSBOARD else (gallery, "images")
        coco.box(add(coco, part, name), "chessboard", chessboard(pictures.read(name), name))
    for place, names in OTHERS.items():
        for name in names.split():
            add(gallery, "images", place + name)
    return gallery, queries


if __name__ == "__main__":
    about = "Make the labelled set pairs: things in two real pictures each, among others."
    sys.exit(labelled.main(__file__, NAME, about, make))
