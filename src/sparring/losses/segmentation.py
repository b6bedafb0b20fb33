"""The cross entropy of every pixel, some of which nobody has labelled."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_cross_entropy(logits: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """−log P(y_p | x), the mean over the pixels p of an image that count: (N,) float32, in [0, ∞).

    logits: (N, K, H, W).   label: (N, H, W) int64.   counted: (N, H, W) bool. An image in which nothing counts pays 0.
    Each image weighs the same, however much of it is labelled, so that micro-batches change nothing; Long et al. 2015
    sum over pixels instead.

    >>> label = torch.zeros(1, 2, 2, dtype=torch.int64)
    >>> pixel_cross_entropy(torch.zeros(1, 4, 2, 2), label, label == 0)  # log 4
    tensor([1.3863])
    """
    c = logits if logits.dtype == torch.float64 else logits.float()
    each = torch.nn.functional.cross_entropy(c, label, reduction="none") * counted
    return each.sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)


def pixels_right(logits: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """Share of the pixels that count whose largest logit is at the label, (N,); 0 where nothing counts."""
    right = ((logits.argmax(1) == label) & counted).sum((1, 2)).float()
    return right / counted.sum((1, 2)).clamp(min=1)
