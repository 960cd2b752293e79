"""The authors' own files: weights by the names of timm, DINO, DINOv2, DINOv3, BEiT and SimMIM, given the library's names.

Nothing but tensors is read from a file: a pickle that holds more could run code.
"""

import math
import pickle
import re

import setup
import torch

# Where checkpoints keep the encoder that is used, first found first taken.
NESTS = ("teacher", "target_encoder", "state_dict", "model", "encoder")
WRAPPERS = ("module.", "_orig_mod.", "backbone.", "encoder.", "teacher.")
HEAD = 64
HEADS = {192: 3, 1280: 16, 1408: 16}


def weights(path):
    """The tensors of a file by name, without what training wrapped around them."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        found = load_file(path)
    else:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise setup.Failure(
                f"{path}: holds more than tensors, or is no file of PyTorch; save its state dict alone, where you trust it ({error})"
            ) from error
    while not any(isinstance(value, torch.Tensor) for value in found.values()):
        nest = next((name for name in NESTS if isinstance(found.get(name), dict)), None)
        if nest is None:
            raise setup.Failure(
                f"{path}: has no weights that are known; its parts are {', '.join(map(str, list(found)[:8]))}"
            )
        found = found[nest]
    tensors = {name: value.float() for name, value in found.items() if isinstance(value, torch.Tensor)}
    while wrapper := next((one for one in WRAPPERS if any(name.startswith(one) for name in tensors)), None):
        inside = {name.removeprefix(wrapper): value for name, value in tensors.items() if name.startswith(wrapper)}
        if "patch_embed.proj.weight" not in inside and not any(name.startswith(WRAPPERS) for name in inside):
            break
        tensors = inside
    if "patch_embed.proj.weight" not in tensors:
        raise setup.Failure(f"{path}: has no patch_embed.proj.weight, so is no Vision Transformer of this layout")
    return tensors


def shape(tensors, heads=None):
    """What the weights show of the model: a row as in the registry."""
    dim, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    layers = 1 + max(int(found[1]) for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name)))
    mlp = next(
        tensors[name]
        for name in ("blocks.0.mlp.fc1.weight", "blocks.0.mlp.w1.weight", "blocks.0.mlp.w12.weight")
        if name in tensors
    )
    registers = next((tensors[name].shape[1] for name in ("register_tokens", "storage_tokens") if name in tensors), 0)
    found = {
        "dim": dim,
        "patch_px": patch,
        "layers": layers,
        "heads": heads or HEADS.get(dim, dim // HEAD),
        "mlp": mlp.shape[0],
        "registers": registers,
        "image_px": grid(tensors) * patch,
        "settings": {},
    }
    if any(name.endswith("relative_position_bias_table") for name in tensors):
        shared = "rel_pos_bias.relative_position_bias_table" in tensors
        found["settings"] = {
            "use_shared_relative_position_bias": shared,
            "use_relative_position_bias": not shared,
            "use_absolute_position_embeddings": "pos_embed" in tensors,
            "use_mean_pooling": "norm.weight" not in tensors,
        }
    if "blocks.0.mlp.w12.weight" in tensors:
        found["settings"] = {"use_swiglu_ffn": True, "mlp_ratio": 4}  # of which the library takes two thirds
    if "blocks.0.mlp.w1.weight" in tensors:
        found["settings"] = {"use_gated_mlp": True, "hidden_act": "silu"}
    return found


def grid(tensors):
    """Patches along a side of the trained picture."""
    if "pos_embed" in tensors:
        # With CLS or without: the count of patches is a square.
        return math.isqrt(tensors["pos_embed"].shape[1])
    table = next((value for name, value in tensors.items() if name.endswith("relative_position_bias_table")), None)
    return 14 if table is None else (math.isqrt(table.shape[0] - 3) + 1) // 2


COMMON = [
    (r"patch_embed\.proj\.(weight|bias)", r"embeddings.patch_embeddings.projection.\1"),
    (r"cls_token", "embeddings.cls_token"),
    (r"pos_embed", "embeddings.position_embeddings"),
    (r"norm\.(weight|bias)", r"layernorm.\1"),
    (r"blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.attn\.(query|key|value)\.(weight|bias)", r"encoder.layer.\1.attention.attention.\2.\3"),
]
VIT = [
    *COMMON,
    (r"blocks\.(\d+)\.norm1\.(weight|bias)", r"encoder.layer.\1.layernorm_before.\2"),
    (r"blocks\.(\d+)\.norm2\.(weight|bias)", r"encoder.layer.\1.layernorm_after.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(weight|bias)", r"encoder.layer.\1.intermediate.dense.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(weight|bias)", r"encoder.layer.\1.output.dense.\2"),
]
BEIT = [
    *VIT,
    (r"mask_token", "embeddings.mask_token"),
    (r"blocks\.(\d+)\.gamma_([12])", r"encoder.layer.\1.lambda_\2"),
    (r"rel_pos_bias\.(relative_position_bias_table)", r"encoder.relative_position_bias.\1"),
    (
        r"blocks\.(\d+)\.attn\.(relative_position_bias_table)",
        r"encoder.layer.\1.attention.attention.relative_position_bias.\2",
    ),
]
DINOV2 = [
    *COMMON,
    (r"register_tokens", "embeddings.register_tokens"),
    (r"mask_token", "embeddings.mask_token"),
    (r"blocks\.(\d+)\.(norm[12]\.(?:weight|bias))", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.(mlp\.fc[12]\.(?:weight|bias))", r"encoder.layer.\1.\2"),
    (r"blocks\.(\d+)\.mlp\.w12\.(weight|bias)", r"encoder.layer.\1.mlp.weights_in.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(weight|bias)", r"encoder.layer.\1.mlp.weights_out.\2"),
]
DINOV3 = [
    (r"patch_embed\.proj\.(weight|bias)", r"embeddings.patch_embeddings.\1"),
    (r"(cls_token|mask_token)", r"embeddings.\1"),
    (r"storage_tokens", "embeddings.register_tokens"),
    (r"(norm\.(?:weight|bias))", r"\1"),
    (r"blocks\.(\d+)\.(norm[12]\.(?:weight|bias))", r"layer.\1.\2"),
    (r"blocks\.(\d+)\.ls([12])\.gamma", r"layer.\1.layer_scale\2.lambda1"),
    (r"blocks\.(\d+)\.attn\.proj\.(weight|bias)", r"layer.\1.attention.o_proj.\2"),
    (r"blocks\.(\d+)\.attn\.(q|k|v)[a-z]+\.(weight|bias)", r"layer.\1.attention.\2_proj.\3"),
    (r"blocks\.(\d+)\.mlp\.w1\.(weight|bias)", r"layer.\1.mlp.gate_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.w2\.(weight|bias)", r"layer.\1.mlp.up_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(weight|bias)", r"layer.\1.mlp.down_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(weight|bias)", r"layer.\1.mlp.up_proj.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(weight|bias)", r"layer.\1.mlp.down_proj.\2"),
]


def apart(tensors):
    """Query, key and value as layers of their own."""
    found = {}
    for name, value in tensors.items():
        before, qkv, part = name.partition(".attn.qkv.")
        if qkv:
            for one, piece in zip(("query", "key", "value"), value.chunk(3)):
                found[f"{before}.attn.{one}.{part}"] = piece
        elif name.endswith((".attn.q_bias", ".attn.v_bias")):
            found[name[:-6] + {"q": "query", "v": "value"}[name[-6]] + ".bias"] = value
        else:
            found[name] = value
    return found


def renamed(tensors, names):
    found = {}
    for name, value in apart(tensors).items():
        for pattern, new in names:
            if match := re.fullmatch(pattern, name):
                found[match.expand(new)] = value
                break
    return found


def vit(tensors):
    return renamed(tensors, VIT)


def beit(tensors):
    return renamed(tensors, BEIT)


def dinov2(tensors):
    found = renamed(tensors, DINOV2)
    if "embeddings.mask_token" in found:
        found["embeddings.mask_token"] = found["embeddings.mask_token"].reshape(1, -1)
    return found


def dinov3(tensors):
    found = renamed(tensors, DINOV3)
    # Keys have no bias; the file has one that is masked.
    found = {name: value for name, value in found.items() if not name.endswith("k_proj.bias")}
    if "embeddings.mask_token" in found:
        found["embeddings.mask_token"] = found["embeddings.mask_token"].reshape(1, 1, -1)
    return found
