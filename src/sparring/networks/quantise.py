"""A vector quantiser: each vector of a map becomes the nearest of K codes (van den Oord et al. 2017, "Neural discrete
representation learning").

The codes are learned in one of two ways: as parameters, by the gradient of ‖sg[z] − e‖² (eq. 3); or as moving averages
of the vectors that chose them (appendix A.1). Codes that nobody chooses begin anew as a vector of the encoder.

Everything that is remembered is a buffer, and is the same whatever the pieces in which a batch is computed and the
processes that share it: counts and sums are added up over processes (`Game.statistics`), codes that begin anew are
written by the process whose image they come from (`Game.written`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.types import Dice

RECENT = 100
"""Rounds within which a code that was chosen counts as used."""
_MEMORY = 0.98  # decay per round of the shares that the perplexity is of: half is forgotten after 34 rounds
_FLOOR = 1e-6  # no count falls below, so that the mean of a code that nobody chooses stays what it was
_ROOM = 2**25  # distances that are computed at once


class Quantiser(nn.Module):
    """Maps (n, d, h, w) → tokens (n, h, w) in 0 … K − 1 → maps of codes (n, d, h, w).

    codes, dimensions: K, d.   decay: of the moving averages; 0: the codes are parameters.
    normalised: vectors and codes have length 1, so that the nearest is the one of the same direction (Yu et al. 2022,
    "Vector-quantized image modeling with improved VQGAN", section 3.2).
    revive: a code begins anew when it was not chosen in so many rounds; 0: never.

    >>> quantise = Quantiser(8, 2)
    >>> tokens = quantise.nearest(torch.zeros(1, 2, 3, 4))
    >>> quantise.look_up(tokens).shape
    torch.Size([1, 2, 3, 4])
    """

    sums: Tensor
    counts: Tensor
    drawn: Tensor
    uses: Tensor
    shares: Tensor
    unused: Tensor
    mine: Tensor

    def __init__(
        self, codes: int, dimensions: int, *, decay: float = 0.0, normalised: bool = False, revive: int = 0
    ) -> None:
        super().__init__()
        self.codes, self.decay, self.normalised, self.revive = codes, decay, normalised, revive
        first = torch.randn(codes, dimensions)
        if decay:
            self.register_buffer("sums", first)  # γ times the averages before the last round
            self.register_buffer("counts", torch.ones(codes))
            self.register_buffer("drawn", torch.zeros(codes, dimensions))  # the sum of what chose each in it
        else:
            self.code = nn.Parameter(first)
        self.register_buffer("uses", torch.zeros(codes))  # how often each was chosen in the last round
        self.register_buffer("shares", torch.zeros(codes))  # of the rounds before it
        self.register_buffer("unused", torch.full((codes,), RECENT))  # rounds since it was chosen
        self.register_buffer("mine", torch.zeros(codes, dtype=torch.bool))  # see `written`

    @property
    def table(self) -> Tensor:
        """(K, d): the codes."""
        if self.decay:
            sums, counts = self._averages()
            raw = sums / counts[:, None]
        else:
            raw = self.code
        return F.normalize(raw, dim=1) if self.normalised else raw

    @property
    def dead(self) -> Tensor:
        """(K,): the codes that have begun anew in the last round."""
        return (self.unused > 0) & (self.unused % max(1, self.revive) == 0) & (self.revive > 0)

    def _averages(self) -> tuple[Tensor, Tensor]:
        """m ← γ m + (1 − γ) Σ z and N ← γ N + (1 − γ) n of the last round, (K, d) and (K,); what had chosen a code that
        began anew in it does not count."""
        gain = (1.0 - self.decay) * (~self.dead).to(self.uses.dtype)
        return self.sums + self.drawn * gain[:, None], self.counts + self.uses * gain

    def ready(self, z: Tensor) -> Tensor:
        """Vectors as they are compared with codes, float32: of length 1 where codes are."""
        z = z if z.dtype == torch.float64 else z.float()
        return F.normalize(z, dim=1) if self.normalised else z

    @torch.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """(n, d, h, w), `ready` → (n, h, w) int64: the code at the least distance from each vector."""
        n, d, h, w = z.shape
        with torch.autocast(z.device.type, enabled=False):
            flat, table = z.permute(0, 2, 3, 1).reshape(-1, d), self.table.to(z.dtype)
            half = 0.5 * table.square().sum(1)  # ½‖e‖² − z·e orders as ‖z − e‖² does
            parts = torch.split(flat, max(1, _ROOM // self.codes))
            return torch.cat([torch.addmm(half, part, table.t(), alpha=-1).argmin(1) for part in parts]).view(n, h, w)

    def look_up(self, tokens: Tensor) -> Tensor:
        """(n, h, w) → (n, d, h, w): the codes, with the graph of those that are parameters."""
        return F.embedding(tokens, self.table).permute(0, 3, 1, 2)

    # ── what is remembered ───────────────────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def take(self, z: Tensor, tokens: Tensor, samples: Sequence[int], batch: int, dice: Dice, *, first: bool) -> None:
        """After the encoder has moved: count who chose what, and let codes begin anew that nobody chose.

        z, tokens: (n, d, h, w), (n, h, w) of a piece of the batch.   samples: its positions in the stream.
        batch: images of the whole batch.   dice: of the K codes in this move.   first: this is its first piece.
        """
        if first:
            self._begin()
        vectors, chosen = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]), tokens.flatten()
        self.uses += torch.bincount(chosen, minlength=self.codes)
        if self.decay:
            self.drawn.index_add_(0, chosen, vectors.to(self.drawn.dtype))
        if self.revive:
            self._revive(vectors.view(len(z), -1, z.shape[1]), samples, batch, dice)

    def _begin(self) -> None:
        """What all processes saw in the round before is known now: who is dead is the same for all."""
        if self.decay:
            sums, counts = self._averages()
            keep = (_FLOOR / counts).clamp(self.decay, 1.0)
            self.sums.copy_(sums * keep[:, None])
            self.counts.copy_(counts * keep)
            self.drawn.zero_()
        total = self.uses.sum()
        if total > 0:
            self.unused.copy_(torch.where(self.uses > 0, 0, self.unused + 1))
            self.shares.lerp_(self.uses / total, 1.0 - _MEMORY)
        self.uses.zero_()
        self.mine.zero_()
        if self.decay:
            self.counts.copy_(torch.where(self.dead, self.counts.mean(), self.counts))

    def _revive(self, vectors: Tensor, samples: Sequence[int], batch: int, dice: Dice) -> None:
        """Each dead code becomes the vector of one place of one image of the batch, which the dice choose, by whoever
        has that image. vectors: (n, h·w, d)."""
        at = dice.uniform(2).to(vectors.device) * torch.tensor([batch, vectors.shape[1]], device=vectors.device)
        image, place = at.long().unbind(1)
        row = torch.full((batch,), -1, device=vectors.device)
        row[[k % batch for k in samples]] = torch.arange(len(samples), device=vectors.device)
        here = self.dead & (row[image] >= 0)
        new = vectors[row[image].clamp(min=0), place]
        if self.decay:
            self.sums.copy_(torch.where(here[:, None], new * self.counts[:, None], self.sums))
        else:
            self.code.copy_(torch.where(here[:, None], new, self.code))
        self.mine |= here

    @property
    def written(self) -> tuple[Tensor, Tensor]:
        """Codes (K, d) of which this process has written those that are `mine` (K,)."""
        return (self.sums if self.decay else self.code.detach()), self.mine

    @property
    def statistics(self) -> list[Tensor]:
        """What each process has counted."""
        return [self.uses, self.drawn] if self.decay else [self.uses]

    @property
    def usage(self) -> Tensor:
        """(): the share of the codes that were chosen in the last `RECENT` rounds."""
        return (self.unused < RECENT).float().mean()

    @property
    def perplexity(self) -> Tensor:
        """(): of the last rounds (`perplexity`)."""
        return perplexity(self.shares)


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of how often each code is chosen, (K,) → (): as many codes, chosen equally often, would say
    as much.

    >>> float(perplexity(torch.tensor([5.0, 5.0, 0.0]))), float(perplexity(torch.tensor([7.0, 0.0])))
    (2.0, 1.0)
    """
    p = counts / counts.sum().clamp(min=1e-12)
    return torch.exp(-torch.special.xlogy(p, p).sum())


def straight(z: Tensor, codes: Tensor) -> Tensor:
    """The codes, with the gradient of z: what comes back to them is handed to z as it is (Bengio et al. 2013)."""
    return z + (codes - z).detach()
