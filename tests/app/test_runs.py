"""What the page Runs asks: looks change nothing, changes may be asked twice, ids stand for places."""

import json
import shutil
import time

import pytest
from tests.app.conftest import client_of, make_desk
from tests.app.raw import ask, ours

from sparring.app.desk import identity
from sparring.app.server import create
from sparring.runs.errands import Errand

pytestmark = pytest.mark.usefixtures("near")
KEY = "0123456789abcdef"


def wait(done, seconds=180):
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "this takes too long"
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path, library):
    """A root of its own with the two runs, and data beside it."""
    shutil.copytree(library, tmp_path / "runs")
    shutil.copytree(library.parent / "photos", tmp_path / "data" / "photos")
    return tmp_path


@pytest.fixture
def here(home, quick_processes):
    with client_of(make_desk(home / "runs", home / "data")) as client:
        yield client


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, library):
    """(client, root) where nothing may begin."""
    root = shutil.copytree(library, tmp_path_factory.mktemp("quiet") / "runs")
    with client_of(make_desk(root)) as client:
        yield client, root


def ids(client):
    return {row["name"]: row["id"] for row in client.get("/api/runs").json()}


def state(client, run):
    return client.get(f"/api/runs/{run}").json()["state"]


def test_all_runs_and_one_in_full(client, library):
    rows = {row["name"]: row for row in client.get("/api/runs").json()}
    assert set(rows) == {"ring", "blobs"} and rows["ring"]["id"] == identity(library / "ring")
    ring = rows["ring"]
    assert (ring["state"], ring["images"], ring["planned"], ring["unit"]) == ("finished", 64, 64, "points")
    story = client.get(f"/api/runs/{ring['id']}").json()
    assert story["samples"][-1] == 64 and story["troubles"] == []
    assert {"Losses", "What D believes"} <= {chart["title"] for chart in story["charts"]}
    assert ["Recipe", "gan-points"] in story["facts"] or ["Recipe", "gan"] in story["facts"]
    grid = client.get(f"/api/runs/{ring['id']}/grid/64")
    assert grid.headers["content-type"] == "image/png" and grid.content.startswith(b"\x89PNG")
    for wrong in ("grid/63", "picture/game", "picture/recipe", "grid/-1", "grid/x"):
        assert client.get(f"/api/runs/{ring['id']}/{wrong}").status_code in (404, 422), wrong
    for unknown in ("", "/verdicts", "/grid/0", "/picture/walk"):
        assert client.get(f"/api/runs/{'0' * 16}{unknown}").status_code == 404


def test_verdicts_and_the_report_come_from_a_worker(client, library):
    run = identity(library / "ring")
    found = client.get(f"/api/runs/{run}/verdicts").json()
    assert "A generator" in found["sentence"] and found["equilibrium"]["D/real"] == pytest.approx(0.693, abs=1e-3)
    before = sorted(path.name for path in (library / "ring").iterdir())
    page = client.get(f"/runs/{run}/report")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;") and "allow-same-origin" not in policy
    assert "default-src 'none'" in policy and "<h1>ring</h1>" in page.text
    assert sorted(path.name for path in (library / "ring").iterdir()) == before, "a look writes nothing"
    assert "auto" not in client.get("/api/recipes").json() and "gan" in client.get("/api/recipes").json()
    wish = {"data": "dirac", "budget": "64", "key": KEY, "recipe": "no-such"}
    assert client.post("/api/runs", json=wish).json()["error"]["code"] == "RECIPE"


def test_events_begin_at_once_with_how_things_stand(desk, library):
    app = create(desk)
    run = identity(library / "ring")
    try:
        every, one = ask(app, ours(desk, "GET", "/api/live?rounds=1"), ours(desk, "GET", f"/api/live/{run}?rounds=1"))
    finally:
        app.state.workers.close()
    assert every.headers["content-type"].startswith("text/event-stream")
    said = json.loads(every.body.removeprefix(b"data: "))
    assert sorted(said["order"]) == sorted(row["id"] for row in said["runs"]) and run in said["order"]
    assert json.loads(one.body.removeprefix(b"data: "))["id"] == run


