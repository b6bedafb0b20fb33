"""Laws of the class y."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.types import Dice


def in_turn(dice: Dice, classes: int) -> Tensor:
    """(n,) int64: sample k is of class k mod K. Each class has its share, and a picture can show one per row.

    The class of a sample is a function of its number alone, so that it does not depend on how many are drawn.

    >>> from sparring.chance import Dice
    >>> in_turn(Dice(0, "sample", range(2, 7)), 3)
    tensor([2, 0, 1, 2, 0])
    """
    return torch.tensor([k % classes for k in dice.samples], dtype=torch.int64, device=dice.device)


def draw(dice: Dice, classes: int) -> Tensor:
    """(n,) int64, uniform over 0 … classes − 1, one per sample of `dice`: class k does not depend on n.

    >>> from sparring.chance import Dice
    >>> draw(Dice(0, "label", range(1000)), 4).bincount().min() > 200
    tensor(True)
    """
    return dice.integers(classes)
