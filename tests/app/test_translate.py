"""The page Translate: what its script gets is what `sparring translate` makes, whatever is sent."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.app.conftest import client_of, make_desk, own_headers

from sparring import api
from sparring.runs.examples import names

SMALL = ("width=8", "d_width=8", "batch=2", "generator=unet")


@pytest.fixture(scope="module")
def desk(tmp_path_factory, library, translator, near):
    """Two runs that translate, of outlines and of label maps; and one that does not."""
    home = tmp_path_factory.mktemp("translate")
    shutil.copytree(translator, home / "runs" / "emoji")
    shutil.copytree(library / "ring", home / "runs" / "ring")
    api.train(
        pairs(home / "pairs"), recipe="pix2pix", budget="4", size=16, set=SMALL, out=home / "runs" / "maps", maps="A"
    )
    return make_desk(home / "runs")


@pytest.fixture(scope="module")
def client(desk):
    with client_of(desk) as client:
        yield client


def pairs(folder):
    """Label maps of two classes, 1 and 2 in their pixels, and pictures of them."""
    rng = np.random.default_rng(0)
    for k in range(24):
        halves = np.ones((16, 16), np.uint8)
        halves[:, : rng.integers(4, 12)] = 2
        colours = np.repeat(halves[..., None] * 80, 3, 2) + rng.integers(0, 60, (16, 16, 3), np.uint8)
        for side, pixels in (("A", halves), ("B", colours)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / side / f"{k}.png")
    return folder


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def named(client, name):
    return next(run["id"] for run in client.get("/api/translate").json() if run["name"] == name)


def sent(client, desk, address, data):
    return client.post(address, content=data, headers=own_headers(desk, "application/octet-stream"))


def pixels(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_runs_that_translate_are_listed(client):
    assert [run["name"] for run in client.get("/api/translate").json()] == ["emoji", "maps"]


def test_what_a_run_turns_into_what_is_said(client):
    emoji = client.get(f"/api/translate/{named(client, 'emoji')}").json()
    assert (emoji["given"]["channels"], emoji["made"]["channels"], emoji["size"]) == (1, 3, [16, 16])
    assert emoji["noise"] and not emoji["back"] and emoji["names"] == ["A", "B"]
    maps = client.get(f"/api/translate/{named(client, 'maps')}").json()["given"]
    assert len(maps["legend"]) == len(maps["colours"]) == 2
    assert maps["values"] == [1, 2]


@pytest.mark.parametrize("shape", [(16, 16), (9, 23, 3), (40, 24, 4)])
def test_a_picture_becomes_what_sparring_translate_makes_of_it(client, desk, shape):
    given = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    if len(shape) == 3 and shape[2] == 4:
        given[..., 3] = 255
    run = api.load(desk.roots[0] / "emoji")
    address = f"/api/translate/{named(client, 'emoji')}/picture"
    made = pixels(sent(client, desk, address, png(given)))
    expected, _ = api.translated(run, png(given), deterministic=True)
    assert made.shape[:2] == shape[:2]
    assert abs(made.astype(int) - np.asarray(Image.open(io.BytesIO(expected)))).max() <= 1
    again, other, same = (pixels(sent(client, desk, f"{address}?noise=true&seed={s}", png(given))) for s in (1, 2, 1))
    assert (again == same).all() and (again != other).any()
    trained = pixels(sent(client, desk, f"{address}?size=train", png(given)))
    assert trained.shape[:2] == shape[:2]


def test_examples_are_the_held_out_pictures_as_they_are_given(client, desk):
    for name, mode in (("emoji", "L"), ("maps", "RGB")):
        run = named(client, name)
        first, other = (client.get(f"/api/translate/{run}/example/{k}").content for k in (0, 1))
        assert Image.open(io.BytesIO(first)).size == (16, 16)
        assert Image.open(io.BytesIO(first)).mode == mode
        assert first != other or name == "maps"


def test_numbers_of_classes_are_read_where_files_say_them_by_number(client, desk):
    address = f"/api/translate/{named(client, 'maps')}/picture"
    grey = np.ones((16, 16, 3), np.uint8)
    grey[:, :8] = 2
    assert pixels(sent(client, desk, address, png(grey))).shape == (16, 16, 3)
    strange = sent(client, desk, address, png(grey * 90))
    assert strange.status_code == 422 and strange.json()["error"]["what"]


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_refused_in_words(client, desk, data):
    answer = sent(client, desk, f"/api/translate/{named(client, 'emoji')}/picture", data)
    assert answer.status_code == 422
    assert answer.json()["error"]["what"]


def test_a_picture_that_was_cut_off_is_told_so(client, desk):
    whole = png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    error = sent(client, desk, f"/api/translate/{named(client, 'emoji')}/picture", whole[: len(whole) // 2]).json()
    assert "cut off" in error["error"]["fix"] and "damaged" in error["error"]["why"]


def test_the_sides_are_called_as_their_folders_are():
    two = {"source": "/a/horses", "into": "/b/zebras"}
    assert names(two | {"direction": "AtoB"}) == ("horses", "zebras")
    assert names(two | {"direction": "BtoA"}) == ("zebras", "horses")
    assert names({"source": "/a/x", "into": "/b/x"}) == names({"source": "/a/x"}) == names({}) == ("A", "B")


def test_wrong_requests_are_refused(client, desk):
    address = f"/api/translate/{named(client, 'emoji')}/picture"
    given = png(np.zeros((8, 8), np.uint8))
    assert sent(client, desk, f"{address}?seed=-1", given).status_code == 422
    assert sent(client, desk, f"{address}?size=huge", given).status_code == 422
    assert client.post(address, json={}).status_code == 415
    assert sent(client, desk, f"{address}?back=true", given).status_code == 422
    assert sent(client, desk, "/api/translate/0123456789abcdef/picture", given).status_code == 404
    assert client.get("/api/translate/0123456789abcdef").status_code == 404
    assert client.get(f"/api/translate/{named(client, 'emoji')}/example/-1").status_code == 422
