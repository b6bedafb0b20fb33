"""Normalisation by the statistics of one image: what the networks that turn an image into an image use.

Pix2Pix (Isola et al. 2017, section 3.3) normalises a batch of one image by its own statistics, in use as in training;
CycleGAN (Zhu et al. 2017) does so whatever the batch (Ulyanov et al. 2016). Here it is always so: an image comes out
the same alone and among others, and there are no running averages.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["affine", "instance", "none"]
"""By the statistics of each image: with a scale and a shift that are learnt, without, or no normalisation."""

EPSILON = 1e-5


def even(x: Tensor, dim: int = 1) -> Tensor:
    """x / √(mean over `dim` of x² + 1e-8): a mean square of 1 (Karras et al. 2018, section 4.2, over channels).

    >>> even(torch.tensor([[3.0, 4.0]])).square().mean()
    tensor(1.)
    """
    return x * torch.rsqrt(x.square().mean(dim, keepdim=True) + 1e-8)


class PerImage(nn.Module):
    """γ (x − μ) / √(σ² + ε) + β, μ and σ² (biased) over the pixels of each image and channel: (N, C, H, W) → the same.

    affine: γ begins as N(1, 0.02) and β as 0: it is batch normalisation of a batch of one image. Without it γ = 1 and
    β = 0 for good. A single pixel has no spread, and would become 0 whatever it was: of 1×1 maps only γ x + β is taken.

    >>> y = PerImage(2, affine=False)(torch.randn(3, 2, 8, 8))
    >>> bool(y.mean((2, 3)).abs().max() < 1e-5), bool((y.var((2, 3), correction=0) - 1).abs().max() < 1e-2)
    (True, True)
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, channels: int, *, affine: bool) -> None:
        super().__init__()
        self.channels = channels
        self.register_parameter("weight", nn.Parameter(torch.empty(channels).normal_(1.0, 0.02)) if affine else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(channels)) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] * x.shape[-1] > 1:
            # One group for each channel: the same as instance_norm, and twice as fast on a CPU.
            return F.group_norm(x, self.channels, self.weight, self.bias, EPSILON)
        if self.weight is None or self.bias is None:
            return x
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def layer(norm: Norm, channels: int) -> nn.Module:
    """The normalisation of `channels` maps that is called `norm`; "none" is the identity."""
    return nn.Identity() if norm == "none" else PerImage(channels, affine=norm == "affine")
