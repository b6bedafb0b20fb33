"""The playground over HTTP: a game to each session, few at once, ended when nobody plays; refusals in words."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from starlette.testclient import TestClient
from tests.app.conftest import client_of, make_desk

from sparring.app.jobs import playground as jobs
from sparring.app.routes import playground as routes
from sparring.app.server import statics
from sparring.app.trouble import Unknown
from sparring.app.worker import Workers
from sparring.errors import UsageError

LOOK = {"since": 0, "field": "none", "averaged": False}


class Direct:
    """A worker that is asked in this process: the same functions without a child."""

    def __init__(self) -> None:
        self.used, self.closed = time.monotonic(), False

    async def call(self, function: str, /, **arguments: Any) -> Any:
        self.used = time.monotonic()
        return getattr(jobs, function)(**arguments)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[Direct]:
    """Every worker of a session that is started."""
    made: list[Direct] = []

    def own(self: Workers, module: str, *, queue: int = 8) -> Direct:
        assert module == "playground"
        made.append(Direct())
        return made[-1]

    monkeypatch.setattr(Workers, "own", own)
    monkeypatch.setattr(Workers, "end", lambda self, worker: worker.close())
    monkeypatch.setattr(jobs, "_tables", [])
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for what is refused and leaves no game behind."""
    with client_of(make_desk(tmp_path_factory.mktemp("none"))) as client:
        yield client


def begin(client: TestClient, **settings: Any) -> dict[str, Any]:
    answer = client.post("/api/playground/begin", json={"settings": settings, "look": LOOK})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_game_is_played_in_a_process_of_its_own(client: TestClient) -> None:
    """Through the real worker: begin, a turn of each, a collapse, an end; then there is no such game."""
    game = begin(client, data="grid", seed=1)
    at = f"/api/playground/{game['session']}"
    assert game["about"]["modes"] == 25 and game["frame"]["turn"] == "D"
    for player in "DG":
        said = client.post(f"{at}/play", json={"do": "turn", "player": player, "look": LOOK}).json()
        assert said["moved"] == player
    assert said["frame"]["round"] == 1 and len(said["frame"]["rounds"]) == 1
    said = client.post(f"{at}/play", json={"do": "collapse", "look": LOOK}).json()
    assert said["frame"]["measured"]["modes"] == 1 and said["frame"]["collapsed"] == 1
    assert client.post(f"{at}/end", json={}).json() == {"ended": True}
    gone = client.post(f"{at}/play", json={"do": "look"})
    assert gone.status_code == 404 and gone.json()["error"]["code"] == "PLAYGROUND-GONE"
    assert client.post(f"{at}/end", json={}).status_code == 200  # pressed twice


def test_settings_change_under_way_and_a_start_brings_it_back(client: TestClient, direct: list[Direct]) -> None:
    game = begin(client)
    at = f"/api/playground/{game['session']}"
    client.post(f"{at}/play", json={"do": "advance", "rounds": 2, "seconds": 2, "look": LOOK})
    said = client.post(f"{at}/change", json={"settings": {"objective": "hinge", "lr": 1e-3, "d_lr": 4e-3}}).json()
    assert said["about"]["settings"]["objective"] == "hinge" and said["frame"]["round"] == 2
    assert said["about"]["belief"] == "σ(2 s)"
    again = client.post(f"{at}/play", json={"do": "start", "look": LOOK}).json()
    assert again["frame"]["round"] == 0 and again["frame"]["samples"] == game["frame"]["samples"]
    assert client.post(f"{at}/play", json={"do": "round", "look": LOOK}).json()["frame"]["round"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "hinges"},
        {"play": "E:1"},
        {"penalty": "r7"},
        {"gamma": -1},
        {"lr": 0},
        {"lr": 5},
        {"data": "cats"},
        {"data": "/etc/passwd"},
        {"seed": -1},
        {"seed": 2**40},
        {"batch": 10**6},
    ],
)
def test_what_is_no_setting_is_refused_in_words(
    shared: TestClient, direct: list[Direct], settings: dict[str, Any]
) -> None:
    answer = shared.post("/api/playground/begin", json={"settings": settings})
    assert answer.status_code == 422 and answer.json()["error"]["what"]
    assert all(worker.closed for worker in direct)  # nothing is left behind by a game that did not begin


