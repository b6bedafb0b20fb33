"""How much fine structure images have, and whether the quiet parts of them have any: what averaging takes away.

A model that minimises an expected error per pixel draws the mean of all images that a code could stand for. What its
code does not keep (the background of a face, seldom the same twice) comes out smooth: "during decoding the model
predicts an average background, as the background is not what we try to encode". So measure there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, ratio_of_means

PATCH = 4
"""Pixels of a side of the squares in which variance is local."""
_IMAGES = 256  # looked at together


def local_variance(images: Tensor) -> Tensor:
    """The variance inside each square of 4 × 4 pixels, (n, H // 4, W // 4) float64: Σ (x − mean)² / 15, the mean over
    channels. The squares do not overlap; what is left of a side that is no multiple of 4 does not count.

    images: (n, C, H, W), any range and type, H and W at least 8. It is 0 where a square is of one colour, σ² on average
    for independent noise of variance σ² on such squares, and c² times as much for images times c.

    >>> stripes = torch.tensor([0.0, 1.0]).repeat(8, 4)[None, None]
    >>> local_variance(stripes)
    tensor([[[0.2667, 0.2667],
             [0.2667, 0.2667]]], dtype=torch.float64)
    """
    return _patches(images)[1]


def quiet(images: Tensor) -> Tensor:
    """Which half of the squares of each image has no edge near: (n, H // 4, W // 4) bool, ⌈P / 2⌉ of P squares.

    Those whose mean colour differs least from that of the squares beside, above and below (mean squared difference over
    neighbours and channels; of equal ones those that come first, row by row). Of Gaussian noise the mean of a square
    and what varies inside it are independent, so that choosing by the one leaves the other as it is on average.

    >>> image = torch.zeros(1, 1, 8, 16)
    >>> image[..., 8:12] = 1.0
    >>> quiet(image)
    tensor([[[ True,  True, False, False],
             [ True,  True, False, False]]])
    """
    return _quiet(_patches(images)[0])


def textures(images: Tensor, *, background: bool = False) -> Tensor:
    """(n,) float64: the mean `local_variance` of each image, over all squares or (background) over the `quiet` half.

    >>> textures(torch.ones(2, 3, 8, 8), background=True)
    tensor([0., 0.], dtype=torch.float64)
    """
    found = []
    for part in torch.split(images, _IMAGES):
        means, variances = _patches(part)
        chosen = _quiet(means) if background else torch.ones_like(variances, dtype=torch.bool)
        found.append((variances * chosen).sum((1, 2)) / chosen.sum((1, 2)))
    return torch.cat(found).cpu()


def texture(fake: Tensor, real: Tensor, *, background: bool = False) -> Measured:
    """Mean `textures` of fake (n, C, H, W) over that of real (m, C, H, W), of one size and range: 1 is what it should
    be, below 1 they are smoother than real images, above 1 rougher (noise counts as texture). With the interval of a
    ratio of means over images. Infinite where real images have none and fakes have some.

    >>> noise = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> print(texture(noise[:32] / 2, noise[32:]))
    0.24... [0.23..., 0.25...]
    """
    if fake.shape[1:] != real.shape[1:] or min(len(fake), len(real)) < 2:
        raise SparringError("METRIC-SHAPE", f"images {tuple(fake.shape)} and {tuple(real.shape)} cannot be compared")
    return ratio_of_means(textures(fake, background=background), textures(real, background=background))


def _patches(images: Tensor) -> tuple[Tensor, Tensor]:
    """(means (n, C, h, w), variances (n, h, w)) of the squares."""
    if images.dim() != 4 or min(images.shape[2:]) < 2 * PATCH:
        raise SparringError(
            "METRIC-SHAPE", f"images {tuple(images.shape)} must be (n, C, H, W) of at least {2 * PATCH} px a side"
        )
    n, c, height, width = images.shape
    h, w = height // PATCH, width // PATCH
    whole = images[:, :, : h * PATCH, : w * PATCH].double()
    squares = whole.reshape(n, c, h, PATCH, w, PATCH).permute(0, 1, 2, 4, 3, 5).flatten(4)
    return squares.mean(4), squares.var(4, correction=1).mean(1)


def _quiet(means: Tensor) -> Tensor:
    """`quiet` from the mean colours (n, C, h, w)."""
    n, _, h, w = means.shape
    down = (means[:, :, 1:] - means[:, :, :-1]).square().mean(1)  # (n, h − 1, w), between a square and the one below
    right = (means[:, :, :, 1:] - means[:, :, :, :-1]).square().mean(1)
    apart = F.pad(down, (0, 0, 0, 1)) + F.pad(down, (0, 0, 1, 0)) + F.pad(right, (0, 1)) + F.pad(right, (1, 0))
    beside = torch.full((h, w), 4.0, dtype=means.dtype, device=means.device)
    for edge in (beside[0], beside[-1], beside[:, 0], beside[:, -1]):
        edge -= 1
    order = (apart / beside).flatten(1).argsort(dim=1, stable=True)
    chosen = torch.zeros(n, h * w, dtype=torch.bool, device=means.device)
    chosen.scatter_(1, order[:, : (h * w + 1) // 2], True)
    return chosen.reshape(n, h, w)
