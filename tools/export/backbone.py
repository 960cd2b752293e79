"""One graph for every family: pictures of any size in, tokens out.

Layers are the library's own. What comes before them is built here from the model's weights, because the library's embeddings know one
size, or bake the traced one into the graph. Masking, pooling and heads stay outside.
"""

import torch
from positions import GroundDistance, RelativeBias, Rotation, Table
from torch import nn


class Plain(nn.Module):
    """A layer that takes tokens and `rest`; gives tokens, alone or first of several."""

    def __init__(self, layer, *rest):
        super().__init__()
        self.layer, self.rest = layer, rest

    def forward(self, tokens, _grid, _shared):
        found = self.layer(tokens, *self.rest)
        return found if isinstance(found, torch.Tensor) else found[0]


class Biased(nn.Module):
    """BEiT's layer: its own bias, or the one that all layers share."""

    def __init__(self, layer):
        super().__init__()
        attention = layer.attention.attention
        own = getattr(attention, "relative_position_bias", None)
        self.bias = None if own is None else RelativeBias(own.relative_position_bias_table)
        attention.relative_position_bias = None
        attention.has_relative_position_bias = False
        self.layer = layer

    def forward(self, tokens, grid, shared):
        bias = self.bias(grid) if self.bias is not None else shared
        return self.layer(tokens, relative_position_bias=bias)[0]


class Rotated(nn.Module):
    """A layer whose queries and keys are turned by what all layers share."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, tokens, _grid, shared):
        return self.layer(tokens, shared)


class Backbone(nn.Module):
    """`pixel_values` [batch, 3, height, width], and the ground sample distance where the family wants it, to a tuple of tokens
    [batch, prefix + patches, dim]: those of the wanted blocks, counted from 1, then the last ones behind the final norm.
    """

    def __init__(self, projection, prefix, positions, layers, norm=None, before=None, shared=None):
        super().__init__()
        self.projection, self.positions, self.shared = projection, positions, shared
        self.prefix = None if prefix is None else nn.Parameter(prefix.detach())
        self.layers = nn.ModuleList(layers)
        self.before, self.norm = before or nn.Identity(), norm or nn.Identity()
        self.hidden = ()

    @property
    def prefix_tokens(self):
        return 0 if self.prefix is None else self.prefix.shape[1]

    def forward(self, pixel_values, *inputs):
        patches = self.projection(pixel_values)
        grid = patches.shape[2], patches.shape[3]
        tokens = patches.flatten(2).transpose(1, 2)
        if self.positions is not None:
            tokens = tokens + self.positions(grid, *inputs)
        if self.prefix is not None:
            tokens = torch.cat((self.prefix.expand(tokens.shape[0], -1, -1), tokens), 1)
        tokens = self.before(tokens)
        shared = None if self.shared is None else self.shared(grid)
        kept = []
        for number, layer in enumerate(self.layers, 1):
            tokens = layer(tokens, grid, shared)
            if number in self.hidden:
                kept.append(tokens)
        return (*kept, self.norm(tokens))


def of_vit(model, rule, gsd=False):
    """ViT, ViT-MAE, I-JEPA, DINOv2 with and without registers."""
    embeddings = model.embeddings
    table = embeddings.position_embeddings
    cls = getattr(embeddings, "cls_token", None)
    prefix = cls
    if cls is not None:
        prefix, table = cls + (0 if gsd else table[:, :1]), table[:, 1:]
    if getattr(embeddings, "register_tokens", None) is not None:
        prefix = torch.cat((prefix, embeddings.register_tokens), 1)
    positions = GroundDistance(table.shape[2]) if gsd else Table(table, rule)
    layers = [Plain(layer) for layer in model.encoder.layer]
    return Backbone(embeddings.patch_embeddings.projection, prefix, positions, layers, model.layernorm)


def of_beit(model, rule):
    """BEiT and SimMIM: positions are relative, in each layer or shared, or a table as well."""
    embeddings, prefix, positions = model.embeddings, model.embeddings.cls_token, None
    if embeddings.position_embeddings is not None:
        prefix = prefix + embeddings.position_embeddings[:, :1]
        positions = Table(embeddings.position_embeddings[:, 1:], rule)
    shared = getattr(model.encoder, "relative_position_bias", None)
    shared = None if shared is None else RelativeBias(shared.relative_position_bias_table)
    layers = [Biased(layer) for layer in model.encoder.layer]
    return Backbone(embeddings.patch_embeddings.projection, prefix, positions, layers, model.layernorm, shared=shared)


def of_clip(model, rule):
    """CLIP's picture half: a norm before the layers, none behind them."""
    model = getattr(model, "vision_model", model)
    embeddings = model.embeddings
    table = embeddings.position_embedding.weight[None]
    prefix = embeddings.class_embedding[None, None] + table[:, :1]
    layers = [Plain(layer, None, None) for layer in model.encoder.layers]
    return Backbone(embeddings.patch_embedding, prefix, Table(table[:, 1:], rule), layers, before=model.pre_layrnorm)


def of_siglip(model, rule):
    """The picture half of SigLIP and SigLIP2: no CLS."""
    model = getattr(model, "vision_model", model)
    table = model.embeddings.position_embedding.weight[None]
    layers = [Plain(layer, None) for layer in model.encoder.layers]
    projection = model.embeddings.patch_embedding
    projection.padding = (0, 0)  # "valid" says the same, but older exporters do not know the word
    return Backbone(projection, None, Table(table, rule), layers, model.post_layernorm)


def of_dinov3(model, _rule):
    """DINOv3: registers, and rotations instead of a table."""
    embeddings, config = model.embeddings, model.config
    prefix = torch.cat((embeddings.cls_token, embeddings.register_tokens), 1)
    rotation = Rotation(config.hidden_size // config.num_attention_heads, config.rope_theta)
    layers = [Rotated(layer) for layer in model.layer]
    return Backbone(embeddings.patch_embeddings, prefix, None, layers, model.norm, shared=rotation)
