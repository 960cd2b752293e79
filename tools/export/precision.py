"""Other precisions of a folder's graph, and what they are worth: how near their tokens are to those of the fp32 graph on photographs."""

import json
import logging
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import setup

# Names of the graphs beside model.onnx: patchdex's --variant without `model_`.
GRAPHS = {"dynamic": "model_int8.onnx", "static": "model_int8_static.onnx", "fp16": "model_fp16.onnx"}
FP32 = "model.onnx"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
# Numbers of blocks in the names that nodes have: of the library's modules, and of the default model.
BLOCK = re.compile(r"(?:^|[/.])layers?\.(\d+)[/.]")
# Queries whose nearest patches are compared.
QUERIES = 2000


class Folder:
    """A model folder: its graphs, and photographs as they go into them."""

    def __init__(self, path):
        self.path = Path(path)
        if not (self.path / "config.json").is_file():
            raise setup.Failure(f"{path} is no model folder: it has no config.json")
        self.config = json.loads((self.path / "config.json").read_text())
        self.processor = json.loads((self.path / "preprocessor_config.json").read_text())
        vision = self.config.get("vision_config", self.config)
        self.patch_px, self.hidden_size = vision["patch_size"], vision["hidden_size"]
        self.about = self.config.get("patchdex", {})
        self.output = self.about.get("output", "last_hidden_state")
        if not self.graph(FP32).is_file():
            raise setup.Failure(f"{self.graph(FP32)} is missing: the other precisions are made from it")

    def graph(self, name):
        return self.path / "onnx" / name

    def require_one_file(self, becoming):
        """Refuses a graph whose weights lie beside it."""
        source = self.graph(FP32)
        if any(source.parent.glob(f"{FP32}_data*")):
            raise setup.Failure(
                f"{source} has its weights beside it, being larger than a gibibyte; such graphs are not {becoming}"
            )

    def inputs(self, session):
        """What the graph wants beside the picture, at the value of a photograph: one metre for a pixel's size on the ground."""
        return {port.name: np.ones(1, np.float32) for port in session.get_inputs() if port.name != "pixel_values"}

    def pixels(self, path, long_side):
        """A photograph [1, 3, height, width], its long side as near to `long_side` as patches allow."""
        from PIL import Image

        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        scale = long_side / max(picture.size)
        width, height = (max(1, round(side * scale / self.patch_px)) * self.patch_px for side in picture.size)
        levels = np.asarray(picture.resize((width, height), self.processor.get("resample", 3)), np.float32)
        levels = levels * self.processor.get("rescale_factor", 1 / 255)
        levels = (levels - np.float32(self.processor["image_mean"])) / np.float32(self.processor["image_std"])
        return np.ascontiguousarray(levels.transpose(2, 0, 1)[None], np.float32)


def photographs(folder, cache):
    folder = folder or cache / "photos"
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise setup.Failure(f"{folder} has no photographs; 'patchdex setup' fetches the sample ones")
    return found


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def quantize(arguments):
    """Writes the precision `arguments.quantize` beside the fp32 graph."""
    folder = Folder(arguments.what[0])
    source, target = folder.graph(FP32), folder.graph(GRAPHS[arguments.quantize])
    folder.require_one_file("quantized")
    logging.disable(logging.WARNING)  # advice on the fusing of nodes, which the runtime does itself
    setup.say("quantize", f"{source} to {target.name}")
    with setup.replacing(target) as temporary:
        if arguments.quantize == "fp16":
            to_half(source, temporary)
        elif arguments.quantize == "dynamic":
            to_dynamic(source, temporary, arguments.keep)
        else:
            pictures = photographs(arguments.calibrate, arguments.cache)
            to_static(folder, temporary, pictures, arguments)
        session(temporary)
    setup.say(
        "ready", f"{target} ({target.stat().st_size / 1e6:.1f} MB): --variant {target.stem.removeprefix('model_')}"
    )


def nodes(graph):
    return onnx.load(graph, load_external_data=False).graph.node


