"""An ONNX file computes what the game computes, for any batch (and size, of what translates), and says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.runs import CLASS_NAMES, run_of
from tests.train.arena import EVERY

from sparring import api
from sparring.chance import Dice
from sparring.cli import main
from sparring.errors import MachineError, UsageError
from sparring.export import folder, functions, onnx
from sparring.networks.unet import UNet
from sparring.recipes import RECIPES
from sparring.runs.run import Run
from sparring.types import Classifies, HasLatents, HasLatentsByClass, Segments, Translates, TranslatesBack

GAMES = {"gan": "gan", "dcgan": "dcgan", "r3gan": "r3gan-paper", "cgan": "cgan", "classifier": "classifier",
         "stylegan2": "stylegan2", "vae": "vae", "svae": "svae",
         "pix2pix": "pix2pix", "cyclegan": "cyclegan", "fcn8s": "fcn8s"}  # fmt: skip
"""A nano game of the arena of every recipe."""
SMALLER = {name: (3, 8, 8) for name in ("dcgan", "r3gan", "cgan", "stylegan2", "vae", "svae", "pix2pix")}
"""Of one stage less than in the arena: PyTorch traces each operation for itself, 20 ms of each."""


@pytest.fixture(scope="module", autouse=True)
def extra() -> None:
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="the extra [onnx] is not installed")


@pytest.fixture(scope="module", autouse=True)
def registered_once(extra: None) -> Iterator[None]:
    """PyTorch lists what it can translate anew for each file, which takes it a second: here once for all."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


def opened(path: Path) -> Any:
    import onnxruntime as runtime

    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def pictures(n: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return Dice(seed, "pictures", range(n)).uniform(3, height, width) * 2 - 1


def asked(game: Any, n: int) -> list[tuple[str, tuple[torch.Tensor, ...], torch.Tensor]]:
    """(file, what goes in, what must come out) of everything that a game computes, for n samples."""
    dice, found = Dice(9, "other", range(n)), []
    if isinstance(game, HasLatents):
        z = game.latents(dice)
        given = (z, torch.arange(n) % 3) if isinstance(game, HasLatentsByClass) else (z,)
        found.append(("model.onnx", given, game.decode(*given)))
    sizes = [(16, 16)] if isinstance(game, Segments) else [(16, 16), (16 * n, 48)]
    for x in (pictures(n, *size) for size in sizes):
        if isinstance(game, Translates) and not isinstance(game, Segments):
            found.append(("model.onnx", (x,), game.translate(x, None)))
        if isinstance(game, TranslatesBack):
            found.append(("back.onnx", (x,), game.translate_back(x, None)))
        if isinstance(game, Segments):
            found.append(("model.onnx", (x,), game.segment(x)))
    if isinstance(game, Classifies):
        x = pictures(n, 16, 16)
        found.append(("model.onnx", (x,), game.classify(x)))
    return found


def test_every_recipe_is_here() -> None:
    # pixelcnn draws one value after the other; vqgan has tokens, a dual encoder texts: no function of latents or images
    assert set(GAMES) == set(RECIPES) - {"pixelcnn", "vqgan", "taming", "text2image", "dualencoder"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Run, folder.Exported]]:
    """A run of a recipe, and its export; each once."""

    @cache
    def of(recipe: str) -> tuple[Run, folder.Exported]:
        out, name = tmp_path_factory.mktemp(recipe), GAMES[recipe]
        with pytest.MonkeyPatch.context() as patch:
            if recipe in SMALLER:
                patch.setitem(EVERY, name, (recipe, SMALLER[recipe], EVERY[name][2]))
            run = run_of(name, out / "run")
            if recipe == "fcn8s":  # of one size: to trace it for any takes ten seconds (exports do, and compare)
                patch.setattr(functions, "_DEEPEST", 0)
            if recipe == "cyclegan":  # the way back by fewer operations: to trace the paper's again takes five seconds
                run.game.G["BtoA"] = UNet(3, 3, depth=1, width=4).eval()
                return run, folder.export(run, ["onnx"], out / "out")
            return run, folder.export(run, ["onnx", "safetensors"], out / "out")

    return of


