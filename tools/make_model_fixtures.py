"""Writes tests/fixtures/models: model folders of a few kilobytes, one sound, the others each wrong in one way.

Run with the Python `onnx` package (the set-up's environment has it):
    ~/.cache/patchdex/venv/bin/python tools/make_model_fixtures.py
Every graph cuts the picture into patches of 4x4 px with a convolution and gives tokens of 8 numbers.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = Path(__file__).resolve().parent.parent / "tests/fixtures/models"
PATCH, DIM = 4, 8
OPEN = ["batch", 3, "height", "width"]
TOKENS = ["batch", "tokens", DIM]
CONFIG = {"model_type": "fixture", "patch_size": PATCH, "hidden_size": DIM, "patchdex": {"prefix_tokens": 0}}
PROCESSOR = {
    "do_center_crop": False,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 3,
    "size": {"shortest_edge": 56},
}


def info(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def constant(name, values, kind):
    return numpy_helper.from_array(np.array(values, dtype=kind), name)


def patches(count=-1):
    """Nodes from pixel_values to tokens; a fixed count fails on a picture with another number of patches."""
    weights = np.random.default_rng(0).normal(0, 0.2, (DIM, 3, PATCH, PATCH)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixel_values", "weights"], ["cut"], strides=[PATCH, PATCH]),
        helper.make_node("Reshape", ["cut", "row"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
    ]
    return nodes, [numpy_helper.from_array(weights, "weights"), constant("row", [0, DIM, count], np.int64)]


def put(name, nodes, constants, inputs, outputs, config=None):
    """Writes one model folder. `config` replaces keys of config.json."""
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "tools/make_model_fixtures.py"
    onnx.checker.check_model(model)
    folder = OUT / name
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}, indent=2) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n")
    onnx.save(model, folder / "onnx/model.onnx")


def tokens_of(name, shape=OPEN, out=TOKENS, count=-1, last=("Identity", []), constants=(), inputs=(), config=None):
    """A folder whose graph gives tokens, with one more node (operator, further inputs) before the output."""
    nodes, own = patches(count)
    operator, further = last
    nodes.append(helper.make_node(operator, ["tokens", *further], ["last_hidden_state"]))
    ports = [info("pixel_values", shape), *inputs], [info("last_hidden_state", out)]
    put(name, nodes, [*own, *constants], *ports, config)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    tokens_of("sound")
    tokens_of("sound_at_56_px", shape=["batch", 3, 56, 56], out=["batch", 196, DIM])
    tokens_of("batch_of_eight", shape=[8, 3, "height", "width"], out=[8, "tokens", DIM])
    tokens_of("size_not_of_patches", shape=["batch", 3, 54, 54], out=["batch", 169, DIM])
    tokens_of("hidden_size_wrong", config={"hidden_size": 16})
    tokens_of("prefix_wrong", config={"patchdex": {"prefix_tokens": 5}})
    tokens_of("input_wanted", last=("Mul", ["gsd"]), inputs=[info("gsd", [1])])
    tokens_of("not_a_number", last=("Div", ["zero"]), constants=[constant("zero", [0], np.float32)])
    # 16 patches are what the size probe shows it; any other picture fails.
    tokens_of("fails_when_run", count=16)
    nodes, own = patches()
    nodes.append(helper.make_node("ReduceMean", ["tokens"], ["pooled"], axes=[1], keepdims=0))
    put("no_tokens", nodes, own, [info("pixel_values", OPEN)], [info("pooled", ["batch", DIM])])
    identity = [helper.make_node("Identity", ["text"], ["last_hidden_state"])]
    put("no_picture", identity, [], [info("text", TOKENS)], [info("last_hidden_state", TOKENS)])


if __name__ == "__main__":
    main()
