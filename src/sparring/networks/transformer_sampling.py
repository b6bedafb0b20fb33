"""Sequences of tokens from a causal transformer: one after the other, each drawn given those before it.

`sample` keeps keys and values, `sample_naively` calls the whole network for each token: both draw the same. `slide`
fills a grid that is larger than the one that was learned, through a window of the size of that (Esser et al. 2021,
section 3.3, figure 3).

Numbers are float64 where the device has them: what is drawn depends on which side of a bound a probability lies, so
that in float32 the rounding of another batch size would now and then change a token, and all that come after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.networks.transformer import Memory, Transformer

Grid = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class Draw:
    """How a token is drawn of its logits.

    temperature: logits are divided by it, > 0: below 1 likely tokens are likelier.
    top_k: only the k likeliest tokens may be drawn; 0: all (Fan et al. 2018, "Hierarchical neural story generation").
    top_p: only the fewest tokens that together have this probability; 1: all (Holtzman et al. 2020, "The curious case
    of neural text degeneration"). Both at once: of the k likeliest the fewest.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def law(self, logits: Tensor) -> Tensor:
        """(n, K) → (n, K) probabilities.

        >>> Draw(top_k=2).law(torch.tensor([[0.5, 0.25, 0.25 - 1e-6, 0.0]]).log()).round(decimals=3)
        tensor([[0.6670, 0.3330, 0.0000, 0.0000]])
        """
        p = (logits / self.temperature).softmax(1)
        if not 0 < self.top_k < p.shape[1] and self.top_p >= 1:
            return p
        ordered, at = p.sort(dim=1, descending=True, stable=True)
        if 0 < self.top_k < p.shape[1]:
            ordered[:, self.top_k :] = 0.0
            ordered = ordered / ordered.sum(1, keepdim=True)
        before = ordered.cumsum(1) - ordered
        ordered = torch.where((before < self.top_p) | (self.top_p >= 1), ordered, 0.0)  # the first one always stays
        return torch.zeros_like(p).scatter(1, at, ordered / ordered.sum(1, keepdim=True))

    def __call__(self, logits: Tensor, u: Tensor) -> Tensor:
        """(n, K), u (n,) uniform in [0, 1) → (n,) int64: the first token whose share of the law lies above u."""
        sums = self.law(logits).cumsum(1)
        token = torch.searchsorted(sums, (u.to(sums) * sums[:, -1])[:, None], right=True)[:, 0]
        return token.clamp(max=logits.shape[1] - 1)


@torch.no_grad()
def sample(net: Transformer, prefix: Tensor, u: Tensor, draw: Draw) -> Tensor:
    """prefix (n, P, width), u (n, L) → tokens (n, L) int64, each for the cost of one column of the network."""
    memory = Memory(net, len(u), prefix.shape[1] + u.shape[1])
    tokens = [draw(net.begin(prefix, memory), u[:, 0])]
    for number in range(1, u.shape[1]):
        tokens.append(draw(net.step(tokens[-1], memory), u[:, number]))
    return torch.stack(tokens, 1)


@torch.no_grad()
def sample_naively(net: Transformer, prefix: Tensor, u: Tensor, draw: Draw) -> Tensor:
    """The same by a pass of the whole network for each token."""
    tokens = torch.zeros(u.shape, dtype=torch.int64, device=u.device)
    for number in range(u.shape[1]):
        tokens[:, number] = draw(net(prefix, tokens[:, :number])[:, -1], u[:, number])
    return tokens


@torch.no_grad()
def slide(
    net: Transformer, prefix: Callable[[int, int], Tensor], u: Tensor, window: Grid, draw: Draw
) -> Tensor:  # fmt: skip
    """u (n, H, W) → tokens (n, H, W), H and W at least those of the window, which is what the network has learned.

    Each token is drawn given those before it in a window that has it in its middle, or as near to the middle as the
    border of the grid allows.   prefix: of the window whose first row and column are these → (n, P, width).
    """
    n, height, width = u.shape
    tokens = torch.zeros((n, height, width), dtype=torch.int64, device=u.device)
    for row in range(height):
        top = first(row, height, window[0])
        for column in range(width):
            left = first(column, width, window[1])
            seen = tokens[:, top : top + window[0], left : left + window[1]].reshape(n, -1)
            before = (row - top) * window[1] + column - left
            logits = net(prefix(top, left), seen[:, :before])[:, -1]
            tokens[:, row, column] = draw(logits, u[:, row, column])
    return tokens


def first(place: int, length: int, window: int) -> int:
    """Where a window begins that has `place` in its middle, and lies within `length`.

    >>> [first(place, 8, 4) for place in range(8)]
    [0, 0, 0, 1, 2, 3, 4, 4]
    """
    return min(max(place - window // 2, 0), length - window)
