"""Symmetric InfoNCE: of n pairs, which belong together (van den Oord et al. 2018; Radford et al. 2021, "Learning
transferable visual models from natural language supervision", figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def info_nce(logits: Tensor, same: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """−log P(own text | image) and −log P(own image | text): (n, n) logits, row = image, column = text → (n,), (n,).

    same: (n, n) bool, whether two pairs have equal texts: neither is then wrong for the other, and it is left out. With
    equal logits both are log n; its least value, 0, is approached as the diagonal grows.

    >>> info_nce(torch.zeros(4, 4))[0]  # log 4
    tensor([1.3863, 1.3863, 1.3863, 1.3863])
    """
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if same is not None:
        logits = logits.masked_fill(same & ~own, -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    return (
        F.cross_entropy(logits, right, reduction="none"),
        F.cross_entropy(logits.t(), right, reduction="none"),
    )


def equal(texts: Sequence[str]) -> Tensor:
    """(n, n) bool: which texts are the same.

    >>> equal(["a", "b", "a"]).int().tolist()
    [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    number = {text: k for k, text in enumerate(dict.fromkeys(texts))}
    numbers = torch.tensor([number[text] for text in texts])
    return numbers[:, None] == numbers
