"""Conditional GAN: both players are told the class, P(x | y) instead of P(x).

Three ways for D to know the class, two for G, three sizes of network, every objective: the settings are what the
papers differ in, so that they can be compared one at a time.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES, Objectives
from sparring.losses.auxiliary import class_cross_entropy
from sparring.losses.penalties import zero_centred
from sparring.losses.skill import skill
from sparring.networks import conditioning, dcgan, mlp, r3gan
from sparring.priors import categorical, gaussian, paths
from sparring.train.game import Decay, Fraction, Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import (
    Batch,
    Criticises,
    Dice,
    HasLatentsByClass,
    SamplesByClass,
    Shared,
    Space,
    Terms,
    Weights,
)

Count = Annotated[int, Field(ge=1, le=2**16)]
Frequency = Annotated[float, Field(gt=0, le=1e6)]
Fourier = tuple[Annotated[int, Field(ge=1, le=2**12)], Frequency, Frequency] | None


@dataclass(frozen=True, config=strict, kw_only=True)
class CGANConfig(Training):
    """Settings of `CGAN`. Defaults: the light networks and the game of r3gan-minutes, with a projection in D."""

    conditioning: Literal["projection", "concatenation", "auxiliary"] = "projection"
    """How D knows the class: a projection of its features (Miyato & Koyama 2018), the class beside x (Mirza & Osindero
    2014), or not at all: then D guesses it, and both players pay the cross entropy (Odena et al. 2017)."""
    network: Literal["conv", "residual", "mlp"] = "conv"
    """Both players' networks: the DCGAN topology, R3GAN's residual one, or fully connected (points, small images)."""
    generator_norm: Literal["batch", "conditional", "pixel", "none"] = "batch"
    """Normalisation in a conv generator. "conditional": batch norm with a scale and shift per class (γ_y, β_y). With
    the others, and in the other networks, G is told the class beside z, which was better early (systems/cgan.md)."""
    objective: Objectives = "relativistic"
    """The game. A relativistic one compares a real sample with a fake of the same class."""
    classify: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Weight of the auxiliary classifier's cross entropy, in both players; only with conditioning = "auxiliary"."""
    z: Count = 64
    """Latent dimensions, standard normal."""
    width: Count = 32
    """G's channels at the finest map (conv, residual), or its hidden units per layer (mlp)."""
    d_width: Count = 32
    """The same for D."""
    depth: Annotated[int, Field(ge=1, le=64)] = 3
    """Hidden layers of both players (mlp)."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 1
    """Residual blocks per stage (residual)."""
    group: Count = 16
    """Channels per group of the 3×3 convolutions (residual)."""
    g_fourier: Fourier = None
    """Random Fourier features of z: (count, lowest, highest frequency); mlp only."""
    d_fourier: Fourier = None
    """Random Fourier features of x, which let D see fine modes: (count, lowest, highest frequency); mlp only."""
    gamma: Schedule = Ramp(2.0, 0.2, "cosine", 0.0, 0.8)
    """Weight γ of γ/2 (R1 + R2), with respect to x alone; a squared length scale, so larger for larger images."""
    penalty_every: Count = 4
    """Pay the penalties once in so many rounds, with so many times the weight."""
    augment: Fraction = Ramp(0.0, 0.0)
    """Probability of each differentiable augmentation, of reals and fakes, in both players' turns (images)."""
    batch: Count = 16
    lr: Fraction = Ramp(1e-3, 2e-4, "linear", 0.5, 1.0)
    beta2: Decay = Ramp(0.9, 0.99, "cosine", 0.0, 0.2)
    ema_images: Annotated[float, Field(ge=0)] = 20_000
    ema_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class CGAN(Game, HasLatentsByClass, SamplesByClass, Criticises):
    """min_G max_D E_{x,y}[log D(x, y)] + E_{z,y}[log(1 − D(G(z, y), y))].   Mirza & Osindero 2014, eq. 2.

    Fake i has the class of real i: y comes from the data, so a pair of a relativistic game shares its label, and G and
    D meet the classes as often as the data show them. G(z, y) is computed once per round and used by both players. D
    has no normalisation, since penalties need samples that are not coupled.

    >>> game = CGAN.build(CGANConfig(width=4, d_width=4), Space((3, 16, 16), classes=5))
    >>> from sparring.chance import Dice
    >>> game.sample(Dice(0, "sample", range(7)), label=torch.full((7,), 3)).shape
    torch.Size([7, 3, 16, 16])
    """

    Config = CGANConfig
    averaged = ("G",)
    owner = "G"
    needs = frozenset({"label"})

    def __init__(
        self, config: CGANConfig, space: Space, D: conditioning.Discriminator, G: conditioning.Generator
    ) -> None:
        super().__init__()
        self.config, self.shape, self.classes, self.D, self.G = config, space.shape, space.classes, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: CGANConfig, space: Space) -> CGAN:
        _check(config, space)
        judge, maker = networks(config, space)
        D = conditioning.Discriminator(judge, space.classes, config.conditioning)
        in_norms = config.network == "conv" and config.generator_norm == "conditional"
        G = conditioning.Generator(maker, space.classes, scaled=not in_norms)
        return cls(config, space, D, G)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    def shared(self, batch: Batch, now: Now) -> Shared:
        return {"fake": self.decode(self.latents(now.chance("z")), _label(batch))}  # fake i: of the class of real i

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        y = _label(batch)
        if player == "G":
            s_fake, guess = self.judge(shared["fake"], y, now, "fake")
            s_real = self.judge(batch.x, y, now, "real")[0] if self.relative else None
            return self.objective.generator(s_real, s_fake) | _classified({"G(z)": guess}, y)
        x, fake = batch.x.detach(), shared["fake"].detach()
        if now.at(self.config.gamma) == 0 or not now.every(self.config.penalty_every):
            return self._contest(x, fake, y, now)[0]
        with torch.autocast(x.device.type, enabled=False):  # penalties in full precision, the forward pass included
            x, fake = x.float().requires_grad_(), fake.float().requires_grad_()
            terms, s_real, s_fake = self._contest(x, fake, y, now)
            return {**terms, "r1": zero_centred(s_real, x), "r2": zero_centred(s_fake, fake)}

    def _contest(self, x: Tensor, fake: Tensor, y: Tensor, now: Now) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """What D pays without its penalties, and the logits (N,) of reals and fakes."""
        s_real, guess_real = self.judge(x, y, now, "real")
        s_fake, guess_fake = self.judge(fake, y, now, "fake")
        terms = self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
        return terms | _classified({"x": guess_real, "G(z)": guess_fake}, y), s_real, s_fake

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        half = 0.5 * now.at(self.config.gamma) * self.config.penalty_every  # γ/2 (R1 + R2), ×k every k-th time
        pays = {"real": 1.0, "fake": 1.0, "pair": 1.0, "r1": half, "r2": half}
        pays |= {"class(x)": self.config.classify, "class(G(z))": self.config.classify}
        return {name: weight for name, weight in pays.items() if name in terms}

    def judge(self, x: Tensor, y: Tensor, now: Now, side: str) -> tuple[Tensor, Tensor | None]:
        """s(T(x), y), (N,), and D's guess of the class (N, K) if it makes one; T is the augmentation."""
        p = now.at(self.config.augment)
        found: tuple[Tensor, Tensor | None] = self.D(augment(x, now.chance(f"augment/{side}"), p) if p > 0 else x, y)
        return found

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if label is None:
            label = torch.arange(len(z), device=z.device) % self.classes
        made: Tensor = self.G(z, label)
        return made

    def sample(self, dice: Dice, *, truncation: float = 1.0, label: Tensor | None = None) -> Tensor:
        label = categorical.in_turn(dice, self.classes) if label is None else label
        return self.decode(paths.truncate(self.latents(dice), truncation), label)

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        y = _label(batch)
        return self.D(batch.x, y)[0], self.D(self.decode(self.latents(dice), y), y)[0]


