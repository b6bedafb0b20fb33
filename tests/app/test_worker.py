"""Child processes: what they answer, what they may not, how they end, and that no one is left behind."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.corpus import png
from sparring.app import work
from sparring.app.jobs.decode import decode
from sparring.app.trouble import Busy, WorkerError, status
from sparring.app.worker import Limits, Worker, Workers
from sparring.errors import DataError, SparringError

BAD = "tests.app.misbehaving"
TIGHT = Limits(memory_mib=512, cpu_seconds=1, files=24)


@pytest.fixture(scope="module")
def worker():
    worker = Worker(BAD)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def limited():
    worker = Worker(BAD, limits=TIGHT)
    yield worker
    worker.close()


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process is no longer there (or a zombie that nobody has waited for) before so many seconds are over.

    A zombie one of whose threads is still ending cannot be waited for yet: it is not gone.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            state, threads = fields[0], int(fields[17])
            if state == "Z" and threads <= 1:
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


# ── what is said ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "given",
    [{}, {"a": 1, "b": [1.5, None, "ü\n\0"], "c": {"d": True}}, {"a": b"", "b": b"\n\0\xff" * 1000, "c": "b"},
     {"": b"x"}, {"values": 1, "bytes": b"2", "big": bytes(2**22)}],
)  # fmt: skip
def test_what_goes_in_comes_back(worker, given):
    assert worker.ask("echo", **given) == given


def test_messages_are_what_was_packed():
    for value in (None, 3, "x", [1, {"a": None}], b"", b"\n", {}, {"a": b"1", "b": 2}):
        assert work.unpack(work.pack(value)) == value
    for broken in (
        b"",
        b"{}",
        b'{"values": {}, "bytes": [["a", 5]]}\n12',
        b'{"values": {}, "bytes": []}\nmore',
        b"\xff\n",
    ):
        with pytest.raises((ValueError, KeyError)):
            work.unpack(broken)


def test_errors_arrive_as_they_were(worker):
    with pytest.raises(SparringError) as caught:
        worker.ask("refuse")
    error = caught.value
    assert (error.code, error.what, error.where, error.why, error.fix) == (
        "OURS",
        "this cannot be",
        "here",
        "so it is",
        "that way",
    )
    assert status(error) == 422


@pytest.mark.parametrize("function", ["bug", "odd", "not_finite", "nothing_of_this_name", "_hidden"])
def test_a_bug_is_said_as_one_and_the_worker_lives(worker, function):
    before = worker.ask("pid")
    with pytest.raises(WorkerError, match="bug in sparring") as caught:
        worker.ask(function, **({"text": "a secret of the inside"} if function == "bug" else {}))
    assert "secret" not in str(caught.value) and status(caught.value) == 503
    assert worker.ask("pid") == before


def test_what_libraries_print_is_not_taken_for_an_answer(worker):
    assert worker.ask("shout", text="some warning\n" * 1000) == "said"
    assert worker.ask("echo", a=1) == {"a": 1}


def test_the_server_can_go_on_while_it_waits(worker):
    async def both():
        asked = asyncio.create_task(worker.call("wait", seconds=0.6))
        beats = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            beats += 1
        return await asked, beats

    worker.ask("pid")
    waited, beats = asyncio.run(both())
    assert waited == 0.6 and beats > 2


def test_who_is_woken_is_there_and_is_woken_once():
    worker = Worker(BAD)
    try:
        worker.wake()
        assert worker.ask("woken") == 1 and worker.alive
        worker.wake()
        assert worker.ask("woken") == 1
    finally:
        worker.close()
    worker.wake()  # too late, and no harm
    assert not worker.alive


# ── how it ends ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", [("die", {}), ("die", {"number": signal.SIGSEGV}), ("leave", {}), ("lie", {})])
def test_a_death_is_said_and_the_next_question_is_answered(worker, how):
    first = worker.ask("pid")
    with pytest.raises(WorkerError):
        worker.ask(how[0], **how[1])
    assert worker.ask("pid") != first
    assert gone(first)


def test_what_takes_too_long_is_ended(worker):
    first = worker.ask("pid")
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"more than 0\.3 seconds"):
        worker.ask("spin", timeout=0.3)
    assert time.monotonic() - began < 20 and gone(first)
    assert worker.ask("echo", a=1) == {"a": 1}


def test_a_death_while_nothing_is_asked_is_not_even_noticed(worker):
    first = worker.ask("pid")
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert worker.ask("pid") != first


def test_only_so_many_wait():
    worker = Worker(BAD, queue=2)
    try:
        worker.ask("pid")
        heard: list[object] = []

        def ask():
            try:
                heard.append(worker.ask("wait", seconds=0.8))
            except Busy as error:
                heard.append(status(error))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, heard)) == ["0.8", "0.8", "0.8", "429", "429", "429"]
        assert worker.ask("echo", a=1) == {"a": 1}  # and then there is room again
    finally:
        worker.close()


def test_whoever_leaves_the_queue_is_not_served(worker):
    async def leaving():
        worker.ask("pid")
        first = asyncio.create_task(worker.call("wait", seconds=0.2))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(worker.call("die"))
        await asyncio.sleep(0.05)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        return await worker.call("pid")

    before = worker.ask("pid")
    assert asyncio.run(leaving()) == before


def test_closing_ends_everything_at_once():
    worker = Worker(BAD)
    child = worker.ask("pid")
    heard: list[str] = []

    def ask():
        with pytest.raises(WorkerError) as caught:
            worker.ask("wait", seconds=30)
        heard.append(caught.value.code)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    worker.close()
    thread.join()
    assert time.monotonic() - began < 20 and gone(child) and heard == ["CLOSED"]
    worker.close()
    with pytest.raises(WorkerError, match="ended"):
        worker.ask("pid")


def test_a_worker_dies_with_its_server_even_while_it_computes(tmp_path):
    """kill -9 of the server: its workers notice by their pipes."""
    code = f"""
