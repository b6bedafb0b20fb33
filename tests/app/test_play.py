"""The page Play: what its script gets is what `sparring sample` makes."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.app.conftest import client_of, make_desk

from sparring import api
from sparring.app.jobs import trained as jobs
from sparring.app.worker import Worker
from sparring.generate.grid import to_bytes


@pytest.fixture(scope="module")
def client(library):
    """One for all tests here: its worker has torch to load."""
    with client_of(make_desk(library)) as client:
        yield client


def named(client, name):
    return next(run["id"] for run in client.get("/api/play").json() if run["name"] == name)


def pixels(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_page_that_needs_torch_has_it_loaded_when_it_is_opened(library, monkeypatch):
    """Before its script asks for anything; no other page does, nor a stranger."""
    begun = []
    monkeypatch.setattr(Worker, "_enqueued", lambda worker, function, *rest: begun.append((worker.module, function)))
    desk = make_desk(library)
    with client_of(desk) as client:
        for page in ("/", "/playground", "/static/js/play.js", f"/take/{'0' * 16}"):
            assert client.get(page).status_code == 200 and not begun
        for page in ("/play", "/translate", "/study"):
            assert client.get(page).status_code == 200 and begun == [("trained", "wake")]
            begun.clear()
    with client_of(desk, let_in=False) as stranger:
        assert stranger.get("/play").status_code == 403 and not begun


def test_runs_that_make_samples_are_listed_with_what_they_are_good_for(client):
    found = {run["name"]: run for run in client.get("/api/play").json()}
    assert set(found) == {"blobs", "ring"}
    assert found["blobs"]["shape"] == [3, 16, 16]
    assert found["ring"]["kind"] == "points"
    assert all(len(run["id"]) == 16 for run in found.values())


def test_the_picture_of_a_seed_is_that_of_sparring_sample(client, library):
    blobs = named(client, "blobs")
    client.get(f"/api/play/{blobs}").raise_for_status()
    sheet = pixels(client.post(f"/api/play/{blobs}/samples", json={"seed": 7, "first": 2, "n": 4, "columns": 2}))
    expected = to_bytes(api.load(library / "blobs").sample(6, seed=7) * 2 - 1)
    assert sheet.shape == (32, 32, 3)
    for k in range(4):
        tile = sheet[k // 2 * 16 :][:16, k % 2 * 16 :][:, :16]
        assert abs(tile.astype(int) - expected[2 + k]).max() <= 1
    one = pixels(client.post(f"/api/play/{blobs}/picture", json={"spots": [{"seed": 7, "number": 5}]}))
    assert abs(one.astype(int) - expected[5]).max() <= 1


def test_the_corners_of_the_plane_are_the_three_samples(client, library):
    blobs = named(client, "blobs")
    spots = [{"seed": 0, "number": 0}, {"seed": 0, "number": 1}, {"seed": 4, "number": 0}]
    asked = {"spots": spots, "places": [[0, 0], [1, 0], [0, 1], [0.4, 0.4]], "columns": 4}
    sheet = pixels(client.post(f"/api/play/{blobs}/picture", json=asked))
    run = api.load(library / "blobs")
    for k, spot in enumerate(spots):
        expected = to_bytes(run.sample(spot["number"] + 1, seed=spot["seed"]) * 2 - 1)[-1]
        assert abs(sheet[:, 16 * k : 16 * k + 16].astype(int) - expected).max() <= 1


def test_what_a_run_can_do_is_said_with_reasons(client):
    able = client.get(f"/api/play/{named(client, 'blobs')}").json()
    assert able["latents"] == 100 and able["truncates"] and not able["mixes"] and "mixing" in able["why"]
    ring = named(client, "ring")
    assert client.get(f"/api/play/{ring}").json()["latents"] == 0
    assert pixels(client.post(f"/api/play/{ring}/samples", json={})).shape[2] == 3  # a cloud
    refused = client.post(f"/api/play/{ring}/picture", json={})
    assert refused.status_code == 422 and "points" in refused.json()["error"]["what"]


def test_a_walk_is_an_animated_picture(client):
    asked = {"spots": [{"number": 0}, {"number": 1}, {"number": 2}], "frames": 6}
    answer = client.post(f"/api/play/{named(client, 'blobs')}/film", json=asked)
    with Image.open(io.BytesIO(answer.content)) as film:
        assert film.n_frames == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"spots": []},
        {"spots": [{}] * 4},
        {"places": [[0, 2]]},
        {"places": [[0, 0]] * 65},
        {"truncation": 0},
        {"truncation": 3},
        {"label": -1},
        {"label": 1},
        {"spots": [{"seed": -1}]},
        {"spots": [{"seed": 2**31}]},
        {"more": 1},
        {"columns": 0},
    ],
)
def test_what_is_out_of_bounds_is_refused(client, wrong):
    answer = client.post(f"/api/play/{named(client, 'blobs')}/picture", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["error"]["what"]


def test_what_is_no_run_is_not_found(client):
    for address in ("/api/play/0123456789abcdef", "/api/play/0123456789abcdef/picture"):
        answer = client.post(address, json={}) if address.endswith("picture") else client.get(address)
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "recipe", ["", "recipe: 3", "recipe: gan\ndata: []", "a: [", "recipe: /x/own.py:Game\ndata: {}"]
)
def test_folders_that_hold_anything_else_are_passed_over(tmp_path, library, recipe):
    (tmp_path / "recipe.yaml").write_text(recipe)
    nothing, blobs = jobs.uses([str(tmp_path), str(library / "blobs")])
    assert nothing is None
    assert blobs["samples"] and blobs["ready"] and not blobs["translates"]


def test_a_few_runs_stay_open(library, monkeypatch):
    jobs.wake()
    monkeypatch.setattr(jobs, "_open", jobs.Opened(1))
    jobs.picture(str(library / "blobs"), spots=[(0, 0)])
    kept = jobs._open.kept[str(library / "blobs")]
    jobs.picture(str(library / "blobs"), spots=[(1, 0)])
    assert jobs._open.kept[str(library / "blobs")] is kept
    jobs.samples(str(library / "ring"), n=1)
    assert list(jobs._open.kept) == [str(library / "ring")]
    jobs.powers(str(library / "blobs"))
    assert jobs._open.kept[str(library / "blobs")] is not kept  # the best checkpoint of now


@pytest.mark.usefixtures("few_emoji", "cache_of_module")
def test_a_run_that_is_told_texts_is_asked_in_words(tmp_path, library):
    """Samples, the plane and the walk are of the text; without one each sample is of a caption, the plane of A's."""
    small = ("reader=words", "width=4", "d_width=4", "hidden=8", "z=4", "batch=4")
    run = api.train("emoji", recipe="text2image", size=16, budget="4", out=tmp_path / "told", set=small)
    shutil.copytree(library / "blobs", tmp_path / "blobs")
    spots = [{"seed": 3, "number": number} for number in (1, 0, 2)]
    with client_of(make_desk(tmp_path)) as client:
        told, plain = named(client, "told"), named(client, "blobs")
        able = client.get(f"/api/play/{told}").json()
        assert able["texts"] and able["latents"] == 4 and able["captions"] == list(run.texts)
        post = lambda what, **asked: client.post(f"/api/play/{told}/{what}", json=asked)  # noqa: E731
        for text in (None, "a  red apple"):
            made = to_bytes(run.sample(3, seed=3, text=text) * 2 - 1)
            sheet = pixels(post("samples", seed=3, n=3, columns=3, text=text))
            assert abs(sheet.astype(int) - np.concatenate(list(made), 1)).max() <= 1
            corner = pixels(post("picture", spots=spots, places=[[0, 0], [0.5, 0.5]], columns=2, text=text))
            assert abs(corner[:, :16].astype(int) - made[1]).max() <= 1
            assert post("film", spots=spots, frames=4, text=text).status_code == 200
        for wrong, said in (({"text": " "}, "says nothing"), ({"text": "x" * 201}, "at most 200"), ({"text": 3}, "")):
            refused = post("samples", **wrong)
            assert refused.status_code == 422 and said in refused.json()["error"]["what"]
        refused = client.post(f"/api/play/{plain}/samples", json={"text": "a red apple"})
        assert refused.status_code == 422 and "not told texts" in refused.json()["error"]["what"]
        assert not client.get(f"/api/play/{plain}").json()["texts"]


