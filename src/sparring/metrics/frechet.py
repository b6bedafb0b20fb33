"""The Fréchet distance of two sets of features, seen as normal laws (FID; Heusel et al. 2017, "GANs trained by a two
time-scale update rule").

d² = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½): the squared Wasserstein distance of the two normals. All in float64;
the root is taken through the eigenvalues of the symmetric product, which are clipped at 0: no complex numbers, no ε on
the diagonal.

From finitely many samples it is too large, by about c (1/n + 1/m) with a c that depends on the features and on the
generator (Chong & Forsyth 2020, "Effectively unbiased FID"): compare at equal n only, and read `fid_infinity`, or KID,
where n is not much larger than the number of dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sparring.chance import permutation
from sparring.errors import SparringError
from sparring.metrics.uncertainty import Measured, influence_error, normal

_ROWS = 4096  # features in float64 at a time
_LEVELS = (1, 4, 3, 2)  # of `fid_infinity`: all samples; then one of 4, of 3, of 2 parts is left out


class Moments:
    """Number, mean and scatter of features, in one pass, mergeable over batches, shards and processes.

    Any batch size and any order of merging gives the same to rounding (Chan, Golub & LeVeque 1983): nothing is
    subtracted that was summed before.

    >>> x = torch.arange(12.0).reshape(6, 2)
    >>> both = Moments(2).update(x[:2]).merge(Moments(2).update(x[2:]))
    >>> both.n, both.mean, both.covariance[0, 1]
    (6, tensor([5., 6.], dtype=torch.float64), tensor(14., dtype=torch.float64))
    """

    def __init__(self, dimensions: int, device: str | torch.device = "cpu") -> None:
        self.n = 0
        self.mean = torch.zeros(dimensions, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=device)

    @property
    def dimensions(self) -> int:
        return len(self.mean)

    @property
    def covariance(self) -> Tensor:
        """(d, d) float64, unbiased: scatter / (n − 1); n at least 2."""
        if self.n < 2:
            raise SparringError("METRIC-FEW", f"{self.n} samples have no covariance", fix="measure with more samples")
        return self.scatter / (self.n - 1)

    def update(self, features: Tensor) -> Moments:
        """With features (n, d) as well; returns itself."""
        if features.dim() != 2 or features.shape[1] != self.dimensions:
            raise SparringError(
                "METRIC-SHAPE", f"features {tuple(features.shape)} do not fit moments of {self.dimensions} dimensions"
            )
        for rows in torch.split(features.detach(), _ROWS):
            if len(rows):
                x = rows.to(self.mean.device, torch.float64)
                mean = x.mean(0)
                centred = x - mean
                self._add(len(x), mean, centred.T @ centred)
        return self

    def merge(self, other: Moments) -> Moments:
        """With what another one has seen; returns itself. The other stays as it is."""
        if other.dimensions != self.dimensions:
            raise SparringError("METRIC-SHAPE", f"moments of {other.dimensions} and {self.dimensions} dimensions")
        self._add(other.n, other.mean.to(self.mean.device), other.scatter.to(self.mean.device))
        return self

    def state(self) -> dict[str, Tensor]:
        """Everything it knows, as tensors to be stored or sent: n (1,) int64, mean (d,), scatter (d, d)."""
        return {"n": torch.tensor([self.n]), "mean": self.mean.clone(), "scatter": self.scatter.clone()}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Moments:
        """What `state` gave."""
        moments = cls(len(state["mean"]), state["mean"].device)
        moments.n = int(state["n"])
        moments.mean, moments.scatter = state["mean"].double().clone(), state["scatter"].double().clone()
        return moments

    def _add(self, n: int, mean: Tensor, scatter: Tensor) -> None:
        if not n:
            return
        total = self.n + n
        apart = mean - self.mean
        self.scatter += scatter
        self.scatter += torch.outer(apart, apart).mul_(self.n * n / total)
        self.mean += apart * (n / total)
        self.n = total


def moments(features: Tensor) -> Moments:
    """Of features (n, d) that are all there."""
    return Moments(features.shape[1], features.device).update(features)


def distance(a: Moments, b: Moments) -> float:
    """The squared Fréchet distance of two sets from their moments, ≥ 0; either of at least 2 samples.

    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    >>> round(distance(moments(x), moments(x + 2.0)), 6)  # |shift|²
    12.0
    """
    root = _root(a.covariance)
    values = torch.linalg.eigvalsh(_symmetric(root @ b.covariance @ root)).clamp(min=0.0)
    return _value(a, b, values)


def fid(x: Tensor, y: Tensor) -> Measured:
    """The Fréchet distance of features x (n, d) and y (m, d), with an interval; n, m at least 3.

    The interval is from the influence of every sample (see `uncertainty`): with δ = μ₁ − μ₂ and the gradient Γ of d²
    with respect to Σ₁, that of x is 2 δᵀ(x − μ₁) + (x − μ₁)ᵀ Γ (x − μ₁) up to a constant. It says how far the value
    moves from one draw of n and m samples to another; the bias of few samples, which is often larger, is not in it.
    """
    a, b = moments(x), moments(y)
    value, of_x, of_y = _influences(x, y, a, b)
    return normal(value, influence_error(of_x, of_y), "infinitesimal jackknife")


def fid_infinity(x: Tensor, y: Tensor, seed: int = 0) -> Measured:
    """The Fréchet distance that infinitely many samples would give: x (n, d), y (m, d), n, m ≥ 8 and better ≥ 4 d.

    As Chong & Forsyth 2020: the distance of parts of either side is a straight line in one over their size, and the
    line is followed to 0. The parts are ¾, ⅔ and ½ of the samples, each size as often as it takes that every sample is
    used equally, so that the extrapolation adds little noise; the interval is then that of `fid` with the scatter of
    the parts around the line.

    It can be a little negative where the laws are alike. Where n or m is below about 2 d the line is not straight, and
    the number is no better than the one of all samples: see `warning`.
    """
    if min(len(x), len(y)) < 8:
        raise SparringError("METRIC-FEW", "an extrapolation needs at least 8 samples of each side")
    a, b = moments(x), moments(y)
    full, of_x, of_y = _influences(x, y, a, b)
    inverse, values = [1.0], [full]
    for parts in _LEVELS[1:]:
        left_x, left_y = _without(x, parts, seed, "x"), _without(y, parts, seed, "y")
        inverse.append(parts / (parts - 1))
        values.append(float(np.mean([distance(p, q) for p, q in zip(left_x, left_y)])))
    t, f = np.array(inverse), np.array(values)
    weights = 1 / len(t) - t.mean() * (t - t.mean()) / np.square(t - t.mean()).sum()  # of the intercept
    residual = f - np.polyval(np.polyfit(t, f, 1), t)
    around = float(np.square(weights).sum() * np.square(residual).sum() / (len(t) - 2))
    error = math.hypot(influence_error(of_x, of_y), math.sqrt(around))
    return normal(float(weights @ f), error, "infinitesimal jackknife")


def warning(n_real: int, n_fake: int, dimensions: int) -> str:
    """What to say about a Fréchet distance of so few samples, and what to read instead; empty where they are enough.

    >>> warning(500, 10_000, 1280)
    '500 samples in 1280 dimensions: the covariance is singular and the distance far too large; read kid instead'
    """
    n = min(n_real, n_fake)
    if n <= dimensions:
        return (
            f"{n} samples in {dimensions} dimensions: the covariance is singular and the distance far too large; "
            "read kid instead"
        )
    if n < 10 * dimensions:
        return (
            f"{n} samples in {dimensions} dimensions: too large by a bias that differs between generators; compare "
            f"only at equal n, and read {'kid' if n < 4 * dimensions else 'fid_inf or kid'} as well"
        )
    return ""


def _influences(x: Tensor, y: Tensor, a: Moments, b: Moments) -> tuple[float, Tensor, Tensor]:
    """The distance, and how much every sample of x, (n,), and of y, (m,), moves it.

    With A = Σ₁, B = Σ₂, M = A^½ B A^½ the gradients are I − A^{-½} M^½ A^{-½} and I − A^½ M^{-½} A^½; on the samples
    themselves both are bounded where A and M are singular, since samples have no part there.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    values = values.clamp(min=0.0)
    root = (vectors * values.sqrt()) @ vectors.T
    inverse = (vectors * _inverse_root(values)) @ vectors.T
    products, axes = torch.linalg.eigh(_symmetric(root @ b.covariance @ root))
    products = products.clamp(min=0.0)
    apart = a.mean - b.mean
    half_x = inverse @ (axes * products.pow(0.25))  # Γ₁ = I − half halfᵀ
    half_y = root @ (axes * _inverse_root(products).sqrt())
    of_x = _quadratic(x, a.mean, apart, half_x)
    of_y = _quadratic(y, b.mean, -apart, half_y)
    return _value(a, b, products), of_x, of_y


