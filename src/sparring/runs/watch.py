"""What is measured while a run goes on, and what is concluded from it.

`RunWatch` looks at a game at the moments that were planned for it (`runs.probes`), keeps what it found, and asks
`health` what it means. Of points whose truth is known, what G gets wrong is counted whenever a picture is drawn
(`PointsWatch`, and inside a `RunWatch`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.contest import ContestConfig
from sparring.data import Dataset
from sparring.health.response import alarms, decide
from sparring.health.rules import judge
from sparring.health.verdict import Context
from sparring.health.words import count
from sparring.losses.adversarial import OBJECTIVES
from sparring.metrics.energy import energy_distance, mean_distance
from sparring.metrics.modes import modes
from sparring.runs.observe import Observer, judge_of, solo
from sparring.runs.probes import Probes
from sparring.runs.recipe import Recipe
from sparring.runs.settings import plain
from sparring.train.checkpoint import Store
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import HasTokens, Opinion, Samples, Turn

SAMPLES = 2500
"""Samples that are judged, as in PacGAN (Lin et al. 2018, section 4.1)."""

_HISTORY, _TURNS = 256, 256  # what a watch remembers at most

Values = Mapping[str, float]
Row = tuple[int, Values]
"""Images seen, and what was measured or paid there."""
Measure = Callable[[NDArray[Any]], Values]


class PointsWatch:
    """Judges the averaged players by `SAMPLES` samples of the seed of the run; those of its pictures are the first.

    At each of `moments` (images seen) it measures and decides nothing. Values that are not finite are left out.
    """

    def __init__(self, measure: Measure, moments: tuple[int, ...]) -> None:
        self.measure, self.moments = measure, moments
        self.looked = 0  # images seen at the last look

    def due(self, images: int) -> bool:
        """Whether a moment has come since the last look."""
        return any(self.looked < moment <= images for moment in self.moments)

    def hear(self, turn: Turn) -> None:
        """Nothing that is paid matters here."""

    def look(self, view: Match) -> Opinion:
        self.looked = view.images
        values = self.measure(sample_averaged(view, SAMPLES).numpy())
        return Opinion({name: value for name, value in values.items() if math.isfinite(value)}, judged=False)

    def state_dict(self) -> dict[str, Any]:
        return {"looked": self.looked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Runs from before there was a watch have no state: they are looked at at once."""
        self.looked = int(state.get("looked", 0))


