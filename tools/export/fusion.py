"""Two models as one: a graph that gives the tokens of both, each of unit length, one behind the other (late fusion)."""

import json

import numpy as np
import onnx
import precision
import setup
from onnx import compose, helper, numpy_helper, version_converter

INPUT, OUTPUT = "pixel_values", "last_hidden_state"
# What both graphs' own names begin with, and those of what joins them.
FIRST, SECOND, JOINING = "first/", "second/", "joining/"


def fuse(arguments):
    """Writes the folder `arguments.out` of the two folders `arguments.what`."""
    folders = [precision.Folder(path) for path in arguments.what]
    for folder in folders:
        folder.require_one_file("fused")
    out = arguments.out
    setup.say("fuse", " and ".join(str(folder.path) for folder in folders))
    model = joined(folders)
    graph = out / "onnx" / precision.FP32
    graph.parent.mkdir(parents=True, exist_ok=True)
    with setup.replacing(graph) as temporary:
        onnx.save_model(model, temporary)
        precision.session(temporary)
    describe(folders, arguments.name or out.name, out, setup.sha256(graph))
    sizes = " + ".join(str(folder.hidden_size) for folder in folders)
    setup.say("ready", f"{out}: {sizes} numbers a token, {graph.stat().st_size / 1e6:.1f} MB")


def joined(folders):
    """One model of both."""
    models = [onnx.load(folder.graph(precision.FP32)) for folder in folders]
    opset = max(version(model) for model in models)
    models = [model if version(model) == opset else version_converter.convert_version(model, opset) for model in models]
    parts = [compose.add_prefix(model, prefix) for model, prefix in zip(models, (FIRST, SECOND))]
    steps = Steps()
    pixels = [INPUT, steps.as_second_wants(*folders)]
    tokens = [
        steps.patches(f"{prefix}{folder.output}", folders[0].patch_px)
        for folder, prefix in zip(folders, (FIRST, SECOND))
    ]
    steps.add("Concat", tokens, OUTPUT, axis=-1)
    nodes = [*steps.before]
    for part, prefix, given in zip(parts, (FIRST, SECOND), pixels):
        for node in part.graph.node:
            node.input[:] = [given if name == f"{prefix}{INPUT}" else name for name in node.input]
            nodes.append(node)
    further = [port for part in parts for port in part.graph.input if not port.name.endswith(f"/{INPUT}")]
    open_picture = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])
    both = helper.make_tensor_value_info(
        OUTPUT, onnx.TensorProto.FLOAT, ["batch", "tokens", sum(folder.hidden_size for folder in folders)]
    )
    graph = helper.make_graph(
        [*nodes, *steps.after],
        "fused",
        [open_picture, *further],
        [both],
        [*steps.constants, *(one for part in parts for one in part.graph.initializer)],
        sparse_initializer=[one for part in parts for one in part.graph.sparse_initializer],
    )
    imports = {one.domain: one for part in parts for one in part.opset_import}
    model = helper.make_model(graph, opset_imports=list(imports.values()), producer_name="patchdex")
    model.ir_version = max(part.ir_version for part in parts)
    model.functions.extend(one for part in parts for one in part.functions)
    return model


def version(model):
    return next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))


class Steps:
    """Nodes that lead to the second graph, nodes that join what both give, and the constants of either."""

    def __init__(self):
        self.before, self.after, self.constants = [], [], []
        self.nodes = self.before

    def constant(self, values, kind=np.float32):
        name = f"{JOINING}constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, operation, inputs, output=None, **attributes):
        number = len(self.before) + len(self.after)
        output = output or f"{JOINING}{operation}.{number}"
        self.nodes.append(
            helper.make_node(operation, inputs, [output], name=f"{JOINING}{operation}.{number}.node", **attributes)
        )
        return output

    def as_second_wants(self, first, second):
        """The picture as the second model's preprocessing makes it, with as many patches as the first sees."""
        self.nodes = self.before
        gain, offset = (np.float32(one).reshape(1, 3, 1, 1) for one in renormalised(first, second))
        picture = INPUT
        if (gain != 1).any() or (offset != 0).any():
            picture = self.add("Mul", [picture, self.constant(gain)])
            picture = self.add("Add", [picture, self.constant(offset)])
        if first.patch_px != second.patch_px:
            shape = self.add("Shape", [INPUT])
            sides = self.add("Div", [shape, self.constant([1, 1, first.patch_px, first.patch_px], np.int64)])
            sides = self.add("Mul", [sides, self.constant([1, 1, second.patch_px, second.patch_px], np.int64)])
            picture = self.add("Resize", [picture, "", "", sides], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
        return picture

    def patches(self, tokens, patch_px):
        """The tokens of patches alone, each of unit length. `patch_px` is a patch's side in the picture as it is given."""
        self.nodes = self.after
        sides = self.add("Shape", [INPUT], start=2)
        patches = self.add("Div", [sides, self.constant([patch_px, patch_px], np.int64)])
        patches = self.add("ReduceProd", [patches], keepdims=1)
        first = self.add("Neg", [patches])
        last = self.constant([np.iinfo(np.int64).max], np.int64)
        tokens = self.add("Slice", [tokens, first, last, self.constant([1], np.int64)])
        return self.add("LpNormalization", [tokens], axis=-1, p=2)


def renormalised(first, second):
    """(gain, offset) of each colour that turn what the first model's preprocessing gives into what the second's does."""

    def line(folder):
        """A level of 0 to 255 becomes slope * level + start."""
        mean, std = (np.float64(folder.processor[key]) for key in ("image_mean", "image_std"))
        return folder.processor.get("rescale_factor", 1 / 255) / std, -mean / std

    (slope, start), (wanted_slope, wanted_start) = line(first), line(second)
    gain = wanted_slope / slope
    return gain, wanted_start - start * gain


def describe(folders, name, out, digest):
    """Everything beside the graph."""
    first, second = folders
    about = {
        "name": name,
        "prefix_tokens": 0,
        "output": OUTPUT,
        "source": " and ".join(folder.about.get("source", folder.path.name) for folder in folders),
        "licence": " and ".join(dict.fromkeys(folder.about.get("licence", "not said") for folder in folders)),
        "gated": any(folder.about.get("gated", False) for folder in folders),
        "sha256": {precision.FP32: digest},
    }
    config = {
        "model_type": "fused",
        "hidden_size": first.hidden_size + second.hidden_size,
        "patch_size": first.patch_px,
        "patchdex": about,
    }
    for file, text in (
        ("config.json", json.dumps(config, indent=2)),
        ("preprocessor_config.json", json.dumps(first.processor, indent=2)),
        (
            "README.md",
            f"# {name}\n\n`{first.path.name}` and `{second.path.name}` in one graph, made by patchdex's "
            f"`tools/export --fuse`: tokens of both, each of unit length.\n\nLicence: {about['licence']}",
        ),
    ):
        setup.write_if_changed(out / file, (text + "\n").encode())
