"""PixelCNN: what is known of a pixel given those before it, left to right and top to bottom, for all pixels at once.

Two stacks of masked convolutions, so that no pixel before it is out of sight (van den Oord et al. 2016, "Conditional
image generation with PixelCNN decoders", section 2.2): one has seen all rows above, the other also what is to the left
in the row. A masked convolution has no weights where the mask is 0: kernels here hold only the taps that are allowed.
Mask A, which leaves out the pixel itself, is that of the first layer; after it the pixel's own features, which know
nothing of its value, are allowed (mask B).

    x ─A─ v₀ ──── v₁ ──── … v_L        v: the rows above            v_l ← v_{l−1} + gate(m × k above)
    │      ╲       ╲         ╲
    └─A─── h₀ ──── h₁ ──── … h_L ─ logits    h: and what is left    h_l ← h_{l−1} + W gate(1 × m to the left + link v_l)

gate(a, b) = tanh(a) ⊙ σ(b) (eq. 2), to both of which a class adds a vector of its own (eq. 4). Here the features above
have a residual connection too, and their link to the row begins after the gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.networks import initialise

FIRST = 7
"""Side of the window of the first layer, of which only what is before the pixel is seen."""


class PixelCNN(nn.Module):
    """Images (N, C, H, W) in [−1, 1] → (N, P, H, W): P numbers for each pixel, which depend on the pixels before it.

    shape: (C, H, W).    parameters: P.    width: channels of both stacks.    blocks: gated residual layers.
    kernel: side k of their windows, odd; m = (k + 1)/2 rows and columns of it are seen.
    told: numbers that each sample comes with (a class, one-hot), 0: none.

    Rows above are seen `(FIRST − 1)/2 + blocks (k − 1)/2` far, and as many columns on each side of them.

    >>> net = PixelCNN((3, 8, 8), 10, width=4, blocks=2)
    >>> net(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 10, 8, 8])
    """

    def __init__(
        self, shape: tuple[int, ...], parameters: int, *, width: int = 32, blocks: int = 8, kernel: int = 3,
        told: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape, self.width, self.told = shape, width, told
        seen = FIRST // 2
        inputs = shape[0] + 1  # the image, and ones: beyond its borders there are zeros
        self.above = nn.Conv2d(inputs, width, (seen, FIRST))  # mask A
        self.left = nn.Conv2d(inputs, width, (1, seen), bias=False)  # mask A
        self.link = nn.Conv2d(width, width, 1)
        self.blocks = nn.ModuleList(Block(width, kernel, told) for _ in range(blocks))
        self.head = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, parameters, 1)
        for layer in (self.above, self.left, self.link, self.head):
            initialise.he(layer)
        nn.init.normal_(self.out.weight, 0.0, 0.1 * (2 * width) ** -0.5)
        for layer in (self.above, self.link, self.head, self.out):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        seen = FIRST // 2
        v = self.above(F.pad(x[:, :, :-1], (seen, seen, seen, 0)))  # row r: of rows r − 3 … r − 1
        h = self.left(F.pad(x[..., :-1], (seen, 0))) + self.link(v)  # column c: of columns c − 3 … c − 1
        for block in self.blocks:
            v, h = block(v, h, told)
        h = F.relu(self.head(F.relu(h)))
        with torch.autocast(x.device.type, enabled=False):  # what is said of a pixel is said in full precision
            return self.out(h.to(self.out.weight.dtype))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A gated layer of both stacks. v (N, p, H, W) of the rows above, h (N, p, H, W) of the row as well → the same.

    a and b of a gate come from layers of their own: on a CPU that is twice as fast as halves of one wide map.
    """

    def __init__(self, width: int, kernel: int, told: int) -> None:
        super().__init__()
        side, seen = kernel // 2, (kernel + 1) // 2
        self.borders = (side, side, seen - 1, 0), (seen - 1, 0)  # zeros around v and h: left, right, top, bottom

        def two(window: tuple[int, int], *, bias: bool) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(width, width, window, bias=bias) for _ in range(2))

        self.above = two((seen, kernel), bias=True)  # mask B: with row r of v
        self.left = two((1, seen), bias=True)  # mask B: with column c of h
        self.link = two((1, 1), bias=False)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.told = nn.Linear(told, 4 * width, bias=False) if told else None
        for layer in (*self.above, *self.left, *self.link):
            initialise.he(layer)
        initialise.he(self.mix)
        for layer in (*self.above, *self.left):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.zeros_(layer.bias)

    def shifts(self, told: Tensor | None) -> list[Tensor | None]:
        """What the class adds to a and b of v, then of h, (N, p) each."""
        if self.told is None or told is None:
            return [None] * 4
        return list(self.told(told.to(self.told.weight.dtype)).chunk(4, dim=1))

    def forward(self, v: Tensor, h: Tensor, told: Tensor | None) -> tuple[Tensor, Tensor]:
        shift = [None if s is None else s[:, :, None, None] for s in self.shifts(told)]
        wide = F.pad(v, self.borders[0])
        a, b = (plus(above(wide), s) for above, s in zip(self.above, shift[:2], strict=True))
        v = v + torch.tanh(a) * torch.sigmoid(b)
        wide = F.pad(h, self.borders[1])
        a, b = (plus(left(wide) + link(v), s) for left, link, s in zip(self.left, self.link, shift[2:], strict=True))
        return v, h + self.mix(torch.tanh(a) * torch.sigmoid(b))


def plus(x: Tensor, shift: Tensor | None) -> Tensor:
    return x if shift is None else x + shift
