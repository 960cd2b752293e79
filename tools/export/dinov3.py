"""DINOv3's Vision Transformer (arXiv 2508.10104), which the pinned Transformers library does not know. Names of weights are those of
its later versions, so that their files fit.
"""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel


class Config(PretrainedConfig):
    model_type = "dinov3_vit"

    def __init__(
        self,
        patch_size=16,
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=6,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        rope_theta=100.0,
        image_size=224,
        num_channels=3,
        query_bias=True,
        key_bias=False,
        value_bias=True,
        proj_bias=True,
        mlp_bias=True,
        use_gated_mlp=False,
        num_register_tokens=4,
        **rest,
    ):
        super().__init__(**rest)
        self.patch_size, self.image_size, self.num_channels = patch_size, image_size, num_channels
        self.hidden_size, self.intermediate_size, self.hidden_act = hidden_size, intermediate_size, hidden_act
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.layer_norm_eps, self.rope_theta, self.num_register_tokens = layer_norm_eps, rope_theta, num_register_tokens
        self.query_bias, self.key_bias, self.value_bias, self.proj_bias = query_bias, key_bias, value_bias, proj_bias
        self.mlp_bias, self.use_gated_mlp = mlp_bias, use_gated_mlp


class Scale(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(dim))

    def forward(self, tokens):
        return tokens * self.lambda1


class Attention(nn.Module):
    """Self-attention; the patches' queries and keys are rotated, those of the prefix are not."""

    def __init__(self, config):
        super().__init__()
        dim = config.hidden_size
        self.heads, self.head = config.num_attention_heads, dim // config.num_attention_heads
        self.q_proj = nn.Linear(dim, dim, bias=config.query_bias)
        self.k_proj = nn.Linear(dim, dim, bias=config.key_bias)
        self.v_proj = nn.Linear(dim, dim, bias=config.value_bias)
        self.o_proj = nn.Linear(dim, dim, bias=config.proj_bias)
        self.prefix = 1 + config.num_register_tokens

    def forward(self, tokens, rotation):
        def heads(x):
            return x.view(x.shape[0], x.shape[1], self.heads, self.head).transpose(1, 2)

        query, key = (self.rotated(heads(part(tokens)), *rotation) for part in (self.q_proj, self.k_proj))
        weights = torch.softmax(torch.matmul(query, key.transpose(2, 3)) * self.head**-0.5, -1)
        return self.o_proj(torch.matmul(weights, heads(self.v_proj(tokens))).transpose(1, 2).flatten(2))

    def rotated(self, x, cos, sin):
        patches = x[:, :, self.prefix :]
        half = self.head // 2
        turned = torch.cat((-patches[..., half:], patches[..., :half]), -1)
        return torch.cat((x[:, :, : self.prefix], patches * cos + turned * sin), 2)


class Mlp(nn.Module):
    """Up, GELU, down; gated where the configuration says so."""

    def __init__(self, config):
        super().__init__()
        dim, width, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.up_proj, self.down_proj = nn.Linear(dim, width, bias=bias), nn.Linear(width, dim, bias=bias)
        if config.use_gated_mlp:
            self.gate_proj = nn.Linear(dim, width, bias=bias)
        self.gated, self.active = config.use_gated_mlp, {"gelu": nn.GELU(), "silu": nn.SiLU()}[config.hidden_act]

    def forward(self, tokens):
        if self.gated:
            return self.down_proj(self.active(self.gate_proj(tokens)) * self.up_proj(tokens))
        return self.down_proj(self.active(self.up_proj(tokens)))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config.hidden_size
        self.norm1, self.norm2 = (nn.LayerNorm(dim, eps=config.layer_norm_eps) for _ in range(2))
        self.attention, self.mlp = Attention(config), Mlp(config)
        self.layer_scale1, self.layer_scale2 = Scale(dim), Scale(dim)

    def forward(self, tokens, rotation):
        tokens = tokens + self.layer_scale1(self.attention(self.norm1(tokens), rotation))
        return tokens + self.layer_scale2(self.mlp(self.norm2(tokens)))


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, patch = config.hidden_size, config.patch_size
        self.cls_token, self.mask_token = (nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(2))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, dim))
        self.patch_embeddings = nn.Conv2d(config.num_channels, dim, kernel_size=patch, stride=patch)


class Model(PreTrainedModel):
    """The weights only: `backbone.of_dinov3` runs them."""

    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def _init_weights(self, _module):
        pass