def test_data_are_checked_first_then_a_run_is_begun_and_stopped(here, home):
    (folder,) = [one for one in here.get("/api/data").json()["folders"] if one["name"] == "data/photos"]
    assert (folder["kind"], folder["count"], folder["more"]) == ("folder", 24, "in 2 folders")
    check = here.post("/api/checks", json={"data": folder["id"], "key": KEY}).json()["id"]
    assert here.get(f"/checks/{check}/report").status_code == 404, "there is no page yet"
    wait(lambda: not here.get(f"/api/checks/{check}").json()["running"])
    found = here.get(f"/api/checks/{check}").json()
    assert found["report"]["inspection"]["usable"] == 24 and found["report"]["proposal"]["choices"]
    assert here.get(f"/checks/{check}/report").headers["content-security-policy"].startswith("sandbox")
    wish = {"data": folder["id"], "size": 16, "budget": "20k", "name": "new", "key": KEY}
    run = here.post("/api/runs", json=wish).json()["id"]
    assert here.post("/api/runs", json=wish).json()["id"] == run, "a second click is the same wish"
    assert state(here, run) in ("starting", "training")
    assert here.post(f"/api/runs/{run}/stop", json={}).json()["stopping"]
    assert here.post(f"/api/runs/{run}/stop", json={}).status_code == 200
    wait(lambda: state(here, run) in ("stopped", "failed"))
    words = Errand(home / "runs" / "new").record()["words"]
    assert words[:2] == ["train", str(home / "data" / "photos")] and words.count("--size") == 1, words


def test_a_run_goes_on_and_is_never_removed(here, home):
    run = ids(here)["ring"]
    assert here.post(f"/api/runs/{run}/stop", json={}).json()["kind"] == "stopped", "nobody trains it"
    assert here.post(f"/api/runs/{run}/resume", json={"key": KEY, "budget": "+64"}).json() == {"begun": True}
    assert here.post(f"/api/runs/{run}/resume", json={"key": KEY, "budget": "+64"}).json() == {"begun": False}
    assert here.post(f"/api/runs/{run}/forget", json={}).status_code == 422
    here.post(f"/api/runs/{run}/stop", json={})
    wait(lambda: Errand(home / "runs" / "ring").process is None)
    assert here.post(f"/api/runs/{run}/forget", json={}).status_code == 422
    assert (home / "runs" / "ring" / "recipe.yaml").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": "/etc"}, {"data": "../x"}, {"data": "f" * 16}, {"data": "nonsense"}, {"recipe": "../r.yaml"},
        {"budget": "-1"}, {"budget": "+10m"}, {"budget": "0"}, {"size": 7}, {"seed": -1},
        {"name": "../x"}, {"name": ".x"}, {"name": "ring"}, {"key": "x"}, {"out": "/tmp/x"}, {"into": "/etc"},
    ],
)  # fmt: skip
def test_a_wish_of_another_form_begins_nothing(quiet, wrong):
    client, root = quiet
    answer = client.post("/api/runs", json={"data": "dirac", "budget": "64", "key": KEY} | wrong)
    assert answer.status_code in (404, 422) and answer.json()["error"]["what"]
    assert sorted(path.name for path in root.iterdir()) == ["blobs", "ring"]


def test_what_failed_before_it_began_is_shown_and_forgotten(here, home):
    goal = home / "runs" / "lost"
    Errand(goal).note(words=["train", "x"], exit=3)
    Errand(goal).log.write_text("$ sparring train x\n[DATA-MISSING] there is no such folder: x\n  fix: look again\n")
    run = ids(here)["lost"]
    story = here.get(f"/api/runs/{run}").json()
    assert story["state"] == "failed" and story["why"] == "there is no such folder: x · fix: look again"
    assert story["console"][0] == "$ sparring train x" and story["troubles"] == []
    assert here.get(f"/api/runs/{run}/verdicts").json() == {"verdicts": []}
    assert here.post(f"/api/runs/{run}/forget", json={}).json() == {"forgotten": True}
    assert run not in ids(here).values()


def test_the_demo_is_begun_once(here, home):
    run = here.post("/api/demo", json={"key": KEY}).json()["id"]
    process = Errand(home / "runs" / "demo").process
    assert here.post("/api/demo", json={"key": "f" * 16}).json()["id"] == run
    assert Errand(home / "runs" / "demo").process == process and ids(here)["demo"] == run
    assert here.post(f"/api/runs/{run}/stop", json={}).json()["stopping"]
    wait(lambda: Errand(home / "runs" / "demo").process is None)


def test_hostile_names_are_sent_as_text(here, home):
    name = "<img src=x onerror=alert(1)>\u202egnp"
    shutil.copytree(home / "runs" / "ring", home / "runs" / name)
    assert "<img src=x onerror=alert(1)>gnp" in ids(here)
