"""Images of a text: a GAN whose players are both told a sentence, as numbers of a frozen encoder (DF-GAN)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.losses import lazy
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.matching import matching_aware, mismatched
from sparring.losses.skill import skill
from sparring.networks import text, text2image
from sparring.priors import gaussian, paths
from sparring.train.game import Decay, Fraction, Game, Now, Positive, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, HasLatentsByText, SamplesByText, Shared, Space, Terms, Weights

Count = Annotated[int, Field(ge=1, le=2**12)]


@dataclass(frozen=True, config=strict, kw_only=True)
class Text2ImageConfig(Training):
    """Settings of `Text2Image`. Defaults: Tao et al. 2022 and the published code, with an average of G besides."""

    reader: text.Reader = "minilm"
    """What reads the texts: the sentence encoder all-MiniLM-L6-v2; "clip", the text half of CLIP; or "words", which
    needs no weights and knows no synonyms."""
    objective: Literal["hinge", "relativistic"] = "hinge"
    """The game: hinge (the paper); or relativistic pairing, in which a real picture is compared with a fake of the same
    text, and with itself beside another text."""
    mismatched: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Weight of real pictures beside the text of another one, which D shall refuse; fakes have the rest of 1."""
    penalty: Literal["matching", "r1+r2", "none"] = "matching"
    """What holds D back, by its gradient with respect to picture and text together: ‖∇‖ᵖ of real pairs (the paper), or
    R1 and R2, of real and of generated pairs (for the relativistic game)."""
    slope: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    """Weight k of the matching-aware penalty."""
    power: Annotated[float, Field(ge=2, le=16)] = 6.0
    """Its power p; at 2 it is R1 of the pair."""
    gamma: Schedule = Ramp(2.0, 0.2, "cosine", 0.0, 0.8)
    """Weight γ of γ/2 (R1 + R2); a squared length scale, so larger for larger images."""
    penalty_every: Count = 1
    """Pay the penalty once in so many rounds, with so many times the weight."""
    augment: Fraction = Ramp(0.0, 0.0)
    """Probability of each differentiable augmentation, of reals and fakes, in both players' turns."""
    z: Count = 100
    """Latent dimensions, standard normal."""
    width: Count = 32
    """Channels of G's finest map; doubled per coarser stage, up to 8 times this."""
    d_width: Count = 32
    """The same for D."""
    hidden: Count = 256
    """Units of each of the networks that make scales and shifts of z and the text."""
    bounded: bool = True
    """Whether G ends in a tanh (the paper). Pictures with much plain white drive it to where it has no slope."""
    batch: Positive = 32
    lr: Fraction = Ramp(1e-4, 1e-4)
    lr_ratio: Annotated[float, Field(gt=0)] = 4.0
    beta2: Decay = Ramp(0.9, 0.9)
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"

    @property
    def penalised(self) -> bool:
        """Whether a penalty is ever paid."""
        if self.penalty == "matching":
            return self.slope > 0
        return self.penalty != "none" and (self.gamma.start > 0 or self.gamma.end > 0)


