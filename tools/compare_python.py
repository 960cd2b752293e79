#!/usr/bin/env python3
"""Indexing beside what one would write in Python: Hugging Face's image processor and ONNX Runtime, the same work.

`compare_python.py PATCHDEX` runs the program (target/release/patchdex, say) and a Python pipeline in turn over the same
photographs and prints images/s of both. The pipeline decodes, resizes to the view size of `index`, runs the model,
drops the prefix tokens, whitens, normalises, rounds to half precision and writes, image after image. It is timed with
ONNX Runtime's own choice of threads, as a user would write it, and with others. What comes before the first photograph
(imports, opening the model) is not counted on either side. Environment as golden.py.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py and golden.py are run from here, not installed
import golden  # noqa: E402
import setup  # noqa: E402

BAR = 1.3
# Where a model's folder has its preparation: index then whitens, and so does the pipeline here.
PREPARATION = "preparation.pdx"


def copy_photographs(source, target, copies):
    """Every photograph `copies` times, with a few bytes behind the end so that none is taken for another's copy."""
    target.mkdir()
    made = []
    for copy in range(copies):
        for name in sorted(setup.PHOTOS):
            path = target / f"{copy}-{name}"
            path.write_bytes((source / name).read_bytes() + str(copy).encode())
            made.append(path)
    return made


class Pipeline:
    """The work of `patchdex index` on one image after the other."""

    def __init__(self, model, threads):
        import numpy as np
        import onnxruntime
        from transformers import AutoImageProcessor

        config = json.loads((model / "config.json").read_text())
        self.patch, self.prefix = config["patch_size"], config["patchdex"]["prefix_tokens"]
        self.output = config["patchdex"]["output"]
        self.processor = AutoImageProcessor.from_pretrained(model, backend="pil")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: ONNX Runtime's own choice
        graph = model / "onnx/model.onnx"
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        # What whitening costs does not depend on the numbers.
        random, dim = np.random.default_rng(1), config["hidden_size"]
        self.mean = random.standard_normal(dim, dtype=np.float32)
        self.map = random.standard_normal((dim, dim), dtype=np.float32).T.copy()
        self.whitens = (model / PREPARATION).is_file()

    def index(self, paths, store):
        """Seconds that it took."""
        import numpy as np
        from PIL import Image

        start = time.perf_counter()
        with open(store, "wb") as file:
            for path in paths:
                with Image.open(path) as image:
                    size = golden.view_size(*image.size, self.patch)
                    image = image.convert("RGB")
                given = self.processor(image, return_tensors="np", size=size, do_center_crop=False)
                (hidden,) = self.session.run([self.output], {"pixel_values": given["pixel_values"]})
                tokens = hidden[0, self.prefix :]
                if self.whitens:
                    tokens = (tokens - self.mean) @ self.map
                tokens = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
                file.write(tokens.astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())
        return time.perf_counter() - start


def run_program(program, images, out):
    """Seconds that the program says indexing took."""
    shutil.rmtree(out, ignore_errors=True)
    command = [program, "index", images, "--out", out, "--model", golden.MODEL, "--json"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise setup.Failure(f"{program}: {setup.last_line(done.stderr)}")
    return json.loads(done.stdout)["seconds"]


def compare(cache, program, rounds, copies):
    cores = os.cpu_count() or 1
    choices = {"default": 0} | {f"{n} threads": n for n in sorted({1, max(cores // 2, 1), cores})}
    model = cache / "models" / golden.MODEL
    with tempfile.TemporaryDirectory(prefix="patchdex-compare-") as folder:
        folder = Path(folder)
        paths = copy_photographs(cache / "photos", folder / "images", copies)
        pipelines = {name: Pipeline(model, threads) for name, threads in choices.items()}
        sides = {f"Python, {name}": (pipe.index, paths, folder / "store") for name, pipe in pipelines.items()}
        sides = {"patchdex index": (run_program, program, folder / "images", folder / "collection"), **sides}
        seconds = {name: [] for name in sides}
        for at in range(rounds):
            for name, (work, *arguments) in sides.items():
                seconds[name].append(work(*arguments))
                setup.say(f"round {at + 1}", f"{name}: {len(paths) / seconds[name][-1]:.3f} images/s")
        whitened = "whitened" if pipelines["default"].whitens else "not whitened (the model's folder has no map)"
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ours = medians.pop("patchdex index")
    setup.say("photos", f"{len(paths)}, {golden.MODEL}, long side {golden.VIEW_LONG_SIDE}, {whitened}, {cores} cores")
    setup.say("patchdex", f"{len(paths) / ours:.3f} images/s")
    for name, median in medians.items():
        setup.say("python", f"{name}: {len(paths) / median:.3f} images/s, patchdex is {median / ours:.2f} times as fast")
    for name, median in (("default", medians["Python, default"]), ("best", min(medians.values()))):
        missed = "" if median / ours >= BAR else ", MISSED"
        setup.say("ratio", f"{median / ours:.2f} over Python, {name} (bar {BAR}{missed})")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Compare indexing with a Python pipeline doing the same work.")
    parser.add_argument("program", type=Path, help="the patchdex program, a release build")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (%(default)s)")
    parser.add_argument("--copies", type=int, default=2, help="how often each photograph is indexed (%(default)s)")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    cache = arguments.cache.absolute()
    if not arguments.program.is_file():
        raise setup.Failure(f"{arguments.program} is missing; build it with 'cargo build --release'")
    status = golden.in_own_environment(cache, __file__)
    if status is None:
        compare(cache, arguments.program.absolute(), arguments.rounds, arguments.copies)
        status = 0
    return status


if __name__ == "__main__":
    sys.exit(main())
