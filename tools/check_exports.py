#!/usr/bin/env python3
"""Holds every recipe of tools/export against other code, with seeded random weights: for tests/exports.rs.

Each family gets a small model of its true architecture. What its graph says at three sizes is compared with the library's own model,
masking off, or, for files of the authors' layout, with a Vision Transformer written out below. Where no Python here has PyTorch, that of
Debian 12 is fetched into the cache; where that cannot be, it says so and checks nothing. FOLDER gets the model folders, for patchdex to open.
"""

import argparse
import functools
import math
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing here is installed
sys.path[:0] = [str(Path(__file__).resolve().parent / "export"), str(Path(__file__).resolve().parent)]
import environment  # noqa: E402
import setup  # noqa: E402

# Blocks, numbers in a token, heads, sides in pixels: small, and no two alike.
SMALL = {"dim": 64, "layers": 2, "heads": 4, "mlp": 96, "patch_px": 8, "image_px": 40}
BLOCK = 1
GATED = {"registers": 3, "settings": {"use_gated_mlp": True, "hidden_act": "silu"}}
MORE = {"dinov2-registers": {"registers": 4}, "dinov3": {"registers": 3}}


def library(name, model, rule, pixel_values):
    """What the library's model itself says: the tokens behind a block, and the last ones. Where trainers resize positions otherwise than
    the library, they are resized by PyTorch as the trainers do.
    """
    import torch

    if rule.offset:

        def positions(_tokens, height, width):
            table = model.embeddings.position_embeddings
            patch = model.config.patch_size
            return torch.cat((table[:, :1], stretched(table[:, 1:], height // patch, width // patch, rule.offset)), 1)

        model.embeddings.interpolate_pos_encoding = positions
    settings = {"output_hidden_states": True}
    if name == "mae":
        model.config.mask_ratio = 0.0
        count = (pixel_values.shape[2] // model.config.patch_size) * (pixel_values.shape[3] // model.config.patch_size)
        settings["noise"] = torch.arange(count)[None].expand(len(pixel_values), -1)
    if not name.startswith(("dinov2", "beit", "simmim")):
        settings["interpolate_pos_encoding"] = True
    with torch.no_grad():
        found = model(pixel_values, **settings)
    return found.hidden_states[BLOCK], found.last_hidden_state


def stretched(table, rows, columns, offset=0.0, antialias=False):
    """A table [1, side * side, dim] resized by PyTorch's own operator."""
    import torch

    side = math.isqrt(table.shape[1])
    if offset and rows == columns == side:
        return table
    grid = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    to = {"scale_factor": ((rows + offset) / side, (columns + offset) / side)} if offset else {"size": (rows, columns)}
    found = torch.nn.functional.interpolate(grid, mode="bicubic", antialias=antialias, **to)
    return found.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)


def authors(name, layers=2, dim=64, heads=4, patch=8, side=5, registers=0, gated=None):
    """Random weights by the names of the authors' files."""
    import torch

    generator = torch.Generator().manual_seed(5)

    def numbers(*shape, scale=0.3, around=0.0):
        return around + scale * torch.randn(*shape, generator=generator)

    def linear(prefix, out, inside, bias=True):
        found = {f"{prefix}.weight": numbers(out, inside, scale=inside**-0.5)}
        return {**found, **({f"{prefix}.bias": numbers(out)} if bias else {})}

    def norm(prefix):
        return {f"{prefix}.weight": numbers(dim, scale=0.1, around=1), f"{prefix}.bias": numbers(dim)}

    found = {
        "patch_embed.proj.weight": numbers(dim, 3, patch, patch, scale=(3 * patch * patch) ** -0.5),
        "patch_embed.proj.bias": numbers(dim),
        **norm("norm"),
    }
    if name != "ijepa":
        found["cls_token"] = numbers(1, 1, dim)
    if name in ("simmim", "beit"):
        found["rel_pos_bias.relative_position_bias_table"] = numbers((2 * side - 1) ** 2 + 3, heads, scale=1.0)
    elif name not in ("dinov3", "scale-mae"):
        found["pos_embed"] = numbers(1, side * side + (name != "ijepa"), dim)
    if registers:
        found["storage_tokens" if name == "dinov3" else "register_tokens"] = numbers(1, registers, dim)
    for block in (f"blocks.{number}" for number in range(layers)):
        found.update({**norm(f"{block}.norm1"), **norm(f"{block}.norm2"), **linear(f"{block}.attn.proj", dim, dim)})
        found.update(linear(f"{block}.attn.qkv", 3 * dim, dim, bias=name not in ("simmim", "beit")))
        if name in ("simmim", "beit"):
            found.update({f"{block}.attn.q_bias": numbers(dim), f"{block}.attn.v_bias": numbers(dim)})
            found.update({f"{block}.gamma_{one}": numbers(dim, around=1) for one in (1, 2)})
        if name == "dinov3":
            found[f"{block}.attn.qkv.bias"][dim : 2 * dim] = 0
        if name.startswith("dinov"):
            found.update({f"{block}.ls{one}.gamma": numbers(dim, around=1) for one in (1, 2)})
        if gated == "w12":
            width = (int(4 * dim * 2 / 3) + 7) // 8 * 8
            found.update({**linear(f"{block}.mlp.w12", 2 * width, dim), **linear(f"{block}.mlp.w3", dim, width)})
        elif gated == "w1":
            found.update({**linear(f"{block}.mlp.w1", 96, dim), **linear(f"{block}.mlp.w2", 96, dim)})
            found.update(linear(f"{block}.mlp.w3", dim, 96))
        else:
            found.update({**linear(f"{block}.mlp.fc1", 96, dim), **linear(f"{block}.mlp.fc2", dim, 96)})
    return found


class Written:
    """A Vision Transformer of the authors' names, written out: loops and formulas of the papers, no speed."""

    def __init__(self, name, weights, heads=4):
        self.name, self.weights, self.heads = name, weights, heads

    def run(self, pixel_values, gsd=None):
        import torch
        from torch.nn import functional

        w = self.weights
        patch = w["patch_embed.proj.weight"].shape[-1]
        patches = functional.conv2d(
            pixel_values, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=patch
        )
        rows, columns = patches.shape[2:]
        tokens = patches.flatten(2).transpose(1, 2)
        cls = w.get("cls_token")
        if "pos_embed" in w:
            table = w["pos_embed"]
            if cls is not None:
                cls, table = cls + table[:, :1], table[:, 1:]
            offset = 0.1 if self.name in ("dino", "ibot", "dinov2") else 0.0
            tokens = tokens + stretched(table, rows, columns, offset, self.name == "dinov2-registers")
        if gsd is not None:
            tokens = tokens + ground(rows, columns, tokens.shape[2], gsd.item())
        prefix = [one for one in (cls, w.get("register_tokens", w.get("storage_tokens"))) if one is not None]
        tokens = torch.cat([*(one.expand(len(tokens), -1, -1) for one in prefix), tokens], 1)
        bias = self.bias(rows, columns) if "rel_pos_bias.relative_position_bias_table" in w else 0
        count = tokens.shape[1] - rows * columns
        turns = turned(rows, columns, tokens.shape[2] // self.heads) if self.name == "dinov3" else None
        blocks = 1 + max(int(one.split(".")[1]) for one in w if one.startswith("blocks."))
        kept = None
        for number in range(blocks):
            tokens = self.block(tokens, f"blocks.{number}.", bias, turns, count)
            kept = tokens if number + 1 == BLOCK else kept
        return kept, self.normed(tokens, "norm")

    def normed(self, tokens, name):
        from torch.nn import functional

        eps = 1e-5 if self.name == "dinov3" else 1e-6
        return functional.layer_norm(
            tokens, tokens.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], eps
        )

    def linear(self, tokens, name):
        from torch.nn import functional

        return functional.linear(tokens, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def block(self, tokens, name, bias, turns, prefix):
        import torch
        from torch.nn import functional

        w, dim = self.weights, tokens.shape[2]

        def scale(one):
            return next((w[key] for key in (f"{name}gamma_{one}", f"{name}ls{one}.gamma") if key in w), 1)

        normed = self.normed(tokens, f"{name}norm1")
        query, key, value = self.linear(normed, f"{name}attn.qkv").split(dim, 2)
        if f"{name}attn.q_bias" in w:
            query, value = query + w[f"{name}attn.q_bias"], value + w[f"{name}attn.v_bias"]
        attended = []
        width = dim // self.heads
        for head in range(self.heads):
            part = slice(head * width, (head + 1) * width)
            asked, offered = query[..., part], key[..., part]
            if turns is not None:
                asked, offered = (torch.cat((one[:, :prefix], turns(one[:, prefix:])), 1) for one in (asked, offered))
            scores = asked @ offered.transpose(1, 2) / width**0.5
            scores = scores + (bias if isinstance(bias, int) else bias[head])
            attended.append(torch.softmax(scores, -1) @ value[..., part])
        tokens = tokens + scale(1) * self.linear(torch.cat(attended, 2), f"{name}attn.proj")
        normed = self.normed(tokens, f"{name}norm2")
        if f"{name}mlp.w12.weight" in w:
            gate, up = self.linear(normed, f"{name}mlp.w12").chunk(2, -1)
            update = self.linear(functional.silu(gate) * up, f"{name}mlp.w3")
        elif f"{name}mlp.w1.weight" in w:
            gate, up = (self.linear(normed, f"{name}mlp.{one}") for one in ("w1", "w2"))
            update = self.linear(functional.silu(gate) * up, f"{name}mlp.w3")
        else:
            update = self.linear(functional.gelu(self.linear(normed, f"{name}mlp.fc1")), f"{name}mlp.fc2")
        return tokens + scale(2) * update

    def bias(self, rows, columns):
        """Of each head [tokens, tokens]: one number for each way from patch to patch, three for those to and from CLS."""
        import torch

        table = self.weights["rel_pos_bias.relative_position_bias_table"]
        side = math.isqrt(len(table) - 3)
        ways = table[:-3].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        ways = torch.nn.functional.interpolate(ways, size=(2 * rows - 1, 2 * columns - 1), mode="bilinear")[0]
        found = torch.zeros(self.heads, 1 + rows * columns, 1 + rows * columns)
        found[:, 0, :], found[:, :, 0] = table[-3][:, None], table[-2][:, None]
        found[:, 0, 0] = table[-1]
        for one in range(rows * columns):
            for other in range(rows * columns):
                down, across = one // columns - other // columns, one % columns - other % columns
                found[:, 1 + one, 1 + other] = ways[:, down + rows - 1, across + columns - 1]
        return found


def ground(rows, columns, dim, gsd):
    """Scale-MAE's formula, number by number."""
    import torch

    found = torch.zeros(1, rows * columns, dim)
    for row in range(rows):
        for column in range(columns):
            for half, place in enumerate((column, row)):
                for number in range(dim // 4):
                    angle = gsd * place / 10000 ** (number / (dim / 4))
                    at = half * dim // 2 + number
                    found[0, row * columns + column, at] = math.sin(angle)
                    found[0, row * columns + column, at + dim // 4] = math.cos(angle)
    return found


def turned(rows, columns, head):
    """DINOv3's rotation of pairs of numbers: a function of [pictures, patches, head]."""
    import torch

    angles = torch.zeros(rows * columns, head // 2)
    for patch in range(rows * columns):
        places = 2 * (patch // columns + 0.5) / rows - 1, 2 * (patch % columns + 0.5) / columns - 1
        for axis, place in enumerate(places):
            for number in range(head // 4):
                angles[patch, axis * head // 4 + number] = 2 * math.pi * place / 100 ** (number * 4 / head)

    def turn(x):
        first, second = x[..., : head // 2], x[..., head // 2 :]
        cos, sin = torch.cos(angles), torch.sin(angles)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)

    return turn


def compare(graph, backbone, inputs, expect, shape):
    """The largest difference between the graph and what `expect` says of each picture."""
    import agreement
    import folder

    session, worst = agreement.session(graph), 0.0
    for (width, height), fed in agreement.pictures(shape["patch_px"], shape["image_px"], inputs):
        found = session.run(folder.outputs(backbone), {name: value.numpy() for name, value in fed.items()})
        for name, one, other in zip(folder.outputs(backbone), found, expect(**fed)):
            value = agreement.difference(one, other.numpy())
            if not value <= agreement.TOLERANCE:
                raise setup.Failure(f"{graph.parent.parent.name}: {name} differs by {value:.1e} at {width}x{height} px")
            worst = max(worst, value)
    return worst


def make(out, name, family, model, about=None):
    """Writes the model's folder; gives its graph and module."""
    import folder

    backbone = family.backbone(model)
    backbone.hidden = (BLOCK,)
    graph = out / "onnx/model.onnx"
    folder.write_graph(backbone, model.config.patch_size, family.inputs, graph)
    described = {
        "name": out.name,
        "family": name,
        "prefix_tokens": backbone.prefix_tokens,
        "output": "last_hidden_state",
    }
    described.update({"source": "random weights", "licence": "CC0-1.0", "gated": False})
    folder.write_texts(out, model.config, described, family.image)
    return graph, backbone


def check_library(folder_out):
    """Every family, from a model of the library."""
    from families import FAMILIES, randomised

    for name, family in FAMILIES.items():
        if name == "scale-mae" or name == "dinov3":
            continue  # the library does not have them: see check_authors
        shape = {**SMALL, **MORE.get(name, {})}
        reference = randomised(family.empty(family.configuration(shape)), 3)
        reference.save_pretrained(folder_out / "saved")
        model = family.pretrained(folder_out / "saved")
        graph, backbone = make(folder_out / name, name, family, model)
        expect = functools.partial(library, name, reference, family.resize)
        worst = compare(graph, backbone, (), expect, shape)
        setup.say("agrees", f"{name} with the library's model to {worst:.0e}")
    shutil.rmtree(folder_out / "saved")


CASES = {
    "dino": [{}],
    "ibot": [{}],
    "vit": [{}],
    "mae": [{}],
    "scale-mae": [{}],
    "ijepa": [{}],
    "dinov2": [{}, {"gated": "w12"}],
    "dinov2-registers": [{"registers": 4}],
    "dinov3": [{"registers": 3}, {"registers": 3, "gated": "w1"}],
    "beit": [{}],
    "simmim": [{}],
}


def check_authors(folder_out):
    """Every family whose authors' files are understood, from such a file."""
    import exporting
    import folder
    import torch
    from families import FAMILIES

    folder_out.mkdir(parents=True, exist_ok=True)
    for name, cases in CASES.items():
        for number, case in enumerate(cases):
            weights = authors(name, **case)
            side = 14 if name in ("dinov3", "scale-mae") else 5
            path = folder_out / f"{name}.{number}.pth"
            wrapped = {f"module.{key}": value for key, value in weights.items()}
            torch.save({"epoch": 3, "target_encoder" if name == "ijepa" else "state_dict": wrapped}, path)
            family, written = FAMILIES[name], Written(name, weights)
            folder.LARGEST = 0 if name == "ibot" else 1 << 30  # one whose weights lie beside the graph
            model = exporting.of_file(family, path, 4)
            out = folder_out / (name if number == 0 else f"{name}-{case['gated']}")
            graph, backbone = make(out, name, family, model)
            shape = {"patch_px": 8, "image_px": 8 * min(side, 5)}
            with torch.no_grad():
                worst = compare(graph, backbone, family.inputs, written.run, shape)
            path.unlink()
            setup.say("agrees", f"{out.name} of the authors' layout to {worst:.0e}")


def check_refusals(folder_out):
    """Files that must not be exported."""
    import exporting
    import torch
    from families import FAMILIES

    whole = authors("dino")
    without = {name: value for name, value in whole.items() if not name.startswith("blocks.1.mlp")}
    wrong = {
        "a part is missing": ({"state_dict": without}, "missing"),
        "no transformer": ({"state_dict": {"conv1.weight": torch.zeros(1)}}, "patch_embed"),
        "nothing known": ({"args": 1}, "no weights"),
        "code": ({"state_dict": argparse.Namespace(a=1)}, "more than tensors"),
    }
    for what, (content, reason) in wrong.items():
        path = folder_out / "wrong.pth"
        torch.save(content, path)
        try:
            exporting.of_file(FAMILIES["dino"], path, 4)
        except setup.Failure as failure:
            if reason not in str(failure):
                raise setup.Failure(f"{what}: the failure is '{failure}', without '{reason}'") from failure
        else:
            raise setup.Failure(f"{what}: was exported")
        path.unlink()
    # A folder of another family would leave weights as chance made them.
    FAMILIES["dino"].empty(FAMILIES["dino"].configuration(SMALL)).save_pretrained(folder_out / "saved")
    try:
        FAMILIES["dinov2"].pretrained(folder_out / "saved")
    except setup.Failure as failure:
        if "does not fit" not in str(failure):
            raise
    else:
        raise setup.Failure("a folder of another family was exported")
    shutil.rmtree(folder_out / "saved")


def check_precisions(folder_out, cache):
    """Graphs of whole numbers and halves say nearly what the first one says, of photographs."""
    import precision

    made = precision.Folder(folder_out)
    pictures = precision.photographs(None, cache)[:3]
    expected, _ = precision.tokens_of(made, made.graph(precision.FP32), pictures, 160)
    for kind, least in (("fp16", 0.99999), ("dynamic", 0.999), ("static", 0.99)):
        precision.quantize(
            argparse.Namespace(what=[folder_out], quantize=kind, keep=1, calibrate=None, cache=cache, long_side=160)
        )
        graph = made.graph(precision.GRAPHS[kind])
        found, _ = precision.tokens_of(made, graph, pictures, 160)
        cosine = float((found * expected).sum(1).mean())
        if not least <= cosine:
            raise setup.Failure(f"{graph}: a cosine of {cosine:.6f} on average, less than {least}")
        if kind != "fp16" and not any(
            node.op_type.endswith(("MatMulInteger", "QuantizeLinear")) for node in precision.nodes(graph)
        ):
            raise setup.Failure(f"{graph} has no whole numbers")


def check_fusion(made, folder_out, cache):
    """A fused graph says what both of its models say of a photograph, each made ready for it by code of its own."""
    import fusion
    import numpy as np
    import precision
    from families import FAMILIES, randomised

    family, wider = FAMILIES["siglip"], {**SMALL, "dim": 96, "patch_px": 10, "image_px": 50}
    other = folder_out / "wider"
    make(other, "siglip", family, randomised(family.empty(family.configuration(wider)), 4))
    photograph = precision.photographs(None, cache)[0]
    pairs = {
        "same": (made / "dinov2-registers", made / "clip"),
        "finer": (made / "dino", other),
        "coarser": (other, made / "vit"),
    }
    for name, pair in pairs.items():
        folders = [precision.Folder(path) for path in pair]
        out = folder_out / f"fused-{name}"
        fusion.fuse(argparse.Namespace(what=[folder.path for folder in folders], out=out, name=None))
        fused = precision.Folder(out)
        picture = fused.pixels(photograph, 16 * fused.patch_px)
        found = precision.session(fused.graph(precision.FP32)).run(None, {"pixel_values": picture})[0][0]
        expected = np.concatenate([alone(folder, picture, folders[0]) for folder in folders], axis=1)
        worst = float(np.abs(found - expected).max())
        if found.shape != expected.shape or not worst <= 1e-4:
            raise setup.Failure(f"{out}: {found.shape} differ by {worst:.1e} from {expected.shape}")
        setup.say("agrees", f"{out.name} with its two models to {worst:.0e}")
    shutil.rmtree(other)


def alone(folder, picture, first):
    """Tokens of unit length that a model gives of a picture which the preprocessing of `first` made."""
    import numpy as np
    import precision

    rows, columns = (side // first.patch_px for side in picture.shape[2:])
    planes = []
    for colour, plane in enumerate(picture[0]):
        level = plane * first.processor["image_std"][colour] + first.processor["image_mean"][colour]
        down, across = (
            cubic(len_before, patches * folder.patch_px) for len_before, patches in zip(plane.shape, (rows, columns))
        )
        resized = down @ level.astype(np.float64) @ across.T
        planes.append((resized - folder.processor["image_mean"][colour]) / folder.processor["image_std"][colour])
    given = np.asarray(planes, np.float32)[None]
    tokens = precision.session(folder.graph(precision.FP32)).run(["last_hidden_state"], {"pixel_values": given})[0][0]
    tokens = tokens[-rows * columns :]
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def cubic(before, after):
    """The matrix [after, before] of Keys' cubic interpolation (a = -.5), weights beyond the edge left out."""
    import numpy as np

    places = (np.arange(after) + 0.5) * before / after - 0.5
    away = np.abs(places[:, None] - np.arange(before)[None])
    near, far = 1.5 * away**3 - 2.5 * away**2 + 1, -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    weights = np.where(away <= 1, near, np.where(away < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


def check_registry():
    """What the registry says of a model is what its recipe makes."""
    import registry
    from families import FAMILIES

    for name, row in registry.models().items():
        family = FAMILIES[row["family"]]
        small = {**row, "layers": 1, "mlp": 64}
        model = family.empty(family.configuration(small))
        prefix = family.backbone(model).prefix_tokens
        if prefix != row["prefix_tokens"]:
            raise setup.Failure(f"models.toml: {name} has {prefix} prefix tokens, not {row['prefix_tokens']}")
        if row["long_side"] % row["patch_px"]:
            raise setup.Failure(f"models.toml: patches of {name} do not divide its long side")
    setup.say("agrees", f"the registry's {len(registry.models())} models with their recipes")


@setup.told()
def main():
    parser = argparse.ArgumentParser(description="Hold the recipes of tools/export against other code.")
    parser.add_argument("folder", type=Path, nargs="?", help="gets the model folders")
    parser.add_argument("--cache", type=Path, default=setup.cache_root(), metavar="DIR", help="instead of %(default)s")
    arguments = parser.parse_args()
    try:
        again = environment.run_again(__file__, arguments.cache.absolute(), torch=True, fetch=True)
    except environment.NoTorch as missing:
        setup.say("exports", f"SKIPPED: {missing}")
        return 0
    if again is not None:
        return again
    environment.find_torch()
    if arguments.folder is None:
        setup.say("ready", "the environment of tools/export")
        return 0
    check_registry()
    check_library(arguments.folder / "library")
    check_authors(arguments.folder / "authors")
    check_refusals(arguments.folder)
    check_precisions(arguments.folder / "library/dino", arguments.cache.absolute())
    check_fusion(arguments.folder / "library", arguments.folder / "fused", arguments.cache.absolute())
    return 0


if __name__ == "__main__":
    sys.exit(main())
