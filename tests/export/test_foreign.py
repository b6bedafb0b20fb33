"""StyleGAN2 and R3GAN as runs of ours: the same pictures as the published networks; what cannot be one is refused."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.export import published_networks, published_r3gan
from tests.export.snapshots import pickled, snapshot
from torch import Tensor, nn

import sparring
from sparring import api
from sparring.cli import main
from sparring.errors import CheckpointError, UsageError
from sparring.export.foreign import convert
from sparring.export.foreign.sandbox import Found
from sparring.types import HasStyles


def stylegan2(architecture: str = "skip", **options: Any) -> published_networks.Generator:
    torch.manual_seed(3)
    return published_networks.Generator(6, 7, [8, 8, 4], architecture=architecture, **options)


def r3gan(classes: int = 0, **options: Any) -> published_r3gan.Generator:
    torch.manual_seed(3)
    return published_r3gan.Generator(6, [8, 8, 4], classes=classes, **options)


def kept(network: nn.Module, folder: Path, protocol: int = 4, **others: Any) -> Path:
    (folder / "network-snapshot.pkl").write_bytes(snapshot(network, protocol, **others))
    return folder / "network-snapshot.pkl"


def found(network: nn.Module, **changed: Tensor | None) -> Found:
    """What is read of a network; with other tensors, or without some (None)."""
    tensors = {name.replace("__", "."): tensor for name, tensor in changed.items()}
    every = {**network.state_dict(), **tensors}
    return Found({name: tensor for name, tensor in every.items() if tensor is not None}, "G_ema")


# ── what comes in is what comes out ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("architecture", "protocol", "options"),
    [("skip", 4, {}), ("resnet", 2, {"clamp": 1.5, "rate": 0.1}), ("orig", 5, {"layers": 2, "colours": 1})],
)
def test_stylegan2_makes_the_same_pictures(
    architecture: str, protocol: int, options: dict[str, Any], tmp_path: Path, at_once: None
) -> None:
    """To 1e-5, truncated or not; what the layers say of themselves is heeded."""
    theirs = stylegan2(architecture, **options)
    made = api.convert(kept(theirs, tmp_path, protocol), out=tmp_path / "run")
    game = sparring.load(made.path, device="cpu").game
    assert made.recipe == "stylegan2" and isinstance(game, HasStyles)
    z = torch.randn(3, 6)
    with torch.no_grad():
        for psi in (1.0, 0.6):
            ours = game.from_w(game.to_w(z, truncation=psi))
            torch.testing.assert_close(ours, theirs(z, psi), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(game.mean_w, theirs.mapping.w_avg)


@pytest.mark.parametrize("classes", [0, 3])
def test_r3gan_makes_the_same_pictures(classes: int, tmp_path: Path, at_once: None) -> None:
    """With the optimiser's state beside it, as the published snapshots have it."""
    theirs = r3gan(classes)
    state = torch.optim.Adam(theirs.parameters()).state_dict()
    made = api.convert(kept(theirs, tmp_path, cur_nimg=7, G_opt_state=state), out=tmp_path / "run")
    game: Any = sparring.load(made.path, device="cpu").game
    z, label = torch.randn(4, 6), torch.tensor([2, 0, 1, 1])
    with torch.no_grad():
        if classes:
            ours, said = game.decode(z, label), theirs(z, nn.functional.one_hot(label, 3).float())
        else:
            ours, said = game.decode(z), theirs(z)
    torch.testing.assert_close(ours, said, rtol=1e-5, atol=1e-5)
    assert made.recipe == ("cgan" if classes else "r3gan") and f"{'classes' if classes else 'G_ema'}" in str(made.lines)


def test_a_converted_run_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command line and a process that reads: samples, truncated too, walks, exports, where it is from."""
    file, run = str(kept(stylegan2(), tmp_path)), str(tmp_path / "run")
    assert main(["convert", file, "--as", "stylegan2", "--out", run]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == run and "sparring sample" in said.err and "D begins anew" in said.err
    for command in ("sample", "interpolate"):
        options = ["-n", "2", "--truncation", "0.5"] if command == "sample" else ["--frames", "2"]
        assert main([command, run, *options, "--out", str(tmp_path / f"{command}.png")]) == 0
    assert main(["export", run, "--out", str(tmp_path / "out")]) == 0
    assert main(["info", run]) == 0
    assert file in capsys.readouterr().out
    here, there = sparring.load(run), sparring.load(tmp_path / "out")
    assert torch.equal(here.sample(2, truncation=0.5), there.sample(2, truncation=0.5))
    assert not torch.equal(here.sample(2), here.sample(2, truncation=0.5))


def test_a_network_can_stand_alone(tmp_path: Path, at_once: None) -> None:
    """G where nothing was averaged, a network pickled by itself, and a state dict of torch: what layers say of
    themselves is then the published default."""
    theirs = stylegan2(rate=0.01)
    z = torch.randn(2, 6)
    for name, data in (("G", pickled({"G": theirs, "D": None})), ("alone", pickled(theirs)), ("state", b"")):
        (tmp_path / name).write_bytes(data)
        if not data:
            torch.save(OrderedDict((f"{key}", value) for key, value in theirs.state_dict().items()), tmp_path / name)
        made = api.convert(tmp_path / name, out=tmp_path / f"run-{name}")
        game: Any = sparring.load(made.path).game
        with torch.no_grad():
            torch.testing.assert_close(game.decode(z), theirs(z), rtol=1e-5, atol=1e-5)


def test_what_is_not_in_the_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, no mean of w: the pictures are those of such a network."""
    theirs, file = stylegan2(), tmp_path / "G.pkl"
    file.write_bytes(b"")
    quiet = {name: None for name in theirs.state_dict() if "noise" in name}
    monkeypatch.setattr(convert, "read", lambda path: found(theirs, **quiet, mapping__w_avg=None))
    made = convert.convert(file, out=tmp_path / "run")
    assert "adds none" in str(made.lines) and "draws towards 0" in str(made.lines)
    for name, buffer in theirs.named_buffers():
        if "noise" in name:
            buffer.zero_()
    game: Any = sparring.load(made.path).game
    with torch.no_grad():
        torch.testing.assert_close(game.decode(z := torch.randn(1, 6)), theirs(z), rtol=1e-5, atol=1e-5)


