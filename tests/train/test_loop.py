"""The loop as a generator of events: what comes when, what is kept, what happens when things go wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.arena import digest, match_of

from sparring.errors import DataError, Diverged, MachineError
from sparring.train.checkpoint import Store
from sparring.train.disk import Disk
from sparring.train.engine import Engine
from sparring.train.log import Log, read
from sparring.train.loop import Loop, Pace, sample_averaged
from sparring.types import Alarm, Batch, Decision, Done, Event, News, Opinion, Probed, Sampled, Saved, Stream, Turn


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def loop_of(tmp_path: Path, name: str = "gan", *, total: int = 160, **settings: Any) -> Loop:
    pace = Pace(**({"log": 32, "samples": (0, 80, total), "grid": 4, "save_seconds": 1e9} | settings.pop("pace", {})))
    store = settings.pop("store", Store(tmp_path / "checkpoints"))
    return Loop(match_of(name), total=total, pace=pace, store=store, log=Log(tmp_path / "log.jsonl"), **settings)


def test_the_order_of_events(tmp_path: Path) -> None:
    events = list(loop_of(tmp_path))
    assert kinds(events) == [
        "sampled", "saved", "turn", "turn", "sampled", "turn", "turn", "turn", "sampled", "saved", "done",
    ]  # fmt: skip
    assert [e.images for e in events] == [0, 8, 32, 64, 80, 96, 128, 160, 160, 160, 160]
    assert events[-1] == Done(160, "budget")


def test_each_turn_stands_in_the_log_once_with_plain_means(tmp_path: Path) -> None:
    """A `Turn` holds the mean of each term over the rounds since the last one."""
    twin = match_of("gan")
    rounds = [{name: float(value) for name, value in twin.step().items()} for _ in range(20)]
    turns = [event for event in loop_of(tmp_path) if isinstance(event, Turn)]
    assert [record["images"] for record in read(tmp_path / "log.jsonl")] == [turn.images for turn in turns]
    for number, turn in enumerate(turns):
        mine = rounds[4 * number : 4 * number + 4]
        assert set(turn.values) == set(mine[0])
        for name, value in turn.values.items():
            assert value == pytest.approx(sum(r[name] for r in mine) / 4, rel=1e-6, abs=1e-9)
        assert turn.rate is not None and turn.rate > 0 and turn.round == 4 * number + 4


def test_a_lazy_penalty_counts_where_it_was_paid(tmp_path: Path) -> None:
    twin = match_of("r3gan")  # pays every second round
    paid = [float(means["D/r1"]) for means in (twin.step() for _ in range(4)) if "D/r1" in means]
    turn = next(event for event in loop_of(tmp_path, "r3gan") if isinstance(event, Turn))
    assert len(paid) == 2 and turn.values["D/r1"] == pytest.approx(sum(paid) / 2, rel=1e-6)


def test_samples_are_of_the_same_latents_by_the_average(tmp_path: Path) -> None:
    shown = [event.samples for event in loop_of(tmp_path) if isinstance(event, Sampled)]
    assert all(samples.shape == (4, 2) for samples in shown) and not torch.equal(shown[0], shown[2])
    match = match_of("dcgan")
    for _ in range(3):
        match.step()
    few, many = sample_averaged(match, 3), sample_averaged(match, 70)
    torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-5)  # far less than one 8-bit level
    with match.averages.applied():
        match.game.eval()
        torch.testing.assert_close(match.game.sample(_dice(match, 3)), few, rtol=0, atol=1e-6)
    assert float(many.abs().max()) <= 1.0


def _dice(match: Any, count: int) -> Any:
    from sparring.chance import Dice

    return Dice(match.seed, "sample", range(count), ())


def test_stop_saves_and_ends(tmp_path: Path) -> None:
    loop = loop_of(tmp_path)
    events = []
    for event in loop:
        events.append(event)
        if isinstance(event, Turn):
            loop.stop()
    assert kinds(events)[-2:] == ["saved", "done"] and events[-1] == Done(32, "stopped")
    newest = Store(tmp_path / "checkpoints").newest()
    assert newest is not None and newest.images == 32
    with pytest.raises(StopIteration):
        next(loop)


def test_pace_is_log_spaced_and_goes_on_beyond_the_horizon() -> None:
    pace = Pace.of(100_000, 16)
    assert pace.samples[0] == 0 and pace.samples[-1] == 100_000 and len(pace.samples) == 13
    ratios = [b / a for a, b in zip(pace.samples[1:-1], pace.samples[2:], strict=True)]
    assert all(math.isclose(ratio, 200 ** (1 / 11), rel_tol=2e-3) for ratio in ratios)
    longer = Pace.of(100_000, 16, 300_000)
    assert longer.samples[:13] == pace.samples and longer.samples[-1] == 300_000
    assert pace.log % 16 == 0 and longer.log == pace.log
    assert Pace.of(8, 16).log == 16


class Judge:
    """A watch that says one thing at each of its moments, or as soon after it as it is asked."""

    def __init__(self, verdicts: dict[int, Decision]) -> None:
        self.verdicts, self.seen = verdicts, 0
        self.heard: list[int] = []

    def due(self, images: int) -> bool:
        return any(self.seen < moment <= images for moment in self.verdicts)

    def hear(self, turn: Turn) -> None:
        self.heard.append(turn.images)

    def look(self, view: Any) -> Opinion:
        self.seen = view.images
        decision = self.verdicts[max(moment for moment in self.verdicts if moment <= view.images)]
        alarms = () if decision is Decision.NOTE else ((decision.value, "because"),)
        return Opinion({"images": float(view.images)}, decision, alarms)

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


def test_a_watch_can_end_a_run(tmp_path: Path) -> None:
    events = list(loop_of(tmp_path, watch=Judge({40: Decision.NOTE, 56: Decision.STOP})))
    assert [e.images for e in events if isinstance(e, Probed)] == [40, 56]
    assert [(e.images, e.code, e.message) for e in events if isinstance(e, Alarm)] == [(56, "stop", "because")]
    assert events[-1] == Done(56, "watch") and isinstance(events[-2], Saved)
    logged = [record for record in read(tmp_path / "log.jsonl") if record["event"] == "probed"]
    assert [(record["images"], record["values"]) for record in logged] == [(40, {"images": 40}), (56, {"images": 56})]


def test_a_watch_that_holds_keeps_the_healthy_checkpoints(tmp_path: Path) -> None:
    """While it objects the run still saves, but no checkpoint from before the objection is given up."""
    watch = Judge({24: Decision.HOLD})
    list(loop_of(tmp_path, watch=watch, pace={"save_seconds": -1.0}, store=Store(tmp_path / "checkpoints", keep=2)))
    kept = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [8, 16, 152, 160]


class Sharing(Engine):
    """An engine that must ask the others (as several processes and accelerators do)."""

    @property
    def checks_at_once(self) -> bool:
        return False


def test_nothing_asked_for_is_forgotten_until_all_agree(tmp_path: Path) -> None:
    """Where processes agree only every 16 rounds, a save due, or a watch's verdict, in between is not lost."""
    match = match_of("gan")
    match.engine = Sharing(torch.device("cpu"))
    loop = Loop(match, total=800, pace=Pace(log=80, save_seconds=1e9), store=Store(tmp_path),
                watch=Judge({56 + 128: Decision.STOP}))  # fmt: skip
    events = list(loop)
    assert [e.images for e in events if isinstance(e, Saved)] == [128, 256]  # the first is due after 1 %: 8 images
    assert events[-1] == Done(256, "watch")