import threading, time
from sparring.app.worker import Worker
worker = Worker({BAD!r})
print(worker.ask("pid"), flush=True)
threading.Thread(target=lambda: worker.ask("spin", timeout=60), daemon=True).start()
time.sleep(0.2)
print("spinning", flush=True)
time.sleep(60)
"""
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    child = int(server.stdout.readline())
    assert server.stdout.readline() == "spinning\n" and not gone(child, 0.1)
    server.kill()
    server.wait()
    server.stdout.close()
    assert gone(child)


def test_keys_in_the_terminal_are_for_the_server(worker):
    assert worker.ask("session") is True


def test_workers_are_shared_by_name_and_owned_by_sessions():
    workers = Workers()
    try:
        assert workers.named(BAD) is workers.named(BAD)
        one, two = workers.own(BAD), workers.own(BAD)
        pids = {one.ask("pid"), two.ask("pid"), workers.named(BAD).ask("pid")}
        assert len(pids) == 3
        workers.end(one)
        assert not one.alive and two.alive
    finally:
        workers.close()
    assert all(gone(pid) for pid in pids)


# ── what it may not ───────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_is_bounded(limited):
    with pytest.raises(SparringError, match="more memory"):
        limited.ask("hog", mib=600)
    assert limited.ask("hog", mib=10) == 10 * 2**20


def test_processor_time_is_bounded_for_each_question(limited):
    with pytest.raises(WorkerError, match="died"):
        limited.ask("spin", timeout=200)
    assert limited.ask("echo", a=1) == {"a": 1}


def test_no_file_is_written(limited, tmp_path):
    with pytest.raises(WorkerError, match="bug"):
        limited.ask("write", path=str(tmp_path / "x"))
    assert not (tmp_path / "x").exists() or (tmp_path / "x").stat().st_size == 0


def test_few_files_are_open(limited):
    with pytest.raises(WorkerError):
        limited.ask("files", count=40)


def test_no_secret_of_the_environment_is_known(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    worker = Worker(BAD, limits=TIGHT)
    try:
        known = worker.ask("environment")
    finally:
        worker.close()
    assert "SOME_TOKEN" not in known and "HOME" not in known and "PATH" in known


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return image


def test_a_picture_comes_back_clean():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "window.__x=1"
    exif[0x0112] = 6  # lies on its side
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("note", "<script>window.__x=1</script>")
    data = _file(Image.fromarray(pixels), exif=exif, pnginfo=text) + b"<script>window.__x=1</script>"
    again = decode(data)
    image = _opened(again)
    assert b"script" not in again and b"__x" not in again and b"eXIf" not in again and b"tEXt" not in again
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), np.rot90(pixels, -1))
    assert decode(again) == again


def test_transparency_is_kept_where_there_is_any():
    assert _opened(decode(_file(Image.new("RGBA", (4, 4), (1, 2, 3, 128))))).getpixel((0, 0)) == (1, 2, 3, 128)
    assert _opened(decode(_file(Image.new("RGBA", (4, 4), (1, 2, 3, 255))))).mode == "RGB"
    assert _opened(decode(_file(Image.new("L", (4, 4), 7)))).getpixel((0, 0)) == (7, 7, 7)


def test_what_is_too_large_is_refused_by_its_header():
    workers = Workers()
    try:
        with pytest.raises(SparringError, match="64 megapixels"):
            asyncio.run(workers.picture(png(10_000, 7_000, 1, 0, b"")))
        assert asyncio.run(workers.picture(png(1_000, 1_000, 1, 0, bytes(126 * 1_000)))).startswith(b"\x89PNG")
    finally:
        workers.close()


def test_what_is_no_picture_is_refused_with_its_reason():
    with pytest.raises(DataError) as caught:
        decode(b"%PDF-1.7")
    assert caught.value.code == "PICTURE" and "PDF" in caught.value.why