class Text2Image(Game, HasLatentsByText, SamplesByText, Criticises):
    """L_D = E[max(0, 1 − D(x, s))] + ½ E[max(0, 1 + D(G(z, s), s))] + ½ E[max(0, 1 + D(x, ŝ))] + k E[‖∇_{x,s} D(x,
    s)‖ᵖ],   L_G = −E[D(G(z, s), s)].

    Tao et al. 2022, "DF-GAN", eq. 4: s is the text of x, ŝ that of another picture. Both are what a frozen sentence
    encoder makes of them, scaled to a mean square of 1. Other texts come from the same (micro-)batch. The relativistic
    game has the two halves of `losses.relativistic` in their place. G(z, s) is computed once per round.

    >>> config = Text2ImageConfig(reader="words", width=4, d_width=4, hidden=8)
    >>> game = Text2Image.build(config, Space((3, 16, 16), captions=True, texts=("a cat", "a dog")))
    >>> from sparring.chance import Dice
    >>> game.sample(Dice(0, "sample", range(2)), text=["a red apple", "a blue car"]).shape
    torch.Size([2, 3, 16, 16])
    """

    Config = Text2ImageConfig
    averaged = ("G",)
    owner = "G"
    needs = frozenset({"text"})

    def __init__(
        self, config: Text2ImageConfig, reading: text.Remembered, D: text2image.Discriminator, G: text2image.Generator
    ) -> None:
        super().__init__()
        self.config, self.reading, self.D, self.G = config, reading, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: Text2ImageConfig, space: Space) -> Text2Image:
        told = text.dimensions(config.reader)
        D = text2image.Discriminator(told, space.shape, config.d_width)
        G = text2image.Generator(config.z, told, space.shape, config.width, config.hidden, bounded=config.bounded)
        return cls(config, text.Remembered(config.reader, space.texts), D, G)

    def begin(self) -> None:
        """Read the captions that samples are of where no text is asked for."""
        self.reading.learn()

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    # ── what the players pay ─────────────────────────────────────────────────────────────────────────────────────

    def shared(self, batch: Batch, now: Now) -> Shared:
        """s (N, told), and one fake of each text (N, C, H, W)."""
        s = self.read(batch)
        return {"s": s, "fake": self.G(self.latents(now.chance("z")), s)}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        s, fake = shared["s"], shared["fake"]
        if player == "D":
            return self._of_discriminator(batch, s, fake, now)
        s_real = self.D(self.view(batch.x, now, "real"), s) if self.relative else None
        return self.objective.generator(s_real, self.D(self.view(fake, now, "fake"), s))

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        config = self.config
        if player == "G":
            return {name: 1.0 for name in ("fake", "pair") if name in terms}
        rest, half = 1.0 - config.mismatched, 0.5 * now.at(config.gamma)
        pays = {"real": 1.0, "fake": rest, "pair": rest, "mismatched": config.mismatched}
        pays |= {name: lazy.weight(half, config.penalty_every) for name in ("r1", "r2")}
        pays["matching"] = lazy.weight(config.slope, config.penalty_every)
        return {name: weight for name, weight in pays.items() if name in terms}

    def _of_discriminator(self, batch: Batch, s: Tensor, fake: Tensor, now: Now) -> dict[str, Tensor]:
        """The terms of the objective; `mismatched`: of (x, ŝ), 0 where no other text is there; and the penalty."""
        due = self.config.penalty != "none" and now.every(self.config.penalty_every)
        both = due and self.config.penalty == "r1+r2"
        with torch.autocast(s.device.type, enabled=False) if due else nullcontext():
            x = batch.x
            if due:
                x, s, fake = _leaf(x), _leaf(s), _leaf(fake) if both else fake.float()
            features = self.D.features(self.view(x, now, "real"))
            s_real = self.D.judge(features, s)
            s_fake = self.D(self.view(fake, now, "fake"), s)
            terms = dict(self.objective.discriminator(s_real, s_fake)) | skill(s_real, s_fake, relative=self.relative)
            if self.config.mismatched > 0:
                terms["mismatched"] = self._mismatched(batch, features, s, s_real)
            if both:
                terms["r1"], terms["r2"] = matching_aware(s_real, x, s, 2.0), matching_aware(s_fake, fake, s, 2.0)
            elif due:
                terms["matching"] = matching_aware(s_real, x, s, self.config.power)
        return terms

    def _mismatched(self, batch: Batch, features: Tensor, s: Tensor, s_real: Tensor) -> Tensor:
        """What D pays for real pictures beside the text of another one, (N,): of the same look at them."""
        assert batch.text is not None
        places, there = mismatched(batch.text)
        s_wrong = self.D.judge(features, s[places.to(s.device)])
        paid = self.objective.discriminator(s_real, s_wrong)
        return paid["pair" if self.relative else "fake"] * there.to(s_wrong)

    def view(self, x: Tensor, now: Now, side: str) -> Tensor:
        """T(x), (N, C, H, W): the images augmented."""
        p = now.at(self.config.augment)
        return augment(x, now.chance(f"augment/{side}"), p) if p > 0 else x

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    def read(self, batch: Batch) -> Tensor:
        """s of each caption, (N, told)."""
        assert batch.text is not None  # `needs`
        return _scaled(self.reading(batch.text))

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    @property
    def remembered(self) -> tuple[str, ...]:
        return self.reading.texts

    def hears(self, text: str) -> bool:
        return self.reading.whole(text)

    def sample(self, dice: Dice, *, truncation: float = 1.0, text: Sequence[str] | None = None) -> Tensor:
        s = self.reading.in_turn(dice.samples) if text is None else self.reading.of(text)
        return self._made(paths.truncate(self.latents(dice), truncation), s)

    def decode(self, z: Tensor, text: Sequence[str] | None = None) -> Tensor:
        return self._made(z, self.reading.in_turn(range(len(z))) if text is None else self.reading.of(text))

    def _made(self, z: Tensor, s: Tensor) -> Tensor:
        made: Tensor = self.G(z, _scaled(s))
        return made

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        s = self.read(batch)
        return self.D(batch.x, s), self.D(self.G(self.latents(dice), s), s)


def _scaled(s: Tensor) -> Tensor:
    """(N, d) of length 1 → of mean square 1, as z is."""
    return s * math.sqrt(s.shape[1])


def _leaf(x: Tensor) -> Tensor:
    """x in full precision, with respect to which a gradient can be taken; a graph behind it is kept."""
    x = x if x.dtype == torch.float64 else x.float()
    return x if x.grad_fn is not None and x.requires_grad else x.detach().requires_grad_()
