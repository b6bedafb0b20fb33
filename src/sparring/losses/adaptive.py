"""The weight of a game beside a reconstruction, such that both pull equally hard (Esser et al. 2021, eq. 7)."""

from __future__ import annotations

import torch
from torch import Tensor

DELTA = 1e-4
"""What is added to the slope of the game: the published code's, where the paper writes 1e-6."""
MOST = 1e4
"""The largest weight."""


@torch.no_grad()
def adaptive(reconstruction: Tensor, game: Tensor, weight: float = 1.0) -> Tensor:
    """weight · λ, λ = ‖∇ reconstruction‖ / (‖∇ game‖ + 1e-4), at most 1e4: (), without a graph.

    reconstruction, game: the gradients of the two with respect to the last layer of the decoder, of one shape.

    >>> float(adaptive(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.4999])))
    2.0
    """
    ratio: Tensor = reconstruction.float().norm() / (game.float().norm() + DELTA)
    return weight * ratio.clamp(0.0, MOST)
