"""FCN-8s: a game of one player that learns which class each pixel of a photo is of. It judges what makes photos of
label maps: ``sparring evaluate RUN --fcn FCN_RUN``."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.paired import jitter
from sparring.errors import MachineError, UsageError
from sparring.losses.segmentation import pixel_cross_entropy, pixels_right
from sparring.networks import fcn8s, imagenet
from sparring.train.game import Decay, Fraction, Game, Now, Positive, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Dice, Segments, Shared, Space, Terms, Translates, Weights


@dataclass(frozen=True, config=strict, kw_only=True)
class FCN8sConfig(Training):
    """Settings of `FCN8s`. Defaults: some hundred photos on a CPU (docs/systems/fcn8s.md). The paper instead fine-tunes
    for days by gradient descent with momentum, with width=4096, border="published" and no jitter."""

    width: Annotated[int, Field(ge=1, le=2**13)] = 512
    """Channels of fc6 and fc7, which begin at random; 4096 in the paper."""
    trunk: Literal["imagenet", "random"] = "imagenet"
    """How the 13 convolutions of VGG-16 begin: as ImageNet has taught them, or at random."""
    trunk_width: Annotated[int, Field(ge=1, le=2**9)] = 64
    """Channels of the trunk's first block; only 64 is VGG-16."""
    frozen: Annotated[int, Field(ge=0, le=5)] = 4
    """How many of the trunk's five blocks never move; 5 is all of it, 0 (the paper's) none."""
    border: Literal["same", "published"] = "same"
    """How images are padded: "published" is by 100 pixels, at 128 px seven times the work."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability with which each value after fc6 and after fc7 is dropped."""
    ignore: str | None = None
    """A class of the label maps that says nothing ("unlabelled"): its pixels cost nothing, and are not judged."""
    jitter: bool = True
    """Enlarge both sides alike by 286/256, and cut them back to their size at a random place."""
    play: str = "C:1"
    """Who moves when: there is only C."""
    batch: Positive = 4
    lr: Fraction = Ramp(5e-4, 2e-5)
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 500
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class FCN8s(Game, Segments, Translates):
    """min_C E_{a,y} mean_p −log P(y_p | a): one player, which says of every pixel p of a photo a what it shows.

    y are the label maps of the photos, P(· | a) is the softmax of C's logits at each pixel.
    Of a photo it makes a label map (`translate`). What it is for: per-pixel accuracy, per-class accuracy and class IoU
    of photos that another game makes of label maps (Isola et al. 2017, section 3.2).

    >>> config = FCN8sConfig(width=4, trunk="random", trunk_width=1)
    >>> game = FCN8s.build(config, Space((2, 16, 16), condition=(3, 16, 16), legend=("wall", "door")))
    >>> game.segment(torch.zeros(1, 3, 20, 24)).shape
    torch.Size([1, 2, 20, 24])
    """

    Config = FCN8sConfig
    averaged = ("C",)
    needs = frozenset({"pair", "legend"})

    def __init__(self, config: FCN8sConfig, C: fcn8s.FCN8s, ignored: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.config, self.C, self.ignored = config, C, ignored

    @classmethod
    def build(cls, config: FCN8sConfig, space: Space) -> FCN8s:
        if space.condition is None or len(space.shape) != 3:
            raise UsageError("NET-SHAPE", "FCN-8s needs photos and their label maps",
                             fix="sparring train IMAGES/ LABELS/ --recipe fcn8s --maps B")  # fmt: skip
        if config.trunk == "imagenet" and config.trunk_width != 64:
            raise UsageError(
                "NET-TRUNK", f"ImageNet's weights are of a trunk of width 64, not {config.trunk_width}",
                fix="leave trunk_width out, or --set trunk=random",
            )  # fmt: skip
        network = fcn8s.FCN8s(space.condition[0], space.shape[0], config.width, config.trunk_width, config.border,
                              config.dropout)  # fmt: skip
        return cls(config, network, ignored_of(config.ignore, space.legend))

    def begin(self) -> None:
        """With ImageNet's convolutions, where they are wanted."""
        if self.config.trunk == "imagenet":
            try:
                tensors = imagenet.load("vgg16")
            except MachineError as error:
                raise _untaught(error) from error
            imagenet.take(self.C.trunk.convolutions, tensors)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"C": self.C}

    @property
    def frozen(self) -> list[nn.Parameter]:
        return self.C.lowest(self.config.frozen)

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """What is paid, −log P(y_p | a), and the share of pixels that are guessed right: means over the pixels of each
        image that are labelled, (N,) each."""
        assert batch.condition is not None  # `needs`
        photo, maps = batch.condition, batch.x
        if self.config.jitter:
            photo, maps = jitter([photo, maps], now.chance("jitter"))
        label = maps.argmax(1)
        logits = self.C(photo, now.chance("dropout"))
        counted = torch.ones_like(label, dtype=torch.bool)
        for number in self.ignored:
            counted &= label != number
        return {
            "loss": pixel_cross_entropy(logits, label, counted),
            "right": pixels_right(logits.detach(), label, counted),
        }

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    def segment(self, x: Tensor) -> Tensor:
        logits: Tensor = self.C(x)
        return logits

    @property
    def stride(self) -> int:
        return 1

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        """The label map that it sees, softly: 2 P(y_p | a) − 1, (n, K, H, W). There is no noise."""
        return 2 * self.segment(image).softmax(1) - 1


def ignored_of(name: str | None, legend: tuple[str, ...]) -> tuple[int, ...]:
    """The number of the class whose pixels say nothing; `UsageError` where there is no such class.

    >>> ignored_of("unlabelled", ("unlabelled", "wall")), ignored_of(None, ("wall",))
    ((0,), ())
    """
    if name is None:
        return ()
    if name not in legend:
        raise UsageError("FCN-IGNORE", "the label maps have no such class", where=f"ignore={name}",
                         fix=f"one of {', '.join(legend)}; or leave ignore out")  # fmt: skip
    return (legend.index(name),)


def _untaught(absent: MachineError) -> MachineError:
    return MachineError(
        absent.code, f"{absent.what}; FCN-8s wants them for its trunk", where=absent.where, why=absent.why,
        fix=f"{absent.fix}; or begin at random, which learns far less from a few hundred photos: --set trunk=random",
    )  # fmt: skip
