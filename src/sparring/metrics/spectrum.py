"""Checkerboards in the spectrum: energy at the highest frequencies that the pixels can show.

Transposed convolutions and upsampling without a filter leave patterns with a period of two pixels (Odena et al. 2016,
"Deconvolution and checkerboard artifacts"), which are energy at the Nyquist frequency of either axis. Photographs have
almost none there, so the ratio to real images shows them long before an eye does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, ratio_of_means

_IMAGES = 256  # transformed at a time


def nyquist_share(images: Tensor) -> Tensor:
    """The share of each image's energy, without its mean, on the lines of the spectrum where either frequency is the
    highest: (n,) float64 in [0, 1]. Of white noise it is about 1 − (1 − 1/H)(1 − 1/W) on even sides.

    images: (n, C, H, W), any range and type, H and W at least 4. A constant image has 0.

    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)[None, None]
    >>> nyquist_share(board), nyquist_share(torch.ones(1, 3, 8, 8))
    (tensor([1.], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    if images.dim() != 4 or min(images.shape[2:]) < 4:
        raise SparringError(
            "METRIC-SHAPE", f"images {tuple(images.shape)} must be (n, C, H, W) of at least 4 px a side"
        )
    h, w = images.shape[2:]
    shares = []
    for part in torch.split(images, _IMAGES):
        x = part.double()
        energy = torch.fft.fft2(x - x.mean((2, 3), keepdim=True)).abs().square().sum(1)  # (n, H, W)
        total = energy.sum((1, 2))
        inner = energy.clone()
        inner[:, _highest(h)] = 0.0
        inner[:, :, _highest(w)] = 0.0
        floor = 1e-20 * h * h * w * w  # rounding of a constant image
        shares.append(torch.where(total > floor, 1.0 - inner.sum((1, 2)) / total.clamp(min=floor), 0.0))
    return torch.cat(shares).clamp(0.0, 1.0).cpu()


def checkerboard(fake: Tensor, real: Tensor) -> Measured:
    """Mean `nyquist_share` of fake (n, C, H, W) over that of real (m, C, H, W), of the same size and range; 1 is what
    it should be. With the interval of a ratio of means. Infinite where real images have none and fakes have some.

    >>> noise = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> print(checkerboard(noise[:32], noise[32:]))
    0.99... [0.89..., 1.10...]
    """
    if fake.shape[1:] != real.shape[1:] or min(len(fake), len(real)) < 2:
        raise SparringError("METRIC-SHAPE", f"images {tuple(fake.shape)} and {tuple(real.shape)} cannot be compared")
    return ratio_of_means(nyquist_share(fake), nyquist_share(real))


def _highest(n: int) -> list[int]:
    """The places of the highest frequency among n: one of an even number, two of an odd one."""
    return [n // 2] if n % 2 == 0 else [n // 2, n // 2 + 1]
