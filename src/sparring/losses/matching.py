"""Whether a picture is one of its text: mismatched pairs, and the penalty on pairs that match.

A discriminator that is told a text s must tell (x, s) not only from (G(z, s), s) but from (x, ŝ) too, a real picture
beside the text of another one (Reed et al. 2016, "Generative adversarial text to image synthesis"); else G could ignore
the text. Around the real pairs that match it shall be flat (Tao et al. 2022, "DF-GAN: A simple and effective baseline
for text-to-image synthesis", section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.errors import SparringError


def mismatched(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """For each of n texts the place of another one of them, (n,) int64, and whether there is one, (n,) bool.

    It is the next one, counted round, that says something else: so that no picture is called wrong beside its own text,
    of whatever row. Spaces make no difference. The empty text fits every picture: it is no other one, and has none.
    Where there is none the place is its own.

    >>> mismatched(["a cat", "a dog", "a dog", ""])
    (tensor([1, 0, 0, 3]), tensor([ True,  True,  True, False]))
    """
    said = [" ".join(text.split()) for text in texts]
    n, places = len(said), []
    for k, own in enumerate(said):
        others = (j % n for j in range(k + 1, k + n) if own and said[j % n] not in ("", own))
        places.append(next(others, k))
    found = torch.tensor(places, dtype=torch.int64)
    return found, found != torch.arange(n)


def matching_aware(logits: Tensor, x: Tensor, s: Tensor, power: float = 6.0) -> Tensor:
    """‖∇_{x,s} Σ D(x, s)‖ᵖ of each pair, (N,), in [0, ∞): the gradient by the image and by the text together, as one.

    Tao et al. 2022, eq. 4, there of real images with their own text, with the weight k = 2 and p = 6; p = 2 is R1 of
    the pair. Differentiable with respect to D's parameters.

    logits: (N, …) = D(x, s).   x: (N, …), s: (N, d), float32 or float64, that require gradients and that `logits` was
    computed from; D's forward pass belongs outside autocast, and samples must not be coupled inside D.

    >>> x, s = torch.zeros(1, 2, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    >>> logits = x @ torch.tensor([1.0, 2.0]) + 2.0 * s[:, 0]  # ‖(1, 2, 2)‖⁶ = 9³
    >>> matching_aware(logits, x, s).detach()
    tensor([729.])
    """
    if not (x.requires_grad and s.requires_grad) or len(x) != len(s):
        raise SparringError(
            "LOSS-PENALTY", "no gradient can be taken with respect to x and s", where="losses.matching.matching_aware",
            why=f"{len(x)} images, requires_grad = {x.requires_grad}; {len(s)} texts, {s.requires_grad}",
            fix="compute the logits from x and s that require gradients, one text for each image",
        )  # fmt: skip
    with torch.autocast(x.device.type, enabled=False):
        by_x, by_s = torch.autograd.grad(logits.to(x.dtype).sum(), (x, s), create_graph=True)
        square = by_x.flatten(1).square().sum(1) + by_s.flatten(1).square().sum(1)
        return square.pow(power / 2)
