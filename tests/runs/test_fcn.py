"""The FCN score from two folders to the table: who is judged, by whom, on which pairs, and when no score is shown."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.hub_server import serving
from torch import Tensor

import sparring
from sparring import api
from sparring.cli import main
from sparring.data import open_data
from sparring.errors import MachineError, SparringError, UsageError
from sparring.metrics.segmentation import NAMES
from sparring.metrics.segmenters import FCN, Public, Segmenter, matched
from sparring.networks.segmentation import Source
from sparring.runs.evaluate import fcn, fcn_pairs, fcn_table
from sparring.runs.evaluate.fcn_pairs import trained_on
from sparring.runs.evaluate.opening import data_of
from sparring.runs.run import Run

COLOURS = np.array([[90, 140, 220], [180, 120, 90], [60, 60, 60]])  # sky, wall, door
LEGEND = ("sky", "wall", "door")
JUDGE: dict[str, Any] = {"trunk": "random", "trunk_width": 2, "width": 4, "frozen": 0}
RUN: dict[str, Any] = {"width": 2, "d_width": 2, "patches": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/, maps/; `judge`, a run of fcn8s from photos to maps; `made`, one of pix2pix from maps to photos."""
    root, chance = tmp_path_factory.mktemp("fcn"), np.random.default_rng(0)
    patch = pytest.MonkeyPatch()
    patch.setenv("SPARRING_CACHE", str(root / "cache"))
    for name in ("photos", "maps"):
        (root / name).mkdir()
    for k in range(60):
        label = np.zeros((16, 16), np.uint8)
        label[chance.integers(4, 12) :] = 1
        left = chance.integers(0, 12)
        label[12:, left : left + 4] = 2
        photo = (COLOURS[label] + chance.integers(-20, 20, (16, 16, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(photo).save(root / "photos" / f"{k}.png")
        Image.fromarray(COLOURS.astype(np.uint8)[label]).save(root / "maps" / f"{k}.png")
    (root / "palette.txt").write_text("".join(f"{r} {g} {b} {name}\n" for (r, g, b), name in zip(COLOURS, LEGEND)))
    common: dict[str, Any] = {"size": 16, "held_out": 0.3, "palette": str(root / "palette.txt"), "device": "cpu"}
    api.train(root / "photos", into=str(root / "maps"), maps="B", recipe="fcn8s", set=JUDGE, budget="16",
              out=root / "judge", **common)  # fmt: skip
    api.train(root / "maps", into=str(root / "photos"), maps="A", recipe="pix2pix", set=RUN, budget="2",
              out=root / "made", **common)  # fmt: skip
    yield root
    patch.undo()


class Colours(Segmenter):
    """A judge that knows the colours: as good as one can be."""

    name, version, legend, protocol, of = "colours", "1", LEGEND, "by colour", "colours"

    def __call__(self, images: Tensor) -> Tensor:
        far = images.float()[:, None] - torch.from_numpy(COLOURS).float()[None, :, :, None, None]
        return -far.square().sum(2)


class Guess(Colours):
    """A judge that sees sky everywhere."""

    def __call__(self, images: Tensor) -> Tensor:
        return torch.stack([torch.ones_like(images[:, 0]), *[torch.zeros_like(images[:, 0])] * 2], 1).float()


def rows(record: dict[str, Any]) -> dict[str, list[float]]:
    return {row["what"]: [row["scores"][name]["value"] for name in NAMES] for row in record["rows"]}


def test_the_rows_of_a_judge_that_knows(runs: Path) -> None:
    """Real photos have all pixels right, the majority class its share; scores are of held-out maps."""
    run, dataset = Run(runs / "made", device="cpu"), data_of(runs / "made")[0]
    found = fcn.score(run, dataset, Colours(), against=[str(runs / "made")])
    by = rows(found)
    assert list(by) == ["run", "against", "truth", "majority"] and by["truth"] == [1.0, 1.0, 1.0]
    assert by["run"] == by["against"] and 0 < by["run"][0] < 1
    assert dataset.given is not None
    labels = np.asarray(dataset.given.held_out)
    share = np.bincount(labels.ravel(), minlength=3).max() / labels.size
    assert by["majority"] == pytest.approx([share, 1 / 3, share / 3])
    assert found["n"] == len(dataset.held_out) == 18 and found["held_out"] and found["shown"] and not found["warnings"]
    assert fcn.score(run, dataset, Colours())["rows"][0] == found["rows"][0], "chance is of the seed alone"
    text = "\n".join(fcn_table.lines(found))
    assert "real photos" in text and "majority class (" in text and "standard errors" in text and "by colour" in text


def test_no_score_of_a_judge_that_knows_nothing(runs: Path) -> None:
    run, dataset = Run(runs / "made", device="cpu"), data_of(runs / "made")[0]
    found = fcn.score(run, dataset, Guess())
    assert list(rows(found)) == ["truth", "majority"] and not found["shown"]
    assert "no score of a run is shown" in found["why"] and found["why"] in "\n".join(fcn_table.lines(found))


def test_the_judge_was_trained_on_none_of_them(runs: Path) -> None:
    """Both directions hold out the same pairs, so that nothing is left out; of a judge that was not so careful what it
    has seen is left out, or said."""
    dataset = data_of(runs / "made")[0]
    seen = trained_on(runs / "judge", dataset)
    assert seen is not None and seen.tolist() == [False] * 18 + [True] * 42
    record = api.evaluate(runs / "made", fcn=str(runs / "judge"), metrics="l1", device="cpu")
    assert record["segmentation"]["left_out"] == 0 and not record["segmentation"]["warnings"]
    assert record["segmentation"]["judge"]["name"] == "fcn8s" and "--fcn" in record["command"]


def test_photos_are_known_whatever_they_lie_in(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side in a zip, under other names, in the other direction, written anew."""
    theirs = data_of(runs / "made")[0]
    seen = {theirs.file(row) for row in range(18, 60)}
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as file:
        for k in range(60):
            sides = [Image.open(runs / name / f"{k}.png").convert("RGB") for name in ("maps", "photos")]
            both = Image.new("RGB", (32, 16))
            for at, side in enumerate(sides):
                both.paste(side, (16 * at, 0))
            data = io.BytesIO()
            both.save(data, "BMP")
            file.writestr(f"p{k}.bmp", data.getvalue())
    options: dict[str, Any] = {
        "pairs": "side-by-side",
        "maps": "A",
        "palette": str(runs / "palette.txt"),
        "held_out": 0.0,
    }
    dataset = open_data(tmp_path / "both.zip", size=(16, 16), **options)
    found = trained_on(runs / "judge", dataset)
    assert found is not None
    assert found.tolist() == [f"{dataset.file(row)[1:-4]}.png" in seen for row in range(60)] and found.sum() == 42
    judge = fcn.judge_of(str(runs / "judge"), None, "cpu")
    pairs = fcn_pairs.unseen(dataset, judge, None, 0)
    assert (len(pairs.rows), pairs.seen, pairs.held_out) == (18, 42, False) and "training pairs" in pairs.warnings[0]
    few = replace(dataset, train=dataset.train[found], held_out=dataset.train[:0])
    pairs = fcn_pairs.unseen(few, judge, 30, 0)
    assert (len(pairs.rows), pairs.seen, pairs.trained_on) == (30, 0, 30)
    assert "the judge was trained on 30 of these 30 photos" in pairs.warnings[1]
    other = open_data(tmp_path / "both.zip", size=(16, 8), **options)
    assert trained_on(runs / "judge", other) is None, "another aspect"


def test_pairs_that_the_judge_has_seen(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are left out while ten others remain; else, and where nobody knows, that is said."""
    dataset, judge = data_of(runs / "made")[0], fcn.judge_of(str(runs / "judge"), None, "cpu")
    for count, n, left_out, said in ((0, 18, 0, ""), (8, 10, 8, ""), (9, 18, 0, "9 of these 18")):
        monkeypatch.setattr(fcn_pairs, "trained_on", lambda *_, count=count: np.arange(60) < count)
        found = fcn_pairs.unseen(dataset, judge, None, 0)
        assert (len(found.rows), found.seen) == (n, left_out) and said in " ".join(found.warnings)
        assert len(fcn_pairs.unseen(dataset, judge, 4, 0).rows) == 4
    monkeypatch.setattr(fcn_pairs, "trained_on", lambda *_: np.arange(60) < 9)
    text = "\n".join(fcn_table.lines(fcn.score(Run(runs / "made", device="cpu"), dataset, judge)))
    assert "! the judge was trained on 9 of these 18 photos" in text
    monkeypatch.undo()
    assert trained_on(tmp_path, dataset) is None, "its photos are gone"
    monkeypatch.setattr(fcn_pairs, "trained_on", lambda *_: None)
    assert "not known" in fcn_pairs.unseen(dataset, judge, None, 0).warnings[0]
    assert not fcn_pairs.unseen(dataset, Colours(), None, 0).warnings


def test_from_the_command_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A judge alone says how good it is at what it learnt; with a run it scores that run."""
    assert main(["evaluate", str(runs / "judge"), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "18 held-out pairs at 16x16, against the true ones" in text and "per-pixel accuracy" in text
    written = json.loads((runs / "judge" / "evaluation.json").read_text("utf-8"))
    assert set(written["metrics"]) == set(NAMES) and written["metrics"]["pixel_accuracy"]["n_real"] == 18
    words = ["evaluate", str(runs / "made"), "--fcn", str(runs / "judge"), "--fcn-against", str(runs / "made")]
    assert main([*words, "--metrics", "l1", "--device", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["metrics"].keys() == {"l1"} and record["segmentation"]["n"] == 18
    assert api.report(runs / "judge").is_file() and api.report(runs / "made").is_file()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["made", "--fcn", "made"], "FCN-RUN"),
        (["made", "--fcn", "judge", "--fcn-against", "judge"], "FCN-AGAINST"),
        (["made", "--fcn", "judge", "--segmenter", "hf:a/b"], "ARGUMENT"),
        (["made", "--fcn-against", "made"], "ARGUMENT"),
        (["made", "--segmenter", "hf:nobody"], "SEGMENTER-NAME"),
        (["made", "--segmenter", "photos"], "FEATURES-ABSENT"),
        (["photos", "photos", "--fcn", "judge"], "FCN-CANNOT"),
    ],
)
def test_what_cannot_be_judged(words: list[str], code: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    keys: dict[str, Any] = {"device": "cpu", "features": "pixels", "metrics": "kid"}
    for flag, value in pairwise(words):
        if flag.startswith("--"):
            name = flag[2:].replace("-", "_")
            keys[name] = (value,) if name == "fcn_against" else value
    places = [word for word in words[:2] if not word.startswith("--")]
    with pytest.raises(SparringError, match=code):
        api.evaluate(*places, **keys)


def test_classes_are_matched_by_name(runs: Path) -> None:
    """What the judge does not know is not judged; of what it knows the likeliest class counts."""

    class Fewer(Colours):
        legend = ("house, Wall", "tree", "SKY")

        def __call__(self, images: Tensor) -> Tensor:
            scores = super().__call__(images)
            return torch.stack([scores[:, 1], torch.full_like(scores[:, 0], 1e9), scores[:, 0]], 1)

    assert matched(LEGEND, Fewer()) == [2, 0, None]
    run, dataset = Run(runs / "made", device="cpu"), data_of(runs / "made")[0]
    found = fcn.score(run, dataset, Fewer())
    assert found["not_judged"] == ["door"] and found["classes"] == ["sky", "wall"]
    assert rows(found)["truth"] == [1.0, 1.0, 1.0] and "not judged: door" in "\n".join(fcn_table.lines(found))

    class Stranger(Colours):
        legend = ("cat", "dog", "wall")

    with pytest.raises(UsageError, match="FCN-LEGEND"):
        fcn.score(run, dataset, Stranger())


def test_a_photo_is_seen_at_the_size_that_the_judge_knows(runs: Path) -> None:
    judge = fcn.judge_of(str(runs / "judge"), None, "cpu")
    assert isinstance(judge, FCN) and judge.legend == LEGEND and judge.given == (3, 16, 16)
    photos = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    inside = judge._judge.segment(photos.float() / 127.5 - 1)
    torch.testing.assert_close(judge(photos), inside)
    assert judge(photos.repeat_interleave(2, 2)).shape == (2, 3, 32, 16)
    assert judge(photos[:, :1]).shape == (2, 3, 16, 16)
    with pytest.raises(UsageError, match="FCN-RUN"):
        FCN(torch.nn.Linear(1, 1), (3, 8, 8), LEGEND, "it")


# ── published networks ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for semantic segmentation with random weights, as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers", reason="needs the extra features")
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[4, 8], patch_sizes=[3, 3], strides=[2, 2],
        num_attention_heads=[1, 1], mlp_ratios=[1, 1], decoder_hidden_size=8,
        id2label={0: "sky", 1: "wall", 2: "Door", 3: "tree"},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("published")
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    like = {"do_resize": True, "size": {"height": 32, "width": 24}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(like))
    return folder


def test_a_published_network_judges(runs: Path, published: Path) -> None:
    judge = Public(str(published))
    assert judge.legend == ("sky", "wall", "Door", "tree") and "24x32" in judge.protocol
    photos = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    logits = judge(photos)
    assert logits.shape == (2, 4, 16, 16)
    large = torch.nn.functional.interpolate(photos.float() / 255, (32, 24), mode="bilinear", antialias=True)
    with torch.no_grad():
        inside = judge.network.network(pixel_values=large * 2 - 1).logits
    expected = torch.nn.functional.interpolate(inside, (16, 16), mode="bilinear")
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    found = api.evaluate(runs / "made", segmenter=str(published), metrics="l1", device="cpu")["segmentation"]
    assert found["judge"]["of"] == str(published) and found["classes"] == list(LEGEND) and not found["shown"]


def test_a_repository_is_fetched_once_and_known_by_its_commit(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import close_session, constants

    for name in ("HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.setattr(constants, name, str(tmp_path / name))
    for name, value in (("OFFLINE", False), ("DISABLE_XET", True), ("DISABLE_TELEMETRY", True)):
        monkeypatch.setattr(constants, f"HF_HUB_{name}", value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    close_session()  # a client reads the proxies of the environment when it is made
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        commit = hub.add("me/net", {file.name: file.read_bytes() for file in published.iterdir()})
        found = Public("hf:me/net")
        assert found.of == f"me/net@{commit}" and found.legend == Public(str(published)).legend
        hub.add("me/net", {"config.json": b"{}"})
        hub.asked.clear()
        assert Public(f"hf:me/net@{commit}").version == found.version and not hub.fetched()
        with pytest.raises(MachineError, match="FEATURES-ABSENT"):
            Public("hf:me/other")
        hub.add("me/bare", {"config.json": b"{}"})
        with pytest.raises(MachineError, match=r"FEATURES-ABSENT.*\n.*model.safetensors"):
            Public("hf:me/bare")
    close_session()


def test_what_is_no_published_network(published: Path, tmp_path: Path) -> None:
    assert Source.parse("hf:a/b@c0ffee") == Source("a/b", "c0ffee")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((published / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        Public(str(tmp_path))


def test_the_judge_is_a_run_like_any_other(runs: Path) -> None:
    run = sparring.load(runs / "judge")
    with pytest.raises(UsageError, match="SAMPLE-CANNOT"):
        run.sample(2)
    assert run.images == 16