def matmuls(source, keep):
    """What both ways of whole numbers have in common: products with weights only, one scale for each column. The first `keep` blocks stay
    as they are: raw pixels and positions are in their tokens, and one scale for all does them harm.
    """
    from onnxruntime.quantization import QuantType

    names = [node.name for node in nodes(source) if node.op_type == "MatMul"]
    return {
        "nodes_to_exclude": [name for name in names if (found := BLOCK.search(name)) and int(found[1]) < keep],
        "op_types_to_quantize": ["MatMul"],
        "per_channel": True,
        "weight_type": QuantType.QInt8,
        # Without VNNI, sums of two products overflow 16 bits unless weights have 7.
        "reduce_range": True,
        "extra_options": {"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    }


def to_dynamic(source, target, keep):
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(source, target, **matmuls(source, keep))


def to_static(folder, target, pictures, arguments):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            further = folder.inputs(session(folder.graph(FP32)))
            self.rest = ({"pixel_values": folder.pixels(path, arguments.long_side), **further} for path in pictures)

        def get_next(self):
            return next(self.rest, None)

    common = matmuls(folder.graph(FP32), arguments.keep)
    kinds = {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QUInt8}
    quantize_static(folder.graph(FP32), target, Reader(), **kinds, **common)


def to_half(source, target):
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Inputs and outputs stay as they are, and so do places of patches, which halves do not tell apart.
    model = onnx.load(source)
    onnx.save_model(convert_float_to_float16(model, keep_io_types=True, node_block_list=places(model)), target)


def places(model):
    """Nodes that the picture's numbers do not reach: all that positions are made of."""
    pictured, found = {"pixel_values"}, []
    for node in model.graph.node:
        if node.op_type != "Shape" and any(name in pictured for name in node.input):
            pictured.update(node.output)
        else:
            found.append(node.name)
    return found


def nearest(tokens, owner, chosen):
    """For the chosen tokens, the row of the most similar one in another photograph."""
    found = np.empty(len(chosen), np.int64)
    for start in range(0, len(chosen), 256):
        rows = chosen[start : start + 256]
        similar = tokens[rows] @ tokens.T
        similar[owner[rows][:, None] == owner[None]] = -2
        found[start : start + 256] = similar.argmax(1)
    return found


def tokens_of(folder, graph, pictures, long_side):
    """Tokens of unit length of all photographs, and which photograph each is of."""
    runner = session(graph)
    further, rows, owner = folder.inputs(runner), [], []
    for number, path in enumerate(pictures):
        pixels = folder.pixels(path, long_side)
        patches = pixels.shape[2] // folder.patch_px * (pixels.shape[3] // folder.patch_px)
        found = runner.run([folder.output], {"pixel_values": pixels, **further})[0][0][-patches:]
        if not np.isfinite(found).all():
            raise setup.Failure(f"{graph.name} gives numbers that are not finite for {path}")
        rows.append(found / np.linalg.norm(found, axis=1, keepdims=True))
        owner.append(np.full(patches, number))
    return np.concatenate(rows), np.concatenate(owner)


def fidelity(arguments):
    """Prints how near each precision is to fp32: cosine of the same patch, how often the same patch is nearest, and, with a patchdex to
    ask, how many patches of changed tiles each identifies.
    """
    folder = Folder(arguments.what[0])
    pictures = photographs(arguments.images, arguments.cache)
    expected, owner = tokens_of(folder, folder.graph(FP32), pictures, arguments.long_side)
    chosen = np.random.default_rng(0).choice(len(owner), min(QUERIES, len(owner)), replace=False)
    wanted = nearest(expected, owner, chosen)
    print(
        f"{len(owner)} patches of {len(pictures)} photographs at {arguments.long_side} px; nearest of {len(chosen)} among other photographs"
    )
    identified = f"{'identified':>12}" if arguments.patchdex else ""
    print(f"{'variant':<12}{'MB':>8}{'cosine':>9}{'of 1 %':>9}{'least':>9}{'same nearest':>14}{identified}")
    for graph in [folder.graph(FP32), *sorted(folder.path.glob("onnx/model_*.onnx"))]:
        found = tokens_of(folder, graph, pictures, arguments.long_side)[0] if graph.name != FP32 else expected
        cosine = (found * expected).sum(1)
        same = float((nearest(found, owner, chosen) == wanted).mean())
        variant = graph.stem.removeprefix("model").removeprefix("_") or "fp32"
        identified = f"{identify(arguments, variant):12.4f}" if arguments.patchdex else ""
        low = f"{np.quantile(cosine, 0.01):9.4f}{cosine.min():9.4f}"
        print(
            f"{variant:<12}{graph.stat().st_size / 1e6:8.1f}{cosine.mean():9.4f}{low}{same:14.4f}{identified}",
            flush=True,
        )


def identify(arguments, variant):
    """The mean over all changes of tiles of what `patchdex eval identify` says, with the folder's own preparation."""
    command = [arguments.patchdex, "eval", "identify", *photographs(arguments.images, arguments.cache), "--json"]
    command += ["--model", arguments.what[0], "--variant", variant]
    done = subprocess.run([str(one) for one in command], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise setup.Failure(f"patchdex eval identify: {setup.last_line(done.stderr)}")
    metrics = json.loads(done.stdout)["metrics"]
    shares = [
        one["value"] for name, one in metrics.items() if name.startswith("same_patch.") and "untouched" not in name
    ]
    return sum(shares) / len(shares)
