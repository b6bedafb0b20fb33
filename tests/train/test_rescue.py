"""Going back: what fails once is rescued, what always fails ends the run with its cause, and a kill changes nothing."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forking import Forks
from tests.train.arena import digest, match_of
from tests.train.resumption import pictures_of
from torch import Tensor

from benchmarks.proofs.faults import Death, Dying, Watched
from sparring.errors import Diverged
from sparring.train.checkpoint import Store
from sparring.train.disk import Disk
from sparring.train.engine import Engine
from sparring.train.log import Log, read
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.train.rescue import SHIFT, TRIES, Ladder
from sparring.types import Alarm, Batch, Decision, Done, Event, News, Opinion, Stream, Turn

TOTAL, BATCH = 400, 8
ROOT = Path(__file__).resolve().parents[2]


class Poisoned:
    """A stream in which one sample is bad: position `at` of the attempts for which `bad` says so."""

    fingerprint = "poisoned"

    def __init__(self, stream: Stream, at: int, bad: Callable[[int], bool]) -> None:
        self.stream, self.at, self.bad = stream, at, bad
        self.taken: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        attempt, position = divmod(start, SHIFT)
        self.taken.append((attempt, position))
        batch = self.stream.take(start, count)
        if position <= self.at < position + count and self.bad(attempt):
            batch.x[self.at - position] = math.nan
        return batch

    def news(self) -> tuple[News, ...]:
        return ()


class Judge:
    """A watch that looks every 40 images and objects where it is told to; its state is how often it looked."""

    def __init__(
        self, says: Callable[[int, Match], Decision] = lambda images, match: Decision.NOTE, *,
        scores: dict[int, float] | None = None, slack: float = 0.0,
    ) -> None:  # fmt: skip
        self.says, self.scores, self.slack, self.looked = says, scores, slack, 0

    def due(self, images: int) -> bool:
        return images // 40 > self.looked // 40

    def hear(self, turn: Turn) -> None:
        pass

    def look(self, view: Match) -> Opinion:
        self.looked = view.images
        decision = self.says(view.images, view)
        alarms = () if decision is Decision.NOTE else (("MODE-COLLAPSE", "G makes one thing"),)
        score = abs(view.images - 210) / 100  # best in the middle
        if self.scores is not None:
            score = self.scores.get(view.images, 1.0)
        return Opinion({"score": score}, decision, alarms, score, "distance", slack=self.slack)

    def state_dict(self) -> dict[str, Any]:
        return {"looked": self.looked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.looked = int(state["looked"])


def loop_of(
    folder: Path, *, watch: Judge | None = None, disk: Disk | None = None, rescue: bool = True, init: int = 0,
    match: Match | None = None, keep: int = 2, total: int = TOTAL,
) -> Loop:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    disk = Watched() if disk is None else disk
    match = match_of("gan", seed=0, init=init, horizon=TOTAL, gamma=0) if match is None else match
    pace = Pace(log=2 * BATCH, samples=(0, 96, total), saves=(104, 200, 304), grid=4, save_seconds=1e9)
    return Loop(match, total=total, pace=pace, store=Store(folder / "checkpoints", keep, disk=disk),
                log=Log(folder / "log.jsonl", disk=disk), watch=watch, rescue=rescue)  # fmt: skip


def poison(loop: Loop, at: int, bad: Callable[[int], bool] = lambda attempt: attempt == 0) -> Loop:
    loop.match.stream = Poisoned(loop.match.stream, at, bad)
    return loop


def alarms(events: list[Event], code: str) -> list[Alarm]:
    return [event for event in events if isinstance(event, Alarm) and event.code == code]


def sound(loop: Loop) -> bool:
    return all(bool(t.isfinite().all()) for named in loop.match.tensors().values() for t in named.values())


def once(loop: Loop, images: int, harm: Callable[[Match], None]) -> Loop:
    """Do harm before the round at `images` of the first attempt."""
    step = loop.match.step

    def harmed() -> dict[str, Tensor]:
        if loop.match.attempt == 0 and loop.match.images == images:
            harm(loop.match)
        return step()

    loop.match.step = harmed  # type: ignore[method-assign]
    return loop


def flip(match: Match) -> None:
    """The highest bit of an exponent, as a cosmic ray may: 0.1 becomes 10³⁷."""
    weight = next(match.game.players["D"].parameters()).detach().view(-1)
    bits = weight[:1].view(torch.int32)
    bits ^= 1 << 30


def spike(match: Match) -> None:
    """A learning rate that is 10¹² times too high, for one round."""
    step = match.optimisers["G"].step

    def high(lr: float, *others: Any) -> None:
        match.optimisers["G"].step = step  # type: ignore[method-assign]
        step(1e12 * lr, *others)

    match.optimisers["G"].step = high  # type: ignore[method-assign]


def break_gradient(match: Match) -> None:
    weight = next(match.game.players["G"].parameters())

    def broken(gradient: Tensor) -> Tensor:
        hook.remove()
        return gradient.clone().index_fill_(0, torch.tensor([0]), math.nan)

    hook = weight.register_hook(broken)


FAULTS: dict[str, Callable[[Loop], Loop]] = {
    "a batch with NaN": lambda loop: poison(loop, 250),
    "a flipped bit in D": lambda loop: once(loop, 248, flip),
    "a learning rate": lambda loop: once(loop, 248, spike),
    "NaN in a gradient": lambda loop: once(loop, 248, break_gradient),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_once_is_rescued(fault: str, tmp_path: Path) -> None:
    """It goes back to the newest checkpoint before (at 200), once, and comes to its end with numbers that are sound."""
    loop = FAULTS[fault](loop_of(tmp_path))
    events = list(loop)
    assert events[-1] == Done(TOTAL, "budget") and sound(loop)
    (back,) = alarms(events, "ROLLBACK")
    assert back.images == 200 and "try 1 of 3" in back.message
    (cause,) = alarms(events, "NOT-FINITE")
    assert 248 < cause.images <= 280
    assert loop.ladder.attempt == 1 and loop.ladder.tries == 0 and loop.match.slower == 1.0
    assert loop.ladder.history == ((cause.images, 200, "NOT-FINITE"),)
    written = list(read(tmp_path / "log.jsonl", undone=True))
    assert [(r["images"], r["code"]) for r in written if r["event"] == "alarm"] == [
        (cause.images, "NOT-FINITE"), (200, "ROLLBACK"),
    ]  # fmt: skip


def test_without_rescue_it_is_raised_as_before(tmp_path: Path) -> None:
    loop = poison(loop_of(tmp_path, rescue=False), 250)
    with pytest.raises(Diverged, match="NOT-FINITE"):
        list(loop)
    newest = Store(tmp_path / "checkpoints").newest()
    assert newest is not None and newest.images == 200 and "ladder" not in newest.state


def test_before_the_first_healthy_checkpoint_it_is_raised(tmp_path: Path) -> None:
    """The first one comes at 1 % of a run: who fails before has settings that fail, and is told at once."""
    with pytest.raises(Diverged, match="NOT-FINITE"):
        list(poison(loop_of(tmp_path), 0, lambda attempt: True))
    loop = poison(loop_of(tmp_path / "later"), 10)
    assert list(loop)[-1] == Done(TOTAL, "budget") and loop.ladder.history[0][1] == BATCH


def test_what_always_fails_ends_with_its_cause(tmp_path: Path) -> None:
    """Three new tries, the second and third at a lower learning rate; then the healthy checkpoint is what is left."""
    loop = poison(loop_of(tmp_path), 250, lambda attempt: True)
    rates, move = [], loop.match.optimisers["D"].step

    def step(lr: float, *others: Any) -> None:
        rates.append((loop.match.attempt, loop.match.images, lr))
        move(lr, *others)

    loop.match.optimisers["D"].step = step  # type: ignore[method-assign]
    events = list(loop)
    assert events[-1] == Done(200, "watch")
    assert len(alarms(events, "ROLLBACK")) == TRIES + 1 and len(alarms(events, "NOT-FINITE")) == TRIES + 1
    assert loop.trouble is not None and loop.trouble.code == "GIVEN-UP" and loop.trouble.exit_code == 6
    assert "the gradient of D is not finite" in loop.trouble.why and "200 images" in loop.trouble.what
    at = {attempt: lr for attempt, images, lr in rates if images == 208}
    assert [at[k] / at[0] for k in range(TRIES + 1)] == [1, 1, 0.5, 0.25]
    store = Store(tmp_path / "checkpoints")
    newest = store.newest()
    assert newest is not None and newest.images == 200 and newest.manifest.healthy and sound(loop)
    # whoever goes on has three new tries, other batches, and the learning rate of before
    assert newest.state["ladder"]["tries"] == 0 and newest.state["attempt"] == TRIES + 1
    assert newest.state["slower"] == 1.0
    again = poison(loop_of(tmp_path, init=5), 250, lambda attempt: attempt <= TRIES + 1)
    again.load(newest)
    assert list(again)[-1] == Done(TOTAL, "budget") and again.ladder.attempt == TRIES + 2


def test_trouble_that_moves_counts_as_the_same_until_it_is_past(tmp_path: Path) -> None:
    """Healthy checkpoints on the way to where it failed do not give new tries; one beyond does."""
    loop = poison(loop_of(tmp_path, watch=Judge()), 390, lambda attempt: True)
    assert list(loop)[-1].images < TOTAL and loop.ladder.attempt == TRIES + 1
    ladder = Ladder().back(390, 300, "A").past(304).back(350, 304, "A").past(384)
    assert (ladder.tries, ladder.furthest) == (2, 390) and ladder.past(392).tries == 0
    assert ladder.past(392).slower == 0.5  # it was too high: it stays so


def test_other_batches_and_other_noise_after_going_back(tmp_path: Path) -> None:
    """Every position of the stream is another one; the schedules are those of the images seen."""
    loop = poison(loop_of(tmp_path), 250)
    list(loop)
    stream = loop.match.stream
    assert isinstance(stream, Poisoned)
    first = [position for attempt, position in stream.taken if attempt == 0]
    second = [position for attempt, position in stream.taken if attempt == 1]
    assert first == list(range(0, 256, BATCH)) and second == list(range(200, TOTAL, BATCH))
    a, b = match_of("gan"), match_of("gan")
    b.attempt = 1
    one, other = a._deal(0), b._deal(0)
    assert not torch.equal(one.batches[0].x, other.batches[0].x)
    assert not torch.equal(one.nows[0].chance("z").normal(2), other.nows[0].chance("z").normal(2))
    assert replace(one.nows[0], samples=range(0)) == replace(other.nows[0], samples=range(0))
    for length in (7, 40, 10**6 + 3):  # no pass of the data begins where one of another attempt did
        assert all((k * SHIFT) % length for k in (1, 2, 3))


def test_a_watch_is_obeyed_and_what_it_saw_since_is_forgotten(tmp_path: Path) -> None:
    """Its objection at 240 is about the first attempt; what is saved counts as healthy after two quiet looks."""
    watch = Judge(lambda images, match: Decision.ROLLBACK if (images, match.attempt) == (240, 0) else Decision.NOTE)
    loop = loop_of(tmp_path, watch=watch, keep=99)
    events = list(loop)
    assert events[-1] == Done(TOTAL, "budget")
    assert [alarm.images for alarm in alarms(events, "ROLLBACK")] == [200] and not alarms(events, "NOT-FINITE")
    assert next((e.images, e.code) for e in events if isinstance(e, Alarm)) == (240, "MODE-COLLAPSE")
    store = Store(tmp_path / "checkpoints", 99)
    healthy = {images: store.at(images).manifest.healthy for images in store.moments}
    assert all(healthy.values()) and 240 not in healthy  # the first quiet look after going back
    assert {8, 40, 80, 104, 120, 160, 200, 280, 304, 360, 400} == set(healthy)
    probed = [record["images"] for record in read(tmp_path / "log.jsonl") if record["event"] == "probed"]
    assert probed == list(range(40, TOTAL + 1, 40))


@pytest.mark.parametrize("decision", [Decision.ROLLBACK, Decision.HOLD])
def test_without_rescue_a_watch_that_objects_only_holds(decision: Decision, tmp_path: Path) -> None:
    watch = Judge(lambda images, match: decision if images == 120 else Decision.NOTE)
    loop = loop_of(tmp_path, watch=watch, rescue=False, keep=99)
    loop.pace = replace(loop.pace, save_seconds=-1.0)
    events = list(loop)
    assert events[-1] == Done(TOTAL, "budget") and not alarms(events, "ROLLBACK")
    store = Store(tmp_path / "checkpoints", 99)
    ill = [images for images in store.moments if not store.at(images).manifest.healthy]
    assert ill == list(range(120, 200, BATCH))  # quiet at 160 and 200: the last two looks


def test_a_watch_that_always_objects_ends_the_run_with_what_it_saw(tmp_path: Path) -> None:
    watch = Judge(lambda images, match: Decision.ROLLBACK if images >= 240 else Decision.NOTE)
    events = list(loop := loop_of(tmp_path, watch=watch))
    assert events[-1] == Done(200, "watch") and loop.trouble is not None
    assert "[MODE-COLLAPSE] G makes one thing" in loop.trouble.why
    assert len(alarms(events, "ROLLBACK")) == TRIES + 1


def test_an_objection_with_nothing_healthy_yet_only_holds(tmp_path: Path) -> None:
    watch = Judge(lambda images, match: Decision.ROLLBACK if images <= 80 else Decision.NOTE)
    loop = loop_of(tmp_path, watch=watch)
    loop.total = 40_000  # 1 % of it is far away
    for event in loop:
        assert not (isinstance(event, Alarm) and event.code == "ROLLBACK")
        if event.images >= 96:
            break


def test_the_best_is_marked_and_stays(tmp_path: Path) -> None:
    loop = loop_of(tmp_path, watch=Judge())
    assert list(loop)[-1] == Done(TOTAL, "budget")
    store = Store(tmp_path / "checkpoints")
    assert store.best() == (200, 0.1, "distance") == loop.best
    assert store.at(200).state["best"] == [200, 0.1, "distance"]
    assert len(store.moments) <= 5


@pytest.mark.parametrize(("slack", "best"), [(0.0, 80), (0.05, 80), (0.15, 240)])
def test_of_scores_that_cannot_be_told_apart_the_latest_is_the_best(slack: float, best: int, tmp_path: Path) -> None:
    scores = {40: 0.5, 80: 0.3, 120: 0.39, 160: 0.48, 200: 0.7, 240: 0.4}  # 0.48 is near 0.39, but not near the lowest
    watch = Judge(scores=scores, slack=slack)
    list(loop := loop_of(tmp_path, watch=watch, keep=99))
    store = Store(tmp_path / "checkpoints", 99)
    assert store.best() == (best, scores[best], "distance") == loop.best
    state = store.at(best).state
    assert state["best"] == [best, scores[best], "distance"] and state["lowest"] == loop.lowest == 0.3


@pytest.mark.parametrize("decision", [Decision.HOLD, Decision.ROLLBACK])
def test_the_best_is_never_one_that_was_objected_to(decision: Decision, tmp_path: Path) -> None:
    watch = Judge(lambda images, match: decision if images == 200 and match.attempt == 0 else Decision.NOTE)
    list(loop_of(tmp_path, watch=watch, keep=99))
    store = Store(tmp_path / "checkpoints", 99)
    assert store.best() == ((160, 0.5, "distance") if decision is Decision.HOLD else (240, 0.3, "distance"))


# ── several processes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_go_back_together(tmp_path: Path, forked: Forks) -> None:
    """A bad sample that one of them reads, an objection of the watch that one of them has, an average that one of them
    cannot save: both go back to the same checkpoint and end with the same numbers, checked at once or later.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = forked.python(*torchrun, "-m", "tests.train.rescued", tmp_path, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "done.json").read_text())
    for kind, seen in (("Engine", 208), ("Waiting", 256)):
        one, other = found[kind]["both"]
        assert one == other and one[-1] == "Done(images=400, reason='budget')"
        assert found[kind]["alarms"] == [
            ["NOT-FINITE", seen], ["ROLLBACK", 128], ["MODE-COLLAPSE", 384], ["ROLLBACK", 256],
            ["NUMBERS-NOT-FINITE", 384], ["ROLLBACK", 256],
        ]  # fmt: skip
        assert found[kind]["slower"] == 0.5  # the third came before it had got past the second
    assert found["Engine"]["both"] == found["Waiting"]["both"]


