"""Objectives that ask "is this one more real than that one?": only differences of logits mean something."""

from __future__ import annotations

from torch import Tensor

from sparring.losses.logits import LossTerms, paired, softplus

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
    return {"pair": softplus(-(paired("relativistic_discriminator", s_real, s_fake) - s_fake))}


def relativistic_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers E_{x,z}[−log σ(s(G(z)) − s(x))] = softplus(s(x) − s(G(z))): D's loss with the roles exchanged.

    (N, …), (N, …) → {"pair": (N, …)}, in [0, ∞). Jolicoeur-Martineau 2018, eq. 4. Needs real logits too (their graph
    is not needed: no parameter of G is behind them).
    """
    return {"pair": softplus(paired("relativistic_generator", s_real, s_fake) - s_fake)}


# ── relativistic average: Jolicoeur-Martineau 2018 ────────────────────────────────────────────────────────────────


def relativistic_average_discriminator(s_real: Tensor, s_fake: Tensor) -> LossTerms:
    """D raises E_x[log σ(s(x) − s̄_fake)] + E_z[log(1 − σ(s(G(z)) − s̄_real))], s̄ the mean of the other side.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, in [0, ∞). Jolicoeur-Martineau 2018, "The relativistic
    discriminator", RaSGAN. The means are over the (micro-)batch, at each place of a patch for itself, and D's
    gradient flows through them: samples are coupled, so smaller micro-batches are another game.

    >>> import torch
    >>> terms = relativistic_average_discriminator(torch.tensor([5.0, 5.0]), torch.tensor([5.0]))
    >>> terms["real"], terms["fake"]
    (tensor([0.6931, 0.6931]), tensor([0.6931]))
    """
    real, fake = _against_average("relativistic_average_discriminator", s_real, s_fake)
    return {"real": softplus(-real), "fake": softplus(fake)}


def relativistic_average_generator(s_real: Tensor | None, s_fake: Tensor) -> LossTerms:
    """G lowers −E_z[log σ(s(G(z)) − s̄_real)] − E_x[log(1 − σ(s(x) − s̄_fake))]: D's loss with the roles exchanged.

    (N, …), (M, …) → {"real": (N, …), "fake": (M, …)}, in [0, ∞). Jolicoeur-Martineau 2018, RaSGAN. The real half
    pays G too: its samples move the mean that reals are compared with.
    """
    real, fake = _against_average("relativistic_average_generator", s_real, s_fake)
    return {"real": softplus(real), "fake": softplus(-fake)}


def _against_average(name: str, s_real: Tensor | None, s_fake: Tensor) -> tuple[Tensor, Tensor]:
    """(s(x) − s̄_fake, s(G(z)) − s̄_real); the numbers of reals and fakes may differ, the shape of a logit may not."""
    if s_real is None or s_real.shape[1:] != s_fake.shape[1:]:
        paired(name, s_real, s_fake)
    assert s_real is not None
    return s_real - s_fake.mean(0), s_fake - s_real.mean(0)
