"""Vision transformers as their authors published them, through the library ``transformers``: DINOv2 and CLIP.

A pinned revision each, so that a number of today can be compared with one of next year. What is read are weights
(safetensors, or a state dict with ``weights_only``) and a configuration; no code of a repository is ever run.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparring.errors import MachineError
from sparring.networks import weights

INSTALL = 'pip install "sparring[features]"'


@dataclass(frozen=True)
class Published:
    """name: of the extractor.   repository, revision: on the hub of Hugging Face.   file: its weights there.
    kinds: what its config.json may call it.   megabytes: about, of `file`.   model: the class of transformers.
    also: other files that are read."""

    name: str
    repository: str
    revision: str
    file: str
    kinds: tuple[str, ...]
    megabytes: int
    model: str
    also: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What fetches it, once, on a machine that is connected."""
        files = " ".join(("config.json", *self.also, self.file))
        return f"hf download {self.repository} {files} --revision {self.revision}"


DINOV2 = Published(
    "dinov2", "facebook/dinov2-large", "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c", "model.safetensors",
    ("dinov2",), 1218, "Dinov2Model",
)  # fmt: skip
"""ViT-L/14 without registers (Oquab et al. 2023): the one that FD-DINOv2 is a number of (Stein et al. 2023). The
smaller ones cost a quarter and agree with nothing that is published."""
CLIP = Published(
    "clip", "openai/clip-vit-large-patch14-336", "ce19dc912ca5cd21c8a653c79e251e808ccabcd1", "pytorch_model.bin",
    ("clip", "clip_vision_model"), 1711, "CLIPVisionModelWithProjection",
)  # fmt: skip
"""ViT-L/14 at 336 px (Radford et al. 2021): the one of CMMD (Jayasumana et al. 2024)."""
CLIP_WITH_TEXT = Published(
    "clip", CLIP.repository, CLIP.revision, CLIP.file, ("clip",), CLIP.megabytes, "CLIPModel", ("tokenizer.json",),
)  # fmt: skip
"""The same with its other half, which reads texts (`networks.clip`)."""


@dataclass(frozen=True)
class Loaded:
    """network: frozen, float32, on the CPU, in eval mode.   sha256: of its weights' file (of the list of them, where
    there are several).   dimensions, size: of its features, and the side it was trained at, in pixels.
    folder: where its files lie."""

    network: nn.Module
    sha256: str
    dimensions: int
    size: int
    folder: Path


def load(published: Published, path: str | Path | None = None) -> Loaded:
    """The network of `published`, or another of its kind in a local folder as ``save_pretrained`` writes it.

    Without a path: from the cache of the hub, into which it is fetched once.
    Raises `MachineError`: FEATURES-ABSENT with the command that mends it, FEATURES-WEIGHTS where it is something else.
    """
    try:
        import transformers
    except ImportError as error:
        raise MachineError(
            "FEATURES-ABSENT", f"{published.name} needs transformers, which is not installed", fix=INSTALL
        ) from error
    folder = Path(path) if path is not None else _fetched(published)
    config = _config(folder, published)
    cls: Any = getattr(transformers, published.model)
    files = sorted(file for pattern in ("*.safetensors", "*.bin") for file in folder.glob(pattern))
    if not files:
        raise _foreign(folder, published, "there are no weights in it")
    try:
        with _quiet(transformers.utils.logging):
            network, info = cls.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # transformers and safetensors have no common family of errors
        raise _foreign(folder, published, _plain(error)) from error
    lost = sorted([*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])])
    if lost:
        raise _foreign(
            folder, published, f"{len(lost)} of its tensors are missing or of another shape, such as {lost[0]}"
        )
    vision = config.get("vision_config") or config
    dimensions = network.config.hidden_size if published.name == "dinov2" else network.config.projection_dim
    return Loaded(network.eval().requires_grad_(False), _sha256(files), int(dimensions), int(vision["image_size"]),
                  folder)  # fmt: skip


def _fetched(published: Published) -> Path:
    """The folder of the pinned revision in the cache of the hub. What is there is not asked for again."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url

    def every(kept: bool) -> Path:
        found = [
            hf_hub_download(published.repository, name, revision=published.revision, local_files_only=kept)
            for name in ("config.json", *published.also, published.file)
        ]
        return Path(found[-1]).parent

    try:
        return every(kept=True)
    except OSError:  # LocalEntryNotFoundError: not in the cache
        pass
    try:
        if not constants.HF_HUB_OFFLINE:
            _reach(hf_hub_url(published.repository, "config.json", revision=published.revision))
        return every(kept=False)
    except Exception as error:  # of urllib, of httpx, of the hub, of the disk
        raise MachineError(
            "FEATURES-ABSENT",
            f"the weights of {published.name} are not on this machine, and could not be fetched",
            where=f"{published.repository} at {published.revision[:8]}",
            why=_plain(error),
            fix=f"while connected: {published.command} (about {published.megabytes:,} MB); or name a folder: "
            f"{published.name}:PATH",
        ) from error


def _plain(error: BaseException) -> str:
    """What an error says, in a line."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return (str(reason).strip() or type(error).__name__).splitlines()[0]


def _reach(url: str) -> None:
    """Raises `OSError` at once where nobody answers, which the library tries for half a minute."""
    with suppress(urllib.error.HTTPError):  # somebody answers; the library knows what to make of it
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()


def _config(folder: Path, published: Published) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MachineError(
            "FEATURES-ABSENT", f"there is no model of {published.name} here", where=str(folder),
            why="a folder with config.json and its weights is expected", fix=f"while connected: {published.command}",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        raise _foreign(folder, published, f"config.json cannot be read ({error})") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in published.kinds:
        raise _foreign(folder, published, f"config.json says it is {kind!r}, not {' or '.join(published.kinds)}")
    return dict(config)


def _sha256(files: list[Path]) -> str:
    hashes = [weights.sha256_of(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _foreign(folder: Path, published: Published, why: str) -> MachineError:
    return MachineError(
        "FEATURES-WEIGHTS", f"this is no model of {published.name}", where=str(folder), why=why,
        fix=f"leave the path out, or while connected: {published.command}",
    )  # fmt: skip


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """No bars and no table of what a file holds besides: CLIP's other half is not used, and that is as it should be."""
    level: int = logging.get_verbosity()
    bars: bool = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
