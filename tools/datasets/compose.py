#!/usr/bin/env python3
"""Makes the labelled set scenes: objects cut out of photographs (objects.txt), pasted into other photographs.

Objects are scaled, turned (degrees clockwise), seen aslant, lit, blurred and hidden by up to half; boxes are of what
can be seen. About a fifth of the scenes show none. Backgrounds are parts of photographs that show no object, cut anew
for each scene. labels/ has a map for each scene: the grey level of a pixel is the number of its object in objects.txt,
from 1; 0 is none. Queries are the objects in their own photographs, which are not in the gallery. A scene depends on
--seed and its number only.
"""

import dataclasses
import math
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the files beside it are run from here, not installed
import labelled  # noqa: E402
from labelled import setup  # noqa: E402
from tokens import positive  # noqa: E402

NAME = "scenes"
OBJECTS = Path(__file__).resolve().parent / "objects.txt"
BACKGROUNDS = {
    "data/": "aero1.jpg aero3.jpg aloeL.jpg basketball1.png building.jpg ela_original.jpg home.jpg leuvenA.jpg "
    "leuvenB.jpg pca_test1.jpg rubberwhale1.png smarties.png stuff.jpg text_defocus.jpg text_motion.jpg",
    "hfs/data/": "001.jpg 002.jpg",
    "photos/": "brick.png cell.png clock_motion.png coins.png grass.png gravel.png hubble_deep_field.jpg ihc.png "
    "moon.png rocket.jpg",
    "reg/": "home.png",
    "text/": "scenetext01.jpg scenetext02.jpg scenetext03.jpg scenetext04.jpg scenetext05.jpg "
    "scenetext_segmented_word01.jpg scenetext_segmented_word05.jpg",
}

LONG_SIDE = 800
SHAPES = ((4, 3), (3, 2), (1, 1), (3, 4))
EMPTY = 0.2  # the share of scenes without objects
COUNTS = (1, 2, 3, 4), (0.35, 0.3, 0.2, 0.15)
SCALE = 0.25, 1.5
SIZE = 0.08, 0.6  # of an object's longer side, as a share of the scene's width
LEAST_SIDE = 32
TURN = 40
SLANT = 0.07  # what a corner moves by, as a share of the object
VISIBLE = 0.5
NEAR, ACROSS = 0.35, 0.2  # chances to be put near another object, across the border
LEAST_CUT = 0.4, 240  # of a background: share of the photograph, pixels of the longer side
TRIES = 40


