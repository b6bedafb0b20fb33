"""The auxiliary classifier's cross entropy (Odena et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def class_cross_entropy(guess: Tensor, label: Tensor) -> Tensor:
    """−log P(y | x) = log Σₖ e^(cₖ) − c_y of each sample: (N, K) logits c, (N,) int64 → (N,) float32, in [0, ∞).

    Odena et al. 2017, "Conditional image synthesis with auxiliary classifier GANs", eq. 3, with the sign of a loss:
    both players lower it, D on reals and fakes, G on fakes. Its gradient is softmax(c) − e_y.

    >>> class_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor([1.3863])
    """
    c = guess if guess.dtype == torch.float64 else guess.float()
    return torch.nn.functional.cross_entropy(c, label, reduction="none")
