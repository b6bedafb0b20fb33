"""The networks of PacGAN's table on points (Lin et al. 2018, section 4.1), which are those of ALI's toy experiment
(Dumoulin et al. 2017): a generator with batch normalisation, and a discriminator of maxout layers without any.

All weights begin as N(0, 0.02²), all biases at 0, the scales of batch normalisation at 1. These networks are not
indifferent to the units of the data: the papers used the mixtures as they are (modes at distance 1 or up to 4√2 from
the origin), not at unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.ops.maxout import maxout
from sparring.types import Layered

_SPREAD = 0.02


@torch.no_grad()
def _narrow(network: nn.Module) -> None:
    """Weights N(0, 0.02²), biases 0; batch normalisation stays at scale 1 and shift 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.normal_(0.0, _SPREAD)
            if layer.bias is not None:
                layer.bias.zero_()


class Generator(nn.Module):
    """z (N, z) → points (N, D), unbounded: `depth` hidden layers of linear map, batch normalisation, ReLU.

    ε = 10⁻⁴ in the normalisation, and statistics that move by 0.05 of each batch, as in Blocks, which the authors used.

    >>> Generator(2, (2,), width=16)(torch.randn(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, z: int, shape: Sequence[int], width: int = 400, depth: int = 4) -> None:
        super().__init__()
        self.z, self.shape = z, tuple(shape)
        sizes = [z, *[width] * depth]
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Linear(i, o, bias=False), nn.BatchNorm1d(o, eps=1e-4, momentum=0.05), nn.ReLU())
            for i, o in pairwise(sizes)
        )
        self.last = nn.Linear(width, math.prod(self.shape))
        _narrow(self)

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.hidden:
            z = layer(z)
        with torch.autocast(z.device.type, enabled=False):  # points in full precision
            x: Tensor = self.last(z.to(self.last.weight.dtype))
        return x.view(x.shape[0], *self.shape)


class Discriminator(nn.Module, Layered):
    """Points (N, D) → logits (N,): `depth` layers of `width` maxout units with `pieces` linear pieces each.

    shape: of what it judges; for packs of m points (mD,), see `losses.packing.packed_shape`.

    >>> Discriminator((4,), width=16)(torch.zeros(5, 4)).shape
    torch.Size([5])
    """

    def __init__(self, shape: Sequence[int], width: int = 200, depth: int = 3, pieces: int = 5) -> None:
        super().__init__()
        self.shape, self.pieces = tuple(shape), pieces
        sizes = [math.prod(self.shape), *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(i, o * pieces) for i, o in pairwise(sizes))
        self.last = nn.Linear(width, 1)
        _narrow(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).squeeze(1)  # type: ignore[no-any-return]

    @property
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        return tuple((layer,) for layer in self.hidden)

    def features(self, x: Tensor) -> Tensor:
        """φ(x), (N, width): the logit is `head` of it, in full precision."""
        x = x.flatten(1)
        for layer in self.hidden:
            x = maxout(layer(x), self.pieces)
        return x.to(self.last.weight.dtype)

    @property
    def head(self) -> nn.Linear:
        return self.last
