"""``sparring evaluate``: what is printed where, exit codes, and that nothing half-written is left."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring import cli
from sparring.metrics import extractors
from sparring.runs.evaluate import stream

PAIR = ["evaluate", "a", "b", "--features", "pixels", "--metrics", "kid,precision,fid", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Two folders with 24 pictures each."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for k in range(24):
            values = np.random.default_rng(100 * seed + k).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / name / f"{k}.png")


def test_a_table_for_people(capsys):
    assert cli.main(PAIR) == 0
    out, err = capsys.readouterr()
    assert "a (folder): 24 images" in out and "judge  pixels 1 at 32 px" in out
    row = next(line for line in out.splitlines() if line.startswith("kid"))
    assert " to " in row and "24 / 24" in row and "lower" in row
    assert "! REAL: 24 images are too few" in out
    assert "- fid: not measured: the name FID belongs" in out
    assert [line for line in err.splitlines() if not line.startswith("measuring ")] == []  # told where it lasts


def test_json_is_one_object(capsys):
    assert cli.main([*PAIR, "--json", "--out", "found.json", "--null"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["metrics"]) == {"kid", "precision", "fid"}
    kid = found["metrics"]["kid"]
    assert kid["interval"][0] < kid["value"] < kid["interval"][1] and kid["n_real"] == kid["n_fake"] == 24
    assert found["metrics"]["fid"]["value"] is None and found["null"]["kid"]["n_real"] == 12
    assert json.loads(Path("found.json").read_text()) == found


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a"], 2, "EVALUATE-ALONE"),
        (["nowhere"], 4, "RUN-MISSING"),
        (["a", "nowhere"], 3, "DATA-MISSING"),
        (["a", "ring"], 2, "EVALUATE-POINTS"),
        (["a", "b", "--metrics", "kif"], 2, "did you mean kid"),
        (["a", "b", "--features", "inceptoin"], 2, "did you mean inception"),
        (["a", "b", "--split", "test"], 2, "FLAG-VALUE"),
        (["a", "b", "c"], 2, "WORDS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_are_one_error_each(capsys, words, code, said):
    assert cli.main(["evaluate", *words, "--json"]) == code
    out, err = capsys.readouterr()
    assert said in err and err.count("\n[") + err.startswith("[") == 1
    assert json.loads(out)["error"]["code"] in err


def test_ctrl_c_leaves_nothing_half_written(monkeypatch, capsys, tmp_path):
    def stop(extractor, images):
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "seen_by", stop)
    assert cli.main([*PAIR, "--out", "found.json"]) == 130
    assert not (tmp_path / "found.json").exists()
    features = tmp_path / "cache" / "features"
    assert not features.exists() or not any(features.iterdir())


def test_the_help_names_every_judge(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in extractors.EXTRACTORS)