class Sharing(Engine):
    """An engine that must wait for its numbers, as an accelerator's."""

    @property
    def checks_at_once(self) -> bool:
        return False


def test_a_step_that_was_skipped_is_undone_with_what_followed(tmp_path: Path) -> None:
    """Where checks come late, up to 16 rounds go on after a step that was skipped: they do not stand either."""
    match = match_of("gan", horizon=TOTAL, gamma=0)
    match.engine = Sharing(torch.device("cpu"))
    loop = poison(loop_of(tmp_path, match=match), 250)
    events = list(loop)
    assert events[-1] == Done(TOTAL, "budget") and sound(loop)
    assert loop.ladder.history == ((256, 128, "NOT-FINITE"),)
    assert float(match.bad) == 0 and len(alarms(events, "ROLLBACK")) == 1


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_moment_stands_in_the_log_once_or_is_undone(tmp_path: Path) -> None:
    """Read as it stands, images never decrease and every `Turn` is there once; every line ever written is kept."""
    list(poison(loop_of(tmp_path, watch=Judge()), 278, lambda attempt: attempt < 2))
    path = tmp_path / "log.jsonl"
    standing = [(record["event"], record["images"]) for record in read(path) if record["event"] != "alarm"]
    images = [n for _, n in standing]
    assert images == sorted(images) and len(set(standing)) == len(standing)
    assert [n for kind, n in standing if kind == "turn"] == list(range(16, TOTAL + 1, 16))
    every = list(read(path, undone=True))
    assert len(every) == len(path.read_text().splitlines()) > len(list(read(path)))
    written = [(record["event"], record["images"]) for record in every]
    assert [written.count(("turn", images)) for images in (240, 256, 272, 288)] == [1, 3, 3, 1]


