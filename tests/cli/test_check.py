"""``sparring check``: what is printed where, and the exit codes."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring import cli
from sparring.cli.talk import Talk


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with 24 pictures and one damaged file, beside an empty cache."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for k in range(24):
        values = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "pictures" / f"{k}.png")
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "pictures"


def test_a_report_a_page_and_what_to_type(folder, tmp_path, capsys):
    assert cli.main(["check", "pictures"]) == 0
    out, err = capsys.readouterr()
    assert "25 files, 24 usable" in out and "broken.png" in out and "fix:" in out
    assert "\n  sparring train pictures\n" in out
    assert out.rstrip().endswith("runs/checks/pictures/report.html")
    assert err == ""
    assert sorted(path.name for path in (tmp_path / "runs/checks/pictures").iterdir()) == [
        "contact.png", "report.html", "report.json",
    ]  # fmt: skip


def test_json_is_one_document(capsys):
    assert cli.main(["check", "pictures", "--json", "--out", "here", "--size", "32"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["inspection"]["excluded"][0][0] == "broken.png"
    assert said["proposal"]["command"] == ["sparring", "train", "pictures", "--size", "32"]
    assert said["page"] == "here/report.html"
    assert json.loads(Path("here/report.json").read_text())["inspection"] == said["inspection"]


def test_strict_rules_refuse_with_a_report(capsys):
    assert cli.main(["check", "pictures", "--on-bad", "stop"]) == 3
    out = capsys.readouterr().out
    assert "Not ready" in out and "error   1 file" in out and "report.html" in out


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_nothing_usable_is_exit_code_3(tmp_path, capsys, flags):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "a.txt").write_text("hello")
    assert cli.main(["check", "nothing", *flags]) == 3
    out, err = capsys.readouterr()
    assert "[DATA-EMPTY]" in err and "a.txt" not in out
    if flags:
        assert json.loads(out)["error"]["code"] == "DATA-EMPTY"
    assert not (tmp_path / "runs").exists()


def test_a_missing_folder_names_the_nearest(capsys):
    assert cli.main(["check", "picturs"]) == 3
    assert "pictures" in capsys.readouterr().err


def test_foreign_files_are_not_touched(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    assert cli.main(["check", "pictures", "--out", "mine"]) == 5
    out, err = capsys.readouterr()
    assert not out and not (tmp_path / "cache").exists(), "said before anything is looked at"
    assert "[CHECK-OUT]" in err and (tmp_path / "mine" / "report.html").read_text() == "mine"


@pytest.mark.parametrize("out", ["/dev/null", "pictures/0.png", "/dev/null/deep"])
def test_a_place_that_cannot_be_is_refused_before_the_looking(tmp_path, capsys, out):
    assert cli.main(["check", "pictures", "--out", out]) in (2, 5)
    assert not capsys.readouterr().out and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("out", ["pictures", "pictures/page", "elsewhere/../pictures/page", "link/page"])
def test_the_page_does_not_lie_inside_the_data(folder, tmp_path, capsys, out):
    (tmp_path / "link").symlink_to(folder)
    before = sorted(folder.iterdir())
    assert cli.main(["check", "pictures", "--out", out]) == 2
    said = capsys.readouterr()
    assert "[CHECK-IN-DATA]" in said.err and not said.out and not (tmp_path / "cache").exists()
    assert sorted(folder.iterdir()) == before


def test_nor_does_it_by_itself(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert cli.main(["check", "."]) == 2
    said = capsys.readouterr().err
    assert "[CHECK-IN-DATA]" in said and f"--out {folder.parent}/checks/pictures" in said
    assert not (folder / "runs").exists()


def test_no_data_and_a_run_in_place_of_data(tmp_path, capsys):
    assert cli.main(["check", ""]) == 2
    assert "no data are named" in capsys.readouterr().err
    run = tmp_path / "runs" / "c1"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("{}")
    (run / "data.json").write_text("{}")
    assert cli.main(["check", "runs/c1"]) == 3
    said = capsys.readouterr().err
    assert "this is a run, not data" in said and "sparring info runs/c1" in said


def test_wrong_flags_are_found_before_anything_is_read(capsys):
    for flags in (["--size", "x"], ["--background", "blau"], ["--range", "1"], ["--columns", "x"]):
        assert cli.main(["check", "pictures", *flags]) == 2


def test_two_checks_say_the_same(capsys):
    said = []
    for _ in range(2):
        assert cli.main(["check", "pictures"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


# ── the bar ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def watched(monkeypatch):
    """Call it in the test (pytest has a stderr of its own for each phase): a terminal that someone watches."""

    def begin():
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "100")
        return screen

    return begin


def test_the_bar_shows_stage_count_and_is_taken_away(watched):
    terminal = watched()
    talk = Talk()
    talk.progress("decoding", 64, 5000)
    assert "decoding" in terminal.getvalue() and "64 / 5,000" in terminal.getvalue()
    talk.progress("decoding", 5000, 5000)
    assert terminal.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in terminal.getvalue(), "the cursor is back"
    assert talk._bar is None


def test_another_stage_has_its_own_bar(watched):
    terminal = watched()
    talk = Talk()
    talk.progress("looking", 5, 100)
    talk.progress("decoding", 7, 200)
    assert "7 / 200" in terminal.getvalue()
    talk.clear()


def test_words_take_the_bar_away_first(watched, capsys):
    watched()
    for speak in (lambda talk: talk.say("done"), lambda talk: talk.trouble("bad"), lambda talk: talk.data("data")):
        talk = Talk()
        talk.progress("decoding", 5, 100)
        speak(talk)
        assert talk._bar is None


@pytest.mark.parametrize("quiet", [True, False])
def test_no_bar_where_nobody_watches(quiet, monkeypatch, watched):
    terminal = watched()
    if not quiet:
        terminal = io.StringIO()
        monkeypatch.setattr(sys, "stderr", terminal)
    talk = Talk(quiet=quiet)
    talk.progress("decoding", 5, 100)
    assert talk._bar is None and terminal.getvalue() == ""


def test_nothing_to_count_has_no_bar_and_is_said(watched):
    terminal = watched()
    talk = Talk()
    talk.progress("waiting for another process", 0, 1)
    assert talk._bar is None and terminal.getvalue() == "waiting for another process …\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_what_lasts_is_said_now_and_then_where_nobody_watches(quiet, monkeypatch):
    clock, heard = [100.0], io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    monkeypatch.setattr("sparring.cli.talk.time.monotonic", lambda: clock[0])
    talk = Talk(quiet=quiet)
    for second in range(60):
        clock[0] = 100.0 + second
        talk.progress("listing", 1000 * second, 0) if second < 12 else talk.progress("decoding", 500 * second, 30_000)
    lines = ["listing 10,000 files", "decoding 11,000 / 30,000", "decoding 18,500 / 30,000", "decoding 26,000 / 30,000"]
    assert heard.getvalue().splitlines() == ([] if quiet else lines)


def test_stages_in_turn_do_not_silence_each_other(monkeypatch):
    clock, heard = [100.0], io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    monkeypatch.setattr("sparring.cli.talk.time.monotonic", lambda: clock[0])
    talk = Talk()
    for second in range(20):
        clock[0] = 100.0 + second
        talk.progress("translating", second, 20)
        talk.progress(f"tiles of {second}.png", 0, 4)
    assert heard.getvalue().splitlines() == ["translating 10 / 20"]


def test_a_terminal_that_closes_stops_nothing(watched):
    terminal = watched()
    talk = Talk()
    talk.progress("decoding", 5, 100)

    def closed(text):
        raise OSError(5, "Input/output error")

    terminal.write = closed
    talk.progress("decoding", 50, 100)
    talk.progress("decoding", 100, 100)
    talk.say("and on")