def networks(config: CGANConfig, space: Space) -> tuple[nn.Module, nn.Module]:
    """D's and G's networks before they are told the class; those that concatenate have room for it."""
    shape, classes = space.shape, space.classes
    beside = classes if config.conditioning == "concatenation" else 0
    match config.network:
        case "mlp":
            return (
                mlp.Discriminator(shape, config.d_width, config.depth, config.d_fourier, beside),
                mlp.Generator(config.z, shape, config.width, config.depth, config.g_fourier, classes),
            )
        case "residual":
            wide, thin = r3gan.widths(shape, config.d_width), r3gan.widths(shape, config.width)
            return (
                r3gan.Discriminator(shape, wide, config.blocks, group_width=config.group, told=beside),
                r3gan.Generator(config.z, shape, thin, config.blocks, group_width=config.group, told=classes),
            )
        case _:
            return (
                dcgan.Discriminator(shape, config.d_width, "none", beside),
                dcgan.Generator(config.z, shape, config.width, config.generator_norm, classes),
            )


def _check(config: CGANConfig, space: Space) -> None:
    """`UsageError` for settings that the data cannot have."""
    if not space.classes:
        raise UsageError(
            "DATA-UNLABELLED", "cgan needs to know how many classes there are", fix="give data with labels"
        )
    if len(space.shape) == 3:
        return
    if config.network != "mlp":
        raise UsageError(
            "CGAN-NETWORK", f"network = {config.network} is for images, and these data are points",
            fix="--recipe cgan-points, or --set network=mlp",
        )  # fmt: skip
    if config.augment.start > 0 or config.augment.end > 0:
        raise UsageError("CGAN-AUGMENT", "only images can be augmented, and these data are points", fix="augment=0")


def _label(batch: Batch) -> Tensor:
    assert batch.label is not None  # `needs`
    return batch.label


def _classified(guesses: dict[str, Tensor | None], y: Tensor) -> dict[str, Tensor]:
    """The auxiliary classifier's cross entropy, and whether it is right, of each side that it has guessed."""
    terms = {}
    for side, guess in guesses.items():
        if guess is not None:
            terms[f"class({side})"] = class_cross_entropy(guess, y)
            terms[f"guessed({side})"] = (guess.detach().argmax(1) == y).float()
    return terms