def test_what_is_done_has_bounds(client: TestClient, direct: list[Direct]) -> None:
    at = f"/api/playground/{begin(client)['session']}/play"
    for wrong in (
        {"do": "advance", "rounds": 10**6},
        {"do": "advance", "seconds": 60},
        {"do": "exec"},
        {"do": "turn", "player": "E"},
        {"do": "look", "look": {"field": "../x"}},
    ):
        assert client.post(at, json=wrong).status_code == 422, wrong
    assert client.post("/api/playground/zz/play", json={"do": "look"}).status_code == 422
    assert client.get(at).status_code == 405


def test_four_at_once_and_the_forsaken_one_gives_way(client: TestClient, direct: list[Direct]) -> None:
    sessions = [begin(client)["session"] for _ in range(routes.MOST)]
    full = client.post("/api/playground/begin", json={})
    assert full.status_code == 429 and len(direct) == routes.MOST
    direct[1].used -= routes.FORSAKEN + 1
    begin(client)
    assert direct[1].closed and not direct[0].closed
    assert client.post(f"/api/playground/{sessions[1]}/play", json={"do": "look"}).status_code == 404
    assert client.post(f"/api/playground/{sessions[0]}/play", json={"do": "look", "look": LOOK}).status_code == 200


def test_games_that_nobody_plays_end_by_themselves(direct: list[Direct], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "IDLE", 0.02)

    async def forsaken() -> routes.Games:
        games = routes.Games(Workers())
        session, _ = games.new()
        await asyncio.sleep(0.1)
        with pytest.raises(Unknown):
            games.of(session)
        return games

    games = asyncio.run(forsaken())
    assert direct[0].closed and not games._live


def test_a_process_that_was_started_anew_has_no_game(direct: list[Direct]) -> None:
    with pytest.raises(UsageError, match="over"):
        jobs.play("look", None, 1, 0.1, dict(LOOK))


def test_the_page_offers_what_there_is(desk: Any) -> None:
    """Its menus name every objective and only schedules and penalties that can be played; all data of the plane."""
    from sparring.contest import _checked
    from sparring.losses.adversarial import Objectives
    from sparring.runs.playground.table import DATA
    from sparring.train.schedule import Play

    page = statics()["playground.html"].data.decode()
    menus = {
        name: re.findall(r'<option value="([^"]*)"', body)
        for name, body in re.findall(r'<select id="([\w-]+)">(.*?)</select>', page, re.S)
    }
    assert set(menus["objective"]) == set(get_args(Objectives))
    assert tuple(menus["data"]) == DATA == get_args(routes.Settings.model_fields["data"].annotation)
    assert set(menus["field"]) == set(get_args(routes.Look.model_fields["field"].annotation))
    for play in menus["schedule"]:
        Play.parse(play.replace("&lt;", "<"))
        routes.Settings(play=play.replace("&lt;", "<"))
    for penalty in menus["penalty"]:
        assert _checked(penalty) == penalty
        routes.Settings(penalty=penalty)
    with client_of(desk) as client:
        shown = client.get("/playground")
        assert shown.status_code == 200 and "playground.js" in shown.text
        for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', shown.text):
            assert client.get(name).status_code == 200, name


def test_the_defaults_are_the_same_everywhere() -> None:
    """The request, the game, and the page begin with the same settings."""
    from dataclasses import asdict

    from sparring.runs.playground.table import Settings

    assert routes.Settings().model_dump() == asdict(Settings())
    text = statics()["js/playground_lessons.js"].data.decode()
    base = re.search(r"BASE = \{(.*?)\};", text, re.S)
    assert base is not None
    said = dict(re.findall(r'(\w+): ("[^"]*"|[\d.e-]+)', base[1]))
    assert {k: v.strip('"') if v.startswith('"') else float(v) for k, v in said.items()} == asdict(Settings())