class RunWatch:
    """Looks at the players at `moments` (images seen): held-out data, averaged samples, samples of the players as they
    are, what D says; `health.signals` has the meaning of each number.

    observer: sees data and game.   moments: of the probes.
    measure, shown: of points, what is counted of `SAMPLES` samples, at the moments of the pictures too.
    distance: of points, how far they lie from the data, at probes.
    context: what must be known of the run to judge its numbers.   kept: which healthy checkpoint there is, in words.

    A look changes nothing that is trained: it draws from counters of its own, by players at rest. Its state is what it
    has found, the newest `_HISTORY` probes and `_TURNS` turns (older ones thinned), so that it neither grows with a run
    nor depends on the clock: a resumed run has the same one as a run that never stopped.
    """

    def __init__(
        self,
        observer: Observer,
        moments: Sequence[int],
        *,
        measure: Measure | None = None,
        shown: Sequence[int] = (),
        distance: Measure | None = None,
        context: Context | None = None,
        kept: Callable[[], str] = str,
    ) -> None:
        self.observer, self.moments = observer, tuple(moments)
        self.measure, self.shown, self.distance = measure, tuple(shown), distance
        self.context, self.kept = context or Context(), kept
        self.looked = 0  # images seen at the last look
        self.history: list[Row] = []
        self.turns: list[Row] = []
        self.response: dict[str, Any] = {}  # what `decide` remembers
        self.told: dict[str, Any] = {}  # what has been said, so that it is not said at every probe
        self._began, self._spent = time.perf_counter(), 0.0

    def due(self, images: int) -> bool:
        """Whether a moment has come since the last look."""
        return self._due(self.moments, images) or self._due(self.shown, images)

    def hear(self, turn: Turn) -> None:
        """What was paid is kept, thinned, for whoever judges: gradients, penalties, costs."""
        paid = {name: value for name, value in turn.values.items() if isinstance(value, float)}
        self.turns = thinned([*self.turns, (turn.images, finite(paid))], _TURNS)

    def look(self, view: Match) -> Opinion:
        """Measure what is due, and judge."""
        began = time.perf_counter()
        probed = self._due(self.moments, view.images)
        self.looked = view.images
        values: dict[str, float] = {}
        if self.measure is not None:
            made = sample_averaged(view, SAMPLES).numpy()
            values |= self.measure(made)
            if probed and self.distance is not None and "energy_distance" not in values:
                values |= self.distance(made)
        if probed:
            values |= self.observer.signals(view)
        values = finite(values)
        if not probed:
            return Opinion(values, judged=False)
        self.history = thinned([*self.history, (view.images, dict(values))], _HISTORY)
        verdicts = judge(self.history, self.turns, self.context)
        if any(verdict.level == "hard" for verdict in verdicts):  # only now is it worth the reading of a checkpoint
            verdicts = judge(self.history, self.turns, replace(self.context, kept=self.kept()))
        decision, self.response = decide(verdicts, self.response, self.context)
        said, self.told = alarms(verdicts, self.told)
        self._spent += (spent := time.perf_counter() - began)
        clock = {"spent": spent, "share": self._spent / (time.perf_counter() - self._began)}
        found, name = score(values)
        causes = ((v.code, v.sentence()) for v in verdicts if v.level == "hard" or v.code == "PLATEAU")
        why = next(causes, None)  # the most serious first
        slack = values.get("pair_distance_se", 0.0) if name == PAIRS else 0.0
        return Opinion(values | clock, decision, tuple(said), found, name, why, slack=slack)

    def state_dict(self) -> dict[str, Any]:
        return {
            "looked": self.looked,
            "history": [[images, dict(values)] for images, values in self.history],
            "turns": [[images, dict(values)] for images, values in self.turns],
            "response": self.response,
            "told": self.told,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What is not there has not happened yet."""
        self.looked = int(state.get("looked", 0))
        self.history = [(int(images), dict(values)) for images, values in state.get("history", ())]
        self.turns = [(int(images), dict(values)) for images, values in state.get("turns", ())]
        self.response, self.told = dict(state.get("response", {})), dict(state.get("told", {}))

    def _due(self, moments: tuple[int, ...], images: int) -> bool:
        return any(self.looked < moment <= images for moment in moments)


PAIRS = "distance of pairs"


def score(values: Values) -> tuple[float | None, str]:
    """What the best checkpoint is chosen by, lower is better, and its name: KID of images, the energy distance of
    points (KID sees their first three moments only), the share of held-out samples that a classifier gets wrong, or of
    pixels whose class is wrong, or of images whose caption is not found. Where modes are known, the share of samples
    beside them plus the reverse KL of the others: the energy distance hardly sees that a small mode is missing.
    Of pairs how far each translation is from its own truth in the features of the judge: a few dozen held-out pairs
    are too few for KID, whose noise does not become less by their belonging together; l1 would choose the blurred
    checkpoints. Even so a picture that commits itself to a colour, and may be wrong, is further off than a pale one:
    of what lies within a standard error the later is taken.

    >>> score({"high_quality": 0.97, "reverse_kl": 0.01, "energy_distance": 0.5})
    (0.04, 'samples off the modes + reverse KL')
    """
    if "accuracy" in values:
        return 1.0 - values["accuracy"], "errors"
    if "pixel_accuracy" in values:
        return 1.0 - values["pixel_accuracy"], "wrong pixels"
    if "retrieval" in values:
        return 1.0 - values["retrieval"], "captions not found"
    if "high_quality" in values and "reverse_kl" in values:
        return round(1.0 - values["high_quality"] + values["reverse_kl"], 12), "samples off the modes + reverse KL"
    for key, name in (("energy_distance", "energy distance"), ("pair_distance", PAIRS), ("kid", "KID")):
        if key in values:
            return values[key], name
    return None, "KID"


def thinned(rows: list[Row], most: int) -> list[Row]:
    """The same rows while they are at most `most`; else without every second one of the older three quarters.

    >>> [images for images, _ in thinned([(k, {}) for k in range(9)], 8)]
    [0, 2, 4, 6, 7, 8]
    """
    if len(rows) <= most:
        return rows
    new = max(1, len(rows) // 4)
    old = rows[:-new]
    return [*old[::2], *rows[-new:]]


def finite(values: Values) -> dict[str, float]:
    """Without what is not a finite number."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def watch_of(
    dataset: Dataset, game: object, moments: tuple[int, ...], *, probes: Probes | None = None, total: int = 0,
    seed: int = 0, mirrored: bool = False, context: Context | None = None, kept: Callable[[], str] = str,
) -> PointsWatch | RunWatch | None:  # fmt: skip
    """The watch of a run on this data: a `RunWatch` if probes were planned for it, else what counts points at `moments`
    (those of the pictures), else None.

    total: images that the run will have seen at its end.   mirrored: whether training shows images mirrored too.
    """
    points = dataset.kind == "points" and isinstance(game, Samples)
    if probes is None:
        return PointsWatch(measure_of(dataset), moments) if points else None
    eyes = Observer(
        dataset,
        samples=probes.samples,
        reference=probes.reference,
        seed=seed,
        mirrored=mirrored,
        judge=judge_of(game, dataset),
    )
    return RunWatch(
        eyes, probes.until(total or probes.moments[-1]),
        measure=measure_of(dataset) if points else None, shown=moments if points else (),
        distance=distance_of(dataset) if points else None, context=context, kept=kept,
    )  # fmt: skip


