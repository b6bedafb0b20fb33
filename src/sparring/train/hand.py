"""One batch on the table, and what each player sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparring.train.engine import Engine
from sparring.train.game import Game, Now
from sparring.train.turn import Piece, detached, share
from sparring.types import Batch, Shared


class Hand:
    """One batch on the table, in pieces, with what the players share on it.

    What is shared is computed at the first turn that needs it, with the owner's graph when the batch is in one piece;
    with several pieces the owner computes its own again (the same z: chance is a function of the positions), so that
    only one graph is alive at a time. Once the owner has moved, it is computed anew.
    """

    def __init__(self, game: Game, engine: Engine, batches: list[Batch], nows: list[Now]) -> None:
        self.game, self.engine, self.batches, self.nows = game, engine, batches, nows
        self.used: set[str] = set()
        self.samples = sum(len(batch) for batch in batches)
        self.last: list[Piece] = []  # what the present player saw, without graphs
        self._shared: list[Shared] | None = None

    def pieces(self, player: str, turn: int) -> Iterator[Piece]:
        """The pieces as `player` sees them: what is shared with its graph for the owner, detached for all others."""
        owns = player == self.game.owner
        whole = len(self.batches) == 1
        self.last = []
        if self._shared is None and not (owns and not whole):
            self._shared = [self._share(i, graph=whole) for i in range(len(self.batches))]
        for i, (batch, now) in enumerate(zip(self.batches, self.nows, strict=True)):
            if not owns:
                assert self._shared is not None
                shared = detached(self._shared[i])
            elif whole:
                assert self._shared is not None
                shared = self._shared[i]
            else:
                shared = self._share(i, graph=True)
            self.last.append(Piece(batch, detached(shared), replace(now, turn=turn)))
            yield Piece(batch, shared, replace(now, turn=turn))

    def _share(self, i: int, *, graph: bool) -> Shared:
        return share(self.game, self.batches[i], self.nows[i], self.engine, graph=graph)

    def moved(self, player: str) -> None:
        """`player` has moved: what it owned is no longer what it would say now."""
        if player == self.game.owner:
            self._shared = None


@dataclass(frozen=True)
class Seen:
    """The pieces of a hand as `player` sees them, as often as somebody goes through them."""

    hand: Hand
    player: str
    turn: int

    def __iter__(self) -> Iterator[Piece]:
        return self.hand.pieces(self.player, self.turn)

    def __len__(self) -> int:
        return len(self.hand.batches)
