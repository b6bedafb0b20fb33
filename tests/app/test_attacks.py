"""What must not get through: addresses that climb, links in run folders, names that are scripts, files that explode.

`make proof-web` does the same at length, against a server and in a browser.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.app.conftest import make_desk
from tests.app.raw import Said, ask, filled, idle_workers, ours, routes

from benchmarks.proofs.attacks import bombs, mutants, scripts, traversals
from sparring.app.desk import identity
from sparring.app.server import create
from sparring.app.trouble import WorkerError
from sparring.app.worker import Limits, Worker
from sparring.errors import SparringError

CANARY = b"CANARY-3f9c1d"


@pytest.fixture(scope="module")
def place(tmp_path_factory, library):
    """A run whose files lead out of it, a data root that does, and the file that nobody may see."""
    tmp_path = tmp_path_factory.mktemp("place")
    canary = tmp_path / "canary.txt"
    canary.write_bytes(CANARY)
    runs = tmp_path / "runs"
    run = Path(shutil.copytree(library / "ring", runs / "ring"))
    for inside in [path for path in run.rglob("*") if path.is_file() and path.name != "recipe.yaml"]:
        inside.unlink()
        inside.symlink_to(canary)
    (run / "report.html").unlink(missing_ok=True)
    (run / "report.html").symlink_to(canary)
    (runs / "out").symlink_to(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def app(place):
    app = create(make_desk(place / "runs", place / "data"))
    with idle_workers():
        yield app
    app.state.workers.close()


def _harmless(said: Said, what: str) -> None:
    assert CANARY not in said.body, what
    assert b"[build-system]" not in said.body and b"root:" not in said.body, what
    assert said.status < 500, (what, said.status, said.body[:200])


def _with_parameters(app: FastAPI) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in routes(app) if "{" in path]


def test_no_address_leads_out(app, place):
    """300 strings; each goes to a handful of routes, in turn, so that each route meets dozens of every kind."""
    desk = make_desk(place / "runs", place / "data")
    everywhere = _with_parameters(app)
    assert len(everywhere) > 10
    asked, names = [], []
    for k, climb in enumerate(traversals(str(place / "canary.txt"))):
        for step in range(4):
            method, path = everywhere[(k * 4 + step) % len(everywhere)]
            asked.append(ours(desk, method, filled(path, [climb]), b"{}"))
        asked += [
            ours(desk, "GET", "/" + climb),
            ours(desk, "GET", "/static/" + climb),
            ours(desk, "GET", "/?x=" + climb),
        ]
        names += [climb] * 7
    for said, name in zip(ask(app, *asked), names, strict=True):
        _harmless(said, name)


def test_no_link_in_a_run_leads_out(app, place):
    """A folder from a stranger, with links to somebody's files in place of pictures, logs and reports."""
    desk = make_desk(place / "runs", place / "data")
    id = identity(place / "runs" / "ring")
    assert list(desk.runs()) == [id]
    others = ("0", "64", id, "game", "csv", "report")
    targets = {
        filled(path, [id, other]) for method, path in _with_parameters(app) if method == "GET" for other in others
    }
    targets |= {"/", "/api/runs", "/api/data", "/api/play/runs", "/api/translate/runs", "/api/studies"}
    for target in sorted(targets):
        _harmless(ask(app, ours(desk, "GET", target))[0], target)


def test_a_run_that_becomes_a_link_is_neither_played_nor_translated_with(tmp_path, library):
    """While the server runs, and after it was asked about: what it knew of the place is worth nothing then."""
    outside, run = shutil.copytree(library / "ring", tmp_path / "outside"), tmp_path / "runs" / "ring"
    shutil.copytree(outside, run)
    desk = make_desk(tmp_path / "runs")
    pages = [f"/api/{page}/{identity(run)}" for page in ("play", "translate")]
    app = create(desk)
    with idle_workers():
        assert [said.status for said in ask(app, *(ours(desk, "GET", page) for page in pages))] == [422, 422]
        shutil.rmtree(run)
        run.symlink_to(outside, target_is_directory=True)
        asked = [ours(desk, "POST", f"{page}/samples") for page in pages[:1]]
        asked += [ours(desk, "POST", f"{page}/picture", b"", "application/octet-stream") for page in pages[1:]]
        for said in ask(app, *(ours(desk, "GET", page) for page in pages), *asked):
            assert (said.status, said.error["code"]) == (404, "RUN")


def test_names_that_are_scripts_stay_names(tmp_path, library):
    """Run folders with 60 names: pages never hold them, JSON does as text, and nothing may take it for a page."""
    names = scripts()
    runs = tmp_path / "runs"
    for name in names:
        (runs / name).mkdir(parents=True)
        shutil.copy(library / "ring" / "recipe.yaml", runs / name / "recipe.yaml")
    desk = make_desk(runs)
    assert {place.name for place in desk.runs().values()} == {name for name in names if not name.startswith(".")}
    app = create(desk)
    questions = [path for method, path, _ in routes(app) if method == "GET" and "{" not in path]
    with idle_workers():
        answers = ask(app, *(ours(desk, "GET", path) for path in questions))
    for path, said in zip(questions, answers, strict=True):
        text = said.body.decode()
        if said.headers["content-type"].startswith("text/html"):
            assert not any(name in text for name in names if "__x" in name), path
        assert said.headers["x-content-type-options"] == "nosniff"
        if path == "/api/runs":
            assert said.status == 200 and said.headers["content-type"] == "application/json"
            plain = [name for name in names if name.isascii() and name.isprintable() and len(name) < 100]
            assert len(plain) > 40 and all(json.dumps(name)[1:-1] in text for name in plain)


def test_what_is_sent_comes_back_as_text_only(app, place):
    """Error texts repeat what was asked: in JSON, which no browser renders."""
    desk = make_desk(place / "runs", place / "data")
    changes = [path for method, path, _ in routes(app) if method != "GET"]
    for k, name in enumerate(scripts()):
        for path in changes[k % 5 :: 5]:
            said = ask(app, ours(desk, "POST", filled(path, ["0" * 16]), json.dumps({name: name}).encode()))[0]
            assert said.status < 500 and said.headers["content-type"] == "application/json", path
            assert said.headers["x-content-type-options"] == "nosniff"


@pytest.fixture(scope="module")
def decoder():
    worker = Worker("decode", limits=Limits())
    yield worker
    worker.close()


def test_bombs_do_nothing(decoder):
    """Each is refused with a reason, or is a small picture after all; the worker, and so the server, lives."""
    thrown = bombs()
    decoder.ask("decode", data=thrown["10,000 texts"])
    child = decoder._child.pid
    for name, data in thrown.items():
        try:
            picture = decoder.ask("decode", data=data)
            assert picture.startswith(b"\x89PNG") and b"__x" not in picture and len(picture) < 2**20, name
        except SparringError as error:
            assert error.code == "PICTURE" and error.why, (name, error)
        assert decoder._child.pid == child, name


def test_mutated_pictures_do_nothing(decoder):
    """Some are still pictures, which are written anew; the others are refused with a reason; now and then a decoder may
    die of one, which is what its process is for."""
    fine = refused = died = 0
    for kind, data in mutants(300):
        try:
            assert decoder.ask("decode", timeout=20, data=data).startswith(b"\x89PNG")
            fine += 1
        except WorkerError:
            died += 1
        except SparringError as error:
            assert error.code in ("PICTURE", "MEMORY"), (kind, error)
            refused += 1
    assert fine > 30 and refused > 100 and died <= 3