def test_the_levels_of_a_run_with_styles_are_mixed(tmp_path, library, near):
    """On the diagonal of the picture is each sample by itself; a run without styles is refused, and says why."""
    small = ("base=32", "most=4", "z=4", "w=4", "batch=4")
    api.train(library.parent / "photos", recipe="stylegan2", size=16, budget="4", out=tmp_path / "styled", set=small)
    shutil.copytree(library / "blobs", tmp_path / "blobs")
    three = [{"seed": 5, "number": number} for number in (2, 0, 7)]
    with client_of(make_desk(tmp_path)) as client:
        styled, plain = named(client, "styled"), named(client, "blobs")
        assert client.get(f"/api/play/{styled}").json()["mixes"]
        sheet = pixels(client.post(f"/api/play/{styled}/mix", json={"coarse": three, "fine": three, "level": 0.5}))
        each = [pixels(client.post(f"/api/play/{styled}/picture", json={"spots": [spot]})) for spot in three]
        refused = client.post(f"/api/play/{plain}/mix", json={"coarse": three, "fine": three})
    assert sheet.shape == (48, 48, 3)
    for k, own in enumerate(each):
        np.testing.assert_allclose(sheet[16 * k : 16 * (k + 1), 16 * k : 16 * (k + 1)], own, atol=1)
    assert refused.status_code == 422 and "coarse and fine" in refused.json()["error"]["why"]
