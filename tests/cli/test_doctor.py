"""``sparring doctor``: what it prints, for people and for programs."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.health import histories
from tests.runs.test_doctor import NANO, change, write

from sparring import api
from sparring.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose log tells of a collapse, and that of its twin."""
    out = tmp_path_factory.mktemp("runs") / "ring"
    api.train("ring", recipe="gan", set=NANO | {"gamma": 1.0}, budget="640", out=out, threads=1, device="cpu")
    change(out, lambda said: said["run"].update(images=200_000))
    write(out, histories.gone(histories.healthy_probes(), 4), histories.healthy_turns())
    return out


def test_the_most_serious_comes_first_with_evidence_and_what_to_try(run, capsys):
    assert main(["doctor", str(run), "--no-look"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    text = said.out
    assert re.search(r"^MODE-COLLAPSE  mode collapse \(serious, certain, since point 45,562\)$", text, re.M), text
    order = [text.index(word) for word in ("MODE-COLLAPSE", "  seen ", "  means ", "  try ", "signals", "when to stop")]
    assert order == sorted(order)
    assert "25.5 %" in text or "26 %" in text, text
    assert "`--set objective=relativistic`" in text
    assert "checkpoint    " in text and f"--recipe {run / 'recipe.yaml'}" in " ".join(text.split())
    assert all(len(line) <= 120 for line in text.splitlines() if "sparring train" not in line and "signals" not in line)


def test_a_command_is_never_parted(run, capsys):
    main(["doctor", str(run), "--no-look"])
    for line in capsys.readouterr().out.splitlines():
        assert line.count("`") % 2 == 0, line


def test_json_is_one_object(run, capsys):
    assert main(["doctor", str(run), "--no-look", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"run", "state", "images", "planned", "verdicts", "signals", "looked", "stop", "checkpoint"} <= set(found)
    first = found["verdicts"][0]
    assert first["code"] == "MODE-COLLAPSE" and first["level"] == "hard" and first["sentence"].startswith("G's samples")
    assert found["signals"]["coverage"] == pytest.approx(0.2)


def test_findings_are_no_errors_and_a_healthy_run_is_called_so(run, tmp_path, capsys):
    twin = Path(shutil.copytree(run, tmp_path / "twin"))
    write(twin, histories.healthy_probes(), histories.healthy_turns())
    assert main(["doctor", str(twin), "--no-look"]) == 0
    text = capsys.readouterr().out
    assert text.count("HEALTHY  healthy") == 1 and "MODE" not in text and "84 %" in text


def test_a_fresh_look_says_where_it_looked(run, capsys):
    assert main(["doctor", str(run), "--which", "640"]) == 0
    said = capsys.readouterr()
    assert "at point 640 (this checkpoint, looked at now)" in said.out
    assert "looking at the run" in said.err


@pytest.mark.parametrize(
    ("words", "code", "exit_code"), [(["nowhere"], "RUN-MISSING", 4), (["RUN", "--which", "newest"], "RUN-WHICH", 2)]
)
def test_errors_explain(run, words, code, exit_code, capsys):
    assert main(["doctor", *(str(run) if word == "RUN" else word for word in words)]) == exit_code
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"[{code}]") and "Traceback" not in said.err
    assert main(["doctor", *(str(run) if word == "RUN" else word for word in words), "--json"]) == exit_code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
