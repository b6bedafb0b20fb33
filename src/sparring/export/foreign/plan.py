"""What a network found in a file becomes: the recipe that has such a network, its settings, and the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sparring
from sparring.data import Options
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import load
from sparring.train.checkpoint import Store
from sparring.train.game import Game

MOST_SIDE = 4096


class Unlike(Exception):
    """What is unlike every network that can be converted, in a sentence."""


@dataclass(frozen=True)
class Converted:
    """path: the run's directory.   lines: what was found, for people.   recipe: its name."""

    path: Path
    lines: tuple[str, ...]
    recipe: str


@dataclass(frozen=True)
class Plan:
    """recipe, settings: of the game.   shape: (C, H, W) of its images.   classes: how many it is told apart by.
    tensors: of its player G.   layout: what was found, for recipe.yaml.   lines: the same for people."""

    recipe: str
    settings: Sequence[str]
    shape: tuple[int, int, int]
    tensors: Mapping[str, Tensor]
    layout: Mapping[str, Any]
    lines: Sequence[str]
    classes: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)


def make(plan: Plan, generators: Mapping[str, Mapping[str, Tensor]], files: Sequence[Path], out: RunDirectory) -> None:
    """The run's directory: recipe.yaml, and a checkpoint of the game's players, those that the file does not have as
    they begin. generators: path of a network in the game → its tensors."""
    recipe = load(plan.recipe, list(plan.settings), "converted")
    sides = plan.data or {"shape": plan.shape, **_options(plan).record()}
    document = {
        **recipe.document(),
        "data": {
            "source": str(files[0]), "kind": "images", **sides, "shape": list(plan.shape),
            "fingerprint": "converted", "classes": [str(k) for k in range(plan.classes)], "captions": False,
        },
        "run": {
            "seed": 0, "images": 1, "horizon": 1, "device": "cpu", "threads": torch.get_num_threads(), "processes": 1,
            "rate": 0.0, "preset": recipe.preset, "why": recipe.why, "rescue": False, "stop": "budget",
            "sparring": sparring.__version__, "torch": str(torch.__version__),
            "converted": {"from": [_origin(path) for path in files], "layout": dict(plan.layout)},
        },
    }  # fmt: skip
    game = plans.build(recipe, plans.space_of_document(document), 0)
    for path, tensors in generators.items():
        filled(network_of(game, path), tensors)
    out.create(document, {"converted": [str(path) for path in files]})
    players = {name: dict(player.state_dict()) for name, player in game.players.items()}
    Store(out.checkpoints).save(1, players, {"round": 0, "drawn": 0})


def network_of(game: Game, path: str) -> nn.Module:
    """``G``, or what is in it: ``G.network``."""
    player, _, within = path.partition(".")
    return game.players[player].get_submodule(within)


def filled(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The network with these weights: every name filled, every tensor used. `Unlike`."""
    wanted = network.state_dict()
    if missing := sorted(set(wanted) - set(tensors)):
        raise Unlike(f"there is nothing for {missing[0]}")
    if spare := sorted(set(tensors) - set(wanted)):
        raise Unlike(f"it holds more than such a network: {spare[0]}")
    for name, like in wanted.items():
        if tensors[name].shape != like.shape:
            raise Unlike(f"{name} is {size(tensors[name])}, and in such a network {size(like)}")
    network.load_state_dict(dict(tensors))


def size(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "a number"


def shape_of(tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    """The sides of a tensor that must be there. `Unlike`."""
    if name not in tensors:
        raise Unlike(f"there is no {name}")
    if tensors[name].dim() != dimensions:
        raise Unlike(f"{name} is {size(tensors[name])}")
    return tuple(tensors[name].shape)


def check_image(shape: tuple[int, int, int]) -> None:
    """`Unlike` for images that runs cannot have."""
    if shape[0] not in (1, 3, 4) or not all(8 <= side <= MOST_SIDE for side in shape[1:]):
        raise Unlike(f"it makes images of {' × '.join(map(str, shape))}, and runs have 1, 3 or 4 channels")


def _options(plan: Plan) -> Options:
    return Options(size=plan.shape[1:], channels=plan.shape[0], held_out=0.0, labels="none")


def _origin(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"file": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