def test_what_stands_is_what_no_later_line_undoes(tmp_path: Path) -> None:
    """Against the definition, on random histories."""
    dice, path = random.Random(0), tmp_path / "log.jsonl"
    for _ in range(200):
        records: list[dict[str, Any]] = []
        for _ in range(dice.randrange(30)):
            kind = dice.choice(("turn", "turn", "turn", "probed", "alarm", "ROLLBACK"))
            code = {"code": kind if kind == "ROLLBACK" else "OTHER"} if kind in ("alarm", "ROLLBACK") else {}
            records.append({"event": "alarm" if code else kind, "images": dice.randrange(20), **code})
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        undone = [
            record["event"] != "alarm"
            and any(r.get("code") == "ROLLBACK" and r["images"] < record["images"] for r in records[k + 1 :])
            for k, record in enumerate(records)
        ]
        assert list(read(path)) == [r for r, gone in zip(records, undone, strict=True) if not gone]
        assert list(read(path, undone=True)) == records


# ── kills ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Left:
    """What a run leaves."""

    tensors: str
    state: str
    log: list[str]
    best: Any
    pictures: dict[int, bytes]


def played(folder: Path, disk: Disk, fault: str, shown: dict[int, bytes], init: int) -> Left:
    """Go on with what is in the folder, to the end."""

    def says(images: int, match: Match) -> Decision:
        return Decision.ROLLBACK if (images, match.attempt) == (240, 0) else Decision.NOTE

    newest = Store(folder / "checkpoints").newest()
    init = init if newest is not None else 0  # weights that a resume must not depend on
    loop = loop_of(folder, watch=Judge(says if fault == "watch" else lambda *_: Decision.NOTE), disk=disk, init=init)
    if fault == "twice":
        poison(loop, 250, lambda attempt: attempt < 2)
    if fault == "always":
        poison(loop, 250, lambda attempt: True)
    assert loop.store is not None and loop.log is not None
    if newest is not None:
        loop.load(newest)
    else:
        loop.log.truncate(0)
    for event in loop:
        shown |= pictures_of([event])
    state = json.dumps(loop.state() | {"log": bool(loop.log.position())})
    loop.log.close()
    lines = [
        json.dumps({key: value for key, value in record.items() if key != "rate"}, sort_keys=True)
        for record in read(folder / "log.jsonl", undone=True)
    ]
    return Left(digest(loop.match.tensors()), state, lines, loop.store.best(), dict(shown))


