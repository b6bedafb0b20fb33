"""The one training loop: a generator of events.

``for event in loop`` trains; ``next(loop)`` goes on to the next event. The command line prints the events, an app
streams them, a test asserts on them, a notebook plots them. There are no callbacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice, Dices
from sparring.errors import DataError, Diverged, MachineError
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.log import Log
from sparring.train.match import Match, resting
from sparring.types import Alarm, Decision, Done, Event, News, Probed, Sampled, Samples, Saved, Turn, Watch

_NOTHING, _SAVE, _STOP, _END, _DATA = range(5)  # _STOP: someone asked; _END: a watch decided; _DATA: too much broke
_REASONS = {_STOP: "stopped", _END: "watch", _DATA: "data"}
_CHECK_ROUNDS = 16  # how often several processes agree on what to do, and how often a skipped step is looked for


@dataclass(frozen=True)
class Pace:
    """When things happen, in images seen. Saving, which changes no number, goes by the clock too.

    log: a `Turn` every so many images.   samples: at these images.   grid: how many samples.
    saves: checkpoints at these images, so that a short run has a recent one to fall back on.
    save_seconds: time between checkpoints; the first comes after 1 % of the run if that is earlier.
    """

    log: int
    samples: tuple[int, ...] = ()
    saves: tuple[int, ...] = ()
    grid: int = 64
    save_seconds: float = 300.0

    @classmethod
    def of(cls, horizon: int, batch: int, total: int | None = None, **settings: Any) -> Pace:
        """About 400 log lines and 12 log-spaced moments for samples up to the horizon; on a run that goes on beyond it
        the same steps continue up to `total`.

        >>> Pace.of(100_000, 16).samples[-3:]
        (38162, 61775, 100000)
        """
        total = horizon if total is None else total
        step = 200 ** (1 / 11)
        moments, moment = {0, total}, 0.005 * horizon
        while round(moment) <= total:
            moments.add(round(moment))
            moment *= step
        settings.setdefault("saves", tuple(total * quarter // 4 for quarter in (1, 2, 3)))
        return cls(log=max(1, horizon // 400 // batch) * batch, samples=tuple(sorted(moments)), **settings)


class Loop(Iterator[Event]):
    """Plays a match until `total` images have been seen, and says what happens.

    With a `store` it saves and resumes; with a `log` every `Turn` is written down exactly once; with a `watch` the
    game is looked at while it is played. `stop()` may be called at any time, from a signal handler too.
    """

    def __init__(
        self,
        match: Match,
        *,
        total: int,
        pace: Pace,
        store: Store | None = None,
        log: Log | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.match, self.total, self.pace = match, total, pace
        self.store, self.log, self.watch = store, log, watch
        self.engine = match.engine
        self.phase = "start"
        self._exact = torch.float32 if self.engine.device.type == "mps" else torch.float64  # mps has no float64
        self.remarks: list[str] = []  # what a person should know before it goes on
        self.record: dict[str, Any] = {}  # what was decided about the run, in plain values; kept in every checkpoint
        self.lost = ""  # why the data cannot go on, if this process met the reason
        self._told: set[News] = set()
        self._sums: dict[str, Tensor] = {}
        self._times: dict[str, int] = {}  # how many rounds each sum holds: a lazy penalty is not paid in every one
        self._stop = self._holding = False
        self._wish = _NOTHING  # asked for here, but not yet agreed on by all processes
        self._saved_at = time.monotonic()
        self._logged_at = (time.monotonic(), match.images)
        self._events = self._run()

    def __next__(self) -> Event:
        return next(self._events)

    def stop(self) -> None:
        """Ask for a polite end: after the present round everything is saved and the last event is `Done("stopped")`."""
        self._stop = True

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> Iterator[Event]:
        match = self.match
        saves = self.store is not None
        if match.images == 0 and self._due(self.pace.samples, -1):
            yield from self._sample()
        first_save = match.images + max(1, self.total // 100)
        while match.images < self.total:
            before = match.images
            self.phase = "train"
            try:
                self._add(match.step())
            except Diverged as error:
                yield Alarm(match.images, error.code, str(error))
                raise
            except DataError as error:
                if self.engine.size > 1 or match.images > before:
                    raise  # in the middle of a round, or while others go on: the last checkpoint is where to go on from
                self.lost = self.lost or f"{error.what}: {error.where}"
                yield from self._news()
                yield from self._save()
                yield Done(match.images, "data")
                return
            yield from self._news()
            if match.images // self.pace.log > before // self.pace.log or match.images >= self.total:
                yield from self._turn()
            verdict = Decision.NOTE
            if self.watch is not None and self.watch.due(match.images):
                self.phase = "probe"
                opinion = self.watch.look(match)
                verdict = opinion.decision
                self._holding = verdict is Decision.HOLD
                yield from self._logged(Probed(match.images, opinion.values))
                for code, message in opinion.alarms:
                    yield from self._logged(Alarm(match.images, code, message))
            if self._due(self.pace.samples, before):
                yield from self._sample()  # after the measures, so that whoever draws the samples knows them
            clock = time.monotonic() - self._saved_at > self.pace.save_seconds
            moment = before < first_save <= match.images or self._due(self.pace.saves, before)
            due = saves and (clock or moment)
            self._wish = max(
                self._wish,
                _SAVE if due else _NOTHING,
                _STOP if self._stop else _NOTHING,
                _END if verdict is Decision.STOP else _NOTHING,
                _DATA if self.lost else _NOTHING,
            )
            agreed = self._agree(self._wish)
            if agreed != _NOTHING and match.images < self.total:
                self._wish = _NOTHING
                yield from self._save()
                if agreed != _SAVE:
                    yield Done(match.images, _REASONS[agreed])
                    return
        yield from self._save(last=True)
        yield Done(match.images, "budget")

    def _due(self, moments: tuple[int, ...], before: int) -> bool:
        return any(before < moment <= self.match.images for moment in moments)

    def _agree(self, wish: int) -> int:
        if self.engine.size == 1 and self.engine.checks_at_once:
            return wish
        if self.match.round % _CHECK_ROUNDS:
            return _NOTHING
        self._assert_no_skipped()
        return self.engine.agree(wish)

    def _assert_no_skipped(self) -> None:
        """Where every step is not checked before it is made, a skipped one is found here: before anything is kept."""
        if float(self.match.bad):
            raise Diverged(
                "NOT-FINITE",
                "a gradient was not finite; that step was skipped",
                fix="lower the learning rate (--set lr=1e-4) or raise the penalty; the last checkpoint is intact",
            )

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, means: dict[str, Tensor]) -> None:
        for name, value in means.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.to(self._exact)
            self._times[name] = self._times.get(name, 0) + 1

    def _turn(self) -> Iterator[Event]:
        """The means since the last `Turn`, over the processes; a term paid only now and then counts where it was."""
        names = sorted(self._sums)
        sums = self.engine.mean(torch.stack([self._sums[name] for name in names])).tolist()
        values = {name: _over(total, self._times[name]) for name, total in zip(names, sums, strict=True)}
        clock, seen = self._logged_at
        self._logged_at = (time.monotonic(), self.match.images)
        rate = (self.match.images - seen) / max(1e-9, self._logged_at[0] - clock)
        turn = Turn(self.match.images, self.match.round, values, rate)
        self._sums, self._times = {}, {}
        if self.watch is not None:
            self.watch.hear(turn)
        yield from self._logged(turn)

    def _logged(self, event: Event) -> Iterator[Event]:
        """The event, which rank 0 also writes down."""
        yield event
        if self.log is not None and self.engine.leads and (trouble := self.log.append(event.record())):
            yield Alarm(self.match.images, "DISK", trouble)

    def _news(self) -> Iterator[Event]:
        """What happened to the data: each thing once, by the process that met it; rank 0's stand in the log too."""
        for news in self.match.stream.news():
            if news in self._told:
                continue
            self._told.add(news)
            if news.fatal:
                self.lost = self.lost or news.message
            yield from self._logged(Alarm(self.match.images, news.code, news.message))

    def _sample(self) -> Iterator[Event]:
        """Samples from the same latents as ever, by the averaged players in eval mode."""
        game = self.match.game
        if not isinstance(game, Samples) or not self.engine.leads:
            return
        self.phase = "sample"
        yield Sampled(self.match.images, sample_averaged(self.match, self.pace.grid))

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────

    def _save(self, last: bool = False) -> Iterator[Event]:
        if self.store is None:
            return
        self.phase = "save"
        self._assert_no_skipped()
        state = self.state()
        if self.engine.leads:
            yield from self._write(state, last)
        self._saved_at = time.monotonic()
        self.engine.wait()

    def _write(self, state: dict[str, Any], last: bool) -> Iterator[Event]:
        """One checkpoint. A full disk never ends a run before its end: the last good checkpoint is untouched."""
        assert self.store is not None
        began = time.monotonic()
        attempts = 3 if last else 1
        for attempt in range(attempts):
            try:
                path = self.store.save(self.match.images, self.match.tensors(), state, healthy=not self._holding)
            except OSError as error:
                yield Alarm(
                    self.match.images, "DISK", f"the checkpoint could not be written ({error}); the last one is intact"
                )
                if attempt + 1 < attempts:
                    time.sleep(2.0 * (attempt + 1))
                continue
            yield Saved(self.match.images, str(path), time.monotonic() - began)
            return
        if last:
            raise MachineError(
                "DISK",
                "the last checkpoint could not be written",
                where=str(self.store.directory),
                fix="free some space and resume the run: it goes on from its last good checkpoint",
            )

    def state(self) -> dict[str, Any]:
        """Everything but tensors that a later event depends on. (All processes call it together.)"""
        names = sorted(self._sums)
        values = self.engine.mean(torch.stack([self._sums[name] for name in names])).tolist() if names else []
        writes = self.log is not None and self.engine.leads
        if writes:
            self.log.sync()  # type: ignore[union-attr]
        return {
            **self.match.state(),
            "sums": dict(zip(names, map(_json, values), strict=True)),
            "times": dict(self._times),
            "holding": self._holding,
            "record": self.record,
            "log": self.log.position() if writes else 0,  # type: ignore[union-attr]
            "watch": self.watch.state_dict() if self.watch is not None else {},
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        state = checkpoint.state
        self.match.load({stem: checkpoint.tensors(stem) for stem in self.match.tensors()}, state)
        device = self.engine.device
        self._sums = {n: torch.tensor(_numbers(v), dtype=self._exact, device=device) for n, v in state["sums"].items()}
        self._times = {name: int(n) for name, n in state["times"].items()}
        self._holding = bool(state["holding"])
        if self.log is not None and self.engine.leads:
            self.log.truncate(int(state["log"]))
        if self.watch is not None:
            self.watch.load_state_dict(state["watch"])
        self._logged_at = (time.monotonic(), self.match.images)


def sample_averaged(match: Match, count: int, *, truncation: float = 1.0) -> Tensor:
    """`count` samples (on the CPU) from latents that depend on the seed alone, by the averages in eval mode: the same
    as ``sparring sample RUN --seed <the seed of the run>``. Of an ensemble (members, count, …), of its own seed each.
    """
    with match.averages.applied():
        return sample(match, count, truncation=truncation)


@torch.no_grad()
def sample(match: Match, count: int, *, truncation: float = 1.0, piece: int = 64) -> Tensor:
    """The same by the players as they are. piece: how many are made at once."""
    game = match.game
    assert isinstance(game, Samples)
    with resting(game):
        pieces = [
            game.sample(_dice(match, range(i, min(i + piece, count))), truncation=truncation)
            for i in range(0, count, piece)
        ]
    if match.members is not None:
        return torch.cat([made.reshape(match.members, -1, *made.shape[1:]) for made in pieces], dim=1).float().cpu()
    return torch.cat(pieces).float().cpu()


def _dice(match: Match, samples: range) -> Dice | Dices:
    if isinstance(match.seed, tuple):
        return Dices(match.seed, "sample", samples, (), match.engine.device)
    return Dice(match.seed, "sample", samples, (), match.engine.device)


def _over(total: Any, times: int) -> Any:
    """A mean; of an ensemble a list, one for each member."""
    return [value / times for value in total] if isinstance(total, list) else total / times


def _json(value: Any) -> Any:
    """The sums of an ensemble without the NaN of members that are retired, which JSON does not have."""
    return [None if math.isnan(v) else v for v in value] if isinstance(value, list) else value


def _numbers(value: Any) -> Any:
    return [math.nan if v is None else v for v in value] if isinstance(value, list) else value
