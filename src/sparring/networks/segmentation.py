"""Published networks that name the class of every pixel, through the library ``transformers``.

What is read are a configuration and weights in safetensors; no code of a repository is ever run. A repository is known
by the commit that it was read at, which is part of a number's label.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import MachineError, UsageError
from sparring.networks import weights
from sparring.networks.published import INSTALL

FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Source:
    """repository, revision: on the hub ("" for what is newest there).   folder: else, where it lies."""

    repository: str = ""
    revision: str = ""
    folder: str = ""

    @classmethod
    def parse(cls, text: str) -> Source:
        """``hf:owner/name``, ``hf:owner/name@revision``, or a folder as ``save_pretrained`` writes it.

        >>> Source.parse("hf:nvidia/segformer@8e2b1c")
        Source(repository='nvidia/segformer', revision='8e2b1c', folder='')
        """
        if not text.startswith("hf:"):
            return cls(folder=text)
        repository, _, revision = text.removeprefix("hf:").partition("@")
        if repository.count("/") != 1 or not all(repository.split("/")):
            raise UsageError("SEGMENTER-NAME", "a repository is named by its owner and its name", where=text,
                             fix="hf:owner/name, or hf:owner/name@revision")  # fmt: skip
        return cls(repository, revision)


class Published(nn.Module):
    """Images (N, 3, H, W) in [0, 1] → logits (N, K, H, W). Frozen, float32, in eval mode; made by `load`.

    names: of the K classes.   sha256: of its weights' file.   size: (height, width) that images are resized to for it,
    antialiased, or None; logits come back at the size of the image, bilinearly.   what: repository and commit.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, network: nn.Module, names: tuple[str, ...], like: dict[str, Any], sha256: str, what: str
    ) -> None:
        super().__init__()
        self.network, self.names, self.sha256, self.what = network, names, sha256, what
        self.size = _size(like)
        self.register_buffer("mean", torch.tensor(like.get("image_mean") or _MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(like.get("image_std") or _DEVIATION)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        if self.size is not None and tuple(size) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.network(pixel_values=(x - self.mean) / self.deviation).logits
        return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def load(text: str) -> Published:
    """The network of a repository, fetched once into the cache of the hub, or of a folder.

    Raises `UsageError` for a name that is none, `MachineError`: FEATURES-ABSENT where transformers, or the network, is
    not there, FEATURES-WEIGHTS where it is no network for semantic segmentation.
    """
    try:
        import transformers
    except ImportError as error:
        raise MachineError(
            "FEATURES-ABSENT", "published networks need transformers, which is not installed", fix=INSTALL
        ) from error
    source = Source.parse(text)
    folder = _fetched(source) if source.repository else Path(source.folder).expanduser()
    config, file = _json(folder / "config.json", text), folder / FILES[2]
    if config is None or not file.is_file():
        raise _absent(text, f"{FILES[0] if config is None else FILES[2]} is not in it")
    cls: Any = transformers.AutoModelForSemanticSegmentation
    logging: Any = transformers.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        network, info = cls.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, use_safetensors=True,
            trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:  # transformers and safetensors have no common family of errors
        raise _foreign(text, str(error).strip().splitlines()[0] if str(error).strip() else "") from error
    finally:
        logging.set_verbosity(level)
    if lost := sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]])):
        raise _foreign(text, f"{len(lost)} of its tensors are missing or of another shape, such as {lost[0]}")
    names = tuple(str(network.config.id2label[k]) for k in range(network.config.num_labels))
    what = f"{source.repository}@{folder.name}" if source.repository else str(folder)
    found = Published(network, names, _json(folder / FILES[1], text) or {}, weights.sha256_of(file), what)
    return found.eval().requires_grad_(False)


def _fetched(source: Source) -> Path:
    """The folder of a commit in the cache of the hub. What is there is not asked for again."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    folder, revision, endpoint = Path(), source.revision or None, os.environ.get("HF_ENDPOINT") or None
    for name in FILES:
        try:
            try:
                file = hf_hub_download(source.repository, name, revision=revision, local_files_only=True)
            except OSError:  # LocalEntryNotFoundError
                file = hf_hub_download(source.repository, name, revision=revision, endpoint=endpoint)
        except EntryNotFoundError as error:
            if name == FILES[1]:  # then images go in as ImageNet's do
                continue
            raise _absent(f"hf:{source.repository}", f"there is no {name} in it") from error
        except Exception as error:  # of httpx, of the hub, of the disk
            raise _absent(f"hf:{source.repository}", (str(error).splitlines() or [""])[0]) from error
        folder = Path(file).parent
    return folder


def _size(like: dict[str, Any]) -> tuple[int, int] | None:
    said = like.get("size")
    if not like.get("do_resize", True) or said is None:
        return None
    if isinstance(said, int):
        return said, said
    if "shortest_edge" in said:
        return said["shortest_edge"], said["shortest_edge"]
    return int(said["height"]), int(said["width"])


def _json(file: Path, where: str) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _foreign(where, f"{file.name} cannot be read ({error})") from error
    return found if isinstance(found, dict) else None


def _absent(where: str, why: str) -> MachineError:
    return MachineError(
        "FEATURES-ABSENT", "the segmentation network is not on this machine, and could not be fetched", where=where,
        why=why, fix=f"while connected: hf download OWNER/NAME {' '.join(FILES)}; or name a folder with these files",
    )  # fmt: skip


def _foreign(where: str, why: str) -> MachineError:
    return MachineError(
        "FEATURES-WEIGHTS", "this is no network for semantic segmentation that can be read", where=where, why=why,
        fix="name one that transformers' AutoModelForSemanticSegmentation opens, with weights in safetensors",
    )  # fmt: skip
