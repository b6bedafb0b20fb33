"""How the colours of images are distributed: what a blurred, ochre average of all answers gets wrong.

Where several colours are possible, the answer of least absolute error is their median, of least squared error their
mean, and neither is a colour of the data (Isola et al. 2017, section 4.2: L1 alone is "greyish"). So errors per pixel
do not tell; the distribution of hues over the pixels that had to be coloured does.
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 12
COLOURLESS = 0.1


def histogram(images: Tensor, where: Tensor | None = None, *, bins: int = BINS) -> Tensor:
    """How often each hue occurs: (bins + 1,) float64 shares with sum 1; the last is of pixels without colour.

    images: (n, 3, h, w) sRGB in [0, 1].   where: (n, h, w) bool, the pixels that count; None: all.
    Hue is the angle of HSV; 0 is red, and bin k has its centre at k / bins of the circle. A pixel between two centres
    is shared linearly between them, so that a small change of colour is a small change here. A pixel whose channels
    differ by less than `COLOURLESS` has no hue.

    >>> red, grey = torch.tensor([1.0, 0, 0]), torch.tensor([0.5, 0.5, 0.5])
    >>> histogram(torch.stack([red, red, red, grey], 1)[None, :, None], bins=3)
    tensor([0.7500, 0.0000, 0.0000, 0.2500], dtype=torch.float64)
    """
    pixels = images.double().movedim(1, -1)  # (n, h, w, 3)
    pixels = pixels.reshape(-1, 3) if where is None else pixels[where]
    high, low = pixels.amax(1), pixels.amin(1)
    coloured = high - low >= COLOURLESS
    place = _hue(pixels[coloured]) * bins
    below = place.floor()
    part, below = place - below, below.long() % bins
    counts = torch.zeros(bins + 1, dtype=torch.float64)
    counts.index_add_(0, below, 1.0 - part).index_add_(0, (below + 1) % bins, part)
    counts[bins] = (~coloured).sum()
    return counts / counts.sum().clamp_min(1.0)


def _hue(pixels: Tensor) -> Tensor:
    """(n, 3) with some chroma → (n,) in [0, 1): the angle of HSV."""
    red, green, blue = pixels.unbind(1)
    high, chroma = pixels.amax(1), pixels.amax(1) - pixels.amin(1)
    sixth = torch.where(
        high == red, (green - blue) / chroma,
        torch.where(high == green, 2.0 + (blue - red) / chroma, 4.0 + (red - green) / chroma),
    )  # fmt: skip
    return (sixth / 6.0) % 1.0


def total_variation(made: Tensor, truth: Tensor, where: Tensor | None = None, *, bins: int = BINS) -> float:
    """½ Σ |p − q| of the two `histogram`s, in [0, 1]: the share of pixels that would have to change their hue.

    made, truth: (n, 3, h, w) sRGB in [0, 1].   where: (n, h, w), the pixels of both that count.
    The images of a finite set differ from those of another by chance alone: give the same images' truth, and compare
    with what another draw of true images gets.

    >>> total_variation(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
    0.0
    """
    p, q = histogram(made, where, bins=bins), histogram(truth, where, bins=bins)
    return float((p - q).abs().sum() / 2)


def entropy(shares: Tensor) -> float:
    """−Σ p log p over the hues of a `histogram`, among pixels that have one; 0 where none has. Nats, at most log(bins).

    >>> entropy(torch.tensor([0.25, 0.25, 0.0, 0.5]))
    0.6931471805599453
    """
    hues = shares[:-1].double()
    p = hues / hues.sum().clamp_min(1e-12)
    return float(-torch.xlogy(p, p).sum()) + 0.0
