"""A causal transformer: what the next token will be, given what is known beforehand and the tokens so far.

The network of GPT-2 (Radford et al. 2019), as Esser et al. 2021 ("Taming transformers for high-resolution image
synthesis", appendix A) use it for images: blocks whose layers are each preceded by their normalisation,

    x ← x + attention(n(x)),   x ← x + W₂ gelu(W₁ n(x)),

positions that are learned, weights that begin as N(0, 0.02²), those that write into x as N(0, 0.02² / (2 · blocks)).

    prefix p₁ … p_P, tokens t₁ … t_L          what is known beforehand: at least one vector
    input    p₁ … p_P  t₁ … t_{L−1}
    output          ↓  …   ↓                   output P + l − 1 says t_l, which it has not seen

`Memory` holds keys and values of what was seen, with which one more token costs one column of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPREAD = 0.02
"""Standard deviation with which weights begin."""


class Memory:
    """Keys and values of each block at the positions seen so far, of n sequences of at most `length`.

    seen: how many positions.
    """

    def __init__(self, net: Transformer, n: int, length: int) -> None:
        like = net.head.weight
        shape = (len(net.blocks), 2, n, net.heads, length, net.width // net.heads)
        self.kept = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.seen = 0

    def add(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keep keys and values (n, heads, l, d) of the next l positions; those of all so far."""
        end = self.seen + k.shape[2]
        self.kept[block, 0, :, :, self.seen : end], self.kept[block, 1, :, :, self.seen : end] = k, v
        return self.kept[block, 0, :, :, :end], self.kept[block, 1, :, :, :end]


class Block(nn.Module):
    """x + attention(n(x)), then x + MLP(n(x)): (N, L, width) → the same. Position l sees positions 1 … l."""

    def __init__(self, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer, spread in (
            (self.ask, SPREAD), (self.wide, SPREAD),
            (self.answer, SPREAD / (2 * blocks) ** 0.5), (self.narrow, SPREAD / (2 * blocks) ** 0.5),
        ):  # fmt: skip
            nn.init.normal_(layer.weight, 0.0, spread)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, memory: Memory | None = None, number: int = 0, keep: Tensor | None = None) -> Tensor:
        """memory: where x goes on after what was seen; then the keys of all of it are kept in it, as those of block
        `number`.   keep: (N, 2, width) by which what the two layers say is multiplied (dropout)."""
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.ask(self.norm1(x)).chunk(3, dim=2)
        )  # (N, heads, L, d)
        before = 0
        if memory is not None:
            before = memory.seen
            k, v = memory.add(number, k, v)
        if before and q.shape[2] > 1:
            raise ValueError("after what was seen positions come one by one")
        found = F.scaled_dot_product_attention(q, k, v, is_causal=not before)
        found = self.answer(found.transpose(1, 2).flatten(2))
        x = x + (found if keep is None else found * keep[:, :1])
        found = self.narrow(F.gelu(self.wide(self.norm2(x))))
        out: Tensor = x + (found if keep is None else found * keep[:, 1:])
        return out


class Transformer(nn.Module):
    """A prefix (N, P, width), P ≥ 1, and tokens (N, L) in 0 … K − 1 → logits (N, L + 1, K): of each token, given those
    before it, and of the one after the last.

    codes: K.   length: P + L, at most.   width: numbers at each position.   heads: into which attention divides them.

    >>> net = Transformer(8, 5, width=4, heads=2, blocks=1)
    >>> net(torch.zeros(3, 1, 4), torch.zeros(3, 4, dtype=torch.int64)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, codes: int, length: int, *, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width = {width} is not divided by heads = {heads}")
        self.codes, self.length, self.width, self.heads = codes, length, width, heads
        self.token = nn.Parameter(SPREAD * torch.randn(codes, width))
        self.place = nn.Parameter(SPREAD * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, blocks) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes, bias=False)
        nn.init.normal_(self.head.weight, 0.0, SPREAD)

    def forward(self, prefix: Tensor, tokens: Tensor, keep: Tensor | None = None) -> Tensor:
        """keep: (N, blocks, 2, width), see `Block`."""
        x = torch.cat([prefix, F.embedding(tokens, self.token)], dim=1)
        return self._run(x, None, keep)[:, prefix.shape[1] - 1 :]

    def begin(self, prefix: Tensor, memory: Memory) -> Tensor:
        """The prefix alone, which is kept in memory → logits (N, K) of the first token."""
        return self._run(prefix, memory)[:, -1]

    def step(self, token: Tensor, memory: Memory) -> Tensor:
        """One more token, (N,), after what is in memory → logits (N, K) of the next one."""
        return self._run(F.embedding(token[:, None], self.token), memory)[:, -1]

    def _run(self, x: Tensor, memory: Memory | None, keep: Tensor | None = None) -> Tensor:
        """(N, L, width), to which places are added → (N, L, K)."""
        first = memory.seen if memory is not None else 0
        if first + x.shape[1] > self.length:
            raise ValueError(f"{first + x.shape[1]} positions, and {self.length} are known")
        x = x + self.place[first : first + x.shape[1]]
        for number, block in enumerate(self.blocks):
            x = block(x, memory, number, None if keep is None else keep[:, number])
        if memory is not None:
            memory.seen += x.shape[1]
        x = self.norm(x)
        with torch.autocast(x.device.type, enabled=False):  # what is said of a token is said in full precision
            return F.linear(x.to(self.head.weight.dtype), self.head.weight)
