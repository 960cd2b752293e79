"""Whether a graph says what its PyTorch module says."""

import numpy as np
import onnxruntime
import setup
import torch

TOLERANCE = 1e-4
GSD = 0.3


def sizes(patch_px, image_px):
    """Width and height of three pictures: the trained square, a larger square, one that is no square."""
    side = max(1, image_px // patch_px)
    return [(n * patch_px, m * patch_px) for n, m in ((side, side), (side + 3, side + 3), (side + 5, max(1, side - 2)))]


def pictures(patch_px, image_px, inputs):
    """Random pictures [batch, 3, height, width] of the three sizes, two of the first, with the graph's further inputs."""
    generator = torch.Generator().manual_seed(1)
    for batch, (width, height) in zip((2, 1, 1), sizes(patch_px, image_px)):
        fed = {"pixel_values": torch.randn(batch, 3, height, width, generator=generator)}
        fed.update({name: torch.full((1,), GSD) for name in inputs})
        yield (width, height), fed


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def difference(found, expected):
    """The largest difference, by the size of the numbers where they are larger than 1."""
    if found.shape != expected.shape:
        raise setup.Failure(f"the graph gives {list(found.shape)} where PyTorch gives {list(expected.shape)}")
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def held(path, module, names, patch_px, image_px, inputs):
    """The largest difference between graph and `module` over all outputs at three sizes, by size; a failure where it is too large."""
    runner, worst = session(path), {}
    for (width, height), fed in pictures(patch_px, image_px, inputs):
        found = runner.run(names, {name: value.numpy() for name, value in fed.items()})
        with torch.no_grad():
            expected = module(*fed.values())
        worst[f"{width}x{height}"] = max(difference(a, b.numpy()) for a, b in zip(found, expected))
    for size, value in worst.items():
        if not value <= TOLERANCE:
            raise setup.Failure(f"{path}: differs from PyTorch by {value:.1e} at {size} px, more than {TOLERANCE:.0e}")
    return worst
