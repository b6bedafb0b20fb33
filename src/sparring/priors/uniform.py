"""The uniform prior on a cube, z ~ U[−1, 1)ᶻ: what Radford et al. 2016 (section 4) drew their latents from."""

from __future__ import annotations

from torch import Tensor

from sparring.types import Dice


def draw(dice: Dice, z: int) -> Tensor:
    """(n, z) float32 latents in [−1, 1), mean 0 and variance 1/3, one per sample of `dice`.

    >>> from sparring.chance import Dice
    >>> bool(draw(Dice(0, "z", range(100)), 8).abs().max() <= 1)
    True
    """
    return dice.uniform(z) * 2.0 - 1.0
