#!/usr/bin/env python3
"""Measures the simple ways of finding a crop that one would try before patchdex, as `patchdex eval retrieve` measures.

`baselines.py SET` asks each box of SET/queries.json for its instance in the images of SET/gallery.json, a labelled set
that compose.py, pairs.py or pets09.py made. The ways:

cls      the CLS vector of the crop, beside that of each image; the box is the whole image
tiles    the mean of the crop's tokens, beside that of each tile of 1 x 1 to 4 x 4 grids; the box is the tile
maxsim   the mean, over the crop's tokens, of the best similarity with any patch; the box is the whole image
windows  the mean of the crop's tokens, beside that of each window of as many tokens as the crop's box has

Each is tried with tokens of each layer (--outputs), raw, centred and whitened (fitted on the gallery), at length 1,
and with a crop that is cut out and resized as the model's preprocessor says (processor), cut out with its long side at
the model's own size (cut), or left in its image, which is embedded as the gallery is (in place; CLS has no such thing).
The table has, for each way, what gave the best mAP on these very queries, and what gave the best boxes, which favours
it; --json has all. Similarities are cosines, an image has one hit, and the first TOP images count. Environment as
golden.py, model by setup.py; tokens are kept in the cache's folder baselines/.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py and golden.py are run from here, not installed
import golden  # noqa: E402
import setup  # noqa: E402

MODEL = "dinov2-small"
OUTPUTS = ("last_hidden_state", "hidden_states.7")
PREPARATIONS = ("raw", "centred", "whitened")
PROCESSOR, CUT, IN_PLACE = ("processor", "cut", "in place")
TOP = 100  # images that count, as hits of eval retrieve
IOU = 0.5
LEVELS = (1, 2, 3, 4)  # tiles a side
RIDGE = 1e-4  # of the mean variance: keeps directions that hardly occur from counting without end
FITTED_ROWS = 100_000
RESAMPLES = 1000
FIGURES = ("map.trapezoidal", "cmc.1", f"recall.{TOP}", f"success.iou.{IOU}", f"recall.iou.{IOU}")
RANKED_BY = FIGURES[0], FIGURES[3]  # what a best variant is best in


# Labels: which images are right, and which count neither way.


def labels(file):
    """Images of a COCO file by id, each with its path and the digest of its content, and the boxes."""
    content = json.loads(file.read_text(encoding="utf-8"))
    images = {image["id"]: image for image in content["images"]}
    for image in images.values():
        image["path"] = file.parent / image["file_name"]
        image["content"] = setup.sha256(image["path"])
    return images, content["annotations"]


def is_junk(image, asked, gap):
    """Whether an image is the query's own, or a frame of its video less than `gap` away."""
    if asked["content"] == image["content"]:
        return True
    if asked.get("video_id") is None or asked.get("video_id") != image.get("video_id"):
        return False
    return abs(asked["frame_index"] - image["frame_index"]) < gap


class Query:
    """A box to ask with, the places in the gallery that are right, and those that do not count."""

    def __init__(self, box, image, gallery, boxes, gap):
        self.box, self.image = tuple(box["bbox"]), image
        place = {number: at for at, number in enumerate(gallery)}
        self.junk = {place[number] for number, other in gallery.items() if is_junk(other, image, gap)}
        instance = box["attributes"]["instance_id"]
        same = (other for other in boxes if other["attributes"]["instance_id"] == instance)
        placed = [(place[other["image_id"]], other["bbox"]) for other in same]
        self.truth = [(at, bbox) for at, bbox in placed if at not in self.junk]


# Measures, of one query, as src/eval/measures has them.


def average_precision(places, positives):
    """Area under the precision-recall curve by trapezoids; places of the right images, from 0, ascending."""
    area = 0.0
    for before, place in enumerate(places):
        area += ((before / place if place else 1.0) + (before + 1) / (place + 1)) / 2
    return area / positives


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def found_boxes(hits, truth):
    """How many true boxes are found: each hit takes the free box of its image that it covers best."""
    free = list(truth)
    for at, box in hits:
        best = max((there for there in free if there[0] == at), key=lambda there: iou(box, there[1]), default=None)
        if best and iou(box, best[1]) >= IOU:
            free.remove(best)
    return len(truth) - len(free)


