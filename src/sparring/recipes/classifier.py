"""A classifier: a game of one player, which judges other games on data that ImageNet knows nothing of."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from sparring.augment.differentiable import augment
from sparring.losses.auxiliary import class_cross_entropy
from sparring.networks import classifier
from sparring.train.game import Decay, Fraction, Game, Now, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Classifies, Shared, Space, Terms, Weights


@dataclass(frozen=True, config=strict, kw_only=True)
class ClassifierConfig(Training):
    """Settings of `Classifier`. Defaults: short runs on digits and clothes (benchmarks/results/classifier.json)."""

    width: Annotated[int, Field(ge=1, le=2**12)] = 16
    """Channels of the finest map; the features are four times as many."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread over all classes (label smoothing, Szegedy et al. 2016, section 7)."""
    augment: Fraction = Ramp(1.0, 1.0)
    """Probability with which an image is moved by up to an eighth of its sides."""
    play: str = "C:1"
    """Who moves when: there is only C."""
    lr: Fraction = Ramp(3e-3, 3e-5)
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 5_000
    flip: bool = False
    """Mirror images left-right at random: not digits."""
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class Classifier(Game, Classifies):
    """min_C E_{x,y}[−log P(y | x)], P(· | x) the softmax of C's logits: one player, labelled images from 16 px on.

    It makes nothing. What it is for: its features and its probabilities, as ``--features classifier:RUN``.

    >>> game = Classifier.build(ClassifierConfig(width=4), Space((1, 28, 28), classes=10))
    >>> game.classify(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    Config = ClassifierConfig
    averaged = ("C",)
    needs = frozenset({"label"})

    def __init__(self, config: ClassifierConfig, C: classifier.Classifier) -> None:
        super().__init__()
        self.config, self.C = config, C

    @classmethod
    def build(cls, config: ClassifierConfig, space: Space) -> Classifier:
        return cls(config, classifier.Classifier(space.shape, space.classes, config.width))

    @property
    def players(self) -> dict[str, torch.nn.Module]:
        return {"C": self.C}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """What is paid, −log P(y | x), and whether the guess is right, (N,) each."""
        assert batch.label is not None  # `needs`
        logits = self.C(self.view(batch.x, now))
        right = (logits.detach().argmax(1) == batch.label).float()
        return {"loss": class_cross_entropy(logits, batch.label, self.config.smoothing), "right": right}

    def view(self, x: Tensor, now: Now) -> Tensor:
        """T(x), (N, C, H, W): the images moved. What comes in is of the mean colour of the image's frame."""
        p = now.at(self.config.augment)
        if p == 0:
            return x
        frame = torch.cat([x[..., 0], x[..., -1], x[..., 0, :], x[..., -1, :]], 2).mean(2)[..., None, None]
        return augment(x - frame, now.chance("augment"), p, ("translation",)) + frame  # it fills with 0

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    def classify(self, x: Tensor) -> Tensor:
        logits: Tensor = self.C(x)
        return logits

    def embed(self, x: Tensor) -> Tensor:
        return self.C.features(x)
