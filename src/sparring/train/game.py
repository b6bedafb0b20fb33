"""A generative model is a game: players, each a set of parameters with one objective that it lowers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor, nn

from sparring.chance import Dice, Dices
from sparring.train.schedule import Play, Ramp
from sparring.types import Batch, Shared, Space, Terms, Weights


@dataclass(frozen=True)
class Now:
    """Where we are, and the dice. Everything that changes during training is a function of this.

    images:  real images seen before this round.   horizon: images at which all ramps have reached their end.
    round, turn: counters; a turn is one player's move.   samples: the positions of this (micro-)batch in the stream.
    piece: which of the batch's pieces it is, so that `Game.after` can do what is due once per move in the first.
    seed: a tuple holds one for each member of an ensemble.
    """

    seed: int | tuple[int, ...]
    images: int
    horizon: int
    round: int
    turn: int
    samples: range
    device: str | torch.device = "cpu"
    piece: int = 0

    @property
    def progress(self) -> float:
        """Share of the horizon that has been seen, in [0, 1]."""
        return min(1.0, self.images / self.horizon) if self.horizon else 1.0

    @property
    def seeds(self) -> tuple[int, ...]:
        """One for each member; of a game that is played alone, its own."""
        return self.seed if isinstance(self.seed, tuple) else (self.seed,)

    def chance(self, purpose: str) -> Dice | Dices:
        """Dice for the samples of this batch in this turn; for those of every member in an ensemble."""
        time = (self.round, self.turn)
        if isinstance(self.seed, tuple):
            return Dices(self.seed, purpose, self.samples, time, self.device)
        return Dice(self.seed, purpose, self.samples, time, self.device)

    def every(self, interval: int) -> bool:
        """Whether something done once in `interval` rounds is due in this one (the first round included)."""
        return self.round % interval == 0

    def at(self, ramp: Ramp) -> float:
        """The value of a ramp now."""
        return ramp.at(self.progress)


class Game(nn.Module, ABC):
    """Players, their losses, and what they share. What a game remembers is a registered buffer: so it is saved,
    moved, resumed and checked. A module of no player (a scorer) is frozen, in eval mode, without optimiser.
    """

    Config: ClassVar[type[Training]]
    config: Any
    averaged: tuple[str, ...] = ()
    """Players that keep an exponential moving average; sampling and export need only these."""
    for_training: tuple[str, ...] = ()
    """Modules and buffers of no player that only training needs (an image pool, a scorer): exports leave them out."""
    owner: str | None = None
    """The player whose gradient flows through `shared`; everyone else receives it detached."""
    heeds: Mapping[str, tuple[str, ...]] = {}
    """By player, the terms whose means `hear` is told after each of its moves."""
    members: int = 1
    """Copies with seeds of their own that are played at once (`ensemble.together`): batches then hold the samples of
    the first, then those of the second, and so on. What compares samples with each other stays within a member."""
    balanced: tuple[str, ...] = ()
    """Players of whose weights one is `types.Balanced`: it follows from gradients."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What each batch must bring besides samples: "label", "text", "pair" (the image that x belongs to), "unpaired"
    (one that has nothing to do with x), "legend" (x is a label map). Other data is refused beforehand."""

    others: ClassVar[Mapping[str, type]] = {}
    """Settings that name another run, whose game is needed and copied in, and what that must be able to do: a
    transformer needs its tokenizer. `build` finds each that is named in `Space.others`."""

    @classmethod
    @abstractmethod
    def build(cls, config: Any, space: Space) -> Game:
        """The game for data of this kind: its shape, how many classes it has, whether it has captions."""

    @classmethod
    def kind(cls, config: Any, space: Space) -> type[Game]:
        """The class of what `build` makes, where that is a subclass which depends on the data. Default: this class."""
        return cls

    def begin(self) -> None:
        """Take over weights that were trained elsewhere, where a game is to be trained from its beginning; not called
        where its weights come from a checkpoint. Default: nothing."""

    @property
    @abstractmethod
    def players(self) -> Mapping[str, nn.Module]:
        """Disjoint modules by name, in the order in which they move."""

    @property
    def useful(self) -> tuple[str, ...]:
        """Players, or parts of players by their paths ("M.decoder"), that the trained game needs for what it is for:
        what exports keep, and what is loaded to sample (`train.parts`). Default: `averaged`, else all."""
        return self.averaged or tuple(self.players)

    @property
    def frozen(self) -> Collection[nn.Parameter]:
        """Parameters of players that never move: layers taken over from another run, for example. Default: none."""
        return ()

    def shared(self, batch: Batch, now: Now) -> Shared:
        """Computed once per batch, with its graph: for example ``{"fake": G(z)}``. Default: nothing."""
        return {}

    @abstractmethod
    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """The terms of J^(player), unreduced, per sample first: (N, …). No side effects.

        Detach nothing of another player here: the engine freezes whoever does not move, and in consensus play, where
        nobody is frozen, what a player pays is differentiated with respect to everyone.
        """

    @abstractmethod
    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        """The weight of each term that `player` lowers. Terms it does not name are only observed."""

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        """What is remembered after a player has moved (image pool, codebook averages); under no_grad."""

    def hear(self, player: str, means: Mapping[str, Tensor], now: Now) -> None:
        """What is remembered of what a player in `heeds` said when it moved: of the terms named there, if it said them,
        the means () over all pieces and processes. After `after`, when `statistics` are added up; under no_grad.
        Default: nothing."""

    def written(self, player: str) -> Sequence[tuple[Tensor, Tensor]]:
        """Buffers (P, …) of which each process has written, in `after` this player's move, the rows that belong to its
        own samples, and which rows those are, (P,) bool; they then become those of all processes. Default: none."""
        return ()

    def statistics(self, player: str) -> Sequence[Tensor]:
        """Buffers in which each process has added up, in `after` this player's move, what its own samples say; they
        then become the sum over all processes. Default: none."""
        return ()


def _as_ramp(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"start": value, "end": value}
    if isinstance(value, str):
        return Ramp.parse(value)
    return value


@dataclass(frozen=True)
class Between:
    """A check that a ramp stays in a range (it does if both of its ends do).

    >>> str(Between(0, 1, open_high=True))
    '[0, 1['
    """

    low: float
    high: float
    open_high: bool = False

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}{'[' if self.open_high else ']'}"

    def __call__(self, ramp: Ramp) -> Ramp:
        for value in (ramp.start, ramp.end):
            if value < self.low or value > self.high or (self.open_high and value == self.high):
                raise ValueError(f"{value:g} is not in {self}")
        return ramp


Schedule = Annotated[Ramp, BeforeValidator(_as_ramp), AfterValidator(Between(0, math.inf, open_high=True))]
"""A number, ``"5 -> 0.5 cosine 0..0.8"``, or a mapping with start, end, shape, begin, until; never negative."""
Decay = Annotated[Ramp, BeforeValidator(_as_ramp), AfterValidator(Between(0, 1, open_high=True))]
"""A `Schedule` of decay rates: from 0, below 1."""
Fraction = Annotated[Ramp, BeforeValidator(_as_ramp), AfterValidator(Between(0, 1))]
"""A `Schedule` of probabilities or step sizes: from 0 to 1."""

Positive = Annotated[int, Field(ge=1, le=2**20)]
strict = ConfigDict(extra="forbid", allow_inf_nan=False)


@pydantic_dataclass(frozen=True, config=strict, kw_only=True)
class Training:
    """What every recipe says about how it is trained; each recipe's Config adds its own fields to these."""

    batch: Positive = 64
    """Images per round, over all processes."""
    micro_batches: Positive = 1
    """Pieces in which a batch is computed: less memory, same result (unless batch statistics couple samples)."""
    play: str = "D:1,G:1"
    """Who moves when: "D:1,G:1", "D:2,G:1", "simultaneous", "extragradient", "consensus(0.1)", "gated(D<0.8)",
    "either-or"; docs/turns.md says what each does."""
    optimiser: Literal["adam", "sgd", "optimistic-adam", "optimistic-sgd"] = "adam"
    """Adam, or plain gradient descent (no momentum), with which dynamics can be studied in closed form; or either in
    its optimistic form (docs/turns.md)."""
    lr: Fraction = Ramp(2e-4, 2e-4)
    """Step size of the optimiser."""
    lr_ratio: Annotated[float, Field(gt=0)] = 1.0
    """D's step size over G's (two time-scale update rule, Heusel et al. 2017)."""
    beta1: Decay = Ramp(0.0, 0.0)
    """Adam's first decay."""
    beta2: Decay = Ramp(0.99, 0.99)
    """Adam's second decay."""
    ema_images: Annotated[float, Field(ge=0)] = 10_000
    """Half-life of the averaged players in images; 0 keeps no average."""
    ema_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The half-life never exceeds this share of the images seen (so that the start is forgotten)."""
    flip: bool = True
    """Mirror images left-right at random."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 autocast with penalties and logits in fp32. Never fp16: it breaks penalties."""
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    """Layout of images and weights in memory; the faster one was measured for each recipe."""

    def __post_init__(self) -> None:
        play = Play.parse(self.play)
        if play.kind == "extragradient" and self.optimiser.startswith("optimistic"):
            raise ValueError(f"extragradient and {self.optimiser} both look ahead: take one of them")
        if self.lr.start == 0:
            raise ValueError("lr begins above 0, at most 1: at 0 nothing would ever move")
        if self.batch % self.micro_batches:
            raise ValueError(f"micro_batches = {self.micro_batches} does not divide batch = {self.batch}")


def seeded(seed: int, build: Any) -> Any:
    """``build()`` with the initialisation of its weights a function of `seed` alone; the global generator untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
