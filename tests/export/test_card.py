"""The model card: what the hub reads, what people need, and nothing of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from tests.export.runs import run_of

from sparring import api
from sparring.data import Options, open_data
from sparring.export import card, safetensors
from sparring.runs import session

EVALUATION: dict[str, Any] = {
    "fake": {"images": 16, "weights": "ema"},
    "metrics": {
        "kid": {"value": 0.0123, "interval": [0.01, 0.0149], "better": "lower", "n_real": 500, "n_fake": 5000,
                "features": "efficientnet-lite0"},
        "fd": {"value": None, "interval": None, "refused": "too few"},
        "precision": {"value": 0.5, "interval": None, "better": "higher", "n_real": 9, "n_fake": 9, "warning": "few"},
    },
    "verdicts": [{"sentence": "Recall 0.1: it repeats itself."}],
}  # fmt: skip


def parts(text: str) -> tuple[dict[str, Any], str]:
    """(metadata, the rest) of a card."""
    _, metadata, body = text.split("---\n", 2)
    found = yaml.safe_load(metadata)
    assert isinstance(found, dict)
    return found, body


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "classifier", "fcn8s", "pix2pix", "cyclegan"])
def test_every_recipe_has_a_card_that_the_hub_can_read(name: str, tmp_path: Path) -> None:
    said = safetensors.described(run_of(name, tmp_path / "run"))
    json.dumps(said, allow_nan=False)
    metadata, body = parts(card.text(said, "hf:me/it", licence="mit"))
    assert metadata["library_name"] == "sparring" and metadata["license"] == "mit" and "sparring" in metadata["tags"]
    expected = {"classifier": "image-classification", "fcn8s": "image-segmentation", "pix2pix": "image-to-image",
                "cyclegan": "image-to-image"}  # fmt: skip
    usual = "unconditional-image-generation" if said["data"]["kind"] == "images" else None
    assert metadata.get("pipeline_tag") == expected.get(said["recipe"], usual)
    assert "None of the data are part of this folder." in body and "secret" not in body
    assert "`my photos`: 40 used for training, 4 held out." in body
    assert len(body.splitlines()) < 90


KINDS = {"dcgan": "gan", "vae": "vae", "svae": "vae", "pixelcnn": "density-estimation", "classifier": "computer-vision"}


@pytest.mark.parametrize(("name", "tag"), KINDS.items())
def test_the_tag_says_what_kind_of_model_it_is(name: str, tag: str, tmp_path: Path) -> None:
    metadata, _ = parts(card.text(safetensors.described(run_of(name, tmp_path / "run")), "runs/x"))
    assert metadata["tags"] == list(dict.fromkeys(["sparring", tag, name]))


def test_a_bound_is_called_one_with_its_weights(tmp_path: Path) -> None:
    run = run_of("vae", tmp_path / "run")
    common = {"interval": [-560.1, -549.0], "n_real": 50, "n_fake": 0, "features": "a density"}
    metrics = {"nll": common | {"value": -554.6, "better": "lower", "bound": "at most", "importance": 500},
               "elbo": common | {"value": 550.0, "better": "higher", "bound": "at least"}}  # fmt: skip
    evaluation = {"fake": {"images": run.images, "weights": "ema"}, "metrics": metrics}
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps(evaluation))
    said = safetensors.described(run)
    assert said["measures"]["nll"]["bound"] == "at most"
    _, body = parts(card.text(said, "runs/x"))
    assert "| nll | at most -554.6 | -560.1 to -549 | lower | 50 / 0 | a density |" in body
    assert ("- nll: −log p(x), nats an image; a bound: the true number is at most this, by 500 importance weights of "
            "each image") in body  # fmt: skip
    assert "- elbo: log p(x), nats an image, by one code of each; a bound: the true number is at least this" in body


def test_measures_are_those_of_this_checkpoint(tmp_path: Path) -> None:
    run = run_of("dcgan", tmp_path / "run")
    assert run.images == 16
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps(EVALUATION))
    _, body = parts(card.text(safetensors.described(run), "runs/x"))
    assert "| kid | 0.0123 | 0.01 to 0.0149 | lower | 500 / 5,000 | efficientnet-lite0 |" in body
    assert "| fd |" not in body and "- precision: few" in body and "Recall 0.1: it repeats itself." in body
    other = {**EVALUATION, "fake": {"images": 8, "weights": "ema"}}
    for found in (json.dumps(other), "{", "[]", json.dumps({**EVALUATION, "fake": {"images": 16, "weights": "raw"}})):
        (tmp_path / "run" / "evaluation.json").write_text(found)
        assert "was not evaluated" in card.text(safetensors.described(run), "runs/x")


def test_a_picture_of_translations_shows_nothing_of_the_data_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_data("emoji", Options(size=(16, 16), channels=3, given_channels=3), needs={"pair"})
    monkeypatch.setattr(session, "data_of", lambda *_: (dataset, None, []))
    run = run_of("pix2pix", tmp_path / "run")
    outputs, words = card.draw(run)
    both, beside = card.draw(run, inputs=True)
    assert isinstance(outputs, Image.Image) and isinstance(both, Image.Image)
    assert "(not shown)" in words and "beside what was given" in beside
    assert both.width * both.height > 1.7 * outputs.width * outputs.height
    assert min(outputs.size) >= 64


def test_without_the_data_there_is_no_picture_and_that_is_said(tmp_path: Path) -> None:
    made = api.export(run_of("pix2pix", tmp_path / "run"))
    assert [file.name for file in made.files] == ["config.json", "model.safetensors", "README.md"]
    assert "no picture" in made.remarks[0] and "![" not in (made.path / "README.md").read_text("utf-8")


def test_what_comes_with_sparring_says_its_licence(tmp_path: Path) -> None:
    run = run_of("dcgan", tmp_path / "run")
    run.document["data"]["source"] = "emoji"
    text = card.text(safetensors.described(run), "x")
    assert "CC BY-SA 4.0 (All emojis designed by OpenMoji" in text and "license: unknown" in text
    assert "without one nobody may use it" in text
    run.document["data"]["source"] = "hf:owner/cats@" + "1f" * 20
    assert parts(card.text(safetensors.described(run), "x"))[0]["datasets"] == ["owner/cats"]