class Counting(Dying):
    """Lives, and notes what it did."""

    def __init__(self) -> None:
        super().__init__(10**9)


@pytest.mark.parametrize(("fault", "kills"), [("watch", 4), ("twice", 4), ("always", 3)])
def test_a_kill_at_any_file_operation_around_going_back_changes_nothing(fault: str, kills: int, tmp_path: Path) -> None:
    """Killed before an operation on files (writing, renaming, removing; of log, checkpoints and mark): tensors, state,
    log, mark and pictures are those of a run that was never touched. (Every seventh of them was tried: 307 kills.)"""
    counting = Counting()
    truth = played(tmp_path / "whole", counting, fault, {}, 0)
    operations = counting.operations
    last = max(k for k, (what, path) in enumerate(operations) if what == "rename" and path.name.startswith(".tmp"))
    if fault != "always":  # there, the run is over with the last one: who goes on then has new tries
        last = len(operations)
    lines = [k for k, (what, path) in enumerate(operations) if what == "append"]
    begin, dice = lines[12], random.Random(fault)  # 192 images
    near = [k for k in range(begin, last) if operations[k][0] in ("rename", "rmdir", "append")]
    for k in sorted({*dice.sample(range(last), kills // 3), *dice.sample(near, kills - kills // 3)}):
        shown: dict[int, bytes] = {}
        deaths, disk = 0, Dying(k)
        while True:
            try:
                left = played(tmp_path / f"{k}", disk, fault, shown, init=deaths)
                break
            except Death:
                deaths, disk = deaths + 1, Counting()
        assert deaths == 1
        for name in ("tensors", "state", "log", "best", "pictures"):
            assert getattr(left, name) == getattr(truth, name), (k, operations[k], name)
