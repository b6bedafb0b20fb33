"""Objectives in which D gives a score, not a probability: least squares, hinge, and the Wasserstein critic."""

from __future__ import annotations

from torch import Tensor

from sparring.losses.logits import LossTerms

# ── least squares: Mao et al. 2017, eq. 2, 8 and 9 ────────────────────────────────────────────────────────────────


def least_squares_discriminator(s_real: Tensor, s_fake: Tensor, a: float, b: float) -> LossTerms:
    """D lowers ½ E_x[(s(x) − b)²] + ½ E_z[(s(G(z)) − a)²]: a regression of the labels a (fake) and b (real).

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, in [0, ∞). Mao et al. 2017, "Least squares GANs", eq. 2. The
    optimum is s* = (b p + a q) / (p + q), with the value ½ (b − a)² Σ pq/(p + q).

    The table of objectives has the labels −1 and 1: the usual 0 and 1 after s = 2D − 1 (and four times the loss), so
    that s > 0 means "rather real", as it does for every other objective here.

    >>> import torch
    >>> least_squares_discriminator(torch.zeros(1), torch.zeros(1), a=0.0, b=1.0)
    {'real': tensor([0.5000]), 'fake': tensor([0.])}
    """
    return {"real": 0.5 * (s_real - b).square(), "fake": 0.5 * (s_fake - a).square()}


def least_squares_generator(s_real: Tensor | None, s_fake: Tensor, c: float) -> LossTerms:
    """G lowers ½ E_z[(s(G(z)) − c)²]: fakes shall be given the score c.

    (…), (M, …) → {"fake": (M, …)}, in [0, ∞). Mao et al. 2017, eq. 2. c = b is the usual choice (their eq. 9). With
    b − c = 1 and b − a = 2 (their eq. 8: a, b, c = −1, 1, 0) and the best D this and the same over reals, which does
    not move G, add up to ½ Σ (p − q)²/(p + q): Pearson's χ² between p + q and 2q, halved. The gradient grows with the
    distance from c: no saturation. `s_real` is not used.
    """
    return {"fake": 0.5 * (s_fake - c).square()}


def smoothed_real(s_real: Tensor, target: float, a: float, b: float) -> Tensor:
    """½ (s(x) − a − α (b − a))²: the label of reals at the share α of the way from the fake label a to b.

    (N, …) → (N, …). One-sided label smoothing (Salimans et al. 2016, section 3.4); target: α.
    """
    return 0.5 * (s_real - (a + target * (b - a))).square()


# ── hinge: Lim & Ye 2017; Tran et al. 2017; Miyato et al. 2018, eq. 16 and 17 ─────────────────────────────────────


def hinge_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """D lowers E_x[max(0, 1 − s(x))] + E_z[max(0, 1 + s(G(z)))]: no effort beyond the margin.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, in [0, ∞). Miyato et al. 2018, eq. 16. The optimum is
    s* = sign(p − q), with the value 2 − 2 TV(p, q).

    >>> import torch
    >>> hinge_discriminator(torch.tensor([0.5, 2.0]), torch.tensor([0.5, -2.0]))
    {'real': tensor([0.5000, 0.0000]), 'fake': tensor([1.5000, 0.0000])}
    """
    return {"real": (1.0 - s_real).relu(), "fake": (1.0 + s_fake).relu()}


# ── Wasserstein: Arjovsky et al. 2017 ─────────────────────────────────────────────────────────────────────────────


def wasserstein_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """The critic raises E_x[s(x)] − E_z[s(G(z))], which is W₁(p, q) if s is the best 1-Lipschitz function.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, unbounded. Arjovsky et al. 2017, eq. 2. The Lipschitz
    constraint is not part of this function: it needs a penalty or clipping.
    """
    return {"real": -s_real, "fake": s_fake}


def wasserstein_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers −E_z[s(G(z))]. (…), (M, …) → {"fake": (M, …)}. Arjovsky et al. 2017, eq. 3. `s_real` is not used.

    The hinge game has the same half (Miyato et al. 2018, eq. 17).
    """
    return {"fake": -s_fake}
