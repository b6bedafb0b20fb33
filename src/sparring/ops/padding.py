"""Images of any size for a network that halves its maps and doubles them again."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


def padded(network: Callable[[Tensor], Tensor], x: Tensor, stride: int) -> Tensor:
    """network(x), where the sides of x become multiples of `stride`: (n, C, H, W) → (n, C', H, W), of any H and W.

    Below and at the right the border of x is repeated; as much is cut off from what the network gives.

    >>> import torch
    >>> seen = []
    >>> padded(lambda x: seen.append(x.shape) or 2 * x, torch.ones(1, 3, 2, 5), stride=4).shape
    torch.Size([1, 3, 2, 5])
    >>> seen
    [torch.Size([1, 3, 4, 8])]
    """
    height, width = x.shape[2:]
    down, right = -height % stride, -width % stride
    if not (down or right):
        return network(x)
    return network(F.pad(x, (0, right, 0, down), mode="replicate"))[..., :height, :width]
