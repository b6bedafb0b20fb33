"""What a discriminator is shown of the past: a pool of the images that were made before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.types import Dice


class ImagePool(nn.Module):
    """P images that were made in earlier rounds, of which every second one that D is shown comes.

    Shrivastava et al. 2017, section 2.3; as CycleGAN has it (Zhu et al. 2017, section 4): the first P images are kept
    and shown as they are. From then on each new image is shown, or, with probability ½, one from the pool, whose place
    it takes. So an image that is kept is shown exactly once more, after P rounds of one image on average
    (times two: only every second one exchanges).

    A batch of N exchanges with N different places, its image p with place π(p) of one shuffle π per round: so what is
    shown depends neither on the pieces in which a batch is computed nor on the processes that share it. Everything is
    in buffers: `images` (P, C, H, W) and `moves`, how often it was written to. `mine` (P,), which is not kept, says
    what this process has written in the present move, for the others (`Game.written`).

    >>> pool = ImagePool(2, (1, 1, 1))
    >>> pool.filled(batch=1)
    0
    """

    images: Tensor
    moves: Tensor
    mine: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mine", torch.zeros(size, dtype=torch.bool), persistent=False)

    def filled(self, batch: int, *, moves: int | None = None) -> int:
        """How many places hold an image, after so many moves (default: all until now) with so large a batch."""
        return min(self.size, batch * (int(self.moves) if moves is None else moves))

    def shown(self, new: Tensor, dice: Dice, places: Tensor, batch: int) -> Tensor:
        """What D is shown for `new` (n, C, H, W), a piece of a batch: from `new` or from the pool. Changes nothing.

        dice: of this move, a row for each of `new`.   places: (batch,) π of this round.   batch: N.
        """
        place, kept = self._drawn(new, dice, places, batch, int(self.moves))
        return torch.where(kept.view(-1, *[1] * (new.dim() - 1)), self.images[place].to(new.dtype), new)

    @torch.no_grad()
    def take(self, new: Tensor, dice: Dice, places: Tensor, batch: int, *, first: bool) -> None:
        """After D has moved: keep of `new` what takes a place. With the arguments of `shown`; first: this is the first
        piece of its batch."""
        if first:
            self.moves += 1
            self.mine.zero_()
        moves = int(self.moves) - 1
        place, kept = self._drawn(new, dice, places, batch, moves)
        free = self._numbers(dice, batch) + batch * moves
        place, kept = torch.where(free < self.size, free, place), kept | (free < self.size)
        self.images[place[kept]] = new[kept].to(self.images.dtype)
        self.mine[place[kept]] = True

    def _drawn(self, new: Tensor, dice: Dice, places: Tensor, batch: int, moves: int) -> tuple[Tensor, Tensor]:
        """The place that each of `new` may exchange with, (n,) int64, and whether it does: with probability ½ once the
        pool is full."""
        place = places.to(new.device)[self._numbers(dice, batch)]
        full = self.filled(batch, moves=moves) == self.size
        coin = dice.uniform().to(new.device) < 0.5
        return place, coin & full

    def _numbers(self, dice: Dice, batch: int) -> Tensor:
        """p of each row: its number in the batch, whatever it is the batch of."""
        return torch.tensor([k % batch for k in dice.samples], device=self.images.device)