def test_a_skipped_step_is_found_before_anything_is_kept(tmp_path: Path) -> None:
    match = match_of("gan")
    match.engine = Sharing(torch.device("cpu"))
    loop = Loop(match, total=80, pace=Pace(log=80, save_seconds=1e9), store=Store(tmp_path))
    with torch.no_grad():
        next(match.game.D.parameters()).fill_(float("nan"))
    before = [p.detach().clone() for p in match.game.G.parameters()]
    with pytest.raises(Diverged, match="NOT-FINITE"):
        list(loop)
    assert all(torch.equal(a, b) for a, b in zip(before, match.game.G.parameters(), strict=True))
    assert not tmp_path.exists() or Store(tmp_path).newest() is None


def test_divergence_is_said_and_raised(tmp_path: Path) -> None:
    loop = loop_of(tmp_path)
    events = [next(loop) for _ in range(3)]
    with torch.no_grad():
        next(loop.match.game.D.parameters()).fill_(float("inf"))
    with pytest.raises(Diverged) as caught:
        for event in loop:
            events.append(event)
    assert events[-1].kind == "alarm" and "D" in str(caught.value)
    newest = Store(tmp_path / "checkpoints").newest()
    assert newest is not None and newest.images == 8


class Breaking:
    """A stream with news at some positions, told twice; from `end` on nothing can be read."""

    fingerprint = "breaking"

    def __init__(self, stream: Stream, news: dict[int, News], end: float = math.inf) -> None:
        self.stream, self.at, self.end, self.waiting = stream, news, end, []

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        if start + count > self.end:
            raise DataError("DATA-LOST", "the images can no longer be read", where="photos/")
        self.waiting += [self.at[k] for k in range(start, start + count) if k in self.at] * 2
        return self.stream.take(start, count)

    def news(self) -> list[News]:
        news, self.waiting = self.waiting, []
        return news


BROKE = News("DATA-BROKEN", "b.png: truncated; another image takes its place")
LOST = News("DATA-LOST", "9 of 400 images can no longer be read", fatal=True)