# ── what cannot be one ────────────────────────────────────────────────────────────────────────────────────────────


REFUSED: list[tuple[Found, str]] = [
    (found(stylegan2(classes=4)), "told one of 4 classes"),
    (found(stylegan2(), synthesis__b8__resample_filter=torch.eye(4)), "another filter"),
    (found(stylegan2(), mapping__fc1__weight=torch.zeros(9, 7)), "wider ones than w"),
    (found(stylegan2(), mapping__fc0__bias=None), "nothing for mapping.fc0.bias"),
    (found(stylegan2(), mapping__fc0__bias=torch.zeros(3)), "mapping.fc0.bias is 3, and in such a network 7"),
    (found(stylegan2(), extra=torch.zeros(3)), "holds more than such a network: extra"),
    (found(stylegan2(), synthesis__b4__const=torch.zeros(8, 3, 3)), "begins with a map of 3 × 3"),
    (found(stylegan2(), synthesis__b16__conv1__weight=torch.zeros(16, 16, 3, 3)), "8-8-16 channels"),
    (found(stylegan2(), synthesis__b16__torgb__weight=torch.zeros(5, 4, 1, 1)), "images of 5 × 16 × 16"),
    (Found(found(stylegan2()).tensors, "", {"mapping.fc0": {"activation": "relu"}}), "activation 'relu'"),
    (Found(found(stylegan2()).tensors, "", {"mapping.fc0": {"bias_gain": 7.0}}), "different speeds"),
    (Found(found(stylegan2()).tensors, "", {"synthesis.b4.conv1": {"conv_clamp": "x"}}), "cut at different values"),
    (found(r3gan(), Model__MainLayers__1__Layers__0__Resampler__Kernel=torch.eye(4)), "another filter"),
    (found(r3gan(), Model__MainLayers__1__Layers__3__LinearLayer1__Layer__weight=torch.zeros(1)), "number of their"),
    (found(r3gan(), Model__MainLayers__0__Layers__1__LinearLayer2__Layer__weight=torch.zeros(9, 4, 3, 3)), "widen 8"),
    (found(r3gan(3), Model__EmbeddingLayer__weight=torch.zeros(99, 3)), "more room than its latents"),
    (Found({"synthesis.input.freqs": torch.zeros(2)}), "StyleGAN3, which has no game here"),
    (Found({"conv1.conv.modulation.weight": torch.zeros(2)}), "rosinality"),
    (Found({"x": torch.zeros(2)}, "G", {"": {"class": "Pony"}}), r"not known here \(Pony\)"),
    (Found({"x": torch.zeros(2)}), "not named like those of a generator"),
]


@pytest.mark.parametrize(("what", "reason"), REFUSED, ids=[reason[:24] for _, reason in REFUSED])
def test_what_cannot_be_a_run_is_refused(
    what: Found, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "read", lambda path: what)
    (tmp_path / "G.pkl").touch()
    with pytest.raises(CheckpointError, match="CONVERT-FILE") as error:
        convert.convert(tmp_path / "G.pkl", out=tmp_path / "run")
    assert re.search(reason, error.value.why), error.value.why
    assert not (tmp_path / "run").exists()


def test_what_does_not_go_together_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "read", lambda path: found(stylegan2()))
    for asked, code in (
        ({"method": "r3gan"}, "CONVERT-AS"), ({"method": "pix2pix"}, "CONVERT-AS"), ({"size": 64}, "CONVERT-SIZE"),
        ({"dropout": "on"}, "CONVERT-SIZE"), ({"back": tmp_path / "B.pth"}, "CONVERT-BACK"),
        ({"method": "pony"}, "ARGUMENT"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=code):
            api.convert(tmp_path / "G.pkl", out=tmp_path / "run", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
