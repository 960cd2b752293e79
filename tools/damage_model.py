#!/usr/bin/env python3
"""Makes a damaged copy of the default model in the cache, for the tests of what mends such models.

`DAMAGED` dimensions of its tokens are replaced by large values that say nothing of the picture: a fast wave of the
activation and of the token's place, so that they differ from image to image. So do, less cleanly, the few dimensions of
great variance that masked autoencoders have. The environment is that of the cut (requirements-cut.txt).
"""

import argparse
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # setup.py is run from here, not installed
import setup  # noqa: E402

MODEL, COPY = "dinov2-small-b7", "dinov2-small-b7-damaged"
OUTPUT = "hidden_states.7"
DAMAGED = range(5, 384, 16)  # 24 of the 384 dimensions
HEIGHT, SPEED = 40.0, 500.0  # of the wave; activations are about 1


def damaged(graph_file):
    """The model with further nodes behind its output."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(graph_file)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["clean" if name == OUTPUT else name for name in node.output]
    dim = graph.output[0].type.tensor_type.shape.dim[2].dim_value
    mask = np.zeros((1, 1, dim), bool)
    mask[..., list(DAMAGED)] = True
    constants = {
        "damage.mask": mask,
        "damage.speed": np.float32(SPEED),
        "damage.height": np.float32(HEIGHT),
        "damage.zero": np.float32(0),
        "damage.one": np.float32(1),
        "damage.axis": np.int64(1),
        # Each dimension has a wavelength of its own along the tokens.
        "damage.steps": (1 + np.arange(dim, dtype=np.float32) * 0.37).reshape(1, 1, dim),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    node = helper.make_node
    graph.node.extend([
        node("Mul", ["clean", "damage.zero"], ["damage.zeros"]),
        node("Add", ["damage.zeros", "damage.one"], ["damage.ones"]),
        node("CumSum", ["damage.ones", "damage.axis"], ["damage.place"]),
        node("Mul", ["damage.place", "damage.steps"], ["damage.phase"]),
        node("Mul", ["clean", "damage.speed"], ["damage.fast"]),
        node("Add", ["damage.fast", "damage.phase"], ["damage.angle"]),
        node("Sin", ["damage.angle"], ["damage.wave"]),
        node("Mul", ["damage.wave", "damage.height"], ["damage.large"]),
        node("Where", ["damage.mask", "damage.large", "clean"], [OUTPUT]),
    ])  # fmt: skip
    onnx.checker.check_model(model)
    return model


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Make the damaged model of the tests.")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    cache = parser.parse_args().cache.absolute()
    source, copy = cache / "models" / MODEL, cache / "test-models" / COPY
    stamp = setup.sha256(Path(__file__)) + setup.MODELS[MODEL]
    made = copy / "made-from"
    if not made.is_file() or made.read_text() != stamp:
        again = setup.Environment(cache / "venv").run_again(__file__, setup.HERE / "requirements-cut.txt")
        if again is not None:
            return again
        shutil.rmtree(copy, ignore_errors=True)
        (copy / "onnx").mkdir(parents=True)
        for name in ("config.json", "preprocessor_config.json"):
            text = (source / name).read_text()
            (copy / name).write_text(text.replace(f'"name": "{MODEL}"', f'"name": "{COPY}"'))
        (copy / "onnx" / "model.onnx").write_bytes(damaged(source / "onnx/model.onnx").SerializeToString())
        made.write_text(stamp)
    setup.say("ready", f"test-models/{COPY}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
