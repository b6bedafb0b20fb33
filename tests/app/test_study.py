"""Taking a study: who may see what, and when; every answer is kept once."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.app.conftest import ORIGIN, client_of, make_desk, own_cookies, pictures

from benchmarks.proofs.votes import make
from sparring import api
from sparring.app.desk import Desk, identity
from sparring.app.routes.study import counted
from sparring.app.studies import Studies
from sparring.study import analyse, plan
from sparring.study.store import Store

pytestmark = pytest.mark.usefixtures("near")
VOTES = 10
"""Of which two are practice and two are catches."""
ONE, TWO = f"{1:032x}", f"{2:032x}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("studies") / "study", VOTES)


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Desk]]:
    """One app for the studies of all tests here."""
    desk = make_desk(tmp_path_factory.mktemp("everybody").resolve() / "runs")
    desk.roots[0].mkdir()
    with client_of(desk) as client:
        yield client, desk


@pytest.fixture
def place(made: Path, everybody: tuple[TestClient, Desk]) -> Path:
    """A study of this test alone."""
    desk = everybody[1]
    desk._studies._next = 0.0  # else it is looked for anew a moment later
    return Path(shutil.copytree(made, Path(mkdtemp(dir=desk.roots[0])) / "study"))


@pytest.fixture
def home(place: Path) -> str:
    return f"/api/take/{identity(place)}"


@pytest.fixture
def client(everybody: tuple[TestClient, Desk]) -> TestClient:
    """A browser that has never taken a study."""
    client, desk = everybody
    client.cookies.clear()
    client.cookies.update(own_cookies(desk))
    return client


@pytest.fixture
def visitor(place: Path) -> Iterator[TestClient]:
    """Somebody who knows the address of a study that is served alone, and loaded its page."""
    desk = make_desk(place.parent, only_study=place)
    with client_of(desk, let_in=False) as client:
        client.headers.update(
            {"Origin": ORIGIN, "X-Sparring-Token": desk.page_token, "Content-Type": "application/json"}
        )
        yield client


def begin(client: TestClient, home: str, token: str = ONE, *, fresh: bool = False) -> dict[str, Any]:
    answer = client.post(f"{home}/begin", json={"token": token, "fresh": fresh})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def vote(client: TestClient, home: str, trial: int, answer: str, **more: Any) -> dict[str, Any]:
    body = {"trial": trial, "answer": answer, "milliseconds": 700, "seen": 1000} | more
    said = client.post(f"{home}/vote", json=body)
    assert said.status_code == 200, said.text
    return dict(said.json())


def counts(place: Path) -> dict[str, int]:
    with Store(place) as store:
        return store.counts()


def test_looking_at_a_study_changes_nothing(client: TestClient, home: str, place: Path) -> None:
    said = client.get(home).json()
    assert said["protocol"] == "paired" and said["seconds"] == 1.0 and said["question"] == "Which one is real?"
    assert said["done"] == 0 and said["total"] == VOTES and said["practice"] == 2
    page = client.get(home.replace("take", "study")).json()
    assert page["asked"] == f"{VOTES} trials: 2 for practice, {VOTES - 4} that count, 2 catch trials"
    assert counts(place) == {"raters": 0, "finished": 0, "votes": 0}


def test_to_begin_twice_is_to_begin_once(client: TestClient, home: str, place: Path) -> None:
    first = client.post(f"{home}/begin", json={"token": ONE})
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    client.cookies.delete(cookie.split("=")[0])  # the answer was lost on its way
    assert begin(client, home, ONE) == first.json()
    assert begin(client, home, TWO) == first.json()  # the cookie says who this is
    assert counts(place)["raters"] == 1


def test_somebody_else_is_another_rater(client: TestClient, home: str, place: Path) -> None:
    begin(client, home)
    vote(client, home, 0, "left")
    assert begin(client, home, TWO, fresh=True)["done"] == 0
    assert counts(place) == {"raters": 2, "finished": 0, "votes": 1}


def test_nothing_that_is_sent_says_what_is_real(client: TestClient, home: str, place: Path) -> None:
    sheet = begin(client, home)
    assert all(set(trial) == {"number", "practice", "images"} for trial in sheet["trials"])
    said = json.dumps([sheet, client.get(home).json()])
    assert not any(word in said for word in ('"real"', '"A"', "truth", "catch", "noise.png"))
    headers = client.get(f"{home}/picture/{sheet['trials'][0]['images'][0]}").headers
    assert headers["content-type"] == "image/png" and headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "content-disposition"} & set(headers)


def test_practice_tells_how_it_was_and_the_trials_that_count_do_not(client: TestClient, home: str) -> None:
    sheet = begin(client, home)
    said = {trial["number"]: vote(client, home, trial["number"], "left") for trial in sheet["trials"]}
    for trial in sheet["trials"]:
        feedback = said[trial["number"]]["feedback"]
        assert (feedback is not None) == trial["practice"]
        if feedback is not None:
            assert feedback["right"] == (feedback["truth"] == "left")


def test_the_first_answer_stands_and_is_told(client: TestClient, home: str, place: Path) -> None:
    begin(client, home)
    assert vote(client, home, 3, "left")["kept"] is True
    again = vote(client, home, 3, "right", milliseconds=900)
    assert again["kept"] is False and again["answer"] == "left" and again["done"] == 1
    assert counts(place)["votes"] == 1


def shown(client: TestClient, home: str, trial: int, look: int) -> bool:
    said = client.post(f"{home}/shown", json={"trial": trial, "look": f"{look:032x}"})
    assert said.status_code == 200, said.text
    return bool(said.json()["show"])


def test_a_page_that_is_loaded_again_is_counted_and_its_answer_does_not_count(
    client: TestClient, home: str, place: Path
) -> None:
    sheet = begin(client, home)
    with Store(place) as store:
        kinds = {trial.number: trial.kind for trial in store.trials(0)}
    twice = next(number for number, kind in kinds.items() if kind == "scored")
    for number in (trial["number"] for trial in sheet["trials"]):
        assert shown(client, home, number, 1) and shown(client, home, number, 1), "sent again is shown once"
        if number == twice:
            assert shown(client, home, number, 2), "in a second tab, or loaded again"
        vote(client, home, number, "left" if number == twice else "right")
        assert not shown(client, home, number, 3), "it is answered: nothing to show"
    with Store(place) as store:
        looks = {row["trial"]: row["looks"] for row in store.rows()}
        kept = analyse.counted(store.study, [row | {"truth": row["answer"]} for row in store.rows()])
    assert looks == {number: 1 + (number == twice) for number in looks} and len(looks) == VOTES
    assert kept.late == 1 and twice not in {row["trial"] for row in kept.rows}


def test_who_may_not_vote_shows_nothing(client: TestClient, home: str) -> None:
    body = {"trial": 0, "look": f"{1:032x}"}
    assert client.post(f"{home}/shown", json=body).status_code == 403
    begin(client, home)
    for wrong in ({"trial": VOTES}, {"trial": -1}, {"look": "../.."}, {"look": "0" * 33}):
        assert client.post(f"{home}/shown", json=body | wrong).status_code == 422


def test_an_answer_of_another_tab_is_not_told_to_this_one(client: TestClient, home: str) -> None:
    begin(client, home)
    first = vote(client, home, 0, "left")
    assert first["own"] and first["feedback"]
    assert vote(client, home, 0, "left") == first | {"kept": False}, "sent again since the answer to it was lost"
    for answer in ("left", "right"):
        other = vote(client, home, 0, answer, milliseconds=901)
        assert not other["own"] and not other["kept"] and other["feedback"] is None


def test_one_goes_on_where_one_stopped(client: TestClient, home: str) -> None:
    sheet = begin(client, home)
    for number in (0, 1, 2):
        vote(client, home, number, "right")
    rest = begin(client, home, TWO)
    assert rest["done"] == 3 and rest["trials"] == sheet["trials"][3:]
    assert client.get(home).json()["done"] == 3


@pytest.mark.parametrize("knows", [True, False])
def test_the_own_result_comes_at_the_end(client: TestClient, home: str, place: Path, knows: bool) -> None:
    sheet = begin(client, home)
    with Store(place) as store:
        truths = {trial.number: trial.truth for trial in store.trials(0)}
    for trial in sheet["trials"]:
        assert client.get(f"{home}/own").status_code == 409
        true = truths[trial["number"]]
        vote(client, home, trial["number"], true if knows else {"left": "right", "right": "left"}[true])
    scored = VOTES - 2 - 2
    expected = {"right": scored * knows, "of": scored, "fooled": scored * (not knows), "fooled_of": scored}
    assert client.get(f"{home}/own").json() == expected


def test_who_has_not_begun_gets_no_pictures_and_has_no_vote(client: TestClient, home: str, place: Path) -> None:
    name = plan.read(place).pictures[0].name
    assert client.get(f"{home}/picture/{name}").status_code == 403
    body = {"trial": 0, "answer": "left", "milliseconds": 700}
    assert client.post(f"{home}/vote", json=body).json()["error"]["code"] == "RATER"
    assert client.get(f"{home}/own").status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"trial": VOTES}, {"trial": -1}, {"trial": "0; DROP TABLE votes"}, {"answer": "real"}, {"answer": "'"},
        {"milliseconds": -1}, {"milliseconds": 1e400}, {"milliseconds": 1.5}, {"seen": 2**63}, {"more": 1},
    ],
)  # fmt: skip
def test_what_cannot_be_an_answer_is_refused(client: TestClient, home: str, place: Path, wrong: dict[str, Any]) -> None:
    begin(client, home)
    body = json.dumps({"trial": 0, "answer": "left", "milliseconds": 700} | wrong)
    assert client.post(f"{home}/vote", content=body).status_code == 422
    assert counts(place)["votes"] == 0


def test_what_is_not_there_is_not_found(client: TestClient, home: str, place: Path) -> None:
    begin(client, home)
    assert client.get(f"{home}/picture/{'0' * 16}").status_code == 404
    assert client.get(f"/api/take/{'0' * 16}").status_code == 404
    shutil.rmtree(place)
    assert client.get(home).status_code == 404


def test_a_study_that_becomes_a_link_is_not_there(client: TestClient, home: str, place: Path) -> None:
    begin(client, home)
    vote(client, home, 0, "left")
    outside = place.parents[2] / "outside"
    place.rename(outside)
    place.symlink_to(outside, target_is_directory=True)
    body = {"trial": 1, "answer": "left", "milliseconds": 700}
    assert client.get(home).status_code == client.post(f"{home}/vote", json=body).status_code == 404
    assert counts(outside)["votes"] == 1


def test_answers_go_to_the_study_that_is_there(client: TestClient, home: str, place: Path, made: Path) -> None:
    """It was removed and made anew at the same place, and nobody asked in between."""
    begin(client, home)
    shutil.rmtree(place)
    shutil.copytree(made, place)
    begin(client, home, TWO)
    vote(client, home, 0, "left")
    assert counts(place) == {"raters": 1, "finished": 0, "votes": 1}


def test_a_link_out_of_the_study_is_no_picture(client: TestClient, home: str, place: Path) -> None:
    name = begin(client, home)["trials"][0]["images"][0]
    file, secret = place / plan.PICTURES / f"{name}.png", place.parents[2] / "secret.png"
    file.rename(secret)
    file.symlink_to(secret)
    assert client.get(f"{home}/picture/{name}").status_code == 404
    file.unlink()
    file.write_bytes(b"<script>")
    assert client.get(f"{home}/picture/{name}").status_code == 404


def test_a_study_that_is_served_alone_is_all_there_is(visitor: TestClient, home: str, place: Path) -> None:
    assert visitor.get("/").headers["location"] == f"/take/{identity(place)}"
    assert visitor.get(f"/take/{identity(place)}").status_code == 200
    assert all(visitor.get(path).status_code == 404 for path in ("/play", "/study", "/playground", "/api/study"))
    sheet = begin(visitor, home)
    assert vote(visitor, home, sheet["trials"][0]["number"], "left")["kept"]


def test_other_studies_are_not_served_with_it(visitor: TestClient, place: Path, made: Path) -> None:
    shutil.copytree(place, place.parent / "second")
    assert visitor.get(f"/api/take/{identity(place.parent / 'second')}").status_code == 404


def test_a_vote_from_another_page_is_refused(visitor: TestClient, home: str, place: Path) -> None:
    begin(visitor, home)
    body = {"trial": 0, "answer": "left", "milliseconds": 700}
    for wrong in ({"Origin": "http://evil.test"}, {"X-Sparring-Token": "0" * 64}, {"Sec-Fetch-Site": "cross-site"}):
        assert visitor.post(f"{home}/vote", json=body, headers=wrong).status_code == 403
    assert counts(place)["votes"] == 0


def test_with_a_password_raters_are_asked_for_it(place: Path, home: str) -> None:
    desk: Desk = make_desk(place.parent, only_study=place, password="a long password")
    with client_of(desk, let_in=False) as stranger:
        assert stranger.get(home).status_code == 403
    with client_of(desk) as friend:
        assert friend.get(home).status_code == 200


# ── whoever made the study ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def page(place: Path) -> str:
    return f"/api/study/{identity(place)}"


def test_studies_are_listed_with_what_is_wrong_with_one(made: Path, tmp_path: Path) -> None:
    place, broken = tmp_path.resolve() / "study", tmp_path / "broken"
    shutil.copytree(made, place)
    broken.mkdir()
    (broken / "study.yaml").write_text("title: [")
    with client_of(make_desk(tmp_path)) as client:
        begin(client, f"/api/take/{identity(place)}")
        listed = {study["name"]: study for study in client.get("/api/study").json()}
    assert listed["study"]["raters"] == 1 and listed["study"]["title"] == "a study of noise"
    assert "cannot be read" in listed["broken"]["trouble"]


def test_whoever_made_it_sees_what_each_picture_is(client: TestClient, page: str, place: Path) -> None:
    said = client.get(page).json()
    of = {picture.name: picture.of for picture in plan.read(place).pictures}
    assert {kind: {of[name] for name in names} for kind, names in said["shown"].items()} == {
        "real": {"real"},
        "A": {"A"},
    }
    assert client.get(f"{page}/picture/{said['shown']['A'][0]}").content.startswith(b"\x89PNG")
    assert said["counts"] == {"raters": 0, "finished": 0, "votes": 0} and len(said["rules"]) >= 4


def test_the_result_is_that_of_the_command(client: TestClient, home: str, page: str, place: Path) -> None:
    for trial in begin(client, home)["trials"]:
        vote(client, home, trial["number"], "left")
    said = client.get(f"{page}/result").json()
    assert said["result"] == json.loads(json.dumps(api.study_result(place)))
    assert said["lines"] == api.study_lines(said["result"])


def test_answers_are_handed_out_as_files(client: TestClient, home: str, page: str) -> None:
    begin(client, home)
    vote(client, home, 0, "left")
    table = client.get(f"{page}/export/csv")
    assert table.headers["content-disposition"].startswith("attachment") and len(table.text.splitlines()) == 2
    assert len(client.get(f"{page}/export/json").json()["votes"]) == 1
    assert client.get(f"{page}/export/exe").status_code == 422


def test_a_study_is_made_of_a_run_of_the_desk(library: Path, tmp_path: Path) -> None:
    shutil.copytree(library / "blobs", tmp_path / "runs" / "blobs")
    photos = pictures(tmp_path / "photos", 24)
    run, data = (identity(path.resolve()) for path in (tmp_path / "runs" / "blobs", photos))
    asked = {"runs": [run], "real": data, "title": "Blobs", "trials": 8, "practice": 2, "catch": 2}
    with client_of(make_desk(tmp_path / "runs", photos)) as client:
        assert [one["name"] for one in client.get("/api/study/choices").json()["runs"]] == ["blobs"]
        ids = [client.post("/api/study/new", json=asked).json()["id"] for _ in range(2)]
        facts = [client.get(f"/api/study/{id}").json() for id in ids]
        refused = client.post("/api/study/new", json=asked | {"protocol": "preference"})
    assert [one["name"] for one in facts] == ["study-blobs", "study-blobs-2"]
    assert facts[0]["seconds"] == 1.0 and facts[0]["trials"] == 8 and facts[0]["models"][0]["name"] == "blobs"
    assert refused.status_code == 422 and "two models" in refused.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"runs": []}, {"runs": ["../../etc"]}, {"runs": ["0" * 16] * 2}, {"trials": 0}, {"seconds": -1}, {"path": "/"},
        {"title": "x" * 201}, {"protocol": "duel"}, {"seed": -1},
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_is_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    assert client.post("/api/study/new", json={"runs": ["0" * 16]} | wrong).status_code == 422


def test_a_study_of_a_run_that_is_not_there(client: TestClient) -> None:
    assert client.post("/api/study/new", json={"runs": ["0" * 16]}).status_code == 404


def test_counts_are_told_when_they_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.app.routes.study.EVERY", 0.0)
    studies = Studies(make_desk(place.parent))

    async def listen() -> list[str]:
        told = counted(studies, identity(place))
        first = await anext(told)
        studies.store(identity(place)).enrol("a" * 32)
        found = [first, await anext(told)]
        await told.aclose()
        return found

    said = [json.loads(line.removeprefix("data: ")) for line in asyncio.run(listen())]
    studies.close()
    assert [one["raters"] for one in said] == [0, 1]