def judge(hits, truth):
    """FIGURES of hits (image, box), best first and without junk, beside the true ones."""
    hits = hits[:TOP]
    right = {at for at, _ in truth}
    places = [place for place, at in enumerate(dict.fromkeys(at for at, _ in hits)) if at in right]
    first = max((iou(hits[0][1], box) for at, box in truth if at == hits[0][0]), default=0.0) if hits else 0.0
    return (
        average_precision(places, len(right)),
        float(places[:1] == [0]),
        len(places) / len(right),
        float(first >= IOU),
        found_boxes(hits, truth) / len(truth),
    )


def mean_and_interval(values):
    """The mean of each figure over the queries (rows) and its 95 % interval, bootstrapped."""
    import numpy as np

    values = np.asarray(values)
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5], axis=0)
    means = zip(FIGURES, values.mean(axis=0), low, high)
    return {name: {"value": float(mean), "ci95": [float(low), float(high)]} for name, mean, low, high in means}


# Tokens: of whole images and of crops, embedded once.


@dataclass(frozen=True)
class View:
    """What goes through the model: a file or a box of it, at a size in patches; no size: the preprocessor's own."""

    path: Path
    box: tuple | None
    grid: tuple | None  # width, height


def grid_of(width, height, long_side, patch):
    """Patches along each side of a view with that long side, as `patchdex index` makes them."""
    scale = long_side / max(width, height) / patch
    return max(1, round(width * scale)), max(1, round(height * scale))


class Model:
    """Tokens of pictures, CLS first."""

    def __init__(self, folder, threads):
        if not (folder / "onnx/model.onnx").is_file():
            raise setup.Failure(f"{folder} has no model; run tools/setup.py first")
        config = json.loads((folder / "config.json").read_text())
        processor = json.loads((folder / "preprocessor_config.json").read_text())
        self.folder, self.threads = folder, threads
        self.patch, self.dim = config["patch_size"], config["hidden_size"]
        self.own_size, self.prefix = config["image_size"], config["patchdex"]["prefix_tokens"]
        self.own_grid = tuple(processor["crop_size"][side] // self.patch for side in ("width", "height"))
        self.session = None

    def open(self):
        import onnxruntime
        from transformers import AutoImageProcessor

        self.processor = AutoImageProcessor.from_pretrained(self.folder, backend="pil")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads  # 0: ONNX Runtime's own choice
        graph = self.folder / "onnx/model.onnx"
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def pixels(self, view):
        from PIL import Image, ImageOps

        with Image.open(view.path) as image:
            image = ImageOps.exif_transpose(image).convert("RGB")
        if view.box:
            x, y, width, height = view.box
            image = image.crop((round(x), round(y), round(x + width), round(y + height)))
        options = {}
        if view.grid:
            width, height = (side * self.patch for side in view.grid)
            options = {"size": {"width": width, "height": height}, "do_center_crop": False}
        return self.processor(image, return_tensors="np", **options)["pixel_values"]

    def embed(self, view, outputs):
        if not self.session:
            self.open()
        return [hidden[0] for hidden in self.session.run(outputs, {"pixel_values": self.pixels(view)})]


class Store:
    """The tokens of views: one file of half-precision rows for each output, made where it is missing."""

    def __init__(self, cache, model, views, outputs):
        self.model, self.starts, self.rows = model, {}, 0
        for view in dict.fromkeys(views):
            width, height = view.grid or model.own_grid
            self.starts[view] = self.rows
            self.rows += model.prefix + width * height
        graph = setup.sha256(model.folder / "onnx/model.onnx")
        key = [graph, *([setup.sha256(path) for path in sorted({view.path for view in self.starts})])]
        key += [[str(view.path.name), view.box, view.grid] for view in self.starts]
        folder = cache / "baselines" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        self.files = {output: folder / f"{output}.npy" for output in outputs}
        missing = [output for output, file in self.files.items() if not file.is_file()]
        if missing:
            self.fill(folder, missing)

    def fill(self, folder, outputs):
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as made:
            made, shape = Path(made), (self.rows, self.model.dim)
            arrays = [
                np.lib.format.open_memmap(made / f"{output}.npy", mode="w+", dtype=np.float16, shape=shape)
                for output in outputs
            ]
            for number, (view, start) in enumerate(self.starts.items()):
                for array, tokens in zip(arrays, self.model.embed(view, outputs)):
                    array[start : start + len(tokens)] = tokens
                if number % 100 == 0:
                    setup.say("embed", f"{number:,} of {len(self.starts):,} views")
            del arrays
            for output in outputs:
                (made / f"{output}.npy").replace(self.files[output])

    def open(self, output):
        import numpy as np

        self.tokens = np.load(self.files[output], mmap_mode="r")

    def cls(self, view):
        return self.tokens[self.starts[view]].astype("float32")

    def patches(self, view):
        """[height, width, dim]"""
        width, height = view.grid or self.model.own_grid
        start = self.starts[view] + self.model.prefix
        return self.tokens[start : start + width * height].astype("float32").reshape(height, width, -1)


class Preparation:
    """A linear map fitted on rows, and what it gives at length 1."""

    def __init__(self, kind, rows):
        import numpy as np

        self.mean = np.zeros(rows.shape[1], np.float32) if kind == "raw" else rows.mean(axis=0)
        self.map = None
        if kind == "whitened":
            values, vectors = np.linalg.eigh(np.cov((rows - self.mean).astype(np.float64), rowvar=False))
            self.map = (vectors / np.sqrt(values.clip(0) + RIDGE * values.mean())).astype(np.float32)

    def __call__(self, rows):
        rows = rows - self.mean
        return unit(rows if self.map is None else rows @ self.map)


def unit(rows):
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


# The ways. Each is told what is asked, then looks at one image after the other: gives the best score of each asked, and
# its box in shares of the image.

WHOLE = (0.0, 0.0, 1.0, 1.0)


class Asked:
    """A crop: its CLS vector (none in place), its mean token, its tokens (at most `limit`, equally far apart), and the
    tokens that its box has in its image, (width, height).
    """

    def __init__(self, query, source, size, cls, tokens, limit):
        import numpy as np

        tokens = tokens.reshape(-1, tokens.shape[-1])
        self.query, self.source, self.size, self.cls = query, source, size, cls
        self.mean = unit(tokens.mean(axis=0))
        self.tokens = tokens[np.linspace(0, len(tokens) - 1, min(len(tokens), limit)).round().astype(int)]


class Seen:
    """An image: its CLS vector, its grid of tokens, and their sums over all before each place, which give that of any
    box.
    """

    def __init__(self, cls, grid):
        import numpy as np

        height, width, dim = grid.shape
        self.cls, self.grid, self.height, self.width = cls, grid, height, width
        self.sums = np.zeros((height + 1, width + 1, dim), np.float32)
        self.sums[1:, 1:] = grid.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)


