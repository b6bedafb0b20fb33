"""Adversarial objectives as pure, unreduced functions of logits: one name per equation.

A logit s(x) says how real D finds x, with D(x) = σ(s(x)) where D is a probability. Each player *lowers* its terms; a
term has the shape of the logits it came from, (N,) or patch logits (N, 1, h, w), and is averaged by whoever steps.
All forms use softplus(s) = log(1 + eˢ), which neither overflows nor loses its gradient, so no ε is needed anywhere:

    softplus(−s) = −log σ(s) = −log D(x)              softplus(s) = −log(1 − σ(s)) = −log(1 − D(x))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sparring.errors import SparringError

LossTerms = dict[str, Tensor]


def softplus(s: Tensor) -> Tensor:
    """log(1 + eˢ), any shape. torch replaces it by s above a threshold of 20, which is 2e-9 off in float64: ours is 40.

    >>> import torch
    >>> softplus(torch.tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+04])
    """
    return F.softplus(s, threshold=40.0)


def _paired(name: str, s_real: Tensor | None, s_fake: Tensor) -> Tensor:
    """`s_real`, after checking that each real logit has a fake partner: (N, …) and (N, …), never broadcast."""
    if s_real is None or s_real.shape != s_fake.shape:
        found = "no logits" if s_real is None else f"{tuple(s_real.shape)}"
        raise SparringError(
            "LOSS-SHAPE",
            f"{found} for real samples, {tuple(s_fake.shape)} for fakes",
            where=f"losses.adversarial, {name}",
            why="this objective compares a real logit with a fake one; broadcasting would compare wrong pairs",
            fix="give as many real as fake samples and logits of one shape",
        )
    return s_real


# ── minimax: Goodfellow et al. 2014, eq. 1 ────────────────────────────────────────────────────────────────────────


def minimax_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """D raises E_x[log D(x)] + E_z[log(1 − D(G(z)))]: it lowers the negative of each half.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, in nats. Goodfellow et al. 2014, eq. 1. At the optimum
    s* = log p/q and the two means add up to 2 log 2 − 2 JS(p, q); at s = 0 to 2 log 2.

    >>> import torch
    >>> terms = minimax_discriminator(torch.zeros(2), torch.zeros(2))
    >>> round(float(terms["real"].mean() + terms["fake"].mean()), 4)
    1.3863
    """
    return {"real": softplus(-s_real), "fake": softplus(s_fake)}  # −log D(x), −log(1 − D(G(z)))


def minimax_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers E_z[log(1 − D(G(z)))] = −softplus(s): the same value that D raises.

    (…), (M, …) → {"fake": (M, …)}, in (−∞, 0]. Goodfellow et al. 2014, eq. 1. Its gradient −σ(s) vanishes where D is
    sure of itself (s ≪ 0); with D at its optimum it is the gradient of 2 JS(p, q). `s_real` is not used.
    """
    return {"fake": -softplus(s_fake)}  # log(1 − D(G(z)))


# ── non-saturating: Goodfellow et al. 2014, section 3, last paragraph ─────────────────────────────────────────────


def nonsaturating_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers −E_z[log D(G(z))] = softplus(−s).

    (…), (M, …) → {"fake": (M, …)}, in [0, ∞). Goodfellow et al. 2014, section 3; Goodfellow 2016, section 3.2.3. Its
    gradient −σ(−s) is largest where D rejects the sample; with D at its optimum it is the gradient of
    KL(q‖p) − 2 JS(p, q) (Arjovsky & Bottou 2017, theorem 2.5). `s_real` is not used.
    """
    return {"fake": softplus(-s_fake)}  # −log D(G(z))


# ── Wasserstein: Arjovsky et al. 2017 ─────────────────────────────────────────────────────────────────────────────


def wasserstein_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """The critic raises E_x[s(x)] − E_z[s(G(z))], which is W₁(p, q) if s is the best 1-Lipschitz function.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, unbounded. Arjovsky et al. 2017, eq. 2. The Lipschitz
    constraint is not part of this function: it needs a penalty or clipping.
    """
    return {"real": -s_real, "fake": s_fake}


def wasserstein_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers −E_z[s(G(z))]. (…), (M, …) → {"fake": (M, …)}. Arjovsky et al. 2017, eq. 3. `s_real` is not used."""
    return {"fake": -s_fake}


# ── relativistic pairing: Jolicoeur-Martineau 2018; Huang et al. 2024 ─────────────────────────────────────────────


def relativistic_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """D raises E_{x,z}[log σ(s(x) − s(G(z)))]: "this real sample is more real than this fake".

    (N, …), (N, …) → {"pair": (N, …)}, in [0, ∞). Jolicoeur-Martineau 2018, eq. 3; Huang et al. 2024 (R3GAN), eq. 3 with
    the f that makes it a cross entropy. Only differences count: s + c gives the same. At its optimum
    the mean is log 2 − JS(p⊗q, q⊗p).

    >>> import torch
    >>> relativistic_discriminator(torch.tensor([3.0]), torch.tensor([3.0]))["pair"]
    tensor([0.6931])
    """
    return {"pair": softplus(-(_paired("relativistic_discriminator", s_real, s_fake) - s_fake))}


def relativistic_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers E_{x,z}[−log σ(s(G(z)) − s(x))] = softplus(s(x) − s(G(z))): D's loss with the roles exchanged.

    (N, …), (N, …) → {"pair": (N, …)}, in [0, ∞). Jolicoeur-Martineau 2018, eq. 4. Needs real logits too (their graph
    is not needed: no parameter of G is behind them).
    """
    return {"pair": softplus(_paired("relativistic_generator", s_real, s_fake) - s_fake)}


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Objective:
    """The two halves of an adversarial game.

    discriminator(s_real, s_fake) and generator(s_real, s_fake) give unreduced terms that the player lowers: "real"
    and "fake", or "pair". `relative`: only differences of logits mean something, and G's half needs `s_real`; the
    other objectives accept None there.
    """

    name: str
    discriminator: Callable[[Tensor, Tensor], LossTerms]
    generator: Callable[[Tensor | None, Tensor], LossTerms]
    relative: bool = False


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("minimax", minimax_discriminator, minimax_generator),
        Objective("nonsaturating", minimax_discriminator, nonsaturating_generator),
        Objective("wasserstein", wasserstein_discriminator, wasserstein_generator),
        Objective("relativistic", relativistic_discriminator, relativistic_generator, relative=True),
    )
}
"""Name → objective. "minimax" and "nonsaturating" share D's half and differ in what G lowers."""
