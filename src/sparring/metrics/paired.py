"""How far an image is from the one that it should be: a number for each pair.

All are of 8-bit images (N, C, H, W), C in 1, 3, 4, in the units of [0, 1]: what a viewer gets to see. Alpha is laid on
white, so that what cannot be seen does not count. Each measure gives (N,) float64, and the mean over pairs is measured
by `mean`: images are what chance acts on, pixels of one image depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import DataError
from sparring.metrics.uncertainty import LEVEL, Measured, bootstrap_mean
from sparring.networks import lpips as network_of_lpips

WINDOW, SIGMA = 11, 1.5
"""Side and standard deviation of the Gaussian window of SSIM (Wang et al. 2004, section III-C), in pixels."""
_K1, _K2 = 0.01, 0.03
_PIECE = 8  # images at a time: the maps of SSIM of 256 px take some 20 MB


def l1(made: Tensor, truth: Tensor) -> Tensor:
    """Mean of |made − truth| over pixels and channels, (N,) in [0, 1]; 0 for equal images.

    >>> l1(torch.full((1, 1, 2, 2), 51, dtype=torch.uint8), torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
    tensor([0.2000], dtype=torch.float64)
    """
    return _by_pieces(lambda x, y: (x - y).abs().flatten(1).mean(1), made, truth)


def mse(made: Tensor, truth: Tensor) -> Tensor:
    """Mean of (made − truth)² over pixels and channels, (N,) in [0, 1]; 0 for equal images.

    >>> mse(torch.full((1, 1, 2, 2), 51, dtype=torch.uint8), torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
    tensor([0.0400], dtype=torch.float64)
    """
    return _by_pieces(lambda x, y: (x - y).square().flatten(1).mean(1), made, truth)


def psnr(errors: Tensor, seed: int = 0) -> Measured:
    """10 log₁₀ (1 / mean of `mse` over all pairs), in dB, with its 95 % interval; 20 is poor, 40 hard to tell from the
    truth. Not the mean of the decibels of each pair: one pair that is equal makes that infinite, or whatever number is
    put in its place. This is infinite only where all pairs are equal.

    >>> print(psnr(torch.tensor([0.0, 0.02] * 20, dtype=torch.float64)))
    20.0000 [18..., 2...]
    """
    found = mean(errors, seed)
    if found.interval == "Student" and found.value > 0:  # a symmetric interval of errors may reach below 0
        half = 10 / math.log(10) * (found.high - found.value) / found.value
        return Measured(decibels(found.value), decibels(found.value) - half, decibels(found.value) + half, "Student")
    return Measured(decibels(found.value), decibels(found.high), decibels(found.low), found.interval)


def decibels(error: float) -> float:
    """10 log₁₀ (1 / a mean squared error of values in [0, 1]), infinite of 0."""
    return -10.0 * math.log10(error) if error > 0 else math.nan if math.isnan(error) else math.inf


def ssim(made: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, eq. 13, K₁ = 0.01, K₂ = 0.03): how well local means, contrasts and
    patterns agree, averaged over all places where the window lies inside (as in the authors' code; torchmetrics counts
    the border too), and over channels; (N,) at most 1.

    Raises `DataError` where a side is shorter than the window.
    """
    if min(made.shape[2:]) < WINDOW:
        raise DataError(
            "METRIC-SMALL", f"SSIM needs images of {WINDOW} pixels a side", where=str(tuple(made.shape[2:]))
        )
    return _by_pieces(lambda x, y: _similarity(x, y).flatten(1).mean(1), made, truth)


def lpips(network: network_of_lpips.LPIPS, made: Tensor, truth: Tensor) -> Tensor:
    """LPIPS of each pair (`networks.lpips`), (N,): 0 for equal images, about 0.7 for unrelated ones. Images below 32 px
    are enlarged by whole numbers, since the network sees nothing in them."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def measure(x: Tensor, y: Tensor) -> Tensor:
        factor = -(-32 // min(x.shape[2:])) if min(x.shape[2:]) < 32 else 1
        sides = [F.interpolate(each, scale_factor=factor, mode="bilinear") if factor > 1 else each for each in (x, y)]
        found: Tensor = network(*(side.float().to(device) * 2 - 1 for side in sides))
        return found.cpu().double()

    return _by_pieces(measure, made, truth)


def mean(values: Tensor, seed: int = 0) -> Measured:
    """The mean of one number per pair with its 95 % interval: bootstrap over pairs; of fewer than 30, whose bootstrap
    is too narrow, Student's."""
    from scipy.special import stdtrit  # Student's quantile, as of scipy.stats, which takes a second to import

    n = len(values)
    if n >= 30:
        return bootstrap_mean(values, seed=seed)
    value, error = float(values.mean()), float(values.std()) / math.sqrt(n) if n > 1 else math.nan
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error if n > 1 else math.nan
    return Measured(value, value - half, value + half, "Student")


# ── what they have in common ──────────────────────────────────────────────────────────────────────────────────────


def _by_pieces(measure: Callable[[Tensor, Tensor], Tensor], made: Tensor, truth: Tensor) -> Tensor:
    """`measure` of (n, C, H, W) float64 in [0, 1], some pairs at a time."""
    if made.shape != truth.shape or made.dtype != torch.uint8 or truth.dtype != torch.uint8 or made.dim() != 4:
        raise DataError(
            "METRIC-PAIRS", f"{tuple(made.shape)} {made.dtype} and {tuple(truth.shape)} {truth.dtype} are no pairs",
            why="both must be uint8 (N, C, H, W), of the same shape",
        )  # fmt: skip
    pieces = [
        measure(_unit(x), _unit(y))
        for x, y in zip(*(torch.split(side, _PIECE) for side in (made, truth)), strict=True)
        if len(x)
    ]
    return torch.cat(pieces) if pieces else torch.zeros(0, dtype=torch.float64)


def _unit(images: Tensor) -> Tensor:
    """uint8 → float64 in [0, 1], without alpha."""
    x = images.double() / 255.0
    return x[:, :3] * x[:, 3:] + (1.0 - x[:, 3:]) if x.shape[1] == 4 else x


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """The map of SSIM, (n, C, H − 10, W − 10)."""
    c1, c2 = _K1**2, _K2**2
    means = [_blurred(each) for each in (x, y, x * x, y * y, x * y)]
    mx, my = means[0], means[1]
    vx, vy, covariance = means[2] - mx * mx, means[3] - my * my, means[4] - mx * my
    return (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))


def _blurred(x: Tensor) -> Tensor:
    """Means under the window, where it lies inside: (n, C, H, W) → (n, C, H − 10, W − 10)."""
    rows, columns = (_band(side).to(x) for side in x.shape[2:])
    return rows.T @ x @ columns


def _band(side: int) -> Tensor:
    """(side, side − 10): the weights of the window at each of its places along one axis."""
    at = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-at.square() / (2 * SIGMA**2))
    places = torch.arange(side - WINDOW + 1)
    band = torch.zeros(side, len(places), dtype=torch.float64)
    for k, weight in enumerate(line / line.sum()):
        band[places + k, places] = weight
    return band
