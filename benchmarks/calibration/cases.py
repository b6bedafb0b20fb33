"""Which runs there are: a ground to play on (data, recipe, length), a fault or none, and a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from benchmarks.calibration.faults import FAULTS
from benchmarks.calibration.truth import SHARED
from sparring.data import Dataset, open_data


@dataclass(frozen=True)
class Ground:
    """Where runs are played: `preset` with `changes` on `data`, images at `size` px, for `rounds` rounds."""

    name: str
    preset: str
    data: str
    rounds: int
    changes: tuple[str, ...] = ()
    size: int = 0

    @property
    def group(self) -> str:
        """The kind of data: the results of a group are one file."""
        return self.name.split("-")[0]


_NANO = ("width=8", "d_width=8")

GROUNDS: Mapping[str, Ground] = {
    ground.name: ground
    for ground in (
        Ground("ring-relativistic", "gan-points", "ring", 2000, ("batch=128",)),
        Ground("ring-bce", "gan-points", "ring", 2000, ("batch=128", "objective=nonsaturating")),
        Ground("ring-hinge", "gan-points", "ring", 2000, ("batch=128", "objective=hinge")),
        Ground("ring-wasserstein", "gan-points", "ring", 2000, ("batch=128", "objective=wasserstein")),
        Ground("ring-classes", "cgan-points", "ring", 2000),
        Ground("grid-relativistic", "gan-points", "grid", 2400, ("batch=128",)),
        Ground("grid-classes", "cgan-points", "grid", 2000),
        Ground("digits-dcgan", "dcgan", "mnist", 1600, ("width=8", "batch=32", "flip=false", "lr=1e-3"), 16),
        Ground("digits-r3", "r3gan-minutes", "mnist", 1600, (*_NANO, "batch=32", "flip=false"), 16),
        Ground("digits-classes", "cgan", "mnist", 1600, (*_NANO, "batch=32", "flip=false"), 16),
        Ground("digits-mlp", "gan", "mnist", 2400, ("width=128", "batch=64", "flip=false", "lr=3e-4"), 16),
        Ground("fashion-r3", "r3gan-minutes", "fashion", 1600, (*_NANO, "batch=32"), 16),
        Ground("fashion-classes", "cgan", "fashion", 1600, (*_NANO, "batch=32"), 16),
        Ground("emoji-r3", "r3gan-minutes", "emoji", 1600, (*_NANO, "batch=32"), 16),
        Ground("cats-r3", "r3gan-minutes", "cats", 1600, (*_NANO, "batch=32"), 16),
    )
}


@dataclass(frozen=True)
class Case:
    """One run.

    >>> Case.named("ring-bce.lr-50.1").fault
    'lr-50'
    """

    ground: str
    fault: str
    seed: int

    @classmethod
    def named(cls, name: str) -> Case:
        parts = name.split(".")
        if len(parts) != 3 or parts[0] not in GROUNDS or parts[1] not in FAULTS or not parts[2].isdecimal():
            raise SystemExit(f"{name}: a run is called ground.fault.seed, such as ring-bce.lr-50.1")
        return cls(parts[0], parts[1], int(parts[2]))

    @property
    def name(self) -> str:
        return f"{self.ground}.{self.fault}.{self.seed}"

    @property
    def held_out(self) -> bool:
        """Whether thresholds are scored on this run; they are fitted on the others. By a hash of its name, settled
        before anything was measured."""
        return hashlib.blake2b(self.name.encode(), digest_size=1).digest()[0] % 2 == 1


HEALTHY_SEEDS: Mapping[str, int] = {"points": 5, "images": 3}
_PLAN: Mapping[str, str] = {
    "nan-gradient-d": "ring-relativistic digits-dcgan fashion-r3",
    "nan-gradient-g": "grid-relativistic digits-r3 digits-mlp",
    "nan-batch": "ring-hinge digits-classes cats-r3",
    "nan-logit": "ring-wasserstein fashion-classes emoji-r3",
    "lr-50": "ring-relativistic ring-bce ring-wasserstein grid-relativistic digits-dcgan digits-r3 digits-classes "
    "digits-mlp fashion-r3 emoji-r3",
    "d-slow": "ring-relativistic ring-bce ring-hinge ring-classes grid-relativistic digits-dcgan digits-mlp",
    "d-fast": "ring-bce digits-dcgan digits-mlp fashion-r3",
    "saturating": "ring-bce ring-classes digits-dcgan digits-r3 digits-mlp fashion-classes",
    "saturating-fast": "ring-hinge digits-dcgan digits-mlp fashion-r3 emoji-r3",
    "zeroed": "ring-relativistic grid-relativistic digits-dcgan fashion-r3",
    "z-constant": "ring-relativistic ring-hinge digits-dcgan emoji-r3",
    "z-constant-later": "ring-bce grid-relativistic digits-r3 fashion-classes",
    "twenty": "digits-mlp digits-r3 digits-classes fashion-classes fashion-r3",
    "eight": "digits-mlp digits-r3 fashion-r3 emoji-r3",
    "twenty-d4": "ring-bce digits-mlp digits-dcgan",
    "scaled-down": "ring-relativistic digits-dcgan",
    "scaled-up": "ring-wasserstein cats-r3",
    "chequer": "digits-r3 cats-r3",
    "class-ignored": "ring-classes digits-classes",
    "class-without-noise": "digits-classes fashion-classes",
    "labels-shuffled": "ring-classes",
    "ema-frozen": "ring-relativistic digits-dcgan",
    "ema-slow": "digits-dcgan",
    "augment-1": "digits-r3 fashion-r3",
    "two-hundred": "digits-r3",
    "gamma-0": "ring-relativistic grid-relativistic digits-r3",
    "gamma-500": "ring-relativistic digits-r3",
}
_SOFT = (
    "scaled-down", "scaled-up", "chequer", "class-ignored", "class-without-noise", "labels-shuffled", "ema-frozen",
    "ema-slow", "augment-1", "two-hundred", "gamma-0", "gamma-500",
)  # fmt: skip
"""Faults that need not end a game: they are played last."""
_MORE: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("twenty", "digits-classes fashion-classes digits-r3 digits-mlp", (1,)),
    ("twenty-d4", "digits-mlp", (1,)),
    ("saturating", "ring-bce", (1,)),
)
"""(fault, grounds, seeds) beyond seed 0."""


def planned() -> list[Case]:
    """Every run, in the order in which they are played: faults that are meant to end a game, healthy runs, the rest."""
    faulty = [Case(ground, fault, 0) for fault, grounds in _PLAN.items() for ground in grounds.split()]
    healthy = [
        Case(name, "none", seed)
        for seed in range(max(HEALTHY_SEEDS.values()))
        for name, ground in GROUNDS.items()
        if seed < HEALTHY_SEEDS["images" if ground.size else "points"]
    ]
    last = [case for case in faulty if case.fault in _SOFT]
    faulty = [case for case in faulty if case.fault not in _SOFT]
    more = [Case(g, fault, seed) for fault, grounds, seeds in _MORE for seed in seeds for g in grounds.split()]
    return [*faulty, *healthy, *last, *more]


@cache
def data_of(ground: str) -> Dataset:
    """The data of a ground, whole."""
    found = GROUNDS[ground]
    places = {"mnist": SHARED / "mnist", "cats": SHARED / "cat_faces_64.zip"}
    settings = {"size": (found.size, found.size)} if found.size else {}
    dataset = open_data(places.get(found.data, found.data), **settings)
    return replace(dataset, name=found.data)
