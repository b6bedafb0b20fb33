"""The pictures of a run on the plane: what has been said so far, and what theory says, beside the game from above."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sparring.contest import Contest
from sparring.data import Dataset
from sparring.data.opening import Limits, Unusable, opened
from sparring.generate.landscape import Reading
from sparring.generate.plane import Plane, animate
from sparring.losses.adversarial import OBJECTIVES
from sparring.runs.directory import RunDirectory
from sparring.train import log
from sparring.types import Alarm, Criticises, Event, Landscape, Probed, Sampled, SamplesByClass, Turn, paid

POINTS = 1000
"""Data points and samples in a picture."""
MOST_FRAMES = 60
"""Frames of an animation."""
SHORTEST = 5.0
"""Seconds: runs that are planned to be shorter have plain pictures."""
_FEWEST, _MOST = 8, 40  # pictures up to the horizon
_COST, _SHARE = 0.15, 0.04  # seconds of a picture and its measures (one Xeon core); share of a run spent on them
_SEEN = ("D(x)", "D(G(z))")


class History:
    """The curves of a run so far: what each player pays ("D", "G"), "D(x)", "D(G(z))", and what was measured."""

    def __init__(self) -> None:
        self.curves: dict[str, tuple[list[float], list[float]]] = {}

    @classmethod
    def of(cls, path: Path) -> History:
        """From the log of a run; empty where there is none."""
        history = cls()
        for record in log.read(path) if path.exists() else ():
            if record.get("event") in ("turn", "probed") and isinstance(record.get("values"), dict):
                history.add(record.get("images", 0), record["values"], measured=record["event"] == "probed")
        return history

    def hear(self, event: Event) -> None:
        if isinstance(event, (Turn, Probed)):
            self.add(event.images, event.values, measured=isinstance(event, Probed))
        if isinstance(event, Alarm) and event.code == "ROLLBACK":
            self.undo(event.images)

    def undo(self, images: int) -> None:
        """Forget what is later: the run has gone back to `images`."""
        for name, (at, line) in self.curves.items():
            keep = sum(moment <= images for moment in at)
            self.curves[name] = at[:keep], line[:keep]

    def add(self, images: int, values: Mapping[str, Any], *, measured: bool) -> None:
        """`values` as of a `Turn`, by ``player/term``, or as of a `Probed`."""
        known = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        seen = {term: value for name, value in known.items() if (term := name.rpartition("/")[2]) in _SEEN}
        points = dict(known) if measured else paid(known) | seen
        for name, value in points.items():
            at, line = self.curves.setdefault(name, ([], []))
            at.append(images)
            line.append(value)


class Board:
    """Makes the pictures of one session of a run."""

    def __init__(self, plane: Plane, history: History) -> None:
        self.plane, self.history = plane, history

    def hear(self, event: Event) -> None:
        """Something was said: it may be drawn later."""
        self.history.hear(event)

    def picture(self, game: Landscape, event: Sampled) -> Image.Image:
        return self.plane.draw(game, event.samples[:POINTS], event.images, self.history.curves)

    def film(self, directory: RunDirectory) -> Path | None:
        """``game.gif`` of all pictures so far, of many an even choice; None without any that can be read."""
        paths = sorted(path for path in directory.samples.glob("*.png") if path.stem.isdecimal())
        last = len(paths) - 1
        picks = sorted({round(i * last / (MOST_FRAMES - 1)) for i in range(MOST_FRAMES)}) if paths else []
        pictures = []
        for path in (paths[i] for i in picks):
            with suppress(Unusable), opened(path.read_bytes(), Limits()) as picture:
                pictures.append(picture.convert("RGB"))
        return animate(pictures, directory.film) if pictures else None


def board_of(dataset: Dataset, game: object, *, seconds: float, total: int, logged: Path) -> Board | None:
    """The board of a run of a game that can be looked at from above, on points of the plane; else None.

    seconds: how long the run is planned to take.   logged: its log, as far as it goes.
    """
    if not drawn(dataset, game, seconds):
        return None
    plane = Plane(
        torch.from_numpy(dataset.train[:POINTS].copy()),
        scale=dataset.scale,
        title=f"{dataset.name} · {played(game)}",
        total=total,
        modes=len(dataset.modes) if dataset.modes is not None and dataset.spread else None,
        costs=equilibrium(game),
        reading=reading(game),
    )
    return Board(plane, History.of(logged))


def drawn(dataset: Dataset, game: object, seconds: float) -> bool:
    """Whether a run has pictures from above."""
    plane = dataset.kind == "points" and dataset.shape == (2,)
    return plane and isinstance(game, Landscape) and seconds >= SHORTEST


def moments(horizon: int, total: int, seconds: float) -> tuple[int, ...]:
    """When pictures are made, in images seen: log-spaced in the first tenth, then evenly, to the horizon and, in the
    same steps, beyond it: at most 40, fewer in short runs, so that they take some 4 % of one of half a minute or more.

    >>> len(moments(100_000, 100_000, 600)), moments(100_000, 130_000, 600)[-3:]
    (42, (124000, 127000, 130000))
    """
    count = min(_MOST, max(_FEWEST, int(_SHARE * seconds / _COST)))
    early = count // 4
    found = {0, total}
    found |= {round(0.005 * horizon * 20 ** (k / early)) for k in range(early)}  # 0.5 % … 10 %
    step, k = 0.9 * horizon / (count - early), 0
    while (moment := round(0.1 * horizon + k * step)) <= total:
        found.add(moment)
        k += 1
    return tuple(sorted(moment for moment in found if moment <= total))


def played(game: object) -> str:
    """What is played, in a few words: the objective, and what holds D back."""
    if not isinstance(game, Contest):
        return type(game).__name__
    config = game.config
    noisy = config.noise.start > 0 or config.noise.end > 0
    besides = [
        *[str(config.penalty)] * config.penalised,
        *["spectral norm"] * config.spectral,
        *["clipped weights"] * (config.clip > 0),
        *["noise"] * noisy,
        *["smoothed labels"] * (config.smoothing < 1),
        *[f"packs of {config.packing}"] * (config.packing > 1),
    ]
    who = "by class, " * isinstance(game, SamplesByClass)
    return who + " + ".join([str(config.objective).replace("_", " "), *besides])


def equilibrium(game: object) -> dict[str, float]:
    """{"D": …, "G": …}: what each player pays where G is right and D can only guess, s = 0: log 4 and log 2 in the game
    of 2014. Every objective of the table is such that s = 0 is D's answer there; a smoothed label moves it (left out).
    """
    if not isinstance(game, Contest) or game.config.smoothing < 1:
        return {}
    zero = torch.zeros(1)
    halves = {"D": game.objective.discriminator(zero, zero), "G": game.objective.generator(zero, zero)}
    return {player: sum(float(term) for term in terms.values()) for player, terms in halves.items()}


def equilibrium_terms(config: Mapping[str, Any]) -> dict[str, float]:
    """The same term by term, {"D/real": …, "G/fake": …}, from what recipe.yaml says of a game's settings; {} where they
    name no objective of the table.

    >>> {name: round(cost, 3) for name, cost in equilibrium_terms({"objective": "nonsaturating"}).items()}
    {'D/real': 0.693, 'D/fake': 0.693, 'G/fake': 0.693}
    """
    name, smoothing = config.get("objective"), config.get("smoothing", 1)
    if not isinstance(name, str) or name not in OBJECTIVES or smoothing != 1:
        return {}
    zero, objective = torch.zeros(1), OBJECTIVES[name]
    halves = {"D": objective.discriminator(zero, zero), "G": objective.generator(zero, zero)}
    return {f"{player}/{term}": float(cost) for player, terms in halves.items() for term, cost in terms.items()}


def reading(game: object) -> Reading:
    """How D's output s is read as the share p/(p + q) of reals at a place.

    The best D lowers u r(s) + f(s), r and f its costs on a real and on a generated sample and u = p/q. Where s = 0 is
    its answer to u = 1, ds/du = −r′/(r″ + f″) there, and the share changes by du/4; so σ(k s) with k = −(r″ + f″)/r′ is
    that share to first order: k = 1 where s is a logit, 2 for `least_squares`, ½ for `pearson`. A D whose best answer
    is a sign (`hinge`, `total_variation`) has ±1 for sure: k = 2. In `wasserstein` s has neither zero nor scale.
    """
    if isinstance(game, Criticises) and game.relative:
        return Reading(centred=True)
    if not isinstance(game, Contest):
        return Reading()

    def paid(s: torch.Tensor) -> torch.Tensor:
        return torch.stack([term.sum() for term in game.objective.discriminator(s[:1], s[1:]).values()]).sum()

    start = torch.zeros(2, dtype=torch.float64)
    slope = float(torch.autograd.functional.jacobian(paid, start)[0])
    bend = float(torch.autograd.functional.hessian(paid, start).diagonal().sum())
    if bend > 1e-9:
        return Reading(-bend / slope)
    apart = torch.tensor([1.0, 0.0], dtype=torch.float64)
    free = abs(float(paid(apart + 5.0) - paid(apart))) < 1e-9  # s + c costs the same for every c
    return Reading(None, centred=True) if free else Reading(2.0)