def similarities(vectors, rows):
    """Of vectors of length 1 with rows of any."""
    import numpy as np

    rows = rows.reshape(-1, rows.shape[-1])
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return vectors @ rows.T / np.maximum(lengths, 1e-12)


class Cls:
    has_boxes = False

    def __init__(self, asked):
        import numpy as np

        self.vectors = np.stack([one.cls for one in asked])

    def look(self, seen):
        return self.vectors @ seen.cls, [WHOLE] * len(self.vectors)


class Tiles:
    has_boxes = True

    def __init__(self, asked):
        import numpy as np

        self.vectors = np.stack([one.mean for one in asked])

    def look(self, seen):
        import numpy as np

        tiles, places = [], []
        for level in LEVELS:
            ys, xs = (np.linspace(0, side, level + 1).round().astype(int) for side in (seen.height, seen.width))
            parts = np.diff(np.diff(seen.sums[ys][:, xs], axis=0), axis=1)
            tiles.append(parts.reshape(level * level, -1))
            across, down = np.diff(xs) / seen.width, np.diff(ys) / seen.height
            for y in range(level):
                places += [(xs[x] / seen.width, ys[y] / seen.height, across[x], down[y]) for x in range(level)]
        found = similarities(self.vectors, np.concatenate(tiles))
        return found.max(axis=1), [places[at] for at in found.argmax(axis=1)]


