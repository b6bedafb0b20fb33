"""Networks that say which class every pixel of a photo is of: one trained here (recipe fcn8s), or a published one."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.metrics.features import prepare
from sparring.networks import segmentation, weights
from sparring.ops.colour import grey
from sparring.types import Segments


class Segmenter(ABC):
    """name, version: what a number's label says of it.   legend: names of its K classes.   ignored: those that say
    nothing of their pixels.   protocol: what is done to an image, in words.   of: where it is from."""

    name: str
    version: str
    legend: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    protocol: str
    of: str

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """(n, C, H, W) uint8, C 1, 3 or 4 → (n, K, H, W) logits, float32, on the device of the network."""


class FCN(Segmenter):
    """A run of recipe fcn8s. game: trained, on its device, averaged players in place.   given: (C, H, W) of the photos
    that it was trained on.   legend, ignored: the classes of its label maps.

    A photo of another size is resized so that its shorter side is that of the photos it was trained on, for a network
    that has learnt how large a window is knows no other windows; logits come back at the photo's own size.
    """

    name = "fcn8s"

    def __init__(self, game: nn.Module, given: tuple[int, ...], legend: tuple[str, ...], of: str,
                 ignored: tuple[str, ...] = ()) -> None:  # fmt: skip
        if not isinstance(game, Segments):
            raise UsageError("FCN-RUN", "this run does not say what a pixel is", where=of,
                             fix="train one: sparring train PHOTOS/ LABELS/ --recipe fcn8s --maps B")  # fmt: skip
        self.legend, self.ignored, self.of, self.given = legend, ignored, of, given
        self._judge: Segments = game
        game.eval().requires_grad_(False)
        self.device = next(game.parameters()).device
        self.version = weights.digest(game.state_dict())[:8]  # two judges, even two seeds, do not compare
        self.protocol = f"segmented with a shorter side of {min(given[1:])} px, as it was trained"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        factor = min(self.given[1:]) / min(height, width)
        size = max(1, round(height * factor)), max(1, round(width * factor))
        x = prepare(images.to(self.device), size)
        if self.given[0] == 1:
            x = grey(x)
        logits = self._judge.segment(x / 127.5 - 1.0).float()
        if size == (height, width):
            return logits
        return F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)


class Public(Segmenter):
    """A published network, ``hf:owner/name``, ``hf:owner/name@revision`` or a folder; see `networks.segmentation`."""

    name = "published"

    def __init__(self, text: str, device: str | torch.device = "cpu") -> None:
        self.network = segmentation.load(text).to(device)
        self.device = torch.device(device)
        self.legend, self.version, self.of = self.network.names, self.network.sha256[:8], self.network.what
        size = self.network.size
        self.protocol = f"resized to {size[1]}x{size[0]}, as it was trained" if size else "segmented at its own size"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(prepare(images.to(self.device), (images.shape[2], images.shape[3])) / 255.0)
        return found


def matched(legend: tuple[str, ...], judge: Segmenter) -> list[int | None]:
    """For each class of `legend` the number of the judge's class of the same name, or None. Case, hyphens and
    underlines do not matter; of a list of synonyms ("building, edifice") each counts.

    >>> class Other(Segmenter):
    ...     legend = ("Wall", "building, edifice", "sky")
    ...     __call__ = None
    >>> matched(("sky", "door", "Building"), Other())
    [2, None, 1]
    """
    known: dict[str, int] = {}
    for number, name in enumerate(judge.legend):
        for one in (name, *name.split(",")):
            known.setdefault(_plain(one), number)
    return [known.get(_plain(name)) for name in legend]


def _plain(name: str) -> str:
    return " ".join(name.replace("-", " ").replace("_", " ").casefold().split())
