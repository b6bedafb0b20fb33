"""Runs on a shelf: how they stand by their files alone, whatever is in these; begun, stopped and resumed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from sparring import api
from sparring.errors import CheckpointError, SparringError, UsageError
from sparring.runs import keeper as keepers
from sparring.runs import shelf as shelves
from sparring.runs.errands import Errand, Process, lines
from sparring.runs.lock import RunLock
from sparring.runs.offers import offer
from sparring.runs.tail import Averaged, Curves, Tail

HOSTILE = "\x1b[31m</script><img src=x onerror=alert(1)>\u202egnp.exe\udcff"
PNG = b"\x89PNG\r\n\x1a\nrest"


def turn(images, **values):
    values = values or {"D/real": 0.6, "D/fake": 0.7, "G/fake": 0.9, "D/D(x)": 0.6, "D/D(G(z))": 0.4}
    return (
        json.dumps({"event": "turn", "images": images, "values": values, "rate": 100.0}, separators=(",", ":")) + "\n"
    )


def line(event, images, **more):
    return json.dumps({"event": event, "images": images, **more}) + "\n"


def make(root, name="run", *, planned=640, upto=320, more=""):
    """A run as its files would be after `upto` images."""
    run = root / name
    (run / "samples").mkdir(parents=True)
    said = {
        "recipe": "gan", "config": {"objective": "nonsaturating"},
        "data": {"source": "ring", "kind": "points", "shape": [2]},
        "run": {"seed": 0, "images": planned, "preset": "gan-points", "device": "cpu"},
    }  # fmt: skip
    (run / "recipe.yaml").write_text(yaml.safe_dump(said))
    (run / "data.json").write_text(json.dumps({"name": "ring", "used": 100, "held_out": 5}))
    (run / "log.jsonl").write_text("".join(turn(k) for k in range(64, upto + 1, 64)) + more)
    (run / "lock").touch()
    for k in (0, 64, upto):
        (run / "samples" / f"{k:012d}.png").write_bytes(PNG)
    return run


@pytest.fixture
def shelf():
    return api.open_shelf()


def test_threads_that_ask_for_one_run_read_its_log_one_after_the_other(tmp_path, shelf, monkeypatch):
    """Two that read on at once would take lines in twice, and begin anew under the eyes of a third."""
    run, inside, met = make(tmp_path), [], []
    caught_up, curves = Tail.catch_up, Averaged.curves

    def slowly(tail):
        inside.append(threading.get_ident())
        time.sleep(0.002)
        found = caught_up(tail)
        met.extend(who for who in inside if who != threading.get_ident())
        inside.remove(threading.get_ident())
        return found

    def looked(rows):
        met.extend(who for who in inside if who != threading.get_ident())
        return curves(rows)

    monkeypatch.setattr(Tail, "catch_up", slowly)
    monkeypatch.setattr(Averaged, "curves", looked)
    with ThreadPoolExecutor(4) as threads:
        stories = list(threads.map(lambda _: api.shelf_story(shelf, run), range(24)))
    assert not met
    assert all(story["charts"] == stories[0]["charts"] for story in stories)


# ── how a run stands ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "upto", "kind", "said"),
    [
        ("", 640, "finished", ""),
        (line("done", 640, reason="budget"), 640, "finished", ""),
        (line("done", 320, reason="stopped"), 320, "stopped", ""),
        (line("done", 320, reason="watch"), 320, "finished", "ended early"),
        (line("done", 320, reason="data"), 320, "failed", "too much of the data"),
        (line("alarm", 320, code="GIVEN-UP", message="in vain"), 320, "failed", "given up: in vain"),
        (line("done", 192, reason="stopped") + turn(256), 320, "stopped", ""),
    ],
)
def test_how_a_run_stands_is_read_from_its_files(tmp_path, shelf, more, upto, kind, said):
    glance = api.shelf_glance(shelf, make(tmp_path, upto=upto, more=more))
    assert glance["state"] == kind and said in glance["why"] and glance["pid"] == 0
    assert glance["planned"] == 640 and glance["unit"] == "points" and glance["data"] == "ring"


def test_a_run_is_in_training_while_somebody_holds_its_lock_and_only_then(tmp_path, shelf):
    run = make(tmp_path)
    with RunLock(run):
        glance = api.shelf_glance(shelf, run)
        assert glance["state"] == "training" and glance["pid"] == os.getpid()
        assert glance["losses"] == {"D": pytest.approx(1.3), "G": 0.9} and glance["belief"]["D(x)"] == 0.6
        assert glance["left"] == pytest.approx(3.2)
    assert api.shelf_glance(shelf, run)["state"] == "stopped"
    # killed: its number still stands there, and lives as another process, which does not hold the file
    (run / "lock").write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    glance = api.shelf_glance(shelf, run)
    assert glance["state"] == "stopped" and "killed" in glance["why"]
    (run / "lock").write_text(json.dumps({"pid": 7, "host": "elsewhere"}))
    assert "on elsewhere" in api.shelf_glance(shelf, run)["why"]
    with pytest.raises(UsageError, match="another machine"):
        api.stop_run(run)


def test_a_strangers_process_in_the_lock_is_never_stopped(tmp_path):
    run = make(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (run / "lock").write_text(json.dumps({"pid": child.pid, "host": socket.gethostname()}))
        assert api.stop_run(run)["kind"] == "stopped"
        for said in ("[1]", '{"pid": 1}', '{"pid": -1}', '{"pid": true}', '{"pid": "x"}', "{", '{"pid": 1e99}'):
            (run / "lock").write_text(said)
            assert keepers.keeper(run) is None and api.stop_run(run)["kind"] == "stopped"
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_second_stop_sends_no_second_signal(tmp_path):
    run = make(tmp_path)
    program = (
        "import signal, sys, time\nfrom sparring.runs.lock import RunLock\n"
        "heard = []\nsignal.signal(signal.SIGTERM, lambda *_: heard.append(1))\n"
        f"lock = RunLock({str(run)!r})\nprint('ready', flush=True)\n"
        "while sys.stdin.read(1) == '?':\n    print(len(heard), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        first, second = api.stop_run(run), api.stop_run(run)
        assert first == second and first["stopping"] and first["pid"] == child.pid
        assert api.shelf_glance(api.open_shelf(), run)["stopping"]
        child.stdin.write("?")
        child.stdin.flush()
        assert child.stdout.readline() == "1\n"
        child.stdin.close()


def test_what_has_no_checkpoint_left_is_not_gone_on_with(tmp_path, shelf):
    """It would begin anew, which nobody has asked for; one that has seen nothing yet may."""
    run = make(tmp_path, upto=640)
    assert not api.shelf_glance(shelf, run)["kept"]
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.json").write_text("{}")
    for budget in ("", "+5m"):
        with pytest.raises(CheckpointError, match="nothing can be gone on with"):
            api.go_on(run, budget, key="k" * 16)
    assert not Errand(run).record(), "nothing was begun"
    (run / "checkpoints" / "000000000640").mkdir()
    assert api.shelf_glance(shelf, run)["kept"]
    young = make(tmp_path, "young", upto=0)
    assert api.shelf_glance(shelf, young)["kept"]


def test_what_was_sent_off_and_failed_says_why(tmp_path, shelf, quick_processes):
    run = api.begin_run(tmp_path, "nothing-here", budget="640", key="a" * 16)
    assert run == tmp_path.resolve() / "nothing-here" and api.pending_runs([tmp_path]) == [run]
    assert api.shelf_glance(shelf, run)["state"] == "starting"
    assert api.begin_run(tmp_path, "nothing-here", budget="640", key="a" * 16) == run, "the same wish is one run"
    wait(lambda: Errand(run).process is None)
    glance = api.shelf_glance(shelf, run)
    assert glance["state"] == "failed" and glance["why"] and "·" in glance["why"], glance
    story = api.shelf_story(shelf, run)
    assert any("DATA-MISSING" in said for said in story["console"]) and story["charts"] == []
    api.forget_run(run)
    assert api.pending_runs([tmp_path]) == [] and Errand(run).record() == {}


def test_no_run_is_begun_that_cannot_be_named_or_is_there(tmp_path):
    for name in ("../x", "a/b", ".hidden", "-f", "a" * 65, "a b", "é", "a\0"):
        with pytest.raises(UsageError, match="cannot be called"):
            api.begin_run(tmp_path, "ring", name=name)
    make(tmp_path, "there")
    with pytest.raises(UsageError, match="already"):
        api.begin_run(tmp_path, "ring", name="there")
    with pytest.raises(UsageError, match="no budget"):
        api.begin_run(tmp_path, "ring", budget="; rm")
    with pytest.raises(SparringError):
        api.forget_run(tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


# ── a whole life ──────────────────────────────────────────────────────────────────────────────────────────────────


def wait(done, seconds=180):
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "this takes too long"
        time.sleep(0.05)


def test_a_run_is_begun_stopped_resumed_and_stopped_from_outside(tmp_path, shelf, quick_processes):
    run = api.begin_run(tmp_path, "ring", recipe="gan-points", budget="400k", name="life")

    def kind():
        return api.shelf_glance(shelf, run)["state"]

    try:
        wait(lambda: kind() == "training" and api.shelf_glance(shelf, run)["images"] > 0)
        assert not api.go_on(run), "somebody trains it"
        api.stop_run(run)
        wait(lambda: kind() == "stopped" and "exit" in Errand(run).record())  # noted a moment after it has ended
        seen = api.shelf_glance(shelf, run)["images"]
        assert Errand(run).record()["exit"] == 75
        assert api.go_on(run, key="k" * 16) and not api.go_on(run, key="k" * 16)
        wait(lambda: kind() == "training" and api.shelf_glance(shelf, run)["images"] > seen)
    finally:
        api.stop_run(run)
        wait(lambda: Errand(run).process is None)
    assert kind() == "stopped" and "torch" not in Errand(run).said()[-1]


# ── files of any kind ─────────────────────────────────────────────────────────────────────────────────────────────


def test_whatever_is_in_its_files_a_run_is_shown_and_what_is_broken_named(tmp_path, shelf):
    run = make(tmp_path)
    with (run / "log.jsonl").open("ab") as log:
        log.write(b'{"event":"turn","images":"x"}\n\xff\xfe\n[1]\n' + b"[" * 100_000 + b'\n{"event":"turn","ima')
    (run / "data.json").write_text("[" * 100_000)
    for text in ("a: [", "[]", "x", "a: &x [*x]", "run: {images: many}", "run: [1]\ndata: {shape: 7, source: []}", ""):
        (run / "recipe.yaml").write_text(text)
        story = api.shelf_story(shelf, run)
        json.dumps(story, allow_nan=False)
        assert story["images"] == 320 and story["charts"]
    told = " ".join(story["troubles"])
    assert "4 of the lines in log.jsonl" in told and "data.json could not be read" in told
    (run / "log.jsonl").unlink()
    assert api.shelf_story(shelf, run)["images"] == 0
    for path in (run / "samples").iterdir():
        path.unlink()
    (run / "samples").rmdir()
    (run / "samples").write_text("")
    assert api.shelf_story(shelf, run)["samples"] == []


def test_hostile_texts_are_plain_and_can_be_sent(tmp_path, shelf):
    run = make(tmp_path, more=line("alarm", 320, code="X", message=HOSTILE))
    Errand(run).note(words=["train"])
    said = b"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \xe2\x80\xae turned\r\n10 %\r20 %\n\0\x9b1m"
    Errand(run).log.write_bytes(said)
    story = api.shelf_story(shelf, run)
    text = json.dumps(story, ensure_ascii=False)
    text.encode()
    assert "\x1b" not in text and "\u202e" not in text and "\0" not in text
    assert story["console"][:2] == ["red  turned", "20 %"]
    assert "</script><img" in story["alarms"][0]["message"], "it is the page that shows it as text"


def test_a_megabyte_of_escapes_is_read_at_once():
    began = time.perf_counter()
    assert lines(b"\x1b[" * 500_000 + b"\nend", 2)[-1] == "end" and lines(b"\x1b]" * 500_000, 1) is not None
    assert time.perf_counter() - began < 60, "a pattern that goes back would take hours"


def test_pictures_are_pictures_of_this_run_and_nothing_else(tmp_path):
    run, secret = make(tmp_path), tmp_path / "secret.png"
    secret.write_bytes(PNG + b"secret")
    assert api.shelf_picture(run, 64) == (PNG, "image/png") and shelves.samples(run) == [0, 64, 320]
    (run / "samples" / "000000000128.png").symlink_to(secret)
    (run / "samples" / "000000000192.png").write_text("<script>")
    (run / "samples" / "000000000256.png").mkdir()
    (run / "samples" / "x.png").write_bytes(PNG)
    os.mkfifo(run / "samples" / "000000000300.png")
    (run / "game.gif").symlink_to(secret)
    assert shelves.samples(run) == [0, 64, 192, 320] and shelves.pictures(run) == []
    for which in (128, 192, 256, 300, 7, "game", "walk", "../../secret", "recipe"):
        with pytest.raises(CheckpointError, match="no such picture"):
            api.shelf_picture(run, which)
    other = make(tmp_path, "other")
    for path in (other / "samples").iterdir():
        path.unlink()
    (other / "samples").rmdir()
    (other / "samples").symlink_to(run / "samples")
    with pytest.raises(CheckpointError):
        api.shelf_picture(other, 64)


# ── a log as it grows ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_log_is_read_on_and_anew_where_it_was_cut_back(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(turn(64) + turn(128)[:-5])
    tail = Tail(log)
    assert tail.catch_up() and tail.seen == 64 and not tail.catch_up()
    log.write_text(turn(64) + turn(128) + turn(192))
    assert tail.catch_up() and tail.seen == 192 and tail.turns.curves().images == [64, 128, 192]
    log.write_text(turn(64) + turn(96, a=1.0) + turn(100, a=1.0) + turn(104, a=1.0) + turn(108, a=1.0))
    assert tail.catch_up() and tail.seen == 108, "cut back and gone on, longer than before"
    assert tail.turns.curves().images == [64, 96, 100, 104, 108]
    log.unlink()
    assert tail.catch_up() and tail.seen == 0 and "missing" in tail.troubles[0]


def test_of_a_very_long_log_every_so_many_turns_and_all_else_is_read(tmp_path, shelf, monkeypatch):
    run, n = make(tmp_path, planned=12_800_000), 200_000
    with (run / "log.jsonl").open("w") as log:
        for k in range(1, n + 1):
            log.write(turn(64 * k, **{"D/real": float(k)}))
            if k % 20_000 == 0:
                log.write(line("probed", 64 * k, values={"kid": 1.0 / k, "kid_se": 0.1 / k}))
    read = []
    parse = json.loads
    monkeypatch.setattr(json, "loads", lambda text: read.append(1) or parse(text))
    glance = api.shelf_glance(shelf, run)
    assert len(read) < n / 4
    assert glance["state"] == "finished" and glance["images"] == 64 * n
    assert glance["measure"]["value"] == 1.0 / n and len(glance["spark"]["values"]) == 10
    chart = next(chart for chart in api.shelf_story(shelf, run)["charts"] if chart["title"] == "Losses")
    assert len(chart["at"]) <= 300 and chart["at"][-1] > 0.95 * 64 * n


def test_a_line_without_an_end_is_no_line(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"x" * (9 << 20) + b"\n" + turn(64).encode())
    tail = Tail(log)
    assert tail.catch_up() and tail.seen == 64 and tail.strange == 1


def test_a_measure_comes_with_its_interval():
    probes = Curves([64, 128], {"kid": [0.5, 0.4], "kid_se": [0.1, 0.05], "nll": [1.0, None]})
    found = shelves.measure(probes)
    assert (found["name"], found["value"], found["at"]) == ("kid", 0.4, 128)
    assert found["interval"] == pytest.approx((0.302, 0.498))
    assert shelves.measure(Curves()) is None and shelves.spark(Curves(), Curves()) is None


def test_what_was_not_judged_is_not_praised(tmp_path):
    """Without probes only the log speaks: a D that is always right in its second half is told as a remark."""

    def said(name, right, rows=10):
        run = make(tmp_path, name, upto=0)
        (run / "data.json").write_text(json.dumps({"name": "ring", "used": 100_000, "held_out": 5000}))
        values = ({"G/fake": 3.0, "D/true_positive": right(k), "D/true_negative": right(k)} for k in range(1, rows + 1))
        (run / "log.jsonl").write_text("".join(turn(64 * k, **each) for k, each in enumerate(values, 1)))
        return api.run_verdicts(run)

    won = said("won", lambda k: 0.5 if k < 5 else 0.99)
    assert "Only its log could be judged" in won["unjudged"] and "nothing was measured" in won["unjudged"]
    assert "right about 99 % or more of the real and of the generated points" in won["unjudged"]
    for name, right, rows in (("even", lambda k: 0.9, 10), ("lost", lambda k: 0.99 if k < 8 else 0.9, 10),
                              ("short", lambda k: 1.0, 3)):  # fmt: skip
        told = said(name, right, rows)["unjudged"]
        assert "Only its log could be judged" in told and "remark" not in told, name


# ── what is offered ───────────────────────────────────────────────────────────────────────────────────────────────


def test_folders_with_images_are_offered_and_others_not(tmp_path):
    for name in ("cats", "classes/a", "classes/b", "empty", "texts", "shards"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("cats/1.PNG", "cats/2.jpg", "cats/.3.png", "classes/a/1.webp", "classes/b/2.webp", "texts/a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "shards" / "0.parquet").touch()
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.txt").touch()
    found = {path.name: offer(path) for path in tmp_path.iterdir()}
    assert found["cats"] == {"kind": "folder", "count": 2, "more": ""}
    assert found["classes"] == {"kind": "folder", "count": 2, "more": "in 2 folders"}
    assert found["shards"]["more"] == "shards" and found["a.zip"]["kind"] == "zip"
    assert [name for name, what in sorted(found.items()) if what is None] == ["a.txt", "empty", "texts"]


def test_a_check_is_begun_once_and_its_report_read(tmp_path, quick_processes):
    name = "0" * 16
    assert api.check_result(tmp_path, name) == {"running": False, "said": [], "report": None}
    assert api.begin_check(tmp_path, name, "dirac", key="k" * 16)
    assert not api.begin_check(tmp_path, name, "dirac", key="k" * 16)
    wait(lambda: not api.check_result(tmp_path, name)["running"])
    found = api.check_result(tmp_path, name)
    assert found["report"]["verdict"] and found["report"]["proposal"]["command"][:2] == ["sparring", "train"], found


def test_a_process_is_known_by_its_birth():
    ours = Process.of(os.getpid())
    assert ours.lives and not Process(os.getpid(), ours.born + 1).lives
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    process = Process.of(child.pid)
    wait(lambda: not process.lives)  # it has ended and waits to be noticed: that is no life
    child.wait()
    assert not process.lives
    assert signal.SIGTERM  # (what `stop` sends)