def context_of(recipe: Recipe, dataset: Dataset, document: Mapping[str, Any], total: int, directory: Path) -> Context:
    """What must be known of a run to judge its numbers."""
    from sparring.runs.plan import space_of  # which knows watches

    config, game = recipe.config, recipe.kind(space_of(dataset))
    objective = str(config.objective) if isinstance(config, ContestConfig) else ""
    return Context(
        recipe=recipe.name,
        objective=objective,
        relative=objective in OBJECTIVES and OBJECTIVES[objective].relative,
        images=len(dataset.train),
        held_out=len(dataset.held_out),
        settings=plain(config),
        classes=len(dataset.classes),
        translates=dataset.given is not None,
        solo=solo(game),
        coded=issubclass(game, HasTokens),
        kind=dataset.kind,
        planned=total,
        stop=str(document["run"].get("stop", "budget")),
        run=str(directory),
        data=str(document["data"]["source"]),
    )


def kept_in(store: Store, match: Match) -> str:
    """Which healthy checkpoint a run could go back to, in words; "" if there is none."""
    found = store.newest_healthy(match.images)
    return f"the checkpoint of {count(found.images)} is kept" if found is not None else ""


def measure_of(dataset: Dataset) -> Measure:
    """What samples (N, D) at unit scale are judged by: `metrics.modes` where there are modes with a spread, else the
    energy distance to as many held-out points (training points where too few are held out), in the units of the data.

    >>> from sparring.data import open_data
    >>> ring = open_data("ring")
    >>> sorted(measure_of(ring)(ring.train[:2500]))
    ['high_quality', 'modes', 'reverse_kl', 'smallest_share']
    """
    if dataset.modes is not None and dataset.spread:
        centres, spread = dataset.modes, dataset.spread
        return lambda samples: modes(samples.astype(np.float64) * dataset.scale, centres, spread).values()
    return distance_of(dataset)


def distance_of(dataset: Dataset) -> Measure:
    """The energy distance of samples (N, D) at unit scale to as many held-out points, in the units of the data."""
    apart = dataset.held_out if len(dataset.held_out) >= SAMPLES else dataset.train
    real = apart[:SAMPLES].astype(np.float64) * dataset.scale
    within = mean_distance(real)

    def distance(samples: NDArray[Any]) -> Values:
        made = samples.astype(np.float64) * dataset.scale
        return {"energy_distance": energy_distance(made, real, within_y=within)}

    return distance
