"""How far what was made is from what it should be: unreduced, element by element."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sparring.errors import SparringError


def l1(made: Tensor, truth: Tensor) -> Tensor:
    """|ŷ − y|, (N, …), (N, …) → (N, …). Its minimum in expectation is the median of what is possible, pixel by pixel.

    Isola et al. 2017, eq. 3, and Zhu et al. 2017, eq. 2, for images in [−1, 1].

    >>> import torch
    >>> l1(torch.tensor([[0.5]]), torch.tensor([[-1.0]]))
    tensor([[1.5000]])
    """
    return (made - _like(made, truth)).abs()


def l2(made: Tensor, truth: Tensor) -> Tensor:
    """(ŷ − y)², (N, …), (N, …) → (N, …). Its minimum in expectation is the mean of what is possible: blurred."""
    return (made - _like(made, truth)).square()


def _like(made: Tensor, truth: Tensor) -> Tensor:
    if made.shape != truth.shape:
        raise SparringError(
            "LOSS-SHAPE", f"{tuple(made.shape)} made, {tuple(truth.shape)} wanted", where="losses.reconstruction",
            why="each element is compared with its own",
        )  # fmt: skip
    return truth


RECONSTRUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": l1, "l2": l2}
"""By name."""
