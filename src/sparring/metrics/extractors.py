"""The extractors by name: through which network's eyes two sets of images are compared.

Each shifts every number, so that numbers compare only where the extractor agrees (`features.identity`), and an
extractor whose weights are absent is an error with the command that mends it: never another extractor.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.metrics import features, judges
from sparring.metrics.features import Extractor, prepare
from sparring.networks import inception, published, weights
from sparring.ops.colour import grey
from sparring.types import Classifies


@dataclass(frozen=True)
class PixelFeatures:
    """The pixels themselves at 32 × 32: no network, and no understanding.

    Cheap and blunt: a shift of two pixels, or another colour, counts for more than a missing face. Good for tests, for
    digits, and to check what a network says.

    >>> PixelFeatures()(torch.full((2, 1, 64, 64), 255, dtype=torch.uint8)).shape
    torch.Size([2, 3072])
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    name = "pixels"
    version = "1"
    weights_sha256 = ""  # there are none
    size = 32
    preprocessing = "uint8, bilinear antialiased resize, x / 255; all of them as one vector"
    dimensions = 3 * 32 * 32

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        return prepare(images, self.size).div(255.0).flatten(1)


class ClassifierFeatures:
    """What a classifier trained here sees: its last features, and its probabilities of the classes.

    For data that ImageNet knows nothing of, such as digits. game: a trained `Classifies`, on its device, with averaged
    players in place.   shape: (C, H, W) that it was trained on.   classes: their names.   of: the run, for a person.

    Raises `UsageError` where the game is no classifier.
    """

    name = "classifier"

    def __init__(self, game: nn.Module, shape: tuple[int, ...], classes: tuple[str, ...] = (), of: str = "") -> None:
        if not isinstance(game, Classifies) or len(shape) != 3:
            raise UsageError(
                "FEATURES-CLASSIFIER",
                "this run is no classifier of images",
                where=of,
                fix="train one on labelled images: sparring train DATA --recipe classifier",
            )
        self.classes, self.of = classes, of
        self._judge: Classifies = game
        self._shape = shape
        game.eval().requires_grad_(False)
        self.device = next(game.parameters()).device
        self.weights_sha256 = weights.digest(game.state_dict())
        self.version = self.weights_sha256[:8]  # two classifiers are two extractors
        self.size = shape[1]
        self.preprocessing = (
            f"uint8, bilinear antialiased resize to {shape[1]} × {shape[2]}, {shape[0]} channels, x / 127.5 − 1"
        )
        self.dimensions = int(game.embed(torch.zeros(1, *shape, device=self.device)).shape[1])

    def _seen(self, images: Tensor) -> Tensor:
        """(N, C', H', W') uint8 → (N, C, H, W) float in [−1, 1], as in training."""
        x = prepare(images, (self._shape[1], self._shape[2]))
        if self._shape[0] == 1:
            x = grey(x)
        elif self._shape[0] == 4:
            x = torch.cat([x, torch.full_like(x[:, :1], 255.0)], 1)  # prepare() has laid them on white
        return x / 127.5 - 1.0

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        return self._judge.embed(self._seen(images)).float()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, classes) float32, each row adding up to 1."""
        return self._judge.classify(self._seen(images)).float().softmax(1)


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────

OpenRun = Callable[[str], ClassifierFeatures]
"""From the path of a run to its classifier. Runs are opened by `runs`, which this package does not know."""


@dataclass(frozen=True)
class Entry:
    """about: a line for a person.   open: from what stands after the colon ("" if nothing does) and a device.
    argument: what may stand after the colon; "" if nothing may."""

    about: str
    open: Callable[[str, torch.device], Extractor]
    argument: str = ""
    needed: bool = False


def _efficientnet(argument: str, device: torch.device) -> Extractor:
    return features.default(device)


def _inception(argument: str, device: torch.device) -> Extractor:
    network = inception.load(argument or None)
    return judges.InceptionFeatures(network.to(device=device, memory_format=torch.channels_last))  # type: ignore[call-overload]


def _dinov2(argument: str, device: torch.device) -> Extractor:
    return judges.DINOv2Features(published.load(published.DINOV2, argument or None), device)


def _clip(argument: str, device: torch.device) -> Extractor:
    return judges.CLIPFeatures(published.load(published.CLIP, argument or None), device)


def _pixels(argument: str, device: torch.device) -> Extractor:
    return PixelFeatures(device)


def _classifier(argument: str, device: torch.device, open_run: OpenRun | None = None) -> Extractor:
    if open_run is None:
        raise UsageError(
            "FEATURES-RUN", "features of a run are opened by the command line and sparring.evaluate", where=argument
        )
    return open_run(argument)


EXTRACTORS: dict[str, Entry] = {
    "efficientnet-lite0": Entry("EfficientNet-Lite0, ImageNet; installed with sparring: the default", _efficientnet),
    "inception": Entry("Inception-v3 of 5 December 2015: with it, and only with it, FID is FID", _inception, "PATH"),
    "dinov2": Entry("DINOv2 ViT-L/14: nearest to what people see; needs sparring[features]", _dinov2, "PATH"),
    "clip": Entry("CLIP ViT-L/14 at 336 px, of CMMD; needs sparring[features]", _clip, "PATH"),
    "pixels": Entry("pixels at 32 × 32: no network; cheap and blunt", _pixels),
    "classifier": Entry("a run of recipe classifier: for digits and the like", _classifier, "RUN", needed=True),
}
"""Every extractor by the name that ``--features`` takes."""

DEFAULT = "efficientnet-lite0"


def open(name: str = DEFAULT, device: str | torch.device = "cpu", *, open_run: OpenRun | None = None) -> Extractor:
    """An extractor by its name, or ``name:PATH`` where its weights lie elsewhere, ready on `device`.

    open_run: opens the run of ``classifier:RUN``.
    Raises `UsageError` for a name that is unknown, `MachineError` (code FEATURES-ABSENT) where the weights, or the
    package that reads them, are not installed.

    >>> open("pixels").dimensions
    3072
    """
    word, colon, argument = name.partition(":")
    entry = EXTRACTORS.get(word)
    if entry is None:
        near = difflib.get_close_matches(word, EXTRACTORS, 1, 0.5)
        raise UsageError(
            "FEATURES-UNKNOWN",
            "there is no such feature extractor",
            where=name,
            fix=(f"did you mean {near[0]}? " if near else "") + f"known are {', '.join(spelt())}",
        )
    if (colon and not (entry.argument and argument)) or (entry.needed and not argument):
        spelling = f"{word}:{entry.argument}" if entry.needed else f"{word}[:{entry.argument}]"
        raise UsageError(
            "FEATURES-NAME",
            "this does not name a feature extractor",
            where=name,
            fix=f"write {spelling if entry.argument else word}",
        )
    opener = partial(_classifier, open_run=open_run) if entry.needed else entry.open
    return opener(argument, torch.device(device))


def spelt() -> list[str]:
    """The names as a person writes them, with what may follow: ``inception[:PATH]``."""
    return [
        name + (f":{e.argument}" if e.needed else f"[:{e.argument}]" if e.argument else "")
        for name, e in EXTRACTORS.items()
    ]
