"""A model's folder: graph, configuration, preprocessing, licence and where it comes from."""

import inspect
import json
import shutil
import warnings

import onnx
import setup
import torch

OPSET = 17
# Protobuf takes no file of two GiB; what is larger lies beside the graph.
LARGEST = 1 << 30
LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE")


def outputs(backbone):
    return [*(f"hidden_states.{number}" for number in backbone.hidden), "last_hidden_state"]


def write_graph(backbone, patch_px, inputs, path):
    """Traces the module into `path`: batch, height and width open, tokens named as the loader asks for them."""
    names = outputs(backbone)
    # Odd and different sides: whatever the trace took for a constant is wrong elsewhere, and the check finds it.
    example = (torch.zeros(2, 3, 3 * patch_px, 5 * patch_px), *(torch.ones(1) for _ in inputs))
    open_sides = {"pixel_values": {0: "batch", 2: "height", 3: "width"}}
    open_sides.update({name: {0: "batch", 1: "tokens"} for name in names})
    options = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    large = sum(weight.numel() for weight in backbone.parameters()) * 4 > LARGEST
    work = path.parent / ".export"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                backbone,
                example,
                str(work / path.name),
                input_names=["pixel_values", *inputs],
                output_names=names,
                dynamic_axes=open_sides,
                opset_version=OPSET,
                **options,
            )
        model = onnx.load(work / path.name)
        beside = {}
        if large:
            (path.parent / f"{path.name}_data").unlink(missing_ok=True)
            beside = {"save_as_external_data": True, "location": f"{path.name}_data", "size_threshold": 1024}
        model.producer_name, model.producer_version = "patchdex", ""
        with setup.replacing(path) as temporary:
            onnx.save_model(model, temporary, **beside)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    onnx.checker.check_model(str(path))


def write_texts(folder, config, about, image, source=None):
    """Everything beside the graph. `about` is the configuration's `patchdex` object; files of the folder `source` go before what the
    family has.
    """
    digest = {file.name: setup.sha256(file) for file in sorted((folder / "onnx").glob("model.onnx*"))}
    settings = {key: value for key, value in config.to_diff_dict().items() if not key.startswith("_")}
    whole = {
        "model_type": config.model_type,
        "hidden_size": config.hidden_size,
        "patch_size": config.patch_size,
        "image_size": config.image_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        **settings,
        "patchdex": {**about, "sha256": digest},
    }
    put(folder / "config.json", json.dumps(whole, indent=2) + "\n")
    theirs = source / "preprocessor_config.json" if source else None
    if theirs and theirs.is_file():
        text = theirs.read_text()
    else:
        side = {"height": config.image_size, "width": config.image_size}
        processor = {
            "image_processor_type": "BitImageProcessor",
            "do_resize": True,
            "size": {"shortest_edge": config.image_size},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": side,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            **image,
        }
        text = json.dumps(processor, indent=2) + "\n"
    put(folder / "preprocessor_config.json", text)
    for name in LICENCES:
        if source and (source / name).is_file():
            put(folder / name, (source / name).read_text(errors="replace"))
    put(folder / "README.md", readme(about, digest))


def readme(about, digest):
    lines = [
        f"# {about['name']}",
        "",
        f"ONNX graph (opset {OPSET}) of `{about['source']}`, made by patchdex's `tools/export`.",
        "",
        f"- Family: {about['family']}; tokens before the patches: {about['prefix_tokens']}",
        f"- Licence: {about['licence']}" + ("; access is gated" if about["gated"] else ""),
        *(f"- SHA-256 of `onnx/{name}`: {value}" for name, value in digest.items()),
    ]
    if "long_side" in about:
        drop = f" --drop-dims {about['drop_dims']}" if about["drop_dims"] else ""
        lines.append(f"- Recommended: `patchdex index --long-side {about['long_side']}{drop}`: {about['reason']}")
    return "\n".join(lines) + "\n"


def put(path, text):
    setup.write_if_changed(path, text.encode())
