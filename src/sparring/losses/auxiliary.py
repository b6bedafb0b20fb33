"""The cross entropy of a classifier: of the auxiliary one (Odena et al. 2017), and of one that plays alone."""

from __future__ import annotations

import torch
from torch import Tensor


def class_cross_entropy(guess: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """−log P(y | x) = log Σₖ e^(cₖ) − c_y of each sample: (N, K) logits c, (N,) int64 → (N,) float32, in [0, ∞).

    Odena et al. 2017, "Conditional image synthesis with auxiliary classifier GANs", eq. 3, with the sign of a loss:
    both players lower it, D on reals and fakes, G on fakes. Its gradient is softmax(c) − e_y.

    smoothing: α in [0, 1): the target is (1 − α) e_y + α/K, so that no logit is pulled to infinity (Szegedy et al.
    2016, "Rethinking the Inception architecture", section 7). Above α = 0 its least value is above 0.

    >>> class_cross_entropy(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor([1.3863])
    """
    c = guess if guess.dtype == torch.float64 else guess.float()
    return torch.nn.functional.cross_entropy(c, label, reduction="none", label_smoothing=smoothing)
