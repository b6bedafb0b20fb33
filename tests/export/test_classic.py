"""Generators of the classic repository as runs of ours: the same pictures, whatever the network; files that are none
are refused in one sentence, with nothing executed.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.export.classic_networks import alone, checkpoint, generator
from torch import Tensor

import sparring
from sparring import api
from sparring.cli import main
from sparring.errors import CheckpointError, SparringError, UsageError
from sparring.export.foreign import convert, reader, sandbox
from sparring.export.foreign.classic_layout import layout, plain
from sparring.export.foreign.sandbox import Found


def made_by(path: Path, x: Tensor, *, back: bool = False) -> Tensor:
    game: Any = sparring.load(path, device="cpu").game
    with torch.no_grad():
        made = game.translate_back(x, None) if back else game.translate(x, None)
    assert isinstance(made, Tensor)
    return made


# ── what comes in is what comes out ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("backbone", "norm", "apart"),
    [("unet", "batch", True), ("unet", "instance", False), ("resnet", "batch", False), ("resnet", "instance", False)],
)
def test_a_converted_run_makes_the_same_pictures(
    backbone: str, norm: str, apart: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """Through the command line, image by image, to 1e-5; one of them read by a process of its own."""
    if not apart:
        request.getfixturevalue("at_once")
    net = generator(backbone, norm, given=1, dropout=backbone == "resnet")
    torch.save(checkpoint(net), tmp_path / "latest_net_G.pth")
    words = ["convert", str(tmp_path / "latest_net_G.pth"), "--as", "pix2pix", "--size", "64"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run")
    x = torch.rand(2, 1, 64, 128) * 2 - 1
    torch.testing.assert_close(made_by(tmp_path / "run", x), alone(net, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("backbone", ["unet", "resnet"])
def test_every_network_is_found_by_its_shapes(backbone: str, norm: str, tmp_path: Path, at_once: None) -> None:
    """Also behind `module.`, and with the statistics that old versions kept."""
    size = {"halvings": 5, "width": 2} if backbone == "unet" else {"blocks": 3, "width": 2}
    net = generator(backbone, norm, made=4, **size)
    tensors = OrderedDict((f"module.{name}", tensor) for name, tensor in checkpoint(net).items())
    if norm == "instance":
        tensors["module.model.2.running_mean"] = torch.zeros(2)
    torch.save(tensors, tmp_path / "G.pth")
    made = convert.convert(tmp_path / "G.pth", "pix2pix", out=tmp_path / "run", size=32, dropout="auto")
    x = torch.rand(1, 3, 32, 64) * 2 - 1
    torch.testing.assert_close(made_by(made.path, x), alone(net, x), rtol=0, atol=1e-5)
    found = layout(plain(tensors))
    assert (found.given, found.made, found.width, found.count) == (3, 4, 2, 5 if backbone == "unet" else 3)


def test_cyclegan_has_two_generators(tmp_path: Path, at_once: None) -> None:
    there, back = generator("resnet", "instance", blocks=1, width=2), generator("resnet", "instance", blocks=1, width=2)
    with torch.no_grad():
        back.model[1].weight.mul_(-1)  # type: ignore[index, union-attr]
    for name, net in (("A", there), ("B", back)):
        torch.save(checkpoint(net), tmp_path / f"latest_net_G_{name}.pth")
    a, b = tmp_path / "latest_net_G_A.pth", tmp_path / "latest_net_G_B.pth"
    both = api.convert(a, "cyclegan", back=b, out=tmp_path / "both", size=32)
    x = torch.rand(1, 3, 16, 20) * 2 - 1
    torch.testing.assert_close(made_by(both.path, x), alone(there, x), rtol=0, atol=1e-5)
    torch.testing.assert_close(made_by(both.path, x, back=True), alone(back, x), rtol=0, atol=1e-5)
    one = convert.convert(a, "cyclegan", out=tmp_path / "one", size=32)
    torch.testing.assert_close(made_by(one.path, x), alone(there, x), rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="CYCLEGAN-WAY.*BtoA"):
        made_by(one.path, x, back=True)


def test_what_the_run_says_of_itself(tmp_path: Path, at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(checkpoint(generator("unet", "batch", width=2)), tmp_path / "latest_net_G.pth")
    made = convert.convert(tmp_path / "latest_net_G.pth", "pix2pix", out=tmp_path / "run", size=64)
    text = "\n".join(made.lines)
    assert "U-Net of 6 halvings, 2 wide, 3 → 3 channels, batch" in text and "dropout   on" in text
    assert main(["info", str(made.path)]) == 0
    assert "pix2pix" in capsys.readouterr().out
    assert main(["resume", str(made.path)]) == 2
    assert "[RUN-CONVERTED]" in capsys.readouterr().err


def test_dropout_is_what_the_layers_say(tmp_path: Path, at_once: None) -> None:
    for dropout in (False, True):
        torch.save(checkpoint(generator("resnet", "batch", dropout=dropout, blocks=1, width=2)), tmp_path / "G.pth")
        made = convert.convert(tmp_path / "G.pth", "cyclegan", out=tmp_path / f"run{dropout}", size=32)
        assert sparring.load(made.path).game.config.dropout == 0.5 * dropout  # type: ignore[union-attr]
        with pytest.raises(UsageError, match="CONVERT-DROPOUT"):
            convert.convert(tmp_path / "G.pth", "cyclegan", out=tmp_path / "no", dropout="off" if dropout else "on")
    torch.save(checkpoint(generator("unet", "batch", width=2)), tmp_path / "G.pth")
    for asked, method, share in (("auto", "pix2pix", 0.5), ("off", "pix2pix", 0.0), ("auto", "cyclegan", 0.0)):
        made = convert.convert(
            tmp_path / "G.pth", method, out=tmp_path / f"run-{asked}-{method}", size=64, dropout=asked  # type: ignore[arg-type]
        )  # fmt: skip
        assert sparring.load(made.path).game.config.dropout == share  # type: ignore[union-attr]


def test_what_does_not_go_together_is_refused(tmp_path: Path, at_once: None) -> None:
    torch.save(checkpoint(generator("unet", "batch", width=2)), tmp_path / "G.pth")
    torch.save(checkpoint(generator("unet", "batch", width=2, given=1)), tmp_path / "B.pth")
    for settings, code in (
        ({"size": 100}, "CONVERT-SIZE.*"), ({"back": tmp_path / "B.pth"}, "CONVERT-BACK"),
        ({"back": tmp_path / "B.pth", "method": "cyclegan"}, "CONVERT-BACK"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=code):
            convert.convert(tmp_path / "G.pth", **({"method": "pix2pix", "out": tmp_path / "run"} | settings))  # type: ignore[arg-type]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="RUN-OUT"):
        convert.convert(tmp_path / "G.pth", "pix2pix", out=tmp_path / "taken")
    (tmp_path / "taken" / "recipe.yaml").write_text("recipe: gan")
    with pytest.raises(UsageError, match="RUN-EXISTS") as error:
        convert.convert(tmp_path / "G.pth", "pix2pix", out=tmp_path / "taken")
    assert "resume" not in str(error.value)  # a converted run cannot go on
    assert not (tmp_path / "run").exists()


# ── files that are no such thing ──────────────────────────────────────────────────────────────────────────────────


class Touch:
    """Unpickled in the usual way, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def zipped(parts: dict[str, bytes], *, twice: str = "", packed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(twice, parts[twice])
    return file.getvalue()


def parts_of(saved: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def saved(found: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(found, file, **options)
    return file.getvalue()


def good() -> OrderedDict[str, Tensor]:
    return checkpoint(generator("resnet", "instance", blocks=1, width=2))


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "code": (lambda canary: saved({"model.1.weight": Touch(canary)}), r"names (posix|nt)\.mkdir"),
    "code, as it was": (
        lambda canary: saved(Touch(canary), _use_new_zipfile_serialization=False),
        r"names (posix|nt)\.mkdir",
    ),
    "bare pickle": (lambda canary: pickle.dumps(Touch(canary)), r"names (posix|nt)\.mkdir"),
    "cut": (lambda _: saved(good())[:3000], "damaged"),
    "cut, as it was": (lambda _: saved(good(), _use_new_zipfile_serialization=False)[:-500], "damaged"),
    "a number changed": (lambda _: changed(saved(good())), "part 'archive/data/0' is damaged"),
    "empty": (lambda _: b"", "empty"),
    "twice": (lambda _: zipped(parts_of(saved(good())), twice="archive/data.pkl"), "two parts"),
    "packed": (lambda _: zipped(parts_of(saved(good())), packed=True), "packed"),
    "another zip": (lambda _: zipped({"readme.txt": b"hello"}), "not one that torch.save wrote"),
    "a program": (lambda _: zipped({"a/code/x.py": b"", "a/data.pkl": b""}), "TorchScript"),
    "4 TB in 1.6 KB": (lambda _: saved({"a": torch.zeros(1).expand(2**20, 2**20)}), "claim 4,398,046,511,104 bytes"),
    "a claim": (lambda _: claiming(saved(good(), _use_new_zipfile_serialization=False)), "shorter than it says"),
}
"""A file that touches a canary if it is run, and the reason that is given."""


def changed(data: bytes) -> bytes:
    """The same zip with one byte of the first tensor turned."""
    at = data.index(next(bytes(part) for name, part in parts_of(data).items() if name.endswith("/data/0")))
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def claiming(data: bytes) -> bytes:
    """The same file, as it was written until 2020, in which a storage of 294 numbers says it had 2³¹ − 1."""
    at = data.index(b"M" + (294).to_bytes(2, "little"))
    return data[:at] + b"J" + (2**31 - 1).to_bytes(4, "little") + data[at + 3 :]


APART = ("code",)
"""Read by a process of its own, from which one must be told of what is hostile."""


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_checkpoint_is_refused(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name not in APART:
        request.getfixturevalue("at_once")
    canary, (write, reason) = tmp_path / "canary", FILES[name]
    (tmp_path / "G.pth").write_bytes(write(canary))
    with pytest.raises(CheckpointError, match="CONVERT-FILE") as error:
        convert.convert(tmp_path / "G.pth", "pix2pix", out=tmp_path / "run")
    assert re.search(reason, error.value.why), error.value.why
    assert "weights_only" not in str(error.value) and len(error.value.why) < 250
    assert not canary.exists() and not (tmp_path / "run").exists()


def test_the_canary_would_be_touched(tmp_path: Path) -> None:
    torch.load(io.BytesIO(saved(Touch(tmp_path / "canary"))), weights_only=False)
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ([torch.zeros(3)], "holds a list"),
        ({}, "holds a dict"),
        ({"state_dict": {"model.1.weight": torch.zeros(3)}}, "beside tensors it holds a dict called 'state_dict'"),
        ({"a": torch.zeros(2).to_sparse()}, "_rebuild_sparse_tensor"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "ComplexFloatStorage"),
        ({3: torch.zeros(2)}, "no name"),
        ({"a": torch.zeros(1).expand(100, 100)}, "claim 40,000 bytes"),
    ],
)
def test_what_holds_no_checkpoint_is_refused(
    what: object, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "limit", lambda size: None)
    torch.save(what, tmp_path / "G.pth")
    assert reader.main(str(tmp_path / "G.pth"), str(tmp_path / "out")) == 3
    assert re.search(reason, json.loads(capsys.readouterr().out)["why"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"encoder.weight": torch.zeros(3, 3)}, "not named like"),
        (OrderedDict(list(good().items())[:-1]), "there is no model.18.bias"),
        ({name: x for name, x in good().items() if name != "model.18.weight"}, "whose last layer is missing"),
        (good() | {"model.99.weight": torch.zeros(1)}, "more than such a network: model.99.weight"),
        (good() | {"model.4.weight": torch.zeros(4, 2, 5, 5)}, "model.4.weight is 4×2×5×5, and .* 4×2×3×3"),
        (good() | {"model.1.weight": torch.zeros(4)}, "model.1.weight is 4"),
        (good() | {"model.1.weight": torch.zeros(1).expand(4096, 3, 7, 7)}, "is 2, and|is 8×4×3×3, and|×"),
        (good() | {"model.1.weight": torch.zeros(1).expand(9999, 3, 7, 7)}, "9999 wide"),
        ({"model.0.weight": torch.zeros(8, 6, 4, 4)}, "discriminator"),
        (checkpoint(generator("resnet", "instance", given=7, blocks=1, width=2)), "3 channels of 7"),
        (good() | {"model.10.conv_block.0.weight": torch.zeros(1)}, "pad with zeros"),
        (good() | {"model.12.conv_block.1.weight": torch.zeros(1)}, "not where they are"),
    ],
)
def test_what_is_no_generator_is_refused(
    found: dict[str, Tensor], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "read", lambda path: Found(dict(found)))
    with pytest.raises(CheckpointError, match="CONVERT-FILE") as error:
        convert.convert(tmp_path / "G.pth", "pix2pix", out=tmp_path / "run")
    assert re.search(reason, error.value.why), error.value.why


def test_a_file_as_it_was_until_2020_is_read(tmp_path: Path) -> None:
    torch.save(good(), tmp_path / "G.pth", _use_new_zipfile_serialization=False)
    found = sandbox.read(tmp_path / "G.pth").tensors
    assert all(torch.equal(tensor, found[name]) for name, tensor in good().items())


def test_other_things_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"model.1.weight": torch.zeros(3)}, tmp_path / "G.safetensors")
    with pytest.raises(CheckpointError, match="safetensors"):
        convert.convert(tmp_path / "G.safetensors", "pix2pix", out=tmp_path / "run")
    with pytest.raises(CheckpointError, match="directory"):
        convert.convert(tmp_path, "pix2pix", out=tmp_path / "run")
    with pytest.raises(SparringError, match="No such file"):
        convert.convert(tmp_path / "nothing.pth", "pix2pix", out=tmp_path / "run")
    assert main(["convert", str(tmp_path / "nothing.pth"), "--as", "pix2pix", "--out", str(tmp_path / "run")]) == 4
    said = capsys.readouterr().err
    assert "[CONVERT-FILE]" in said and "Traceback" not in said