class MaxSim:
    has_boxes = False

    def __init__(self, asked):
        import numpy as np

        self.tokens = np.concatenate([one.tokens for one in asked])
        self.counts = np.array([len(one.tokens) for one in asked])
        self.starts = self.counts.cumsum() - self.counts

    def look(self, seen):
        import numpy as np

        best = (self.tokens @ seen.grid.reshape(-1, seen.grid.shape[-1]).T).max(axis=1)
        return np.add.reduceat(best, self.starts) / self.counts, [WHOLE] * len(self.counts)


class Windows:
    has_boxes = True

    def __init__(self, asked):
        import numpy as np

        self.vectors = np.stack([one.mean for one in asked])
        self.of_size = {}
        for at, one in enumerate(asked):
            self.of_size.setdefault(one.size, []).append(at)

    def look(self, seen):
        import numpy as np

        scores, places = np.zeros(len(self.vectors), np.float32), [WHOLE] * len(self.vectors)
        for (w, h), asked in self.of_size.items():
            w, h = min(w, seen.width), min(h, seen.height)
            columns = seen.sums[:, w:] - seen.sums[:, :-w]
            windows = columns[h:] - columns[:-h]
            found = similarities(self.vectors[asked], windows)
            scores[asked] = found.max(axis=1)
            for at, best in zip(asked, found.argmax(axis=1)):
                y, x = divmod(int(best), windows.shape[1])
                places[at] = (x / seen.width, y / seen.height, w / seen.width, h / seen.height)
        return scores, places


WAYS = {"cls": Cls, "tiles": Tiles, "maxsim": MaxSim, "windows": Windows}


