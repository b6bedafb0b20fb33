"""A dual encoder: a game of one player, which says how well a text describes an image. What edits are steered by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from sparring.augment.differentiable import augment
from sparring.losses.contrastive import equal, info_nce
from sparring.networks import text
from sparring.networks.dual_encoder import DualEncoder
from sparring.train.game import Decay, Fraction, Game, Now, Positive, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, MatchesText, Shared, Space, Terms, Weights


@dataclass(frozen=True, config=strict, kw_only=True)
class DualEncoderGameConfig(Training):
    """Settings of `DualEncoderGame`. Defaults: a few minutes on the built-in emoji (docs/editing.md)."""

    reader: text.Reader = "minilm"
    """What reads the texts: the sentence encoder all-MiniLM-L6-v2; "clip", the text half of CLIP; or "words",
    which needs no weights and knows no synonyms."""
    d: Positive = 64
    """Dimensions of the space that images and texts share."""
    width: Annotated[int, Field(ge=1, le=2**12)] = 32
    """Channels of the finest map of the image encoder; its features are four times as many."""
    augment: Fraction = Ramp(0.8, 0.8)
    """Probability with which an image is moved by up to an eighth of its sides, and loses a rectangle."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Up to this standard deviation of noise is laid over images, in units of [-1, 1], and half of them are blurred: so
    that the gradients with respect to pixels, which edits follow, are those of shapes."""
    flip: bool = True
    batch: Positive = 128
    play: str = "E:1"
    """Who moves when: there is only E."""
    lr: Fraction = Ramp(2e-3, 2e-5, "cosine", 0.3, 1.0)
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 5_000
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class DualEncoderGame(Game, MatchesText):
    """E lowers ½ (−log P(text | image) − log P(image | text)), both over the batch: symmetric InfoNCE with a learned
    temperature. One player, images with captions, from 16 px on.

    It makes nothing. What it is for: ``sparring edit RUN --scorer THIS`` (docs/editing.md).

    >>> game = DualEncoderGame.build(DualEncoderGameConfig(reader="words", width=4), Space((3, 16, 16), captions=True))
    >>> (game.embed_images(torch.zeros(2, 3, 16, 16)) @ game.embed_texts(["a cat", "a dog"]).t()).shape
    torch.Size([2, 2])
    """

    Config = DualEncoderGameConfig
    averaged = ("E",)
    needs = frozenset({"text"})

    def __init__(self, config: DualEncoderGameConfig, E: DualEncoder) -> None:
        super().__init__()
        self.config, self.E = config, E

    @classmethod
    def build(cls, config: DualEncoderGameConfig, space: Space) -> DualEncoderGame:
        return cls(config, DualEncoder(space.shape, text.dimensions(config.reader), config.d, config.width))

    @property
    def players(self) -> dict[str, torch.nn.Module]:
        return {"E": self.E}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """text, image: −log P of the own one, nats; right: whether the own text is the nearest; sharpness: the factor
        of cosines. (N,) each."""
        assert batch.text is not None  # `needs`
        logits = self.E(self.view(batch.x, now), self.read(batch.text))
        same = equal(batch.text).to(logits.device)
        of_text, of_image = info_nce(logits, same)
        found = same.gather(1, logits.detach().argmax(1, keepdim=True)).flatten()
        return {"text": of_text, "image": of_image, "loss": 0.5 * (of_text + of_image), "right": found.float(),
                "sharpness": self.E.factor.detach().expand(len(batch))}  # fmt: skip

    def view(self, x: Tensor, now: Now) -> Tensor:
        """T(x), (N, C, H, W): images moved, with a hole, blurred, under noise. What comes in is of the mean colour of
        the image's frame."""
        dice, p = now.chance("view"), now.at(self.config.augment)
        if p > 0:
            frame = torch.cat([x[..., 0], x[..., -1], x[..., 0, :], x[..., -1, :]], 2).mean(2)[..., None, None]
            x = augment(x - frame, dice, p, ("translation", "cutout")) + frame  # they fill with 0
        if self.config.noise > 0:
            blurred = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            u = dice.of("strength").uniform(2)[:, :, None, None].to(x)
            x = torch.where(u[:, :1] < 0.5, blurred, x)
            x = x + self.config.noise * u[:, 1:] * dice.of("noise").normal(*x.shape[1:]).to(x)
        return x

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    def read(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, numbers) by the frozen reader, on the device of the game."""
        return text.load(self.config.reader)(texts).to(self.E.text.weight.device)

    def embed_images(self, x: Tensor) -> Tensor:
        return self.E.images(x)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return self.E.texts(self.read(texts))
