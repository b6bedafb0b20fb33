"""Objectives in which D predicts a probability, D(x) = σ(s(x)), by cross entropy (Goodfellow et al. 2014).

All three share D's half, and differ in what G lowers. With softplus(s) = log(1 + eˢ), which neither overflows nor loses
its gradient, no ε is needed anywhere:

    softplus(−s) = −log σ(s) = −log D(x)              softplus(s) = −log(1 − σ(s)) = −log(1 − D(x))
"""

from __future__ import annotations

from torch import Tensor

from sparring.losses.logits import LossTerms, exp, softplus

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


# ── maximum likelihood: Goodfellow 2014, "On distinguishability criteria"; Goodfellow 2016, section 3.2.4 ──────────


def maximum_likelihood_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers −½ E_z[exp(σ⁻¹(D(G(z))))] = −½ E_z[eˢ].

    (…), (M, …) → {"fake": (M, …)}, in (−∞, 0). With D at its optimum eˢ = p/q, so that its gradient is half of that
    of KL(p‖q): the same as maximum likelihood's. A sample's weight is eˢ/2, so a few samples that D believes decide
    everything: high variance, and hardly any gradient where D rejects. Beyond s = 40 `exp` follows its tangent.
    `s_real` is not used.

    >>> import torch
    >>> maximum_likelihood_generator(None, torch.zeros(1))["fake"]
    tensor([-0.5000])
    """
    return {"fake": -0.5 * exp(s_fake)}


# ── one-sided label smoothing: Salimans et al. 2016, section 3.4 ──────────────────────────────────────────────────


def smoothed_real(s_real: Tensor, target: float) -> Tensor:
    """Cross entropy of D(x) with the label `target` α instead of 1: −α log D(x) − (1 − α) log(1 − D(x)).

    (N, …) → (N, …). With fakes still labelled 0 the optimum is D* = α p / (p + q); α below 1 on reals only, since a
    positive label on fakes would leave p in D*'s numerator wherever G samples.
    """
    return target * softplus(-s_real) + (1.0 - target) * softplus(s_real)
