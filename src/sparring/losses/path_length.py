"""Path-length regularisation (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", eq. 4).

A step in W should change the image by as much wherever and in whatever direction it is made. By how much a step along
a random image y does is ‖J_wᵀ y‖, y ~ N(0, I) over all pixels, which needs one gradient and no Jacobian; the penalty is
(‖J_wᵀ y‖ − a)², a being the running mean of the length itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def lengths(images: Tensor, w: Tensor, y: Tensor) -> Tensor:
    """‖J_wᵀ y‖ / √(H·W) of each sample, (N,), differentiable: the mean square over layers where w is of W+.

    images: (N, C, H, W) made of w.   w: (N, …, w) that requires a gradient.   y: (N, C, H, W), standard normal.
    The division keeps a about the same for every size of image (as the published code has it).

    >>> w = torch.ones(2, 3, requires_grad=True)
    >>> lengths((w * torch.tensor([1.0, 2.0, 2.0])).view(2, 3, 1, 1), w, torch.ones(2, 3, 1, 1)).detach()
    tensor([3., 3.])
    """
    with torch.autocast(images.device.type, enabled=False):
        along = (images.to(w.dtype) * y.to(w.dtype)).sum() / math.sqrt(math.prod(images.shape[2:]))
        (gradient,) = torch.autograd.grad(along, w, create_graph=True)
        square = gradient.square().sum(-1)  # (N, …)
        return square.reshape(len(square), -1).mean(1).sqrt()


class PathLength(nn.Module):
    """The penalty (length − a)², and what it remembers: a, a running mean in a buffer.

    decay: by how much of the way a moves to the mean length of a batch; published 0.01.

    >>> path = PathLength(0.5)
    >>> path.remember(torch.tensor(4.0)), path(torch.tensor([3.0]))
    (None, tensor([1.]))
    """

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.a: Tensor
        self.register_buffer("a", torch.zeros(()))

    def forward(self, length: Tensor) -> Tensor:
        """(N,) → (N,). a is that of the batches before this one, so that no sample's penalty depends on another's."""
        return (length - self.a).square()

    @torch.no_grad()
    def remember(self, length: Tensor) -> None:
        """length: the mean () of a batch, over its pieces and processes."""
        self.a.lerp_(length.to(self.a), self.decay)
