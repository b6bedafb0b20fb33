"""The one training loop: a generator of events.

``for event in loop`` trains; ``next(loop)`` goes on to the next event. The command line prints the events, an app
streams them, a test asserts on them, a notebook plots them. There are no callbacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice, Dices
from sparring.errors import DataError, Diverged, MachineError
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.game import Game
from sparring.train.log import Log
from sparring.train.match import Match, resting
from sparring.train.rescue import TRIES, Ladder, Objection, given_up, told
from sparring.types import (
    Alarm,
    Batch,
    Decision,
    Done,
    Event,
    HasTokens,
    News,
    Probed,
    Sampled,
    Samples,
    Saved,
    Translates,
    Turn,
    Watch,
    of_exhibits,
    pictured,
)

_NOTHING, _SAVE, _STOP, _END, _DATA, _BACK = range(6)
"""What all processes do together. _STOP: someone asked; _END: a watch decided; _DATA: too much broke; _BACK: a watch
objects, or numbers ran away."""
_REASONS = {_STOP: "stopped", _END: "watch", _DATA: "data"}
_CHECK_ROUNDS = 16  # how often several processes agree on what to do, and how often a skipped step is looked for
_QUIET = 2  # probes without an objection, until what is saved counts as healthy again
_APART = 20  # a probe that finds nothing is worth a checkpoint to go back to if the last is a 20th of the run ago


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

    rescue: when numbers run away, or the watch says that the run failed, it goes back to its newest healthy checkpoint
    (`train.rescue`). A checkpoint is healthy if the watch did not object at its last two looks, and was made at a known
    moment (of `pace.saves`, at 1 % of the run, at a look): where the run goes back to must not depend on the clock, or
    it would not resume bit for bit. Without rescue, and before the first such checkpoint, `Diverged` is raised.
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
        rescue: bool = False,
    ) -> None:
        self.match, self.total, self.pace = match, total, pace
        self.store, self.log, self.watch = store, log, watch
        self.rescue = rescue and match.members is None  # members of an ensemble fail, and are retired, one by one
        self.engine = match.engine
        self.phase = "start"
        self._exact = torch.float32 if self.engine.device.type == "mps" else torch.float64  # mps has no float64
        self.remarks: list[str] = []  # what a person should know before it goes on
        self.record: dict[str, Any] = {}  # what was decided about the run, in plain values; kept in every checkpoint
        self.lost = ""  # why the data cannot go on, if this process met the reason
        self.trouble: Diverged | None = None  # why the run ended before its time, if it went back in vain
        self.advice = ""  # why the watch ended the run
        self.ladder = Ladder()
        self.best: tuple[int, float, str] | None = None  # images, score, measure of the best checkpoint
        self.lowest = math.inf  # of the scores of all that were marked best
        self._better: tuple[int, float, str] | None = None  # what is to be the best once it is saved
        self._told: set[News] = set()
        self._sums: dict[str, Tensor] = {}
        self._times: dict[str, int] = {}  # how many rounds each sum holds: a lazy penalty is not paid in every one
        self._stop = False
        self._wary = 0  # looks without an objection until what is saved counts as healthy
        self._objection: Objection | None = None  # of the last look
        self._known = False  # whether a known moment has come since the last save
        self._known_at = 0  # images at the last healthy checkpoint of a known moment
        self._wish = _NOTHING  # asked for here, but not yet agreed on by all processes
        self._first_save = match.images + max(1, total // 100)
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
        if self.match.images == 0 and self._due(self.pace.samples, -1):
            yield from self._sample()
        self._first_save = self.match.images + max(1, self.total // 100)
        done: Done | None = None
        while done is None:
            try:
                done = yield from self._stretch()
            except Diverged as error:
                done = yield from self._back(error)
        yield done

    def _stretch(self) -> Generator[Event, None, Done]:
        """Rounds up to the end, whatever ends it; raises `Diverged`."""
        match = self.match
        while match.images < self.total:
            before = match.images
            self.phase = "train"
            try:
                self._add(match.step())
            except DataError as error:
                if self.engine.size > 1 or match.images > before:
                    raise  # in the middle of a round, or while others go on: the last checkpoint is where to go on from
                self.lost = self.lost or f"{error.what}: {error.where}"
                yield from self._news()
                yield from self._save()
                return Done(match.images, "data")
            yield from self._news()
            if match.images // self.pace.log > before // self.pace.log or match.images >= self.total:
                yield from self._turn()
            verdict = Decision.NOTE
            if self._meets():
                self._assert_no_skipped()
                if self.watch is not None and self.engine.leads and self.watch.due(match.images):
                    verdict = yield from self._look(self.watch)
            if self._due(self.pace.samples, before):
                yield from self._sample()  # after the measures, so that whoever draws the samples knows them
            agreed = self._agree(before, verdict)
            if agreed == _BACK:
                raise self._objection or Objection("WATCH", "the first process asks to go back")
            if agreed != _NOTHING and match.images < self.total:
                self._wish = _NOTHING
                yield from self._save()
                if agreed != _SAVE:
                    return Done(match.images, _REASONS[agreed])
        yield from self._save(last=True)
        return Done(match.images, "budget")

    def _due(self, moments: tuple[int, ...], before: int) -> bool:
        return any(before < moment <= self.match.images for moment in moments)

    def _meets(self) -> bool:
        """Whether this round ends with a decision on what to do: alone on a CPU always, else now and then."""
        alone = self.engine.size == 1 and self.engine.checks_at_once
        return alone or self.match.round % _CHECK_ROUNDS == 0 or self.match.images >= self.total

    def _agree(self, before: int, verdict: Decision) -> int:
        """What to do after this round, the same for all processes. before: images seen before it."""
        images = self.match.images
        clock = time.monotonic() - self._saved_at > self.pace.save_seconds
        first = max(1, self.total // 100)
        self._known |= self._due((first, *self.pace.saves), before)
        soon = before < self._first_save <= images
        saves = self.store is not None and (clock or soon or self._known)
        self._wish = max(
            self._wish,
            _SAVE if saves else _NOTHING,
            _STOP if self._stop else _NOTHING,
            _END if verdict is Decision.STOP else _NOTHING,
            _DATA if self.lost else _NOTHING,
            _BACK if verdict is Decision.ROLLBACK else _NOTHING,
        )
        return self.engine.agree(self._wish) if self._meets() else _NOTHING

    def _assert_no_skipped(self) -> None:
        """Where every step is not checked before it is made, a skipped one is found here: before anything is kept."""
        if not self.engine.checks_at_once and float(self.match.bad):
            raise Diverged(
                "NOT-FINITE",
                "a gradient was not finite; that step was skipped",
                fix="lower the learning rate (--set lr=1e-4) or raise the penalty; the last checkpoint is intact",
            )

    # ── what the watch says, and going back ──────────────────────────────────────────────────────────────────────

    def _look(self, watch: Watch) -> Generator[Event, None, Decision]:
        """Let the watch look; what is to be done about what it says."""
        self.phase = "probe"
        opinion = watch.look(self.match)
        images, decision = self.match.images, opinion.decision
        code, message = opinion.why or next(iter(opinion.alarms), ("WATCH", "the watch objects"))
        yield from self._logged(Probed(images, opinion.values))
        for alarm in opinion.alarms:
            yield from self._logged(Alarm(images, *alarm))
        if decision is Decision.ROLLBACK and not self._way_back():
            decision = Decision.HOLD
        if decision in (Decision.HOLD, Decision.ROLLBACK):
            self._wary = _QUIET
            self._objection = Objection(code, message)
        elif opinion.judged:
            self._wary = max(0, self._wary - 1)
        if decision is Decision.STOP:
            self.advice = message
        if decision is Decision.NOTE and opinion.judged and self._wary == 0:
            self._known |= self.rescue and images - self._known_at >= self.total / _APART
            score = opinion.score
            if score is not None and math.isfinite(score) and score < self.lowest + opinion.slack:
                self._better, self._known = (images, score, opinion.measure), True
        return decision

    def _way_back(self) -> Checkpoint | None:
        """Where this process would go back to."""
        if not self.rescue or self.store is None:
            return None
        return self.store.newest_healthy(self.match.images)

    def _back(self, error: Diverged) -> Generator[Event, None, Done | None]:
        """Go back to the newest healthy checkpoint, all processes to the same, and on from there as `Ladder` says; the
        end, if that was in vain. Raises the error where there is no way back.

        Order: what came after the checkpoint is removed, then the checkpoint is written anew with what was decided. A
        kill before that is done repeats the stretch, in which the same happens again: chance is a function of where
        it is.
        """
        self.phase, at = "rescue", self.match.images
        found = self._way_back() if self.engine.leads else None
        to = self.engine.agree(found.images if found is not None else 0) if self.rescue else 0
        if not isinstance(error, Objection):  # which the watch has said
            yield from self._logged(Alarm(at, error.code, f"{error.what} ({error.why})" if error.why else error.what))
        if self.store is None or not to:
            raise error
        vain, ladder = self.ladder.tries == TRIES, self.ladder.back(at, to, error.code)
        self._restore(found or self.store.at(to))
        self.engine.wait()  # until all have read it
        self.ladder, self.match.attempt, self.match.slower = ladder, ladder.attempt, ladder.slower
        self._wary = _QUIET if isinstance(error, Objection) else 0
        self._wish, self._known, self._better, self._objection = _NOTHING, False, None, None
        yield from self._logged(Alarm(to, "ROLLBACK", told(ladder, at, to, error.code)))
        if vain:
            self.trouble = given_up(to, error)
            yield from self._logged(Alarm(to, self.trouble.code, f"{self.trouble.what} ({self.trouble.why})"))
        if self.engine.leads:
            try:
                self.store.forget_after(to)
            except OSError as failure:
                yield Alarm(to, "DISK", f"a checkpoint of what is undone could not be removed ({failure})")
        yield from self._save()
        yield from self._mark()
        return Done(to, "watch") if vain else None

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
        if not self.match.shows or not self.engine.leads:
            return
        self.phase = "sample"
        yield Sampled(self.match.images, sample_averaged(self.match, self.pace.grid))

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────

    def _save(self, last: bool = False) -> Iterator[Event]:
        """One checkpoint, by the first process; the others wait. Raises `Diverged` in all of them if it must not be."""
        if self.store is None:
            return
        self.phase = "save"
        self._assert_no_skipped()
        images, before = self.match.images, (self.ladder, self.best, self.lowest, self._known_at)
        healthy = self._wary == 0 and (self._known or last or not self.rescue)
        again = self.ladder.attempt > 0 and images == self.ladder.history[-1][1]  # the one that it went back to
        if healthy and self.engine.leads:
            self.ladder, self._known_at = self.ladder.past(images), images
            if self._better:
                self.best, self.lowest = self._better, min(self.lowest, self._better[1])
        state = self.state()
        flag, trouble = _NOTHING, None
        if self.engine.leads:
            try:
                written = yield from self._write(state, last, healthy or again)
                if not written:
                    self.ladder, self.best, self.lowest, self._known_at = before
                elif healthy:
                    flag = _SAVE
                    yield from self._mark()
            except Diverged as error:  # numbers that no gradient went through: running statistics, averages
                flag, trouble = _BACK, error
        self._saved_at, self._known, self._better = time.monotonic(), False, None
        agreed = self.engine.agree(flag)
        if agreed == _BACK:
            raise trouble or Diverged("NUMBERS-NOT-FINITE", "a number to be saved is not finite")
        if agreed == _SAVE and not self.engine.leads:
            self.ladder = self.ladder.past(images)

    def _write(self, state: dict[str, Any], last: bool, healthy: bool) -> Generator[Event, None, bool]:
        """Whether it could be. A full disk never ends a run before its end: the last good checkpoint is untouched."""
        assert self.store is not None
        began = time.monotonic()
        attempts = 3 if last else 1
        for attempt in range(attempts):
            try:
                path = self.store.save(self.match.images, self.match.tensors(), state, healthy=healthy)
            except OSError as error:
                yield Alarm(
                    self.match.images, "DISK", f"the checkpoint could not be written ({error}); the last one is intact"
                )
                if attempt + 1 < attempts:
                    time.sleep(2.0 * (attempt + 1))
                continue
            yield Saved(self.match.images, str(path), time.monotonic() - began)
            return True
        if last:
            raise MachineError(
                "DISK",
                "the last checkpoint could not be written",
                where=str(self.store.directory),
                fix="free some space and resume the run: it goes on from its last good checkpoint",
            )
        return False

    def _mark(self) -> Iterator[Event]:
        """Let the mark of the best checkpoint say what the state says: it may have been killed in between."""
        if self.store is None or self.best is None or not self.engine.leads:
            return
        try:
            if self.store.best() != self.best and self.best[0] in self.store.moments:
                self.store.mark_best(*self.best)
        except OSError as error:
            yield Alarm(self.match.images, "DISK", f"the best checkpoint could not be marked ({error})")

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
            "wary": self._wary,
            **({"best": list(self.best), "lowest": self.lowest} if self.best is not None else {}),
            **({"known": self._known_at} if self.rescue else {}),
            **({"ladder": self.ladder.record()} if self.ladder.attempt else {}),
            "record": self.record,
            "log": self.log.position() if writes else 0,  # type: ignore[union-attr]
            "watch": self.watch.state_dict() if self.watch is not None else {},
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        self._restore(checkpoint)
        if self.log is not None and self.engine.leads:
            self.log.truncate(int(checkpoint.state["log"]))
        for _ in self._mark():
            pass

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Everything as it was, but the log."""
        state = checkpoint.state
        self.match.load({stem: checkpoint.tensors(stem) for stem in self.match.tensors()}, state)
        device = self.engine.device
        self._sums = {n: torch.tensor(_numbers(v), dtype=self._exact, device=device) for n, v in state["sums"].items()}
        self._times = {name: int(n) for name, n in state["times"].items()}
        self._wary = int(state.get("wary", 0))
        self._known_at = int(state.get("known", 0))
        self.ladder = Ladder.of(state.get("ladder", {}))
        images, score, measure = state.get("best") or (0, 0.0, "")
        self.best = (int(images), float(score), str(measure)) if images else None
        self.lowest = float(state.get("lowest", score)) if images else math.inf
        if self.watch is not None:
            self.watch.load_state_dict(state["watch"])
        self._logged_at = (time.monotonic(), self.match.images)