@pytest.mark.parametrize("recipe", GAMES)
def test_a_file_computes_what_the_game_does(recipe: str, exported: Any) -> None:
    run, made = exported(recipe)
    found = {one.file: one for one in made.onnx}
    assert set(found) == {"model.onnx", *(["back.onnx"] if recipe == "cyclegan" else [])}
    sessions = {file: opened(made.path / file) for file in found}
    for n in (1, 5):
        with torch.no_grad():
            for file, given, wanted in asked(run.game, n):
                names = [port.name for port in sessions[file].get_inputs()]
                assert names == [port.name for port in found[file].inputs]
                (y,) = sessions[file].run(None, {k: x.numpy() for k, x in zip(names, given, strict=True)})
                assert y.shape == tuple(wanted.shape)
                assert np.abs(y - wanted.numpy()).max() <= 1e-4
    for file, one in found.items():
        assert one.difference is not None and one.difference <= 1e-4
        about = sessions[file].get_modelmeta()
        told = about.custom_metadata_map
        assert told["recipe"] == recipe and about.description == one.what
        assert json.loads(told["inputs"]) == [port.line() for port in one.inputs]
        assert told["output"] == one.output.line() and sessions[file].get_inputs()[0].shape[0] == "batch"
        assert str(Path(onnx.__file__).parents[1]).encode() not in (made.path / file).read_bytes()


def test_the_card_says_how_it_is_used(exported: Any) -> None:
    _, made = exported("cgan")
    assert [file.name for file in made.files] == [
        "config.json", "model.safetensors", "model.onnx", "README.md", "samples.png",
    ]  # fmt: skip
    card = (made.path / "README.md").read_text("utf-8")
    assert "Opset 20" in card and "`label`: int64 (batch), the class, 0 to 4" in card and "within " in card
    code = card.split("## ONNX")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace('"model.onnx"', repr(str(made.path / "model.onnx"))), names)
    assert names["made"].shape == (4, 3, 8, 8)
    told = opened(made.path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == list(CLASS_NAMES)
    assert isinstance(api.load(made.path).images, int)


def test_latents_of_a_sphere_are_drawn_on_it(exported: Any) -> None:
    _, made = exported("svae")
    card = (made.path / "README.md").read_text("utf-8")
    assert "uniform on the unit sphere" in card and "standard normal, each" not in card
    code = card.split("## ONNX")[1].split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace('"model.onnx"', repr(str(made.path / "model.onnx"))), names)
    assert len(names["made"]) == 4


def test_what_translates_is_written_without_noise_and_says_so(exported: Any) -> None:
    card = (exported("pix2pix")[1].path / "README.md").read_text("utf-8")
    assert "without noise (dropout)" in card and "multiples of 8" in card
    assert "`image`: float32 (batch, 3, height, width), [-1, 1] from black to white" in card


def test_an_export_alone_is_told_from_one_that_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of("gan", tmp_path / "run")
    assert main(["export", str(tmp_path / "run"), "--to", "onnx"]) == 0
    said = capsys.readouterr()
    assert "model.onnx: z → points; " in said.err and "model.safetensors" not in said.out
    assert main(["sample", str(tmp_path / "run" / "export")]) == 4
    assert "--to safetensors" in capsys.readouterr().err


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("gan", tmp_path / "run")
    whole = run.game.decode

    def odd(z: torch.Tensor) -> torch.Tensor:
        return whole(z) + (1.0 if float(z.sum()) > 0 else 0.0)  # which no file can hold

    monkeypatch.setattr(type(run.game), "decode", lambda self, z: odd(z))
    with pytest.raises(UsageError, match="EXPORT-ONNX"):
        folder.export(run, ["onnx"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("gan", tmp_path / "run")
    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    with pytest.raises(UsageError, match="something else"):
        folder.export(run, ["onnx"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_extra_is_named_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    run = run_of("gan", tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MachineError, match=r"sparring\[onnx\]"):
        folder.export(run, ["onnx"], tmp_path / "out")
