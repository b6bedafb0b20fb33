"""Once a VAE is trained, samples need its decoder alone: what is loaded, what is exported, and what says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.export.runs import run_of
from torch import nn

from sparring import api
from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.export import folder
from sparring.runs.run import Run
from sparring.train.checkpoint import Store
from sparring.train.game import Game
from sparring.train.parts import LeftOut, left_out, lop, used


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a nano VAE with its export in it; never change it."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    folder.export(run_of("vae", out), ["safetensors"], out / "export")
    return out


def test_the_checkpoint_says_what_samples_need(digits: Path) -> None:
    found = Store(digits / "checkpoints").newest()
    assert (
        found is not None and found.state["samples_need"] == ["M.decoder"] and found.state["left_out"] == ["M.encoder"]
    )
    info = api.load(digits).info()
    assert info["samples need"] == "M.decoder" and info["left out"] == "M.encoder"
    gan = run_of("gan-images", digits.parent / "gan")
    assert "left out" not in gan.info() and "left_out" not in gan.checkpoint.state


def test_sampling_loads_the_decoder_alone(digits: Path) -> None:
    whole, part = Run(digits), Run(digits, lopped=True)
    assert torch.equal(whole.sample(5, seed=1), part.sample(5, seed=1))
    assert torch.equal(whole.interpolate(4), part.interpolate(4))
    assert isinstance(part.game.M.encoder, LeftOut) and not isinstance(whole.game.M.encoder, LeftOut)
    assert not [name for name, _ in part.game.named_parameters() if "encoder" in name]
    x = torch.zeros(2, 3, 16, 16)
    assert whole.game.reconstruct(x, Dice(0, "x", range(2))).shape == x.shape
    with pytest.raises(UsageError, match=r"M\.encoder is left out"):
        part.game.reconstruct(x, Dice(0, "x", range(2)))


def test_an_exported_folder_has_no_encoder(digits: Path) -> None:
    config = json.loads((digits / "export" / "config.json").read_text())
    assert config["weights"]["players"] == ["M.decoder"] and {"sample", "interpolate"} <= set(config["can"])
    release = api.load(digits / "export")
    assert torch.equal(release.sample(5, seed=1), Run(digits).sample(5, seed=1))
    assert release.info()["left out"] == "M.encoder" and list(release.info()["parameters"]) == ["M.decoder"]
    with pytest.raises(UsageError, match="GAME-LEFT-OUT"):
        release.game.log_likelihood(torch.zeros(1, 3, 16, 16), Dice(0, "x", range(1)))


class Nested(Game):
    """Parts within parts."""

    useful = ("M.body.deep.last", "M.scale")

    def __init__(self) -> None:
        super().__init__()
        body = nn.ModuleDict({"deep": nn.ModuleDict({"first": nn.Linear(2, 2), "last": nn.Linear(2, 2)})})
        self.M = nn.ModuleDict({"head": nn.Linear(2, 2), "body": body, "scale": nn.Linear(1, 1)})

    @classmethod
    def build(cls, config, space):  # type: ignore[no-untyped-def]
        return cls()

    @property
    def players(self):  # type: ignore[no-untyped-def]
        return {"M": self.M}

    def losses(self, player, batch, shared, now):  # type: ignore[no-untyped-def]
        return {}

    def weights(self, player, terms, now):  # type: ignore[no-untyped-def]
        return {}


def test_parts_of_parts_are_found() -> None:
    game = Nested()
    assert list(used(game)) == ["M.body.deep.last", "M.scale"]
    assert left_out(game) == ("M.head", "M.body.deep.first")
    assert lop(game) == left_out(game) == lop(game)
    assert sorted(name for name, _ in game.named_parameters()) == [
        "M.body.deep.last.bias", "M.body.deep.last.weight", "M.scale.bias", "M.scale.weight",
    ]  # fmt: skip