def _quadratic(x: Tensor, mean: Tensor, apart: Tensor, half: Tensor) -> Tensor:
    """2 apartᵀ c + |c|² − |halfᵀ c|² of every c = x − mean, (n,)."""
    parts = []
    for rows in torch.split(x, _ROWS):
        c = rows.double() - mean
        parts.append(2 * c @ apart + c.square().sum(1) - (c @ half).square().sum(1))
    return torch.cat(parts)


def _without(x: Tensor, parts: int, seed: int, side: str) -> list[Moments]:
    """Moments of x without each of `parts` random parts of it."""
    order = torch.from_numpy(permutation(seed, f"fid/{side}", parts, len(x)))
    pieces = [moments(x[rows]) for rows in torch.tensor_split(order, parts)]
    left = []
    for out in range(parts):
        rest = Moments(x.shape[1], x.device)
        for k, piece in enumerate(pieces):
            if k != out:
                rest.merge(piece)
        left.append(rest)
    return left


def _value(a: Moments, b: Moments, products: Tensor) -> float:
    apart = (a.mean - b.mean).square().sum()
    value = apart + a.covariance.trace() + b.covariance.trace() - 2 * products.sqrt().sum()
    return max(0.0, float(value))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    return root


def _inverse_root(values: Tensor) -> Tensor:
    """λ^{-½}, and 0 where λ is 0 to rounding."""
    floor = float(values.max()) * len(values) * torch.finfo(values.dtype).eps
    inverse: Tensor = values.clamp(min=1e-300).rsqrt()
    return inverse.masked_fill(values <= floor, 0.0)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
