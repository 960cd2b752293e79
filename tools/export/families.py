"""Families: which of the library's models holds the weights, how it becomes one graph, how pictures are prepared for it."""

import inspect
from dataclasses import dataclass, field

import backbone
import dinov3
import original
import setup
import torch
import transformers
from positions import Resize

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
BICUBIC = 3


@dataclass(frozen=True)
class Family:
    """`config` and `model` are the library's classes, `build` makes a `Backbone` of a model, `keys` the model's names of weights out of
    those of the authors' file. `settings` are what the configuration says for each model of the family.
    """

    config: type
    model: type
    build: object
    resize: Resize = Resize()
    keys: object = None
    image: dict = field(default_factory=lambda: IMAGENET)
    settings: dict = field(default_factory=dict)
    load: dict = field(default_factory=dict)
    inputs: tuple = ()

    def configuration(self, shape):
        """The library's configuration of a model of that shape: a row of the registry, or what a file's weights show."""
        width = shape.get("mlp", 4 * shape["dim"])
        by_ratio = "mlp_ratio" in inspect.signature(self.config).parameters
        settings = {
            "hidden_size": shape["dim"],
            "num_hidden_layers": shape["layers"],
            "num_attention_heads": shape["heads"],
            **({"mlp_ratio": width / shape["dim"]} if by_ratio else {"intermediate_size": width}),
            "patch_size": shape["patch_px"],
            "image_size": shape["image_px"],
            **self.settings,
            **shape.get("settings", {}),
        }
        if shape.get("registers"):
            settings["num_register_tokens"] = shape["registers"]
        config = self.config(**settings)
        config._attn_implementation = "eager"
        return config

    def empty(self, config):
        """A model whose weights say nothing yet."""
        return self.model(config, **self.load).eval()

    def pretrained(self, source):
        """The model of a Transformers folder, or of a repository of the hub."""
        model, info = self.model.from_pretrained(
            source, attn_implementation="eager", output_loading_info=True, **self.load
        )
        missing = [name for name in info["missing_keys"] if not any(part in name for part in UNUSED)]
        if missing or info["mismatched_keys"]:
            raise setup.Failure(
                f"{source} does not fit the family: it has no {', '.join(missing[:4]) or 'weights of its shapes'}"
            )
        return model.eval()

    def backbone(self, model):
        """The graph's module. It shares the model's weights, and may have taken parts out of it."""
        return self.build(model, self.resize).eval()


def ground(model, rule):
    return backbone.of_vit(model, rule, gsd=True)


# Parts whose weights say nothing of tokens.
UNUSED = ("mask_token", "pooler", "decoder", "head.", "position_ids")

PLAIN = {"add_pooling_layer": False}
EPS = {"layer_norm_eps": 1e-6}
VIT = (transformers.ViTConfig, transformers.ViTModel, backbone.of_vit)
DINOV2 = (transformers.Dinov2Config, transformers.Dinov2Model, backbone.of_vit)
REGISTERS = (transformers.Dinov2WithRegistersConfig, transformers.Dinov2WithRegistersModel, backbone.of_vit)
BEIT = (transformers.BeitConfig, transformers.BeitModel, backbone.of_beit)
SIGLIP = (transformers.SiglipVisionConfig, transformers.SiglipVisionModel, backbone.of_siglip)

# The trainers add a tenth of a patch before they resize.
OFFSET = Resize(offset=0.1)

FAMILIES = {
    "dino": Family(*VIT, OFFSET, original.vit, settings=EPS, load=PLAIN),
    "ibot": Family(*VIT, OFFSET, original.vit, settings=EPS, load=PLAIN),
    "vit": Family(*VIT, keys=original.vit, image=HALF, settings=EPS, load=PLAIN),
    "mae": Family(
        transformers.ViTMAEConfig, transformers.ViTMAEModel, backbone.of_vit, keys=original.vit, settings=EPS
    ),
    "scale-mae": Family(*VIT[:2], ground, keys=original.vit, settings=EPS, load=PLAIN, inputs=("gsd",)),
    "ijepa": Family(
        transformers.IJepaConfig, transformers.IJepaModel, backbone.of_vit, keys=original.vit, settings=EPS, load=PLAIN
    ),
    "dinov2": Family(*DINOV2, OFFSET, original.dinov2, settings=EPS),
    "dinov2-registers": Family(*REGISTERS, Resize(antialias=True), original.dinov2, settings=EPS),
    "dinov3": Family(dinov3.Config, dinov3.Model, backbone.of_dinov3, keys=original.dinov3),
    "beit": Family(
        *BEIT,
        keys=original.beit,
        image=HALF,
        settings={"use_relative_position_bias": True, "use_mean_pooling": True, **EPS},
        load=PLAIN,
    ),
    "simmim": Family(
        *BEIT,
        keys=original.beit,
        settings={"use_shared_relative_position_bias": True, "use_mean_pooling": False, "use_mask_token": True, **EPS},
        load=PLAIN,
    ),
    "clip": Family(
        transformers.CLIPVisionConfig,
        transformers.CLIPVisionModel,
        backbone.of_clip,
        image=CLIP,
    ),
    "siglip": Family(*SIGLIP, image=HALF),
    "siglip2": Family(*SIGLIP, image=HALF),
}


def randomised(model, seed):
    """Gives every weight a seeded random number of a size with which all parts matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            numbers = torch.randn(weight.shape, generator=generator)
            if weight.dim() == 1 and not name.endswith("bias"):
                numbers = 1 + 0.1 * numbers
            elif weight.dim() == 2 and name.endswith("weight") and "position" not in name:
                numbers = numbers / weight.shape[1] ** 0.5
            elif weight.dim() == 4:
                numbers = numbers / weight[0].numel() ** 0.5
            else:
                numbers = 0.3 * numbers
            weight.copy_(numbers)
    return model
