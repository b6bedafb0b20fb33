"""The state is complete, and nothing in it is dead: forget any leaf once, and the resume is seen to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.arena import NANO
from tests.train.resumption import Whole, begin, resumed, uninterrupted
from torch import Tensor

from sparring.errors import CheckpointError
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.loop import Loop

MOMENT = 80
"""Between two log lines and after the watch's second look, so that every leaf of the state is alive."""


@pytest.fixture(scope="module", params=["gan", "dcgan", "r3gan", "gan-ahead", "gan-consensus", "gan-optimistic"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return uninterrupted(request.param, tmp_path_factory.mktemp(request.param))


def leaves(state: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every scalar of the state by its path."""
    if isinstance(state, dict):
        return {p: v for key, below in state.items() for p, v in leaves(below, (*path, key)).items()}
    return {path: state}


def replaced(state: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**state, path[0]: replaced(state[path[0]], path[1:], value)}


def fresh(whole: Whole, tmp_path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """State and tensors of a run that has just begun."""
    loop = begin(whole.name, tmp_path / "fresh")
    return loop.state(), loop.match.tensors()


def test_every_scalar_is_alive(whole: Whole, tmp_path: Path) -> None:
    """At the point of resume every scalar leaf differs from what it was at the beginning."""
    initial, now = leaves(fresh(whole, tmp_path)[0]), leaves(Store(whole.folder / "checkpoints").at(MOMENT).state)
    assert len(now) > 15
    same = [path for path, value in now.items() if path in initial and initial[path] == value]
    dead = [path for path in same if path[0] not in ("sums", "times")]  # those begin empty: present is alive
    assert dead == []
    assert set(initial) <= {path for path in now} | {("sums",), ("times",)}


def test_forgetting_a_scalar_is_seen(whole: Whole, tmp_path: Path) -> None:
    """Each leaf of state.json once replaced by its fresh value: 100 % must be noticed."""
    initial = leaves(fresh(whole, tmp_path)[0])
    state = Store(whole.folder / "checkpoints").at(MOMENT).state
    unnoticed = []
    for number, (path, now) in enumerate(leaves(state).items()):
        value = initial.get(path, 0.0)
        if path[0] == "times":
            value = now + 1  # a count of 0 would divide by 0: seen anyhow
        if path[0] == "sums" and now == 0.0:
            value = 1.0  # it happens to stand where it began

        def load(loop: Loop, checkpoint: Checkpoint, path: tuple[str, ...] = path, value: Any = value) -> None:
            amend(loop, checkpoint, state=lambda state: replaced(state, path, value))

        if not any(resumed(whole, MOMENT, tmp_path / f"scalar{number}-{rounds}", rounds, load) for rounds in (1, 4)):
            unnoticed.append(path)
    assert unnoticed == []


def test_forgetting_tensors_is_seen(whole: Whole, tmp_path: Path) -> None:
    """Each file, each kind of leaf of the optimisers, and each single tensor of `dcgan`, as at the beginning."""
    _, initial = fresh(whole, tmp_path)
    groups: dict[str, list[tuple[str, str]]] = {}
    for stem, named in initial.items():
        for key, tensor in named.items():
            if stem.endswith("-ema") and not tensor.is_floating_point():
                continue  # a copy of the player's, for whoever opens the file: a resume makes it anew
            kind = f"{stem}/{key.split('/')[0]}/{key.split('.')[-1]}" if stem == "optimiser" else stem
            groups.setdefault(kind, []).append((stem, key))
            if whole.name == "dcgan":
                groups.setdefault(f"{stem}:{key}", []).append((stem, key))
    unnoticed = []
    for number, (kind, members) in enumerate(groups.items()):

        def load(loop: Loop, checkpoint: Checkpoint, members: list[tuple[str, str]] = members) -> None:
            amend(loop, checkpoint, tensors={member: initial[member[0]][member[1]] for member in members})

        if not any(resumed(whole, MOMENT, tmp_path / f"tensor{number}-{rounds}", rounds, load) for rounds in (1, 2)):
            unnoticed.append(kind)
    assert unnoticed == []


def amend(loop: Loop, checkpoint: Checkpoint, *, state: Any = None, tensors: Any = None) -> None:
    """Load a checkpoint as it would have been if part of it had been forgotten."""

    class Forgetful:
        images, path = checkpoint.images, checkpoint.path

        @property
        def state(self) -> dict[str, Any]:
            return checkpoint.state if state is None else state(checkpoint.state)

        def tensors(self, stem: str) -> dict[str, Tensor]:
            found = dict(checkpoint.tensors(stem))
            for (file, key), tensor in (tensors or {}).items():
                if file == stem:
                    found[key] = tensor.detach().clone()
            return found

    loop.load(Forgetful())  # type: ignore[arg-type]


def test_the_unchanged_checkpoint_passes(whole: Whole, tmp_path: Path) -> None:
    """The same road without a mutation: what the two tests above see is the mutation and nothing else."""
    assert resumed(whole, MOMENT, tmp_path / "same", 4, amend) == []


@pytest.mark.parametrize("harm", ["missing", "extra", "shape", "dtype"])
def test_tensors_that_do_not_fit_are_refused(harm: str, tmp_path: Path) -> None:
    loop = begin("gan", tmp_path)
    files = {stem: dict(named) for stem, named in loop.match.tensors().items()}
    key = next(iter(files["G"]))
    match harm:
        case "missing":
            del files["G"][key]
        case "extra":
            files["G"]["more"] = torch.zeros(1)
        case "shape":
            files["G"][key] = torch.zeros(1, 1)
        case "dtype":
            files["G"][key] = files["G"][key].double()
    with pytest.raises(CheckpointError, match="CHECKPOINT-MISMATCH") as caught:
        loop.match.load(files, loop.match.state())
    assert key in str(caught.value) or "more" in str(caught.value)


@pytest.mark.parametrize("name", NANO)
def test_no_tensor_of_the_match_is_outside_the_state(name: str, tmp_path: Path) -> None:
    """Walk everything reachable from a loop that has played: each tensor is in the state, or is known to be passing."""
    loop = begin(name, tmp_path)
    for _ in range(3):
        loop.match.step()
    files = {t.data_ptr() for named in loop.match.tensors().values() for t in named.values()}
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def walk(thing: Any, path: str) -> None:
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type, torch.device)) or thing is None:
            return
        seen.add(id(thing))
        if isinstance(thing, Tensor):
            found[path] = thing
        elif isinstance(thing, dict):
            for key, below in thing.items():
                walk(below, f"{path}[{key}]")
        elif isinstance(thing, (list, tuple, set)):
            for number, below in enumerate(thing):
                walk(below, f"{path}[{number}]")
        elif vars(thing) if hasattr(thing, "__dict__") else {}:
            for key, below in vars(thing).items():
                walk(below, f"{path}.{key}")

    loop.match.stream = None  # type: ignore[assignment]  # data: a function of its position
    walk(loop.match, "match")
    outside = {path for path, tensor in found.items() if tensor.data_ptr() not in files and tensor.numel() > 0}
    assert outside <= {"match.bad"}, outside


def test_the_state_is_plain_json(tmp_path: Path) -> None:
    loop = begin("r3gan", tmp_path)
    for _ in range(2):
        loop._add(loop.match.step())
    assert json.loads(json.dumps(loop.state())) == loop.state()
