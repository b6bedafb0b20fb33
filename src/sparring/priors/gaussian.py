"""The standard normal prior, z ~ N(0, I)."""

from __future__ import annotations

from torch import Tensor

from sparring.types import Dice


def draw(dice: Dice, z: int) -> Tensor:
    """(n, z) float32 latents, one per sample of `dice`: latent k does not depend on n.

    >>> from sparring.chance import Dice
    >>> draw(Dice(0, "z", range(4)), 64).shape
    torch.Size([4, 64])
    """
    return dice.normal(z)