# One run: a set, a model, all ways.


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.model = Model(arguments.cache / "models" / arguments.model, arguments.threads)
        gallery, boxes = labels(arguments.set / "gallery.json")
        images, asked = labels(arguments.set / "queries.json")
        self.gallery = list(gallery.values())
        queries = [Query(box, images[box["image_id"]], gallery, boxes, arguments.gap) for box in asked]
        self.queries = [query for query in queries if query.truth]
        views = [self.whole(image) for image in self.gallery]
        for query in self.queries:
            views += [self.whole(query.image), self.crop(query, PROCESSOR), self.crop(query, CUT)]
        self.store = Store(arguments.cache, self.model, views, arguments.outputs)

    def whole(self, image):
        grid = grid_of(image["width"], image["height"], self.arguments.long_side, self.model.patch)
        return View(image["path"], None, grid)

    def crop(self, query, source):
        width, height = query.box[2:]
        grid = grid_of(width, height, self.model.own_size, self.model.patch) if source == CUT else None
        return View(query.image["path"], query.box, grid)

    def inside(self, query):
        """The tokens whose centre lies in the query's box, or the one nearest to its centre; and the box in tokens."""
        import numpy as np

        tokens = self.store.patches(self.whole(query.image))
        (height, width), (x, y, w, h) = tokens.shape[:2], query.box
        (left, w), (top, h) = (
            (start * side / pixels, length * side / pixels)
            for start, length, side, pixels in (
                (x, w, width, query.image["width"]),
                (y, h, height, query.image["height"]),
            )
        )
        columns, rows = (
            [at for at in range(side) if low <= at + 0.5 <= low + length] or [min(int(low + length / 2), side - 1)]
            for side, low, length in ((width, left, w), (height, top, h))
        )
        return tokens[np.ix_(rows, columns)], (max(1, round(w)), max(1, round(h)))

    def asked(self, prepare, prepare_cls):
        made = []
        for number, query in enumerate(self.queries):
            tokens, size = self.inside(query)
            made.append(Asked(number, IN_PLACE, size, None, prepare(tokens), self.arguments.tokens))
            for source in (PROCESSOR, CUT):
                view = self.crop(query, source)
                cls, tokens = prepare_cls(self.store.cls(view)), prepare(self.store.patches(view))
                made.append(Asked(number, source, size, cls, tokens, self.arguments.tokens))
        return made

    def fitted(self, kind):
        """The preparation of patches and that of CLS vectors, each fitted on its own."""
        import numpy as np

        views = [self.whole(image) for image in self.gallery]
        every = max(1, sum(view.grid[0] * view.grid[1] for view in views) // FITTED_ROWS)
        rows = np.concatenate([self.store.patches(view).reshape(-1, self.model.dim)[::every] for view in views])
        return Preparation(kind, rows), Preparation(kind, np.stack([self.store.cls(view) for view in views]))

    def variants(self, output, kind):
        """Figures of each way and source with this output and preparation."""
        import numpy as np

        self.store.open(output)
        prepare, prepare_cls = self.fitted(kind)
        all_asked = self.asked(prepare, prepare_cls)
        ways = {}
        for name in self.arguments.ways:
            asked = [one for one in all_asked if name != "cls" or one.cls is not None]
            ways[name] = (asked, WAYS[name](asked), [], [])
        for image in self.gallery:
            view = self.whole(image)
            seen = Seen(prepare_cls(self.store.cls(view)), prepare(self.store.patches(view)))
            for _, way, scores, places in ways.values():
                found, where = way.look(seen)
                scores.append(found)
                places.append(where)
        for name, (asked, _, scores, places) in ways.items():
            scores = np.stack(scores)  # [images, asked]
            judged = {}
            for at, one in enumerate(asked):
                hits = self.hits(self.queries[one.query], scores[:, at], [image[at] for image in places])
                judged.setdefault(one.source, []).append(judge(hits, self.queries[one.query].truth))
            for source, values in judged.items():
                what = {"way": name, "output": output, "preparation": kind, "source": source}
                yield {**what, "figures": mean_and_interval(values)}

    def hits(self, query, scores, places):
        """Images and boxes in pixels, best first, without junk."""
        import numpy as np

        found = []
        for at in np.argsort(-scores, kind="stable"):
            if at not in query.junk and len(found) < TOP:
                (x, y, w, h), image = places[at], self.gallery[at]
                width, height = image["width"], image["height"]
                found.append((int(at), (x * width, y * height, w * width, h * height)))
        return found


def best_variants(results):
    """The variant of each way with the best mAP, and the one with the best boxes where that is another one."""
    for way in dict.fromkeys(one["way"] for one in results):
        variants = [one for one in results if one["way"] == way]
        best = []
        for figure in RANKED_BY if WAYS[way].has_boxes else RANKED_BY[:1]:
            found = max(variants, key=lambda one: one["figures"][figure]["value"])
            if not best or found["figures"][figure]["value"] > best[0]["figures"][figure]["value"]:
                best.append(found)
        yield from best


def report(results):
    print(f"{'way':8} {'with':40}" + "".join(f"{name:>25}" for name in FIGURES))
    for best in best_variants(results):
        variant = f"{best['output']}, {best['preparation']}, {best['source']}"
        line = f"{best['way']:8} {variant:40}"
        for figure in best["figures"].values():
            low, high = figure["ci95"]
            line += f"{figure['value']:.3f} ({low:.3f} to {high:.3f})".rjust(25)
        print(line)


def measure(arguments):
    run = Run(arguments)
    setup.say("set", f"{arguments.set.name}: {len(run.gallery):,} images, {len(run.queries)} queries")
    results = []
    for output in arguments.outputs:
        for kind in PREPARATIONS:
            setup.say("measure", f"{output}, {kind}")
            results += run.variants(output, kind)
    report(results)
    if arguments.json:
        options = {name: getattr(arguments, name) for name in ("model", "long_side", "gap", "tokens")}
        about = {"set": arguments.set.name, "queries": len(run.queries), **options, "results": results}
        setup.write_if_changed(arguments.json.absolute(), (json.dumps(about, indent=1) + "\n").encode())


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Measure simple ways of finding crops on a labelled set.")
    parser.add_argument("set", type=Path, help="folder with gallery.json and queries.json")
    parser.add_argument("--model", default=MODEL, help="name of a model in the cache (%(default)s)")
    parser.add_argument("--outputs", nargs="+", default=OUTPUTS, metavar="NAME", help="layers (%(default)s)")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="what to measure (all)")
    parser.add_argument("--long-side", type=int, default=golden.VIEW_LONG_SIDE, metavar="PX", help="(%(default)s)")
    parser.add_argument("--gap", type=int, default=0, metavar="N", help="frames nearer than this do not count")
    parser.add_argument("--tokens", type=int, default=32, metavar="N", help="of a crop, in maxsim (%(default)s)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of the model (ONNX Runtime's choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every variant's figures")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    arguments.cache, arguments.set = arguments.cache.absolute(), arguments.set.absolute()
    status = golden.in_own_environment(arguments.cache, __file__)
    if status is None:
        measure(arguments)
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