def sample_averaged(match: Match, count: int, *, truncation: float = 1.0) -> Tensor:
    """`count` samples (on the CPU) from latents that depend on the seed alone, by the averages in eval mode: the same
    as ``sparring sample RUN --seed <the seed of the run>``. Of an ensemble (members, count, …), of its own seed each.
    A game that translates translates its exhibits, one with tokens reconstructs them: `count` of them, or all there
    are.
    """
    with match.averages.applied():
        return sample(match, count, truncation=truncation)


@torch.no_grad()
def sample(match: Match, count: int, *, truncation: float = 1.0, piece: int = 64) -> Tensor:
    """The same by the players as they are. piece: how many are made at once."""
    game = match.game
    if of_exhibits(game):
        return _translated(match, game, count, min(piece, 8))
    assert isinstance(game, Samples)
    with resting(game):
        pieces = [game.sample(_dice(match, numbers), truncation=truncation) for numbers in pictured(game, count, piece)]
    if match.members is not None:
        return torch.cat([made.reshape(match.members, -1, *made.shape[1:]) for made in pieces], dim=1).float().cpu()
    return torch.cat(pieces).float().cpu()


def _translated(match: Match, game: Game, count: int, piece: int) -> Tensor:
    """What is made of exhibits 0 … count − 1, (n, C, H, W) in [-1, 1] on the CPU."""
    assert match.exhibits is not None and isinstance(match.seed, int)
    given = match.exhibits.condition if isinstance(game, Translates) else match.exhibits.x
    assert given is not None and isinstance(game, Translates | HasTokens)
    given, made = given[:count], []
    with resting(match.game):
        for start in range(0, len(given), piece):
            some = match.engine.place(Batch(given[start : start + piece])).x
            dice = Dice(match.seed, "sample", range(start, start + len(some)), (), match.engine.device)
            made.append(game.translate(some, dice) if isinstance(game, Translates) else game.reconstruct(some, dice))
    return torch.cat(made).float().cpu()


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
