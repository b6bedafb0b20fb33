"""A run that begins with the networks of another one: what is taken over, what is not, and that it is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring import api
from sparring.errors import CheckpointError, UsageError
from sparring.runs.session import Session, resume, start
from sparring.train.checkpoint import Store
from sparring.types import Done

NANO: dict[str, Any] = {"size": 16, "budget": "256", "threads": 1, "device": "cpu"}
SET = ("width=4", "z=4", "batch=16")


def _plan(data: str, out: Path, **settings: Any) -> Any:
    return api.plan(data, out=out, **{**NANO, **settings})


def _weights(session: Session) -> dict[str, Tensor]:
    assert session.loop is not None
    return {name: tensor.clone() for name, tensor in session.loop.match.game.state_dict().items()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of dcgan on clothes at 16 px."""
    out = tmp_path_factory.mktemp("source") / "run"
    for _ in start(_plan("fashion", out, recipe="dcgan", set=SET)):
        pass
    return out


@pytest.fixture
def begun(source: Path, tmp_path: Path) -> Session:
    return start(_plan("fashion", tmp_path / "run", size=None, begin=source, freeze_d=1, seed=5))


def test_it_begins_with_the_same_recipe_size_and_weights(source: Path, begun: Session) -> None:
    first = next(begun)
    assert first.images == 0
    theirs = Store(source / "checkpoints").newest()
    assert theirs is not None
    found = _weights(begun)
    for player in ("D", "G"):
        for name, tensor in theirs.tensors(player).items():
            assert torch.equal(found[f"{player}.{name}"], tensor), name
    document = begun.directory.document()
    assert document["run"]["from"]["images"] == theirs.images and document["data"]["shape"] == [1, 16, 16]
    assert document["recipe"] == "dcgan" and document["config"]["width"] == 4 and document["config"]["freeze_d"] == 1
    begun.close()


def test_held_layers_are_the_other_runs_to_the_end(source: Path, begun: Session) -> None:
    assert list(begun)[-1] == Done(256, "budget")
    theirs = Store(source / "checkpoints").newest()
    ours = Store(begun.directory.checkpoints).newest()
    assert theirs is not None and ours is not None
    before, after = theirs.tensors("D"), ours.tensors("D")
    assert torch.equal(before["downs.0.weight"], after["downs.0.weight"])
    assert not torch.equal(before["downs.1.weight"], after["downs.1.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_once_it_has_a_checkpoint_the_other_run_is_no_longer_needed(source: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    whole = start(_plan("fashion", tmp_path / "a", size=None, begin=copy))
    wanted = [event for event in whole if event.kind == "turn"][-1]
    cut = start(_plan("fashion", tmp_path / "b", size=None, begin=copy), pace={"saves": (128,)})
    for event in cut:
        if event.kind == "saved" and event.images >= 128:
            break
    cut.close()
    shutil.rmtree(copy)
    again = [event for event in resume(tmp_path / "b") if event.kind == "turn"][-1]
    assert again.record()["values"] == wanted.record()["values"]


def test_killed_before_its_first_checkpoint_it_begins_again_from_the_same_one(source: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    session = start(_plan("fashion", tmp_path / "run", size=None, begin=copy))
    next(session)
    begun = _weights(session)
    session.close()
    again = resume(tmp_path / "run")
    next(again)
    found = _weights(again)
    again.close()
    assert all(torch.equal(found[name], tensor) for name, tensor in begun.items())
    newest = Store(copy / "checkpoints").newest()
    assert newest is not None
    manifest = newest.path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"healthy":true', b'"healthy":false'))
    with pytest.raises(CheckpointError):
        next(resume(tmp_path / "run"))


def test_what_does_not_fit_is_new_and_named(source: Path, tmp_path: Path) -> None:
    plan = _plan("fashion", tmp_path / "run", begin=source, size=32)
    text = "\n".join(plan.lines())
    assert "begins    as" in text and "G  " in text
    assert "new: downs.2.weight, that run has no such tensor" in text
    assert "D  " in text and "(100%" not in text


def test_nothing_that_fits_is_an_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing of that run fits"):
        _plan("fashion", tmp_path / "run", begin=source, recipe="gan")


def test_layers_are_held_only_of_another_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--from RUN"):
        _plan("fashion", tmp_path / "run", freeze_d=1)
    with pytest.raises(CheckpointError, match="there is no run here"):
        _plan("fashion", tmp_path / "run", begin=tmp_path / "nowhere")
