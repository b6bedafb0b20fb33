"""Rows 43 to 55 of the matrix of bad inputs (issue 3, "2B. Config and CLI"), as the command line answers them.

Each test names its row. What is refused is refused with a sentence and the promised exit code, before anything is made
or changed; what is meant is understood.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.forking import Forks

from sparring import cli
from sparring.cli import commands, main
from sparring.cli.live import Live
from sparring.cli.talk import Talk
from sparring.runs import directory as directories
from sparring.runs import plan as plans
from sparring.runs.lock import RunLock
from sparring.runs.recipe import load
from sparring.train import engine
from sparring.train.disk import Disk
from sparring.types import Alarm

SMALL = ["--recipe", "gan", "--set", "width=8", "--set", "batch=16"]
TRAIN = ["train", "ring", "--budget", "64", *SMALL]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on points; never change it."""
    out = tmp_path_factory.mktemp("trained") / "ring"
    assert main([*TRAIN, "--out", str(out)]) == 0
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(trained, tmp_path / "ring"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def said(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command line and all that it printed; never a traceback."""
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as ended:  # tyro's own end
        code = int(ended.code or 0)
    text = "".join(capsys.readouterr())
    assert "Traceback" not in text and "This is a bug" not in text, text
    return code, text


def python(*words: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A real start of Python."""
    return subprocess.run([sys.executable, *map(str, words)], env=env, capture_output=True, text=True, timeout=300)


def digest(folder: Path) -> dict[str, str]:
    """Every file below a folder and its hash, and every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


# ── 43 · unknown key or flag ──────────────────────────────────────────────────────────────────────────────────────


def long_flags() -> list[tuple[str, str]]:
    """(command, flag) of every flag that is long enough to be misspelt and still recognised."""

    def names(kind: type) -> list[str]:
        found = []
        for field in dataclasses.fields(kind):
            if isinstance(field.default_factory, type) and dataclasses.is_dataclass(field.default_factory):
                found += names(field.default_factory)
            elif "Positional" not in str(field.type):
                named = re.search(r"name='([^']*)'", str(field.type))
                found.append("--" + (named[1] if named else field.name.replace("_", "-")))
        return found

    return [(name, flag) for name, kind in commands().items() for flag in names(kind) if len(flag) > 5]


@pytest.mark.parametrize(("command", "flag"), long_flags())
def test_row_43_a_misspelt_flag_names_the_nearest(
    command: str, flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    wrong = flag[:4] + flag[5:]  # a letter is missing
    places = [field for field in dataclasses.fields(commands()[command]) if "Positional" in str(field.type)]
    code, text = said([command, *["x"] * len(places), wrong, "1"], capsys)
    assert code == 2 and flag in text


@pytest.mark.parametrize(("wrong", "right"), [("gama=10", "gamma"), ("learnig_rate=1", ""), ("bacth=8", "batch"),
                                              ("lr.strat=1", "start")])  # fmt: skip
def test_row_43_a_misspelt_setting_names_the_nearest(
    wrong: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["train", "ring", "--recipe", "gan", "--set", wrong], capsys)
    assert code == 2 and right in text and wrong.partition("=")[0].partition(".")[0] in text


def test_row_43_every_setting_is_found_when_a_letter_is_missing() -> None:
    for recipe in ("gan", "dcgan", "r3gan"):
        for field in dataclasses.fields(load(recipe).config):
            if len(field.name) > 4:
                with pytest.raises(cli.UsageError) as refused:
                    load(recipe, [f"{field.name[:2]}{field.name[3:]}=1"])
                assert field.name in refused.value.fix, refused.value


def test_row_43_unknown_keys_in_a_file_are_named_with_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, line, near in (
        ("recipe: gan\nconfig:\n  gama: 10\n", 3, "gamma"),
        ("recipe: gan\nconfgi:\n  gamma: 10\n", 2, "config"),
        ("recipe: gna\n", 1, "gan"),
    ):
        (tmp_path / "r.yaml").write_text(text)
        code, answer = said(["train", "ring", "--recipe", tmp_path / "r.yaml"], capsys)
        assert code == 2 and near in answer
        assert f"line {line}" in answer or "no such recipe" in answer


# ── 44 · wrong type ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change", ["batch=16.5", "batch=yes", "batch=true", "batch=1_000", "batch=010", "batch=0x10", "batch=many",
               "lr=true", "lr=fast", "lr=1_0", "flip=maybe", "flip=2", "z=1e400", "ema_images=yes", "objective=3"],
)  # fmt: skip
def test_row_44_a_wrong_type_is_refused_with_the_line(
    change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _, value = change.partition("=")
    path = tmp_path / "my recipe.yaml"
    path.write_text(f"# mine\nrecipe: gan\nconfig:\n  width: 8\n  {key}: {value}\n")
    code, text = said(["train", "ring", "--recipe", path], capsys)
    assert code == 2 and f"{path}, line 5" in text and key in text
    code, text = said(["train", "ring", "--recipe", "gan", "--set", change], capsys)
    assert code == 2 and f"--set {change}" in text


def test_row_44_two_mistakes_are_both_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text("recipe: gan\nconfig:\n  batch: 16.5\n  lr: 1e-4\n  z: two\n")
    code, text = said(["train", "ring", "--recipe", tmp_path / "r.yaml"], capsys)
    assert code == 2 and "line 3: batch: 16.5" in text and "line 5: z: 'two'" in text


# ── 46 · out of range ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "allowed"),
    [
        (["--set", "batch=0"], "from 1 up to 1,048,576"),
        (["--set", "batch=-1"], "from 1 up to 1,048,576"),
        (["--set", "batch=1000000000"], "from 1 up to 1,048,576"),
        (["--set", "lr=0"], "above 0, at most 1"),
        (["--set", "lr=-1"], "[0, 1]"),
        (["--set", "lr=nan"], "[0, 1]"),
        (["--set", "lr=inf"], "[0, 1]"),
        (["--set", "lr=-.inf"], "[0, 1]"),
        (["--set", "ema_share=1.5"], "above 0 up to 1"),
        (["--set", "beta2=1"], "[0, 1["),
        (["--set", "width=0"], "from 1 up to 65,536"),
        (["--set", "depth=1000000"], "from 1 up to 64"),
        (["--set", "g_fourier=[16, 0, 8]"], "gt 0"),
        (["--seed", "-1"], "0 to 2^63"),
        (["--seed", str(2**63)], "0 to 2^63"),
        (["--seed", str(2**64)], "0 to 2^63"),
        (["--budget", "0"], "above zero"),
        (["--budget", "0m"], "above zero"),
        (["--budget", "1e3"], "20m"),
        (["--budget", str(10**12)], "below 10^12"),
        (["--held-out", "1.5"], "0 to 0.5"),
        (["--held-out", "-0.1"], "0 to 0.5"),
        (["--held-out", "nan"], "0 to 0.5"),
        (["--size", "0"], "8 to 2048"),
        (["--size", "65536"], "8 to 2048"),
        (["--size", "2049"], "8 to 2048"),
        (["--processes", "0"], "1 to 1024"),
        (["--processes", "1000000"], "1 to 1024"),
    ],
)
def test_row_46_out_of_range_names_what_is_allowed(
    flags: list[str], allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, text = said(["train", "ring", "--recipe", "gan", *flags], capsys)
    assert code == 2 and allowed in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["8", "33", "100x44"])
def test_row_46_any_size_in_the_range_can_be_played(
    size: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither 100 nor 257 is out of range here: the networks take sides that are no powers of two."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code, text = said(["train", photos, "--recipe", "dcgan", "--set", "width=2", "--set", "batch=4", "--size", size,
                       "--budget", "8", "--dry-run"], capsys)  # fmt: skip
    assert code == 0 and "8 images in batches of 4" in text


def test_row_46_a_demo_with_a_bad_budget_keeps_the_earlier_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digest(run)
    for budget in ("0", "+4m", "4q"):
        code, _ = said(["demo", "--out", run, "--budget", budget], capsys)
        assert code == 2 and digest(run) == before


def test_row_46_what_can_be_refused_without_torch_is_refused_without_it() -> None:
    """A slip of the finger is answered at once: before torch, numpy and the data are loaded."""
    slips = [["--seed", "-1"], ["--budget", "+5m"], ["--budget", "20q"], ["--set", "batch"], ["--size", "7"]]
    program = (
        "import sys; from sparring.cli import main\n"
        f"codes = [main(['train', 'ring', *slip]) for slip in {slips!r}]\n"
        "print(codes, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT)
    assert ended.stdout == "[2, 2, 2, 2, 2] False False\n", ended.stderr


@pytest.mark.parametrize("recipe", ["gan", "auto"])
def test_row_46_settings_are_checked_before_the_data_are_opened(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plans, "open_dataset", lambda *_: pytest.fail("the data were opened"))
    for change in ("nonsense=1", "batch=0"):
        code, _ = said(["train", "ring", "--recipe", recipe, "--set", change], capsys)
        assert code == 2


# ── 47 · impossible combinations ──────────────────────────────────────────────────────────────────────────────────

OWN = """
from sparring.recipes.gan import GAN

class Conditional(GAN):
    '''A game that wants to know classes.'''
    needs = frozenset({"label"})

class Plain(GAN):
    '''The game of 2014, at home.'''
"""


def test_row_47_a_game_that_needs_labels_says_how_to_give_them(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    recipe = f"{tmp_path / 'mine.py'}:Conditional"
    code, text = said(["train", photos, "--recipe", recipe, "--size", "16", "--budget", "64"], capsys)
    assert code == 2 and "Conditional needs the class of every image" in text and "--labels folders" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "precision=fp16"], ["fp16", "'fp32', 'bf16'", "breaks penalties"]),
        (["--size", "32"], ["--size", "points"]),
        (["--crop", "pad"], ["--crop", "points"]),
        (["--channels", "3"], ["--channels", "points"]),
        (["--recipe", "dcgan"], ["--recipe dcgan", "points", "gan-points"]),
        (["--recipe", "r3gan-minutes"], ["--recipe r3gan-minutes", "points", "gan-points"]),
        (["--recipe", "r3gan", "--set", "augment=0.5"], ["--recipe r3gan", "points"]),
        (["--recipe", "gan", "--set", "micro_batches=3"], ["micro_batches = 3", "batch = 64"]),
        (["--recipe", "gan", "--set", "play=D:1,Q:1"], ["'Q'", "'D', 'G'"]),
        (["--recipe", "gan", "--set", "g_fourier=[4, 9, 8]"], ["lowest", "highest"]),
    ],
)
def test_row_47_what_does_not_go_together_names_both(
    arguments: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, text = said(["train", "ring", "--budget", "64", *arguments], capsys)
    assert code == 2 and all(word in text for word in words), text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("device", "batch", "code", "words"),
    [
        ("cpu", 15, 2, ["--processes 2", "batch of 15", "--set batch="]),
        ("mps", 16, 2, ["--processes 2", "--device mps"]),
        ("cuda", 16, 2, ["--processes 2", "GPUs", "--device cpu"]),
    ],
)
def test_row_47_processes_that_cannot_share(
    device: str, batch: int, code: int, words: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What each of two processes finds, before they meet."""
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr(plans, "join", lambda device: pytest.fail("the processes met"))
    found, text = said(["train", "ring", "--recipe", "gan", "--device", device, "--set", f"batch={batch}"], capsys)
    assert found == code and all(word in text for word in words), text


def test_row_47_the_launcher_adds_no_traceback_of_its_own(tmp_path: Path, forked: Forks) -> None:
    words = ["-m", "sparring", *TRAIN, "--set", "batch=15", "--processes", "2", "--out", "run"]
    ended = forked.python(*words, cwd=tmp_path)
    assert ended.returncode == 2 and ended.stderr.count("[BATCH-PROCESSES]") == 1
    assert "Traceback" not in ended.stderr and "elastic" not in ended.stderr, ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_row_47_a_recipe_of_points_on_images_is_possible_and_noted(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(
        ["train", photos, "--recipe", "gan-points", "--size", "16", "--budget", "64", "--dry-run"], capsys
    )
    assert code == 0 and "note      gan-points is made for 2-D points" in text


# ── 49 · the place of the run ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["run", "file", "below a file", "foreign", "holds a run", "too long"])
def test_row_49_a_place_that_is_not_free_is_left_as_it_is(
    kind: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "photo.png").write_text("mine")
    shutil.copytree(run, tmp_path / "outer" / "inner")
    place = {
        "run": run, "file": tmp_path / "file", "below a file": tmp_path / "file" / "run",
        "foreign": tmp_path / "foreign", "holds a run": tmp_path / "outer", "too long": tmp_path / ("x" * 300),
    }[kind]  # fmt: skip
    before = digest(tmp_path)
    code, text = said([*TRAIN, "--out", place], capsys)
    assert code == (5 if kind == "too long" else 2)
    assert "measured" not in text  # refused before anything was computed
    assert digest(tmp_path) == before


def test_row_49_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sealed").mkdir(mode=0o555)
    if os.geteuid() == 0:  # who may write everywhere
        usual = os.access
        monkeypatch.setattr(os, "access", lambda path, *rest: Path(path).name != "sealed" and usual(path, *rest))
    before = digest(tmp_path)
    code, text = said([*TRAIN, "--out", tmp_path / "sealed" / "run"], capsys)
    assert code == 5 and "sealed" in text and "--out" in text
    assert digest(tmp_path) == before


class Full(Disk):
    """No room for anything from the k-th operation on."""

    left = 0

    def step(self, operation, path, act):
        if operation in ("create", "write", "flush", "make"):
            type(self).left -= 1
            if type(self).left < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return super().step(operation, path, act)


@pytest.mark.parametrize("room", [0, 1, 3])
def test_row_49_a_full_disk_touches_nothing_else_and_can_be_tried_again(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    Full.left = room
    with monkeypatch.context() as patch:
        patch.setattr(directories, "Disk", Full)
        code, text = said([*TRAIN, "--out", tmp_path / "run"], capsys)
    assert code == 5 and "No space left" in text
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    assert not (tmp_path / "run" / "recipe.yaml").exists()
    code, _ = said([*TRAIN, "--out", tmp_path / "run"], capsys)
    assert code == 0


def test_row_49_a_run_is_not_put_into_its_own_data(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digest(photos)
    code, text = said(["train", photos, "--size", "16", "--budget", "64", "--out", photos / "run"], capsys)
    assert code == 2 and "inside its own data" in text
    monkeypatch.chdir(photos)
    code, text = said(["train", ".", "--size", "16", "--budget", "64"], capsys)
    assert code == 2 and "inside its own data" in text and "--out" in text
    assert digest(photos) == before


# ── 50 · one process at a time ────────────────────────────────────────────────────────────────────────────────────


def test_row_50_a_second_process_is_told_who_is_there(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = (
        "import sys, time\nfrom sparring.runs.lock import RunLock\nkept = RunLock(sys.argv[1])\nprint(1, flush=True)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{hold}time.sleep(600)", run], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
        before = digest(run)
        code, text = said(["resume", run, "--budget", "+64"], capsys)
        assert code == 4 and f"process {holder.pid} on {socket.gethostname()}" in text
        code, _ = said([*TRAIN, "--out", run], capsys)  # started twice
        assert code == 2 and digest(run) == before
        code, _ = said(["sample", run, "-n", "4", "--out", tmp_path / "samples"], capsys)  # looking is allowed
        assert code == 0
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert json.loads((run / "lock").read_text())["pid"] == holder.pid  # nobody tidied up …
    code, text = said(["resume", run, "--budget", "+64"], capsys)
    assert code == 0 and "done at 128 images" in text  # … and it is in nobody's way


# ── 51 · other versions ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["recipe", "run"])
@pytest.mark.parametrize(("version", "words"), [("9.0.0", "upgrade sparring"), ("0.0.1", "CHANGELOG.md")])
def test_row_51_what_another_version_wrote(
    where: str, version: str, words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting from the future asks for an upgrade, a removed one says where to read about it."""
    document = yaml.safe_load((run / "recipe.yaml").read_text())
    document["config"]["spectral_gap"] = 3
    document["run"]["sparring"] = version
    (run / "recipe.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    before = digest(run)
    arguments = ["resume", run] if where == "run" else ["train", "ring", "--recipe", run / "recipe.yaml"]
    code, text = said(arguments, capsys)
    assert code == 2 and version in text and words in text and "spectral_gap" in text and "line" in text
    assert digest(run) == before


def test_row_51_a_newer_version_that_says_nothing_new_is_read(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace("sparring: 0.1.0", "sparring: 9.0.0"))
    code, _ = said(["info", run], capsys)
    assert code == 0


# ── 53 · the environment ──────────────────────────────────────────────────────────────────────────────────────────


def test_row_53_no_home_no_terminal_no_language(photos: Path, tmp_path: Path, forked: Forks) -> None:
    """Neither $HOME nor a cache that can be written, LANG=C, TERM=dumb, no terminal, no place for temporary files."""
    for start, environment in (
        (forked.python, {}),
        (python, {"HOME": "/proc", "LANG": "C", "LC_ALL": "C", "TERM": "dumb", "TMPDIR": "/nowhere"}),
    ):
        out = tmp_path / f"run{len(environment)}"
        words = ["-m", "sparring", "train", photos, "--size", "16", "--budget", "32", "--out", out, *SMALL]
        ended = start(*words, env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **environment})
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr and "\x1b" not in ended.stderr and ended.stdout == ""


def test_row_53_a_pipe_to_head_ends_quietly(trained: Path, tmp_path: Path, forked: Forks) -> None:
    child = subprocess.Popen(
        forked.words("-m", "sparring", "train", "ring", "--budget", "640", "--json", "--out", tmp_path / "run", *SMALL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None and child.stderr is not None
    assert json.loads(child.stdout.readline())["event"] == "plan"
    child.stdout.close()
    error = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 0 and b"rror" not in error and b"Broken" not in error, error  # it trains to its end
    assert b"done at 640 images" in error


def test_row_53_closed_standard_streams_stand_in_nobodys_way(run: Path) -> None:
    program = (
        "import os, sys\nfor number in (0, 1, 2): os.close(number)\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'sparring', 'resume', {str(run)!r}, '--budget', '+64'])"
    )
    before = (run / "log.jsonl").read_text()
    assert subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, timeout=300).returncode == 0
    lines = (run / "log.jsonl").read_text().removeprefix(before).splitlines()
    assert lines and all(json.loads(line)["images"] > 64 for line in lines)  # nothing was printed into a file


def test_row_53_a_full_stdout_is_named(trained: Path, forked: Forks) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        words = forked.words("-m", "sparring", "info", trained)
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 5 and b"[DISK]" in ended.stderr and b"Traceback" not in ended.stderr


def test_row_53_a_clock_set_back_a_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Durations come from a clock that only goes forward."""
    usual, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: usual() - (next(calls) % 2) * 366 * 86400)
    code, text = said([*TRAIN, "--out", tmp_path / "run"], capsys)
    assert code == 0 and re.search(r"done at 64 images after \d{1,2}s\n", text)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    rates = [line["rate"] for line in lines if line["event"] == "turn"]
    assert rates and all(0 < rate < 1e7 for rate in rates)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_row_53_a_device_that_is_not_there(
    device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    code, text = said(["train", "ring", "--device", device], capsys)
    assert code == 5 and "--device auto" in text
    for wrong in ("tpu", f"{device}:x", "cpu:-1", "cuda:1:2", ""):
        code, text = said(["train", "ring", "--device", wrong], capsys)
        assert code == 2 and "cuda:1 or mps" in text
    assert engine.choose_device("auto").type == "cpu"


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: no kernel image is available for execution on the device",
        "The NVIDIA driver on your system is too old (found version 11040).",
        "NCCL error in: ProcessGroupNCCL.cpp:1691, unhandled cuda error",
    ],
)
def test_row_53_a_driver_that_does_not_fit_is_no_bug_of_ours(
    message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(plans, "choose_device", broken)
    code, text = said(TRAIN, capsys)
    assert code == 5 and "[DEVICE]" in text and message.split(",")[0] in text and "--device cpu" in text


# ── 55 · arguments of sample and interpolate ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "-n", "0"], "1 and 1,000,000"),
        (["sample", "-n", "-1"], "1 and 1,000,000"),
        (["sample", "-n", "1000000000"], "1 and 1,000,000"),
        (["sample", "-n", "a,b"], "whole number"),
        (["sample", "--seed", "-1"], "0 to 2^63"),
        (["sample", "--seed", str(2**64)], "0 to 2^63"),
        (["sample", "--seed", "5-1"], "whole number"),
        (["sample", "--truncation", "nan"], "above 0, at most 2"),
        (["sample", "--truncation", "inf"], "above 0, at most 2"),
        (["sample", "--truncation", "-1"], "above 0, at most 2"),
        (["interpolate", "--frames", "0"], "2 to 10,000"),
        (["interpolate", "--frames", "1000000000"], "2 to 10,000"),
        (["interpolate", "--seed", "-1"], "0 to 2^63"),
        (["interpolate", "--out", "walk.exe"], ".gif"),
    ],
)
def test_row_55_arguments_out_of_range_state_the_limits(
    arguments: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    before = digest(run.parent)
    code, text = said([arguments[0], run, *arguments[1:]], capsys)
    assert code == 2 and words in text
    assert digest(run.parent) == before


def test_row_55_names_with_slashes_and_dots_are_paths(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["sample", run, "-n", "4", "--out", tmp_path / "a" / ".." / "b" / "c d"], capsys)
    assert code == 0 and (tmp_path / "b" / "c d" / "points.csv").is_file() and "points.csv" in text
    code, _ = said(["interpolate", run, "--frames", "2", "--out", tmp_path / "x" / "y.gif"], capsys)
    assert code == 0 and (tmp_path / "x" / "y.gif").is_file()


def test_row_55_nothing_outside_of_the_run_is_overwritten(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("points.csv", "grid.png", "walk.gif"):
        (mine / name).write_text("mine")
    before = digest(tmp_path)
    for arguments, name in (
        (["sample", run, "-n", "4", "--out", mine], "points.csv"),
        (["sample", run, "-n", "4", "--grid", "--out", mine], "grid.png"),
        (["interpolate", run, "--frames", "2", "--out", mine / "walk.gif"], "walk.gif"),
    ):
        code, text = said(list(arguments), capsys)
        assert code == 2 and "[SAMPLE-OUT]" in text and str(mine / name) in text and "--out" in text
    assert digest(tmp_path) == before
    for _ in range(2):  # in the run, an earlier call is replaced
        assert said(["sample", run, "-n", "4"], capsys)[0] == 0
        assert said(["interpolate", run, "--frames", "2"], capsys)[0] == 0


def test_row_55_a_file_where_a_directory_belongs_and_the_reverse(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.gif").mkdir()
    before = digest(tmp_path)
    for arguments, word in (
        (["sample", run, "-n", "4", "--out", tmp_path / "file"], "there is a file where a directory belongs"),
        (["sample", run, "-n", "4", "--out", tmp_path / "file" / "x"], "there is a file where a directory belongs"),
        (["interpolate", run, "--frames", "2", "--out", tmp_path / "folder.gif"], "there is a directory where a file"),
        (["sample", run, "-n", "4", "--out", tmp_path / ("x" * 300)], "too long"),
    ):
        code, text = said(list(arguments), capsys)
        assert code in (2, 5) and word in text
    assert digest(tmp_path) == before


# ── games of one's own ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_ones_own_game_says_what_another_process_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], forked: Forks
) -> None:
    monkeypatch.delenv("SPARRING_GAMES", raising=False)
    file = tmp_path / "my games.py"
    file.write_text(OWN)
    arguments = ["--recipe", f"{file}:Plain", "--set", "width=8", "--budget", "64", "--out", tmp_path / "run"]
    code, text = said(["train", "ring", *arguments], capsys)
    assert code == 0 and f"export SPARRING_GAMES='{file}'" in text
    monkeypatch.setenv("SPARRING_GAMES", str(file))
    code, text = said(["resume", tmp_path / "run", "--budget", "+64"], capsys)
    assert code == 0 and "export" not in text
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "SPARRING_GAMES"}
    refused = forked.python("-m", "sparring", "info", tmp_path / "run", env=environment)
    assert refused.returncode == 2 and f"export SPARRING_GAMES='{file}'" in refused.stderr


def test_a_lock_names_its_holder(tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Path) -> None:
    with RunLock(run):
        code, text = said(["resume", run, "--budget", "+64"], capsys)
    assert code == 4 and f"process {os.getpid()} on {socket.gethostname()}" in text


def test_of_many_lost_images_three_are_named_and_then_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("sparring.cli.live.time.monotonic", lambda: clock[0])
    live = Live(Talk(), lambda: 1000)
    for count in range(1, 41):
        clock[0] += 1.0
        live.show(Alarm(16 * count, "DATA-BROKEN", f"{count}.png: gone; another takes its place ({count} of 900 lost)"))
    live.show(Alarm(700, "DATA-LOST", "41 of 900 images can no longer be read"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["! 1.png", "! 2.png", "! 3.png"]
    assert [line.split(" images")[0] for line in lines[3:-1]] == ["! 13 of 900", "! 23 of 900", "! 33 of 900"]
    assert "DATA-LOST" in lines[-1]


def test_a_directory_that_is_no_run_names_the_runs_in_it_and_beside_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for command in ("sample", "info", "resume", "interpolate"):
        code, text = said([command, tmp_path], capsys)
        assert code == 4 and f"fix: runs in it: {run}" in text
        code, text = said([command, tmp_path / "photos"], capsys)
        assert code == 4 and f"fix: runs beside it: {run}" in text
    code, text = said(["info", tmp_path / "rnig"], capsys)
    assert code == 4 and f"runs beside it: {run}" in text


def test_a_smaller_budget_says_how_a_run_ends_earlier_and_so_it_does(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["resume", run, "--budget", "48"], capsys)
    assert code == 2 and "has seen 64" in text and "earlier" not in text  # it is too late for that

    def plan(images: int) -> None:
        document = yaml.safe_load((run / "recipe.yaml").read_text())
        document["run"]["images"] = images
        (run / "recipe.yaml").write_text(yaml.safe_dump(document))

    plan(6400)
    code, text = said(["resume", run, "--budget", "320"], capsys)
    assert code == 2 and f"write images: 320 under run: in {run / 'recipe.yaml'}" in text
    plan(320)
    code, text = said(["resume", run], capsys)
    assert code == 0 and "done at 320 images" in text


def test_a_batch_beyond_the_data_is_noted_or_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--recipe", "gan", "--set", "width=8", "--size", "16", "--budget", "64", "--dry-run"]
    code, text = said(["train", photos, *flags, "--set", "batch=32"], capsys)
    assert code == 0 and "note      a batch of 32 is more than the" in text
    assert text.index("timing a few rounds") < text.index("note  ")
    code, text = said(["train", photos, *flags, "--set", "batch=999999"], capsys)
    assert code == 2 and "[BATCH-DATA]" in text and "timing" not in text and "up to 4,096" in text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--min-side", "-1"], r"\[DATA-LIMITS\] --min-side .*: -1\n  fix: min_side is at least 1"),
        (["--max-aspect", "0.5"], r"\[DATA-LIMITS\] --max-aspect .*: 0.5\n"),
        (["--min-side", "1000"], r"\[DATA-EMPTY\](.|\n)*fix: 24 of 24 are left out by --min-side: a lower one"),
        (["--size", "4"], r"\[SIZE-RANGE\](.|\n)*fix: .*--size 64"),
        (["--seed", "-1"], r"\[SEED\](.|\n)*fix: .*--seed 0"),
        (["--recipe", "mien.yaml"], r"\[RECIPE-FILE\](.|\n)*fix: check the path \(there is mine.yaml\)"),
        (["--recipe", "gan", "--set", "lr=1e-5 cosin 0.5..1"], r"did you mean '1e-5 -> 0 cosine 0.5..1'\?"),
        (["--recipe", "gan", "--set", "objective=minmax"], r"did you mean minimax\?"),
        (["--processes", "0"], r"\[PROCESSES\](.|\n)*fix: .*--processes 2"),
    ],
)
def test_what_is_refused_names_the_flag_and_the_fix(
    flags: list[str], words: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("recipe: gan\n")
    code, text = said(["train", photos, *flags], capsys)
    assert code in (2, 3) and re.search(words, text), text


def test_the_settings_of_a_recipe_name_the_words_that_are_possible(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["recipes", "cgan"], capsys)
    assert code == 0 and "One of projection, concatenation, auxiliary." in " ".join(text.split())
