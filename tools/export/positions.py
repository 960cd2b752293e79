"""Where patches lie, as a model is told: learned tables resized to any grid, sines of ground distances, relative biases, rotations.

Every module takes a grid (rows, columns) that may be traced, so that one graph serves all sizes. Resizing is two products with
matrices of the grid's size: operators that resize would bake a scale into the graph, and know no antialiasing in opset 17. Tables
are on the left of a product, as quantisers take what is on the right for weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn


def cubic(x, a):
    """Keys' cubic kernel with the parameter `a`."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


@dataclass(frozen=True)
class Resize:
    """How a trainer resizes a table: `cubic` or `linear`, with antialiasing where it shrinks, or by (side + `offset`) / trained
    side, unless the grid is the trained one.
    """

    filter: str = "cubic"
    antialias: bool = False
    offset: float = 0.0

    def matrices(self, grid, trained):
        """For rows and for columns, the matrix [side, trained side] that resizes that axis."""
        grid = [torch.as_tensor(side) for side in grid]
        offset = 0.0
        if self.offset:
            trained_grid = (grid[0] == trained[0]) & (grid[1] == trained[1])
            offset = torch.where(trained_grid, torch.tensor(0.0), torch.tensor(self.offset))
        return [self.matrix(side, count, offset) for side, count in zip(grid, trained)]

    def matrix(self, side, trained, offset):
        """The matrix [side, trained]."""
        at = torch.arange(side).to(torch.float32) + 0.5
        scale = trained / (side.to(torch.float32) + offset)
        places = torch.arange(trained).to(torch.float32)[None]
        if self.antialias:
            distance = (places + 0.5 - (at * scale)[:, None]) / torch.clamp(scale, min=1.0)
            weights = cubic(distance, -0.5)
            return weights / weights.sum(1, keepdim=True)
        centre = (at * scale - 0.5)[:, None]
        if self.filter == "linear":
            return torch.clamp(1 - (centre.clamp(0, trained - 1) - places).abs(), min=0)
        # Two places beyond each border have the border's numbers.
        taps = cubic(centre - torch.arange(-2, trained + 2).to(torch.float32)[None], -0.75)
        first, last = taps[:, :3].sum(1, keepdim=True), taps[:, trained + 1 :].sum(1, keepdim=True)
        return torch.cat((first, taps[:, 3 : trained + 1], last), 1)


def resized(table, grid, rule):
    """A table [channels, height, width] as [channels, rows, columns]."""
    rows, columns = rule.matrices(grid, table.shape[1:])
    return torch.matmul(rows, torch.matmul(table, columns.t()))


class Table(nn.Module):
    """A learned position [1, side * side, dim] for each patch of the trained, square grid."""

    def __init__(self, table, rule):
        super().__init__()
        side = math.isqrt(table.shape[1])
        self.rule = rule
        self.table = nn.Parameter(table.detach()[0].reshape(side, side, -1).permute(2, 0, 1).contiguous())

    def forward(self, grid, *_):
        return resized(self.table, grid, self.rule).flatten(1).t()[None]


class GroundDistance(nn.Module):
    """Scale-MAE's positions: sines and cosines of the distance in metres, columns before rows (arXiv 2212.14532)."""

    def __init__(self, dim):
        super().__init__()
        frequencies = 1 / 10000 ** (torch.arange(dim // 4).to(torch.float32) / (dim / 4))
        self.register_buffer("frequencies", frequencies)

    def forward(self, grid, gsd):
        rows, columns = (self.waves(side, gsd) for side in grid)
        # Sums with zeros of the other's shape spread each axis over the grid.
        across = columns[None] + torch.zeros_like(rows)[:, None]
        down = rows[:, None] + torch.zeros_like(columns)[None]
        return torch.cat((across, down), 2).flatten(0, 1)[None]

    def waves(self, side, gsd):
        angles = (torch.arange(side).to(torch.float32) * gsd)[:, None] * self.frequencies[None]
        return torch.cat((torch.sin(angles), torch.cos(angles)), 1)


class RelativeBias(nn.Module):
    """BEiT's bias [1, heads, tokens, tokens] of attention by the way from patch to patch; three more numbers are for CLS.

    Other grids get the table resized linearly, as MiDaS 3.1 and the Transformers library do (arXiv 2307.14460).
    """

    def __init__(self, table):
        super().__init__()
        side = math.isqrt(table.shape[0] - 3)
        table = table.detach()
        self.ways = nn.Parameter(table[:-3].reshape(side, side, -1).permute(2, 0, 1).contiguous())
        self.cls = nn.Parameter(table[-3:].t().contiguous())

    def forward(self, grid):
        rows, columns = (torch.as_tensor(side) for side in grid)
        width = 2 * columns - 1
        ways = resized(self.ways, (2 * rows - 1, width), Resize("linear")).flatten(1)
        count = ways.shape[1]
        number = torch.arange(rows * columns)
        row, column = torch.div(number, columns, rounding_mode="floor"), torch.remainder(number, columns)
        down = row[:, None] - row[None] + rows - 1
        across = column[:, None] - column[None] + columns - 1
        patches = down * width + across
        to_cls = torch.zeros_like(number)[:, None] + count + 1
        from_cls = torch.zeros_like(number)[None] + count
        itself = torch.zeros_like(number[:1])[None] + count + 2
        index = torch.cat((torch.cat((itself, from_cls), 1), torch.cat((to_cls, patches), 1)), 0)
        return torch.cat((ways, self.cls), 1)[:, index][None]


class Rotation(nn.Module):
    """DINOv3's rotations: cosines and sines [patches, head] of where a patch's centre lies between the picture's borders."""

    def __init__(self, head, theta):
        super().__init__()
        self.register_buffer("frequencies", 1 / theta ** torch.arange(0, 1, 4 / head, dtype=torch.float32))

    def forward(self, grid):
        down, across = (self.angles(side) for side in grid)
        down = down[:, None] + torch.zeros_like(across)[None]
        across = torch.zeros_like(down[:, :1]) + across[None]
        angles = torch.cat((down, across, down, across), 2).flatten(0, 1)
        return torch.cos(angles), torch.sin(angles)

    def angles(self, side):
        side = torch.as_tensor(side)
        centre = 2 * (torch.arange(side).to(torch.float32) + 0.5) / side.to(torch.float32) - 1
        return 2 * math.pi * centre[:, None] * self.frequencies[None]
