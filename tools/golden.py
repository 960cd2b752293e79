#!/usr/bin/env python3
"""Makes tests/fixtures/golden: what Hugging Face's image processor and Python's ONNX Runtime give for ten photographs.

`golden.py` writes the files, `golden.py --check` makes the values again and compares. It fetches its own environment
(requirements-golden.txt, Python 3.11 or later) into the cache, and relies on setup.py for model and photographs.
Tensors are sampled at the flat indices (i * STRIDE) % length, i = 0, 1, ..., in C order of [3, height, width].
"""

import argparse
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent / "tests/fixtures/golden"
REQUIREMENTS = setup.HERE / "requirements-golden.txt"
PACKAGES = ("transformers", "pillow", "onnxruntime")
MODEL = "dinov2-small-b7"
PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
SAMPLES, STRIDE = 2048, 7919
VIEW_LONG_SIDE = 518
TOKENS_SIZE = {"width": 140, "height": 98}
# Another CPU may take other kernels: tokens are compared by cosine, not by bits.
TENSOR_TOLERANCE, TOKEN_COSINE = 1e-5, 0.9998


def view_size(width, height, patch):
    """The long side at VIEW_LONG_SIDE, the short one in proportion; both rounded to multiples of the patch size."""
    scale = VIEW_LONG_SIDE / max(width, height)
    return {"width": round(width * scale / patch) * patch, "height": round(height * scale / patch) * patch}


def quantised(exact):
    """Tokens [photos, tokens, hidden] as int8, with a float32 scale per token and one per dimension.

    token = int8 * token scale * dimension scale. A few dimensions are far larger than the others, so that a scale per
    token alone would be too coarse.
    """
    import numpy as np

    dimension_scales = np.sqrt((exact.astype(np.float64) ** 2).mean(axis=(0, 1))).astype(np.float32)
    even = exact / dimension_scales
    token_scales = (np.abs(even).max(axis=-1) / 127).astype(np.float32)
    tokens = np.rint(even / token_scales[..., None]).astype(np.int8)
    return {"tokens": tokens, "token_scales": token_scales, "dimension_scales": dimension_scales}


def dequantised(arrays):
    return arrays["tokens"] * arrays["token_scales"][..., None] * arrays["dimension_scales"]


def lowest_cosine(a, b):
    import numpy as np

    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(((a * b).sum(axis=-1) / norms).min())


def reference(cache):
    """The index and the arrays, as made by the reference implementations."""
    from importlib.metadata import version

    import numpy as np
    import onnxruntime
    from PIL import Image
    from transformers import AutoImageProcessor

    model = cache / "models" / MODEL
    needed = [model / "onnx/model.onnx", *(cache / "photos" / name for name in PHOTOS)]
    missing = [path for path in needed if not path.is_file()]
    if missing:
        raise setup.Failure(f"{missing[0]} is missing; run tools/setup.py first")
    config = json.loads((model / "config.json").read_text())
    patch, output = config["patch_size"], config["patchdex"]["output"]
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    session = onnxruntime.InferenceSession(model / "onnx/model.onnx", providers=["CPUExecutionProvider"])

    def processed(image, **options):
        return processor(image, return_tensors="np", **options)["pixel_values"]

    def sampled(tensor):
        return tensor.ravel()[np.arange(SAMPLES) * STRIDE % tensor.size].astype(np.float32)

    photos, crops, views, exact = [], [], [], []
    for name in PHOTOS:
        with Image.open(cache / "photos" / name) as image:
            mode, (width, height) = image.mode, image.size
            image = image.convert("RGB")
        view = view_size(width, height, patch)
        crop = processed(image)
        crops.append(sampled(crop))
        views.append(sampled(processed(image, size=view, do_center_crop=False)))
        small = processed(image, size=TOKENS_SIZE, do_center_crop=False)
        (hidden,) = session.run([output], {"pixel_values": small})
        exact.append(hidden[0, config["patchdex"]["prefix_tokens"] :])
        size = {"width": width, "height": height}
        photos.append({"name": name, "sha256": setup.PHOTOS[name], "mode": mode, **size, "view": view})
    exact = np.stack(exact)
    arrays = {"crop": np.stack(crops), "view": np.stack(views), **quantised(exact)}
    cosine = lowest_cosine(dequantised(arrays), exact)
    if cosine <= TOKEN_COSINE:
        raise setup.Failure(f"int8 tokens are too coarse: lowest cosine {cosine:.6f}")
    setup.say("int8", f"lowest cosine to the exact tokens {cosine:.6f}")
    index = {
        "model": MODEL,
        "model_sha256": setup.MODELS[MODEL],
        "output": output,
        "processor": type(processor).__name__,
        "versions": {package: version(package) for package in PACKAGES},
        "sample_index": f"(i * {STRIDE}) % (3 * height * width), i in 0..{SAMPLES}, C order of [3, height, width]",
        "crop": {"file": "crop.npy", "size": {"height": crop.shape[2], "width": crop.shape[3]}},
        "view": {"file": "view.npy", "size": "per photo, no centre crop"},
        "tokens": {
            "file": "tokens.npy",
            "scales": ["token_scales.npy", "dimension_scales.npy"],
            "value": "int8 * token scale * dimension scale",
            "size": TOKENS_SIZE,
            "patch_size": patch,
        },
        "photos": photos,
    }
    return index, arrays


def write(index, arrays):
    import numpy as np

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(FOLDER / f"{name}.npy", values)
    (FOLDER / "golden.json").write_text(json.dumps(index, indent=1) + "\n")
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    setup.say("written", f"{len(arrays) + 1} files, {size:,} bytes")


def check(index, arrays):
    import numpy as np

    kept_index = json.loads((FOLDER / "golden.json").read_text())
    kept = {name: np.load(FOLDER / f"{name}.npy") for name in arrays}
    wrong = [f"golden.json: {key} differs" for key in index if kept_index.get(key) != index[key]]
    wrong += [f"{name}.npy: shape differs" for name in arrays if kept[name].shape != arrays[name].shape]
    if not wrong:
        for name in ("crop", "view"):
            difference = float(np.abs(kept[name] - arrays[name]).max())
            setup.say(name, f"largest difference {difference:.1e}")
            if difference > TENSOR_TOLERANCE:
                wrong.append(f"{name}.npy: differs by {difference:.1e}")
        cosine = lowest_cosine(dequantised(kept), dequantised(arrays))
        setup.say("tokens", f"lowest cosine {cosine:.7f}")
        if cosine < TOKEN_COSINE:
            wrong.append(f"tokens.npy: lowest cosine {cosine:.6f}")
    if wrong:
        raise setup.Failure("; ".join(wrong))
    setup.say("ready", "golden files agree with the reference")


def in_own_environment(cache, script=__file__):
    """Runs `script` again inside the cache's environment; gives its exit status, or None when already inside."""
    environment = setup.Environment(cache / "venv-golden")
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return environment.run_again(script, REQUIREMENTS, (3, 11), **quiet)


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Make or check tests/fixtures/golden.")
    parser.add_argument("--check", action="store_true", help="compare with the files that are there; write nothing")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    cache = arguments.cache.absolute()
    status = in_own_environment(cache)
    if status is None:
        index, arrays = reference(cache)
        (check if arguments.check else write)(index, arrays)
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
