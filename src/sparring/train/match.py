"""A game being played: its optimisers and averages, the batches dealt so far, and one round of moves at a time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparring.errors import Diverged, UsageError
from sparring.train.checkpoint import match_tensors
from sparring.train.ema import Averages, decay
from sparring.train.engine import Engine
from sparring.train.game import Game, Now, Training
from sparring.train.hand import Hand, Seen
from sparring.train.optimiser import optimiser
from sparring.train.parts import left_out
from sparring.train.rescue import SHIFT
from sparring.train.schedule import Play
from sparring.train.turn import Piece, consensus, gradient
from sparring.types import Batch, Criticises, Samples, Stream, of_exhibits

Means = dict[str, Tensor]


@dataclass(frozen=True)
class Moved:
    """`player` has moved, and `left` move after it in this round. means: what was paid in the round so far."""

    player: str
    left: tuple[str, ...]
    means: Means


Moves = Generator[Moved, None, Means]
"""A round, move by move; returns what was paid in all of it."""


class Match:
    """Plays rounds. Everything that a later round depends on is in `tensors()` and `state()`.

    seed: a tuple holds one for each member of an ensemble (`ensemble.together`). Every count (images, batch,
    micro-batches) is then of one member, as if it were alone; terms and norms of gradients are (members,). A member
    whose gradient is not finite is retired: its state stays as it was, what it pays is NaN from then on, the others go
    on. Asking which ones costs a device one wait per move.
    """

    def __init__(
        self,
        game: Game,
        stream: Stream,
        engine: Engine,
        training: Training,
        *,
        seed: int | tuple[int, ...],
        horizon: int,
    ) -> None:
        self.game, self.stream, self.engine, self.training = game, stream, engine, training
        self.seed, self.horizon = seed, horizon
        self.members = len(seed) if isinstance(seed, tuple) else None
        self.retired: list[int] = [-1] * (self.members or 1)  # the round in which it was, or −1
        self.play = Play.parse(training.play)
        check_shares(training.batch, engine.size)
        engine.settle(game)
        _prepare(game)
        self._check_play()
        self.optimisers = {name: optimiser(training.optimiser, player) for name, player in game.players.items()}
        keeps = training.ema_images > 0
        self.averages = Averages({name: game.players[name] for name in game.averaged} if keeps else {})
        self.round = 0
        self.drawn = 0  # batches dealt
        self.attempt = 0  # how often the run went back: the stream is read, and chance drawn, from elsewhere since then
        self.slower = 1.0  # what the learning rate is multiplied by
        self.bad = torch.zeros((), device=engine.device)  # skipped steps since last read, where reading must wait
        self.exhibits: Batch | None = None  # what a game that translates shows what it can on

    def _check_play(self) -> None:
        names = set(self.game.players)
        named = set(self.play.order) | ({self.play.gate} if self.play.gate else set())
        if unknown := named - names:
            raise UsageError("PLAY-PLAYER", f"the play names {sorted(unknown)}", why=f"the players are {sorted(names)}")
        if self.play.kind in ("gated", "either-or") and not isinstance(self.game, Criticises):
            raise UsageError("PLAY-SKILL", f"{self.training.play} needs a discriminator whose skill can be measured")
        if self.play.kind in ("gated", "either-or") and self.members is not None:
            raise UsageError(
                "PLAY-MEMBERS", f"{self.training.play} cannot be played by several seeds at once",
                why="who moves depends on D's skill, which differs between them", fix="play one seed at a time",
            )  # fmt: skip
        if self.play.kind == "consensus" and self.game.balanced:
            raise UsageError(
                "PLAY-CONSENSUS", f"{type(self.game).__name__} cannot play consensus",
                why="it weighs terms by their gradients, whose own gradient is not taken", fix="play simultaneous",
            )  # fmt: skip
        if self.play.kind == "consensus" and self.game.owner is not None:
            raise UsageError(
                "PLAY-CONSENSUS", f"{type(self.game).__name__} cannot play consensus",
                why=f"its players share what {self.game.owner} computes, so that nobody else's gradient reaches it",
                fix="play simultaneous or extragradient, or a recipe in which every turn draws its own samples (gan)",
            )  # fmt: skip
        if self.game.members != (self.members or 1):
            raise UsageError("ENSEMBLE-SEEDS", f"{self.members or 1} seeds for {self.game.members} members")

    # ── where we are ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def images(self) -> int:
        """Real images seen, over all processes; in an ensemble by each member."""
        return self.drawn * self.training.batch

    def now(self, samples: range, *, turn: int = 0) -> Now:
        return Now(self.seed, self.images, self.horizon, self.round, turn, samples, self.engine.device)

    @property
    def failed(self) -> Tensor:
        """(members,) int64: the round in which a member's gradient was not finite, −1 while it is alive."""
        return torch.tensor(self.retired)

    @property
    def shows(self) -> bool:
        """Whether there are samples: a game that translates makes them of its exhibits, one with tokens encodes and
        decodes them."""
        if of_exhibits(self.game):
            return self.exhibits is not None
        return isinstance(self.game, Samples)

    # ── one round ────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> Means:
        """One round; returns the mean of every term, ``{"D/real": (), "G/fake": (), "D/gradient": (), …}``; in an
        ensemble (members,) each."""
        return _finished(self.turns())

    def turns(self) -> Moves:
        """The same round, move by move: one may look at the game in between. It counts once it is played to its end."""
        if not any(round_ >= 0 for round_ in self.retired):
            return (yield from self._round())
        with self._held(tensor for named in self.tensors().values() for tensor in named.values()):
            return (yield from self._round())

    def _round(self) -> Moves:
        means: Means = {}
        before = self.drawn
        hand = self._deal(turn=0)
        if self.play.kind == "simultaneous":
            means = yield from self._together(hand)
        elif self.play.kind == "consensus":
            means = yield from self._agreeing(hand)
        elif self.play.kind == "extragradient":
            with self._trial():
                _finished(self._together(hand))
                hand = self._deal(turn=len(self.game.players))
                means, seen = self._gradients(hand, first=len(self.game.players))
            yield from self._moves(hand, seen, means)
        else:
            order = self._order(hand, means)
            for turn, player in enumerate(order):
                if player in hand.used:  # a player never sees the same batch twice
                    hand = self._deal(turn)
                means |= self._gradient(player, hand, turn)
                self._move(player, hand, hand.last, means)
                yield Moved(player, order[turn + 1 :], means)
        self.round += 1
        self.engine.average_statistics(self.game.players.values())
        half_life = min(self.training.ema_images, self.training.ema_share * self.images)
        averages = (tensor for name in self.averages.players for tensor in self.averages.tensors(name).values())
        with self._held(averages):
            self.averages.update(decay((self.drawn - before) * self.training.batch, half_life))
        return means if self.members is None else self._of_the_living(means)

    def _together(self, hand: Hand) -> Moves:
        """All gradients at the same parameters, then all steps."""
        means, seen = self._gradients(hand)
        return (yield from self._moves(hand, seen, means))

    def _gradients(self, hand: Hand, first: int = 0) -> tuple[Means, dict[str, list[Piece]]]:
        """Everyone's gradient at the present parameters; and what each saw. first: the number of the first turn."""
        means: Means = {}
        seen: dict[str, list[Piece]] = {}
        for turn, player in enumerate(self.game.players):
            means |= self._gradient(player, hand, first + turn)
            seen[player] = hand.last
        return means, seen

    def _moves(self, hand: Hand, seen: Mapping[str, list[Piece]], means: Means) -> Moves:
        players = tuple(self.game.players)
        for i, player in enumerate(players):
            self._move(player, hand, seen[player], means)
            yield Moved(player, players[i + 1 :], means)
        return means

    def _agreeing(self, hand: Hand) -> Moves:
        """All gradients, each with that of γ ½‖v‖², at the same parameters, then all steps."""
        seen: dict[str, list[Piece]] = {}
        for turn, player in enumerate(self.game.players):
            self.optimisers[player].zero_grad()
            hand.used.add(player)
            seen[player] = list(hand.pieces(player, turn))
        found = consensus(self.game, seen, hand.samples, self.engine, self.play.amount, self.members)
        means = {f"{player}/{name}": value for player, terms in found.items() for name, value in terms.items()}
        for player, module in self.game.players.items():
            means[f"{player}/gradient"] = self.engine.gradient_norm(module, self.members)
        return (yield from self._moves(hand, seen, means))

    @contextmanager
    def _trial(self) -> Iterator[None]:
        """Inside, players may move; afterwards they are where they were (buffers and optimisers have gone on)."""
        parameters: list[Tensor] = [p for player in self.game.players.values() for p in player.parameters()]
        before = [p.detach().clone() for p in parameters]
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, before)

    def _deal(self, turn: int) -> Hand:
        """The next batch, this process's part of it, in pieces."""
        mine = self.engine.slice(self.attempt * SHIFT + self.images, self.training.batch)
        count = pieces_of(len(mine), self.training.micro_batches / self.engine.size)
        each = len(mine) // count
        ranges = [mine[i * each : (i + 1) * each] for i in range(count)]
        batches = [self.engine.place(self.stream.take(r.start, len(r))) for r in ranges]
        hand = Hand(
            self.game, self.engine, batches, [replace(self.now(r, turn=turn), piece=i) for i, r in enumerate(ranges)]
        )
        self.drawn += 1
        return hand

    def _order(self, hand: Hand, means: dict[str, Tensor]) -> tuple[str, ...]:
        if self.play.kind == "alternating":
            return self.play.order
        skill = self._skill(hand)
        means["skill"] = skill
        players = tuple(self.game.players)
        if self.play.kind == "gated":
            return tuple(p for p in players if p != self.play.gate or float(skill) < self.play.bound)
        critic, others = players[0], players[1:]
        return (critic,) if float(skill) <= 0.5 else others

    @torch.no_grad()
    def _skill(self, hand: Hand) -> Tensor:
        """How often D is right on this batch, over all processes: in [0, 1], 0.5 by chance."""
        game = self.game
        assert isinstance(game, Criticises)
        rights = []
        with resting(game):
            for batch, now in zip(hand.batches, hand.nows, strict=True):
                real, fake = game.logits(batch, now.chance("skill"))
                if game.relative:
                    rights.append((real > fake).float().mean())
                else:
                    rights.append(0.5 * ((real > 0).float().mean() + (fake < 0).float().mean()))
        return self.engine.mean(torch.stack(rights).mean())

    def _gradient(self, player: str, hand: Hand, turn: int) -> dict[str, Tensor]:
        self.optimisers[player].zero_grad()
        hand.used.add(player)
        means = gradient(self.game, player, Seen(hand, player, turn), hand.samples, self.engine, self.members)
        named = {f"{player}/{name}": value for name, value in means.items()}
        return named | {f"{player}/gradient": self.engine.gradient_norm(self.game.players[player], self.members)}

    def _move(self, player: str, hand: Hand, pieces: list[Piece], means: Mapping[str, Tensor]) -> None:
        """Check, then step: no number that is not finite ever reaches a weight or an average."""
        norm = means[f"{player}/gradient"]
        skip = None
        if self.members is not None:
            self._retire(player, norm, means)
        elif self.engine.checks_at_once:
            if not bool(norm.isfinite()):
                raise not_finite(player, self.round, means)
        else:
            skip = (~norm.isfinite()).float()
            self.bad += skip
        now = hand.nows[0]
        lr = now.at(self.training.lr) * (self.training.lr_ratio if player == next(iter(self.game.players)) else 1.0)
        lr *= self.slower
        mover = self.optimisers[player]
        with self._held((*self.game.players[player].parameters(), *mover.tensors().values())):
            mover.step(lr, now.at(self.training.beta1), now.at(self.training.beta2), skip)
        hand.moved(player)
        with torch.no_grad():
            for piece in pieces:
                self.game.after(player, piece.batch, piece.shared, piece.now)
            if self.engine.size > 1:
                for rows, mine in self.game.written(player):
                    self.engine.join_rows(rows, mine)
                self.engine.add_up(self.game.statistics(player))
            if player in self.game.heeds:
                self.game.hear(player, self._whole(player, means), now)
        self.optimisers[player].zero_grad()

    def _whole(self, player: str, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The means of what the game heeds, where it was said, over all processes."""
        said = [term for term in self.game.heeds[player] if f"{player}/{term}" in means]
        if not said:
            return {}
        whole = self.engine.mean(torch.stack([means[f"{player}/{term}"] for term in said]))
        return dict(zip(said, whole.unbind(), strict=True))

    # ── members that are retired ─────────────────────────────────────────────────────────────────────────────────

    def _retire(self, player: str, norm: Tensor, means: Mapping[str, Tensor]) -> None:
        """Retire the members whose gradient is not finite; `Diverged` when none is left."""
        finite = norm.isfinite().tolist()
        new = [s for s, fine in enumerate(finite) if not fine and self.retired[s] < 0]
        for s in new:
            self.retired[s] = self.round
        if all(round_ >= 0 for round_ in self.retired):
            last = {name: value[new[0]] for name, value in means.items()}
            raise not_finite(player, self.round, last)
        if new:  # what its forward pass has left behind (batch statistics) may not be finite either
            rows = torch.tensor(new, device=self.engine.device)
            for buffer in self.game.buffers():
                if buffer.is_floating_point():
                    buffer[rows] = buffer[rows].nan_to_num(0.0, 0.0, 0.0)

    @contextmanager
    def _held(self, tensors: Iterable[Tensor]) -> Iterator[None]:
        """Inside, whatever happens to `tensors` (members, …) does not happen to members that were retired before."""
        dead = [s for s, round_ in enumerate(self.retired) if round_ >= 0]
        if not dead:
            yield
            return
        rows = torch.tensor(dead, device=self.engine.device)
        every = [tensor.detach() for tensor in tensors if tensor.dim() > 0]  # a count of steps is everyone's
        kept = [tensor[rows].clone() for tensor in every]
        yield
        for tensor, value in zip(every, kept, strict=True):
            tensor[rows] = value

    def _of_the_living(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the members pay, with NaN for those that are retired."""
        dead = [s for s, round_ in enumerate(self.retired) if round_ >= 0]
        if dead:
            rows = torch.tensor(dead, device=self.engine.device)
            means = {name: value.index_fill(0, rows, math.nan) for name, value in means.items()}
        return means

    # ── what is remembered ───────────────────────────────────────────────────────────────────────────────────────

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors of the state, by file: each player, each average, what is no player's, the optimisers."""
        files = {name: dict(player.state_dict()) for name, player in self.game.players.items()}
        files |= {f"{name}-ema": self.averages.tensors(name) for name in self.averages.players}
        theirs = {id(t) for player in self.game.players.values() for t in player.state_dict(keep_vars=True).values()}
        rest = {name: t for name, t in self.game.state_dict(keep_vars=True).items() if id(t) not in theirs}
        if rest:
            files["game"] = {name: tensor.detach() for name, tensor in rest.items()}
        moments = {
            f"{player}/{name}": tensor
            for player, mover in self.optimisers.items()
            for name, tensor in mover.tensors().items()
        }
        return files | ({"optimiser": moments} if moments else {})

    def state(self) -> dict[str, Any]:
        """The counters; of an ensemble also who is retired; of a run that went back, how it goes on since then; of a
        game of which samples need but a part, which one, and what may be left out."""
        counters: dict[str, Any] = {"round": self.round, "drawn": self.drawn}
        if self.members is None and (cut := left_out(self.game)):
            counters |= {"samples_need": list(self.game.useful), "left_out": list(cut)}
        if self.attempt:
            counters |= {"attempt": self.attempt, "slower": self.slower}
        return counters if self.members is None else {**counters, "retired": list(self.retired)}

    @torch.no_grad()
    def load(self, files: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Restore what `tensors` and `state` gave; anything missing, extra or of another shape is an error."""
        for name, tensors in self.tensors().items():
            match_tensors(files[name], tensors, name)
            for key, tensor in tensors.items():
                tensor.copy_(files[name][key])
        self.round, self.drawn = int(state["round"]), int(state["drawn"])
        self.attempt, self.slower = int(state.get("attempt", 0)), float(state.get("slower", 1.0))
        self.bad.zero_()
        if self.members is not None:
            self.retired = [int(round_) for round_ in state["retired"]]


def _finished(moves: Moves) -> Means:
    """Play them all."""
    while True:
        try:
            next(moves)
        except StopIteration as end:
            return dict(end.value)


@contextmanager
def resting(game: nn.Module) -> Iterator[None]:
    """Inside, the game is in eval mode; afterwards every module is as it was."""
    modes = [(module, module.training) for module in game.modules()]
    game.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def check_shares(batch: int, processes: int) -> None:
    """`UsageError` if so many processes cannot share a batch equally."""
    if batch % processes:
        raise UsageError(
            "BATCH-PROCESSES", f"--processes {processes} cannot share a batch of {batch} equally",
            fix=f"--set batch={processes * max(1, round(batch / processes))}, or another number of processes",
        )  # fmt: skip


def pieces_of(samples: int, wanted: float) -> int:
    """How many equal pieces: the least number of at least `wanted`, so that none is larger than was asked for.

    >>> pieces_of(16, 4), pieces_of(5, 2.5), pieces_of(8, 0.5)
    (4, 5, 1)
    """
    return next(
        count for count in range(1, samples + 1) if samples % count == 0 and (count >= wanted or count == samples)
    )


def not_finite(player: str, round_: int, means: Mapping[str, Tensor]) -> Diverged:
    """The error that says who paid what when the numbers ran away."""
    paid = ", ".join(f"{name} = {float(value):.4g}" for name, value in means.items())
    return Diverged(
        "NOT-FINITE",
        f"the gradient of {player} is not finite in round {round_}; no weight was changed by it",
        why=paid,
        fix="lower the learning rate (--set lr=1e-4) or raise the penalty (--set gamma=…)",
    )


def _prepare(game: Game) -> None:
    """Players train; a module of no player is frozen and in eval mode."""
    game.train()
    theirs = {id(m) for player in game.players.values() for m in player.modules()}
    playing = {id(p) for player in game.players.values() for p in player.parameters()}
    for module in game.modules():
        if module is not game and id(module) not in theirs and not _holds_player(module, theirs):
            module.eval()
    for parameter in game.parameters():
        parameter.requires_grad_(id(parameter) in playing)


def _holds_player(module: nn.Module, theirs: set[int]) -> bool:
    return any(id(child) in theirs for child in module.modules())