class Thing:
    """An object cut out of its photograph: its pixels, and how much each is part of it (0 to 1)."""

    def __init__(self, name, photograph, picture, outline):
        import cv2
        import numpy as np

        self.name, self.photograph, self.box = name, photograph, labelled.bounds(outline)
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(mask, [outline.astype(np.int32)], 255)
        # Outlines run along the last pixels of a thing: a little less of it leaves no rim of what was behind.
        mask = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=255)
        alpha = cv2.GaussianBlur(mask, (0, 0), 0.8).astype(np.float32) / 255
        x, y, width, height = map(int, self.box)
        window = np.s_[max(0, y - 3) : y + height + 4, max(0, x - 3) : x + width + 4]
        self.pixels, self.alpha = picture[window], alpha[window]

    def seen(self, rng, width):
        """The object as one scene of this width shows it: (pixels, alpha, scale, rotation); None where none fits."""
        import cv2
        import numpy as np

        tall, wide = self.alpha.shape
        least = max(SCALE[0], SIZE[0] * width / max(tall, wide), LEAST_SIDE / min(tall, wide))
        most = min(SCALE[1], SIZE[1] * width / max(tall, wide))
        if least > most:
            return None
        scale, rotation = np.exp(rng.uniform(np.log(least), np.log(most))), rng.uniform(-TURN, TURN)
        pixels, alpha = self.pixels, self.alpha
        if scale < 1:
            size = max(2, round(wide * scale)), max(2, round(tall * scale))
            pixels, alpha = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (pixels, alpha))
        corners = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]]) * (alpha.shape[1], alpha.shape[0])
        turn = np.deg2rad(rotation)
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        aslant = rng.uniform(-SLANT, SLANT, (4, 2)) * (wide, tall) * scale
        target = np.float32(((corners - corners[2] / 2) * max(1, scale) + aslant) @ turned.T)
        target -= target.min(axis=0)
        size = tuple(int(side) for side in np.ceil(target.max(axis=0)))
        warp = cv2.getPerspectiveTransform(np.float32(corners), target)
        pixels = cv2.warpPerspective(pixels, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpPerspective(alpha, warp, size, flags=cv2.INTER_LINEAR)
        rows, columns = np.where(alpha.max(axis=1) > 0.5)[0], np.where(alpha.max(axis=0) > 0.5)[0]
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        if not SIZE[0] * width <= longer <= SIZE[1] * width:
            return None
        return lit(rng, pixels), alpha, scale, rotation


def lit(rng, pixels):
    """Pixels in another light, and not quite sharp."""
    import cv2
    import numpy as np

    pixels = pixels.astype(np.float32)
    middle = pixels.mean()
    contrast, light = rng.uniform(0.75, 1.2), rng.uniform(0.7, 1.25)
    colour = rng.uniform(0.93, 1.07, 3)
    blur = rng.uniform(0, 1.2)
    pixels = ((pixels - middle) * contrast + middle) * light * colour
    return np.clip(cv2.GaussianBlur(pixels, (0, 0), blur) if blur > 0.3 else pixels, 0, 255)


def background(rng, photographs, avoid):
    """A part of a photograph that shows no object, at a scene's size, and the photograph's name."""
    import cv2
    import numpy as np

    names = sorted(photographs)
    while True:
        name = names[rng.integers(len(names))]
        picture = photographs[name]
        tall, wide = picture.shape[:2]
        for _ in range(TRIES):
            shape = SHAPES[rng.integers(len(SHAPES))]
            most = min(wide / shape[0], tall / shape[1])
            unit = most * rng.uniform(LEAST_CUT[0], 1)
            width, height = int(unit * shape[0]), int(unit * shape[1])
            x, y = rng.integers(wide - width + 1), rng.integers(tall - height + 1)
            mirrored = rng.random() < 0.5
            is_free = all(
                x + width <= left or left + w <= x or y + height <= top or top + h <= y
                for left, top, w, h in avoid.get(name, [])
            )
            if not is_free or max(width, height) < LEAST_CUT[1]:
                continue
            scale = LONG_SIDE / max(shape)
            size = round(shape[0] * scale), round(shape[1] * scale)
            cut = picture[y : y + height, x : x + width]
            cut = cut[:, ::-1] if mirrored else cut
            way = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
            return cv2.resize(np.ascontiguousarray(cut), size, interpolation=way).astype(np.float32), name


@dataclasses.dataclass
class Part:
    """An object in a scene: the pixels where it is seen, and how many it has in all."""

    thing: Thing
    visible: object
    whole: int
    scale: float
    rotation: float

    def box(self):
        rows, columns = self.visible.nonzero()
        low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        return *low, high[0] - low[0], high[1] - low[1]

    def attributes(self):
        return {
            "scale": round(float(self.scale), 3),
            "rotation": round(float(self.rotation), 1),
            "occlusion": round(1 - int(self.visible.sum()) / self.whole, 3),
        }


class Scene:
    """A picture, and the objects in it, from back to front."""

    def __init__(self, picture):
        self.picture, self.parts = picture, []

    def place(self, rng, width, height):
        """Where the top left corner of an object of this size goes."""
        tall, wide = self.picture.shape[:2]
        chance = rng.random()
        if self.parts and chance < NEAR:
            rows, columns = self.parts[rng.integers(len(self.parts))].visible.nonzero()
            reach, angle = rng.uniform(0.2, 0.6), rng.uniform(0, 2 * math.pi)
            x = columns.mean() + math.cos(angle) * reach * (width + columns.max() - columns.min()) - width / 2
            y = rows.mean() + math.sin(angle) * reach * (height + rows.max() - rows.min()) - height / 2
        elif chance < NEAR + ACROSS:
            x, y = rng.uniform(-0.5 * width, wide - 0.5 * width), rng.uniform(-0.5 * height, tall - 0.5 * height)
        else:
            x, y = rng.uniform(0, max(1, wide - width)), rng.uniform(0, max(1, tall - height))
        return round(x), round(y)

    def labels(self, levels):
        """The grey level of the object that each pixel shows; 0 where it shows none."""
        import numpy as np

        labels = np.zeros(self.picture.shape[:2], np.uint8)
        for part in self.parts:
            labels[part.visible] = levels[part.thing.name]
        return labels

    def paste(self, thing, view, corner):
        """Adds an object as it is seen, unless that hid too much of anything; says whether it did."""
        import numpy as np

        pixels, alpha, scale, rotation = view
        tall, wide = self.picture.shape[:2]
        x, y = corner
        left, top = max(0, -x), max(0, -y)
        right, bottom = min(alpha.shape[1], wide - x), min(alpha.shape[0], tall - y)
        if right <= left or bottom <= top:
            return False
        inside = np.s_[top:bottom, left:right]
        there = np.s_[y + top : y + bottom, x + left : x + right]
        mask = np.zeros((tall, wide), bool)
        mask[there] = alpha[inside] > 0.5
        whole = np.count_nonzero(alpha > 0.5)
        still_seen = [part.visible & ~mask for part in self.parts]
        shares = [np.count_nonzero(seen) / part.whole for seen, part in zip(still_seen, self.parts)]
        if min(shares + [np.count_nonzero(mask) / whole]) < VISIBLE:
            return False
        for part, seen in zip(self.parts, still_seen):
            part.visible = seen
        share = alpha[inside][..., None]
        self.picture[there] = pixels[inside] * share + self.picture[there] * (1 - share)
        self.parts.append(Part(thing, mask, whole, scale, rotation))
        return True


def compose(rng, things, photographs, avoid):
    """One scene, as `objects.txt` and the constants above say."""
    picture, name = background(rng, photographs, avoid)
    scene = Scene(picture)
    if rng.random() < EMPTY:
        return scene
    others = [thing for thing in things if thing.photograph != name]
    count = rng.choice(COUNTS[0], p=COUNTS[1])
    for at in rng.permutation(len(others)):
        for _ in range(TRIES):
            view = others[at].seen(rng, picture.shape[1])
            if view and scene.paste(others[at], view, scene.place(rng, view[1].shape[1], view[1].shape[0])):
                break
        if len(scene.parts) == count:
            break
    return scene


def photographed(rng, picture):
    """The picture as a camera gives it: its light, its blur, its noise; and the quality of its JPEG file."""
    import cv2
    import numpy as np

    light, blur, noise = rng.uniform(0.85, 1.12), rng.uniform(0, 1), rng.uniform(0, 5)
    picture = picture * light
    if blur > 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    picture = picture + rng.standard_normal(picture.shape[:2], np.float32)[..., None] * noise
    return np.clip(picture, 0, 255).round().astype(np.uint8), int(rng.integers(50, 96))


def outlines():
    """The entries of objects.txt: objects as (name, photograph, outline), other places by photograph as boxes."""
    import numpy as np

    objects, also = [], {}
    for line in OBJECTS.read_text().splitlines():
        kind, *words = line.split()
        if kind == "#":
            continue
        points = np.array([word.split(",") for word in words if "," in word], float)
        if kind == "object":
            objects.append((*words[:2], points))
        also.setdefault(words[kind == "object"], []).append(labelled.bounds(points))
    return objects, also


def make_scenes(things, photographs, avoid, arguments, folder):
    """Writes the scenes; gives the gallery."""
    import numpy as np

    gallery = labelled.Coco("object")
    levels = {thing.name: level for level, thing in enumerate(things, 1)}
    for number in range(1, arguments.images + 1):
        rng = np.random.default_rng((arguments.seed, number))
        scene = compose(rng, things, photographs, avoid)
        picture, quality = photographed(rng, scene.picture)
        file_name = f"images/{number:06}.jpg"
        labelled.save(folder / file_name, picture, quality)
        labelled.save(folder / f"labels/{number:06}.png", scene.labels(levels))
        image = gallery.image(file_name, picture)
        for part in scene.parts:
            gallery.box(image, part.thing.name, part.box(), **part.attributes())
    return gallery


def make(arguments, pictures, folder):
    objects, avoid = outlines()
    photographs = {name: pictures.read(name) for name in dict.fromkeys(photograph for _, photograph, _ in objects)}
    things = [Thing(name, photograph, photographs[photograph], outline) for name, photograph, outline in objects]
    setup.say("compose", f"{arguments.images:,} scenes of {len(things)} objects")
    names = [place + name for place, listed in BACKGROUNDS.items() for name in listed.split()]
    backgrounds = {name: pictures.read(name) for name in names}
    gallery = make_scenes(things, backgrounds, avoid, arguments, folder)
    queries = labelled.Coco("object")
    images = {}
    for thing in things:
        name = thing.photograph
        if name not in images:
            images[name] = queries.image(labelled.copy(pictures.path(name), folder, "queries", name), photographs[name])
        queries.box(images[name], thing.name, thing.box, scale=1, rotation=0, occlusion=0)
    return gallery, queries


def add_arguments(parser):
    parser.add_argument("--images", type=positive, default=1000, metavar="N", help="scenes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other scenes (%(default)s)")


if __name__ == "__main__":
    about = "Make the labelled set scenes: objects of photographs in other photographs."
    sys.exit(labelled.main(__file__, NAME, about, make, add_arguments))