def breaking(loop: Loop, news: dict[int, News], end: float = math.inf) -> Loop:
    loop.match.stream = Breaking(loop.match.stream, news, end)
    return loop


def test_news_of_the_data_is_said_once_and_written_down(tmp_path: Path) -> None:
    events = list(breaking(loop_of(tmp_path), {3: BROKE, 70: BROKE, 75: News("DATA-BROKEN", "c.png: deleted")}))
    alarms = [event for event in events if isinstance(event, Alarm)]
    assert alarms == [Alarm(8, *_said(BROKE)), Alarm(80, "DATA-BROKEN", "c.png: deleted")]
    assert events[-1] == Done(160, "budget")
    logged = [record for record in read(tmp_path / "log.jsonl") if record["event"] == "alarm"]
    assert [(record["images"], record["message"]) for record in logged] == [
        (8, BROKE.message), (80, "c.png: deleted"),
    ]  # fmt: skip


def _said(news: News) -> tuple[str, str]:
    return news.code, news.message


def test_lost_data_ends_a_run_politely_and_it_goes_on(tmp_path: Path) -> None:
    """Saved, `Done("data")`; with the data whole again the run ends as if nothing had happened."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    loop = breaking(loop_of(tmp_path / "a"), {52: LOST})
    events = list(loop)
    assert kinds(events)[-3:] == ["alarm", "saved", "done"] and loop.lost == LOST.message
    assert events[-1] == Done(56, "data") and events[-3] == Alarm(56, *_said(LOST))
    again, whole = loop_of(tmp_path / "a"), loop_of(tmp_path / "b")
    newest = again.store.newest() if again.store is not None else None
    assert newest is not None and newest.images == 56
    again.load(newest)
    assert list(again)[-1] == list(whole)[-1] == Done(160, "budget")
    assert digest(again.match.tensors()) == digest(whole.match.tensors())


def test_data_that_is_gone_at_once_costs_no_round(tmp_path: Path) -> None:
    """Nothing can be read any more: all rounds so far are saved."""
    loop = breaking(loop_of(tmp_path), {}, end=64)
    events = list(loop)
    assert events[-1] == Done(64, "data") and isinstance(events[-2], Saved) and events[-2].images == 64
    later = breaking(loop_of(tmp_path), {}, end=64)
    newest = later.store.newest() if later.store is not None else None
    assert newest is not None
    later.load(newest)
    assert list(later)[-1] == Done(64, "data")
    assert later.lost == loop.lost == "the images can no longer be read: photos/"


def test_in_the_middle_of_a_round_nothing_is_saved(tmp_path: Path) -> None:
    """D has moved and G has not: the last checkpoint is the place to go on from."""
    match = match_of("gan-images")  # D:2,G:1: two batches a round
    match.stream = Breaking(match.stream, {}, end=40)
    loop = Loop(match, total=160, pace=Pace(log=32, saves=(16,), save_seconds=1e9), store=Store(tmp_path))
    with pytest.raises(DataError, match="DATA-LOST"):
        list(loop)
    newest = Store(tmp_path).newest()
    assert newest is not None and newest.images == 16


def test_processes_agree_that_the_data_is_lost(tmp_path: Path) -> None:
    """News between two agreements is kept until the next; of several, whoever did not meet it ends all the same."""
    match = match_of("gan")
    match.engine = Sharing(torch.device("cpu"))
    loop = breaking(Loop(match, total=800, pace=Pace(log=80, save_seconds=1e9), store=Store(tmp_path)), {60: LOST})
    events = list(loop)
    assert [e.images for e in events if isinstance(e, Alarm)] == [64] and events[-1] == Done(128, "data")

    class Others(Sharing):
        def agree(self, flag: int) -> int:
            return 4  # as another process says that has lost its data

    match = match_of("gan")
    match.engine = Others(torch.device("cpu"))
    loop = Loop(match, total=800, pace=Pace(log=80, save_seconds=1e9), store=Store(tmp_path / "other"))
    assert list(loop)[-1] == Done(128, "data") and loop.lost == ""


class Full(Disk):
    """A disk on which nothing can be written from now on."""

    full = False

    def write(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device", str(path))
        super().write(path, data)


def test_a_full_disk_does_not_end_a_run_but_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    disk = Full()
    loop = loop_of(tmp_path, store=Store(tmp_path / "checkpoints", disk=disk), pace={"save_seconds": -1.0})
    events: list[Event] = []
    with pytest.raises(MachineError, match="DISK"):
        for event in loop:
            events.append(event)
            disk.full = event.images >= 80
    assert max(event.images for event in events) == 160
    assert sum(isinstance(event, Alarm) for event in events) >= 3
    newest = Store(tmp_path / "checkpoints").newest()
    assert newest is not None and newest.images == 72
