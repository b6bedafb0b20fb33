"""The table at which a game on the plane is played live: single turns, rounds, settings that change under way.

Nothing here trains: every move is one of `Match.turns`, of a game that `sparring train ring` would build from the same
preset. What is on the table is a function of the seed and of what was done since, in this order.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.data import Dataset, open_data, stream_of
from sparring.errors import Diverged, UsageError
from sparring.networks import mlp
from sparring.recipes.gan import GAN
from sparring.runs import plan as plans
from sparring.runs.recipe import Recipe, configure, load, plain
from sparring.train.engine import Engine
from sparring.train.loop import sample
from sparring.train.match import Match, Moves
from sparring.train.schedule import Play
from sparring.types import paid

DATA = ("ring", "grid", "swissroll", "checkerboard")
SAMPLES = 500
"""What is drawn of the data and of G: always of the same latents."""
ROUNDS = 5000
"""Rounds of which the costs are remembered."""
SEEN = ("D(x)", "D(G(z))")
"""What is observed of D in a round."""
_PRESET, _D_FOURIER = "gan-points", (32, 0.5, 8.0)
_TIGHT = 0.05  # root mean square of a heap that is put where the data has no modes, at unit scale
_ENDLESS = 10**9  # images: the settings here are constant, so that nothing depends on a horizon


@dataclass(frozen=True)
class Settings:
    """What is played. gamma: γ of the zero-centred penalties.   slope: λ of the others.   lr, d_lr: step sizes of G
    and of D. Everything else is the preset gan-points, with constant settings in place of its schedules, and with a D
    whose highest frequency is 8 in place of 60: its map is smooth enough to be read, and modes are found sooner."""

    data: str = "ring"
    seed: int = 0
    objective: str = "relativistic"
    play: str = "D:1,G:1"
    penalty: str = "r1+r2"
    gamma: float = 0.05
    slope: float = 0.1
    lr: float = 2e-3
    d_lr: float = 2e-3


@dataclass(frozen=True)
class Round:
    """What happened in one. paid: {"D": …, "G": …} what those who moved paid, without penalties.
    seen: what was observed of D by term ("D(x)", …)."""

    number: int
    paid: dict[str, float]
    seen: dict[str, float]


class Playground:
    """A game on the plane that is played by hand.

    >>> table = Playground(Settings(data="ring"))
    >>> table.next, table.turn(), table.next, table.turn(), table.match.round
    ('D', 'D', 'G', 'G', 1)
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.dataset = _data(self.settings.data)
        self.start()

    def start(self) -> None:
        """From the beginning: weights, noise and the order of the data are those of the seed."""
        self.match = self._dealt(self.settings)
        self.rounds: deque[Round] = deque(maxlen=ROUNDS)
        self.collapsed: int | None = None  # the round before which it was injected
        self.trouble = ""  # why nobody can go on
        self._open: Moves | None = None
        self.left: tuple[str, ...] = ()  # who still moves in the open round

    def _dealt(self, settings: Settings) -> Match:
        recipe = _recipe(settings)
        game = plans.build(recipe, plans.space_of(self.dataset), settings.seed)
        stream = stream_of(self.dataset, settings.seed, False)
        engine = Engine(torch.device("cpu"))
        return Match(game, stream, engine, recipe.config, seed=settings.seed, horizon=_ENDLESS)

    @property
    def game(self) -> GAN:
        game = self.match.game
        assert isinstance(game, GAN)
        return game

    # ── moves ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def next(self) -> str:
        """Who moves next: "D", "G", or "" at the beginning of a round where D's skill decides (gated, either-or)."""
        if self.left:
            return self.left[0]
        play = self.match.play
        if play.kind in ("gated", "either-or"):
            return ""
        return play.order[0] if play.order else next(iter(self.match.game.players))

    def turn(self, player: str | None = None) -> str:
        """One move, and who made it ("" after numbers ran away): of whoever is next, or of `player`. One who is not
        next makes an extra move, a round of its own on a batch of its own; who is next stays so."""
        if self.trouble:
            return ""
        try:
            return self._move() if player in (None, self.next) else self._extra(str(player))
        except Diverged as error:
            return self._lost(error)

    def round(self) -> None:
        """The open round to its end, or a whole one."""
        while self.turn() and self.left:
            pass

    def advance(self, rounds: int, seconds: float = math.inf) -> int:
        """Rounds, as many as asked for or as fit into `seconds`, at least one; how many it were."""
        began, before = time.monotonic(), self.match.round
        for _ in range(rounds):
            self.round()
            if self.trouble or time.monotonic() - began >= seconds:
                break
        return self.match.round - before

    def _move(self) -> str:
        """The next move of the open round, or the first of a new one; the last one ends it."""
        if self._open is None:
            self._open = self.match.turns()
        moved = next(self._open)
        self.left = moved.left
        if not moved.left:
            self._count(_finished(self._open))
            self._open = None
        return moved.player

    def _extra(self, player: str) -> str:
        """A round in which `player` alone moves."""
        play = self.match.play
        if player not in self.match.game.players:
            raise UsageError("PLAYGROUND-PLAYER", "there is no such player", where=player, fix="D or G")
        self.match.play = Play("alternating", (player,))
        try:
            self._count(self.match.step())
        finally:
            self.match.play = play
        return player

    def _count(self, means: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in means.items()}
        seen = {term: value for name, value in values.items() if (term := name.rpartition("/")[2]) in SEEN}
        self.rounds.append(Round(self.match.round, paid(values), seen))

    def _lost(self, error: Diverged) -> str:
        self.trouble = f"{error.what} ({error.why})"
        self._open, self.left = None, ()
        return ""

    # ── what one may do to the game ──────────────────────────────────────────────────────────────────────────────

    def change(self, **changes: Any) -> None:
        """Other settings from here on, with the same players: the open round is played to its end first. With other
        data or another seed it begins anew."""
        settings = replace(self.settings, **changes)
        if (settings.data, settings.seed) != (self.settings.data, self.settings.seed) or self.trouble:
            _recipe(settings)  # refused before anything is given up
            dataset = _data(settings.data)
            self.settings, self.dataset = settings, dataset
            self.start()
            return
        match = self._dealt(settings)
        if self.left:
            self.round()
        match.load(self.match.tensors(), self.match.state())
        self.settings, self.match = settings, match

    @torch.no_grad()
    def collapse(self) -> None:
        """Mode collapse, put in by hand: G's last layer is changed such that G(z) becomes c + ρ (G(z) − mean), for all
        z. c is the mode to which most samples are nearest (a point of the data nearest to the mean, where there are no
        modes); ρ makes the heap as wide as a mode (0.05 at unit scale). Nothing else is touched: D, the optimisers
        and G's average are what they were."""
        network = self.game.G
        assert isinstance(network, mlp.Generator)
        made = self.samples()
        middle = made.mean(dim=0)
        centre, width = self._heap(made)
        spread = float((made - middle).square().mean().sqrt())
        shrink = min(1.0, width / max(spread, 1e-12))
        last = network.net.last
        last.weight.mul_(shrink)
        last.bias.copy_(centre - shrink * (middle - last.bias))
        self.collapsed = self.match.round

    def _heap(self, made: Tensor) -> tuple[Tensor, float]:
        """Where the samples are put, (2,), and how wide, at unit scale."""
        data = self.dataset
        if data.modes is None or not data.spread:
            real = self.real()
            return real[(real - made.mean(dim=0)).square().sum(dim=1).argmin()], _TIGHT
        centres = torch.from_numpy(data.modes / data.scale).float()
        nearest = torch.cdist(made, centres).argmin(dim=1)
        return centres[torch.bincount(nearest, minlength=len(centres)).argmax()], data.spread / data.scale

    # ── what is drawn ────────────────────────────────────────────────────────────────────────────────────────────

    def samples(self, *, averaged: bool = False) -> Tensor:
        """(SAMPLES, 2) of G as it is, or of its average, at unit scale; always of the same latents."""
        if not averaged:
            return sample(self.match, SAMPLES, piece=SAMPLES)
        with self.match.averages.applied():
            return sample(self.match, SAMPLES, piece=SAMPLES)

    def real(self) -> Tensor:
        """(SAMPLES, 2) points of the data at unit scale."""
        return torch.from_numpy(self.dataset.train[:SAMPLES].copy())


def _finished(moves: Moves) -> dict[str, Tensor]:
    """What a round returns after its last move."""
    try:
        next(moves)
    except StopIteration as end:
        return dict(end.value)
    raise AssertionError("nobody was left to move")


def _recipe(settings: Settings) -> Recipe:
    """`UsageError` where a setting is none."""
    base = load(_PRESET)
    told = {
        "objective": settings.objective, "play": settings.play, "penalty": settings.penalty, "gamma": settings.gamma,
        "slope": settings.slope, "lr": settings.lr, "lr_ratio": settings.d_lr / settings.lr,
        "d_fourier": _D_FOURIER,
    }  # fmt: skip
    return replace(base, config=configure(GAN, {**plain(base.config), **told}, where="the playground"))


def _data(name: str) -> Dataset:
    if name not in DATA:
        raise UsageError("PLAYGROUND-DATA", "there are no such data here", where=name, fix=f"one of {', '.join(DATA)}")
    return open_data(name)
