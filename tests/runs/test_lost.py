"""A run whose files vanish: other images take their place, it ends politely when too many are gone, and goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.forking import Forks

import sparring
from sparring import api, cli
from sparring.data.live import Live
from sparring.errors import DataError
from sparring.runs import session
from sparring.train.checkpoint import Store
from sparring.types import Alarm, Done

SET = ["width=8", "z=4", "batch=8", "depth=1"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """210 images of 8 × 8, read file by file."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(210):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def begin(photos: Path, out: Path, images: int = 640) -> session.Session:
    return api.steps(
        photos, recipe="gan", size=8, out=out, budget=str(images), held_out=0, set=SET, device="cpu", threads=1,
        keep="off",
    )  # fmt: skip


def test_a_few_files_vanish_and_the_run_goes_on(photos: Path, tmp_path: Path) -> None:
    run = begin(photos, tmp_path / "run")
    alarms = []
    for event in run:
        if event.images == 0:
            for name in ("004.png", "104.png"):
                (photos / name).unlink()
        if isinstance(event, Alarm):
            alarms.append(event)
    assert run.finished == Done(640, "budget")
    assert {event.code for event in alarms} == {"DATA-BROKEN"}
    assert sorted(event.message.split(":")[0] for event in alarms) == ["004.png", "104.png"]


def test_too_many_vanish_and_the_run_ends_saved(photos: Path, tmp_path: Path) -> None:
    """5 of 210 are moved away: exit code 3, everything saved; they come back, and it ends as if never gone."""
    away = tmp_path / "away"
    away.mkdir()
    broken = begin(photos, tmp_path / "run")
    for event in broken:
        if event.images == 0:
            for number in range(10, 60, 10):
                (photos / f"{number:03d}.png").rename(away / f"{number:03d}.png")
    assert broken.finished is not None and broken.finished.reason == "data"
    images = broken.finished.images
    assert 0 < images < 640
    newest = Store(tmp_path / "run" / "checkpoints").newest()
    assert newest is not None and newest.images == images
    with pytest.raises(DataError, match=r"DATA-LOST.*photos") as caught:
        api.finish(broken)
    assert caught.value.exit_code == 3
    assert f"sparring resume {tmp_path / 'run'}" in caught.value.fix and "of 210 images" in caught.value.why
    for path in away.iterdir():
        path.rename(photos / path.name)
    assert api.resume(tmp_path / "run").images == 640


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All files are gone from the 20th batch of the run on."""
    inner, batches = Live.fetch, []

    def fetch(self: Live, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if (tmp_path / "a run").exists():
            batches.append(1)
        if len(batches) > 20:
            raise DataError("DATA-LOST", "the images can no longer be read", where=self.source.place)
        return inner(self, rows)

    monkeypatch.setattr(Live, "fetch", fetch)
    yield


def test_the_command_line_says_what_happened_and_what_to_type(
    photos: Path, tmp_path: Path, failing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a run"
    words = [word for change in SET for word in ("--set", change)]
    code = cli.main([
        "train", str(photos), "--recipe", "gan", "--size", "8", "--budget", "1600", "--held-out", "0", "--keep", "off",
        "--out", str(out), "--device", "cpu", *words,
    ])  # fmt: skip
    said = capsys.readouterr().err
    assert code == 3, said
    assert "stopped at 160 images" in said and "[DATA-LOST]" in said and "Traceback" not in said
    assert said.rstrip().endswith(f"sparring resume '{out}'")
    assert said.index("[DATA-LOST] too much") < said.index("once the files are back, go on with:")
    assert (out / "report.html").is_file() and "sparring sample" not in said
    assert sparring.load(out).images == 160


def test_with_json_the_loss_is_the_last_line_of_stdout(
    photos: Path, tmp_path: Path, failing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for change in SET for word in ("--set", change)]
    code = cli.main([
        "train", str(photos), "--recipe", "gan", "--size", "8", "--budget", "1600", "--held-out", "0", "--keep", "off",
        "--out", str(tmp_path / "a run"), "--device", "cpu", "--json", *words,
    ])  # fmt: skip
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 3 and [event["event"] for event in events[-2:]] == ["done", "error"]
    assert events[-1]["error"]["code"] == "DATA-LOST" and "sparring resume" in events[-1]["error"]["fix"]


TWO = """
import os, sys
import sparring.data.stream as s
from sparring.types import News
from sparring.cli import main
inner, count = s.PointStream.take, []
def take(self, start, n):
    count.append(start)
    return inner(self, start, n)
def news(self):
    if os.environ["RANK"] == "1" and count[-1] > 6000:
        return [News("DATA-BROKEN", "one of mine"), News("DATA-LOST", "12 of 600 of mine", fatal=True)]
    return ()
s.PointStream.take, s.PointStream.news = take, news
sys.exit(main(sys.argv[1:]))
"""


def test_of_two_processes_both_end_when_one_has_lost_its_data(tmp_path: Path, forked: Forks) -> None:
    """Rank 1 meets it and says what; rank 0 saves, writes the page, and says how to go on; nobody is left behind."""
    script, out = tmp_path / "sparring_two.py", tmp_path / "run"
    script.write_text(TWO)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    exit_file = tmp_path / "exit"
    done = forked.python(
        *torchrun, script, "train", "ring", "--recipe", "gan", "--set", "width=8", "--budget", "500M", "--out", out,
        env={**os.environ, "SPARRING_EXIT_FILE": str(exit_file)},
    )  # fmt: skip
    text = done.stderr
    assert exit_file.read_text() == "3", text
    assert text.count("one of mine") == 1 and "rank 1: ! one of mine" in text
    assert "rank 1: [DATA-LOST]" in text and "rank 0: [DATA-LOST]" in text and "12 of 600 of mine" in text
    assert f"sparring resume {out}" in text and (out / "report.html").is_file()
    newest = Store(out / "checkpoints").newest()
    assert newest is not None and newest.images > 6000
