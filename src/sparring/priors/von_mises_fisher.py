"""The uniform law on the unit sphere S^(m−1) of R^m, and the von Mises-Fisher law around a point μ of it.

vMF(x; μ, κ) = C_m(κ) exp(κ μᵀx), C_m(κ) = κ^(m/2−1) / ((2π)^(m/2) I_{m/2−1}(κ)); κ → 0 is the uniform law. Here m ≥ 2
is how many coordinates a point has: the sphere S^d has m = d + 1 of them. κ is (n,), positive; nats everywhere.

Sources: Ulrich 1984 and Wood 1994 (the sampler); Davidson et al. 2018, "Hyperspherical variational auto-encoders",
arXiv:1804.00891 (its use, and the gradient through a rejection sampler after Naesseth et al. 2017).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from sparring.ops.bessel import log_normalised
from sparring.types import Dice

PROPOSALS, NODES = 6, 16


# ── numbers of the law ────────────────────────────────────────────────────────────────────────────────────────────


def log_area(m: int) -> float:
    """log of the area of S^(m−1), 2 π^(m/2) / Γ(m/2): the entropy of the uniform law, and minus its log density.

    >>> round(math.exp(log_area(3)) / math.pi, 9)
    4.0
    """
    return math.log(2) + 0.5 * m * math.log(math.pi) - math.lgamma(0.5 * m)


def mean_resultant(kappa: Tensor, m: int) -> Tensor:
    """A_m(κ) = E[μᵀx] = I_{m/2}(κ) / I_{m/2−1}(κ), in [0, 1[."""
    return log_normalised(m / 2 - 1, kappa)[1]


def log_normaliser(kappa: Tensor, m: int) -> Tensor:
    """log C_m(κ); minus `log_area` at κ → 0."""
    return -log_normalised(m / 2 - 1, kappa)[0] - log_area(m)


def log_density(x: Tensor, mean: Tensor, kappa: Tensor) -> Tensor:
    """log vMF(x; μ, κ): (n, m), (n, m), (n,) → (n,)."""
    return log_normaliser(kappa, x.shape[-1]) + kappa * (mean * x).sum(-1)


def kl_to_uniform(kappa: Tensor, m: int) -> Tensor:
    """KL(vMF(μ, κ) ‖ uniform) = κ A_m(κ) + log C_m(κ) + log area: (n,) → (n,), whatever μ is. Its slope is κ A'_m(κ).

    >>> [round(float(kl_to_uniform(torch.tensor(10.0, dtype=torch.float64), m)), 6) for m in (2, 3, 11)]
    [1.543026, 1.995732, 2.438345]
    """
    wide = kappa.double()  # two numbers of the size of κ, whose difference is of the size of log κ
    value, ratio = log_normalised(m / 2 - 1, wide)
    return (wide * ratio - value).to(kappa.dtype)


def entropy(kappa: Tensor, m: int) -> Tensor:
    """−E[log vMF], (n,)."""
    return log_area(m) - kl_to_uniform(kappa, m)


# ── points ────────────────────────────────────────────────────────────────────────────────────────────────────────


def draw(dice: Dice, m: int) -> Tensor:
    """(n, m) float32, uniform on the whole unit sphere, one point per sample of `dice`: point k does not depend on n.

    >>> from sparring.chance import Dice
    >>> points = draw(Dice(0, "z", range(1000)), 3)
    >>> bool((points.norm(dim=1) - 1).abs().max() < 1e-6), bool(points.mean(0).norm() < 0.1)
    (True, True)
    """
    return torch.nn.functional.normalize(dice.normal(m).double(), dim=-1).float()


def draw_around(dice: Dice, mean: Tensor, kappa: Tensor) -> Tensor:
    """(n, m): one point of vMF(μ, κ) for each row of `mean` (n, m), |μ| = 1, and `kappa` (n,); point k does not depend
    on n. Differentiable in both: the gradient of any mean over points is that of its expectation (`_cosine`).

    Around the first axis a point is (t, √(1 − t²) v), v uniform on S^(m−2); a reflection takes that axis to μ.
    """
    t, sine, v = _cosine(dice, kappa.double(), mean.shape[-1])
    around = torch.cat([t[:, None], sine[:, None] * v], 1)
    return reflect(around.to(mean.dtype), mean)


def reflect(x: Tensor, mean: Tensor) -> Tensor:
    """(n, m) x, where its first axis becomes μ: x − 2 u uᵀx (Householder), u along e₁ − μ; where μ lies on the side of
    e₁, along e₁ + μ and with the other sign, so that no direction is near 0 / 0."""
    side = torch.where(mean[:, :1] < 0, 1.0, -1.0).to(mean)
    axis = torch.zeros_like(mean)
    axis[:, 0] = 1
    u = torch.nn.functional.normalize(axis - side * mean, dim=1)
    return side * (x - 2 * u * (u * x).sum(1, keepdim=True))


def _cosine(dice: Dice, kappa: Tensor, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """t = μᵀx (n,), √(1 − t²) (n,), and a direction v (n, m − 1), in float64; t and its sine carry dt/dκ.

    m = 3: inversion of P(t ≤ s) in closed form. Else Ulrich's and Wood's: a uniform point y of the sphere gives
    ε = (1 − y₁) / 2 ~ Beta((m − 1)/2, (m − 1)/2) and, independent of it, v; t = h(ε, b) is accepted where
    log u ≤ (m − 1) (log τ − τ + 1), τ = (1 + b) / (2 (1 − (1 − b) ε)) (`Wood`).
    """
    if m == 3:
        v = torch.nn.functional.normalize(dice.normal(2).double(), dim=1)
        share = dice.uniform().double() + 2.0**-25  # in (0, 1): the middles of the 2^24 steps
        below = -torch.log(share + (1 - share) * torch.exp(-2 * kappa)) / kappa  # 1 − t
        return 1 - below, torch.sqrt(below * (2 - below)), v
    law = Wood(kappa.detach(), m)
    y, u = _proposals(dice, PROPOSALS, m)
    first, some = _first(law, y, u)
    more = PROPOSALS
    while not some.all():  # a throw of twice as many; every row's numbers are functions of its own dice alone
        more *= 2
        again, found = _first(law, *_proposals(dice, more, m))
        first = torch.where((found & ~some)[:, None], again, first)
        some = some | found
    small, large, v = first[:, 0], first[:, 1], first[:, 2:]
    t, sine = law.point(small, large)
    if kappa.requires_grad and torch.is_grad_enabled():
        step = law.slope(small, large) * (kappa - kappa.detach())  # 0, with a slope
        t, sine = t + step, sine - t / sine * step
    return t, sine, v


def _proposals(dice: Dice, count: int, m: int) -> tuple[Tensor, Tensor]:
    """(n, count, m) normal, (n, count) uniform in (0, 1), float64."""
    return dice.normal(count, m).double(), dice.uniform(count).double() + 2.0**-25


def _first(law: Wood, z: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The first proposal of each row that is accepted, (n, 2 + m − 1): ε, 1 − ε, v; and whether there is one, (n,)."""
    side = z[..., 0]
    rest = z[..., 1:].square().sum(-1)
    radius = torch.sqrt(side.square() + rest)
    near = rest / (2 * radius * (radius + side.abs()))  # the smaller of ε and 1 − ε, without a difference
    small = torch.where(side > 0, near, 1 - near)
    refused = torch.log(u) > law.log_accept(small)  # NaN is accepted: whoever trains says so
    at = refused.to(torch.uint8).argmin(1)
    rows = torch.arange(len(at), device=at.device)
    chosen = z[rows, at]
    large = torch.where(side > 0, 1 - near, near)
    v = torch.nn.functional.normalize(chosen[:, 1:], dim=1)
    found = torch.cat([small[rows, at, None], large[rows, at, None], v], 1)
    return found, ~refused.all(1)


class Wood:
    """t = h(ε, b) = (1 − (1 + b) ε) / (1 − (1 − b) ε), b = (√(4κ² + (m − 1)²) − 2κ) / (m − 1), and its acceptance.

    kappa: (n,) float64, without gradient. In what follows D = 1 − (1 − b) ε and α = (m − 1) / 2.
    """

    def __init__(self, kappa: Tensor, m: int) -> None:
        self.alpha = 0.5 * (m - 1)
        root = torch.sqrt(4 * kappa.square() + (m - 1) ** 2)
        self.b = (m - 1) / (2 * kappa + root)
        self.b_slope = -2 * self.b / root  # db/dκ

    def log_accept(self, small: Tensor) -> Tensor:
        """log P(ε is accepted) = 2α (log τ − τ + 1) ≤ 0, τ = (1 + b) / 2D: (n, k) ε → (n, k)."""
        b = self.b[:, None]
        tau = (1 + b) / (2 * (1 - (1 - b) * small))
        return 2 * self.alpha * (torch.log(tau) - tau + 1)

    def point(self, small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
        """t and √(1 − t²) of ε and 1 − ε, (n,) each: 1 + t = 2 (1 − ε) / D, 1 − t = 2bε / D."""
        divisor = large + self.b * small
        return (large - self.b * small) / divisor, 2 * torch.sqrt(self.b * small * large) / divisor

    def slope(self, small: Tensor, large: Tensor) -> Tensor:
        """dt/dκ, (n,): how the point of an accepted ε moves with κ, so that all of them together follow the law.

        dt/db = ∂h/∂b + ∂h/∂ε · v(ε) = −2 (ε (1 − ε) + b v) / D². The first part is the path of the proposal. The
        second is the correction of the acceptance: ε is not drawn from Beta(α, α) but from p(ε) = Beta · e^g / P, g the
        logarithm of the acceptance, which moves with b as well. In one dimension exactly one path follows it,
        v(ε) = −(1/p) ∫₀^ε p (∂g/∂b − E ∂g/∂b). (Naesseth et al. 2017 and Davidson et al. 2018 add the same in
        expectation, f · ∂ log(q/r): an integration by parts of it, unbiased but with the variance of a score.)
        """
        divisor = large + self.b * small
        return -2 * (small * large + self.b * self.correction(small, large)) / divisor.square() * self.b_slope

    def correction(self, small: Tensor, large: Tensor) -> Tensor:
        """v(ε), (n,): the integral from the end that is nearer, by Gauss-Jacobi quadrature (weight y^(α−1))."""
        below = small <= 0.5
        near = torch.minimum(small, large)
        y, weight = (x.to(near) for x in _nodes(self.alpha))
        e = near[:, None] * y  # from the nearer end
        at = torch.where(below[:, None], e, 1 - e)
        g, g_here = self.log_accept(at), self.log_accept(torch.where(below, near, 1 - near)[:, None])
        inside = g - g_here + (self.alpha - 1) * (torch.log1p(-e) - torch.log1p(-near)[:, None])
        drift = self._drift(at) - self._mean_drift[:, None]
        integral = near * (weight * torch.exp(inside) * drift).sum(1)
        return torch.where(below, -integral, integral)

    def _drift(self, small: Tensor) -> Tensor:
        """∂g/∂b = α (1 − b)/(1 + b) · ((1 − 2ε) / D)²: (n, k) → (n, k)."""
        b = self.b[:, None]
        return self.alpha * (1 - b) / (1 + b) * ((1 - 2 * small) / (1 - (1 - b) * small)).square()

    @functools.cached_property
    def _mean_drift(self) -> Tensor:
        """E ∂g/∂b over what is accepted, (n,)."""
        y, weight = (x.to(self.b) for x in _nodes(self.alpha))
        total, mass = torch.zeros_like(self.b), torch.zeros_like(self.b)
        e = 0.5 * y.expand(len(self.b), -1)
        for at in (e, 1 - e):  # the half below and the half above
            share = weight * torch.exp(self.log_accept(at) + (self.alpha - 1) * torch.log1p(-e))
            total, mass = total + (share * self._drift(at)).sum(1), mass + share.sum(1)
        return total / mass


@functools.lru_cache(maxsize=64)
def _nodes(alpha: float) -> tuple[Tensor, Tensor]:
    """Nodes y and weights of ∫₀¹ y^(α−1) f(y) dy, exact up to degree 2 · NODES − 1 of f (Golub & Welsch 1969)."""
    beta, k = alpha - 1, torch.arange(NODES, dtype=torch.float64)
    diagonal = beta**2 / ((2 * k + beta) * (2 * k + beta + 2))
    diagonal[0] = beta / (beta + 2)
    k = k[1:]
    twice = 2 * k + beta
    beside = 2 * k * (k + beta) / (twice * torch.sqrt(twice.square() - 1))
    values, vectors = torch.linalg.eigh(diagonal.diag() + beside.diag(1) + beside.diag(-1))
    return (1 + values) / 2, vectors[0].square() / alpha
