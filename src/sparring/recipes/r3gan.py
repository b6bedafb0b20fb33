"""R3GAN: relativistic pairing with R1 and R2, on residual nets without normalisation, or on lighter ones.

The networks, the norm of G and how often penalties are paid can be chosen, so that one recipe serves a laptop with
minutes and a fast machine with hours: see the presets.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.penalties import zero_centred
from sparring.losses.skill import skill
from sparring.networks import dcgan, r3gan
from sparring.priors import gaussian, paths
from sparring.train.game import Decay, Fraction, Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, HasLatents, Samples, Shared, Space, Terms, Weights

Count = Annotated[int, Field(ge=1, le=2**16)]


@dataclass(frozen=True, config=strict, kw_only=True)
class R3GANConfig(Training):
    """Settings of `R3GAN`. Defaults: Huang et al. 2024, table 9 (FFHQ-64), with widths for one GPU."""

    objective: Literal["relativistic", "nonsaturating", "minimax"] = "relativistic"
    """The game: relativistic pairing (the paper), or the game of 2014 for comparison."""
    generator: Literal["r3gan", "dcgan"] = "r3gan"
    """G's network: residual without normalisation (the paper), or the DCGAN topology (better in the first hour)."""
    discriminator: Literal["r3gan", "dcgan"] = "r3gan"
    """D's network, always without normalisation: penalties need samples that are not coupled."""
    generator_norm: Literal["batch", "pixel", "none"] = "none"
    """Normalisation in a dcgan generator; "batch" is what helps early (docs/choosing.md)."""
    z: Count = 64
    """Latent dimensions, standard normal."""
    width: Count = 64
    """Channels of G's finest map; doubled per coarser stage, up to 4 times this (r3gan) or 8 times (dcgan)."""
    d_width: Count = 64
    """The same for D."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 2
    """Residual blocks per stage (r3gan networks)."""
    group: Count = 16
    """Channels per group of the 3×3 convolutions (r3gan networks)."""
    gamma: Schedule = Ramp(2.0, 0.2, "cosine", 0.0, 0.2)
    """Weight γ of γ/2 (R1 + R2): a squared length scale, so it grows with the image and falls in the burn-in."""
    penalty_every: Count = 1
    """Pay the penalties once in so many rounds, with so many times the weight; the paper pays them always."""
    augment: Fraction = Ramp(0.0, 0.3, "cosine", 0.0, 0.2)
    """Probability of each differentiable augmentation, of reals and fakes, in both players' turns."""
    lr: Fraction = Ramp(2e-4, 5e-5, "cosine", 0.0, 0.2)
    beta2: Decay = Ramp(0.9, 0.99, "cosine", 0.0, 0.2)
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class R3GAN(Game, HasLatents, Samples, Criticises):
    """L_D = E[softplus(−(s(x) − s(G(z))))] + γ/2 (R1 + R2),   L_G = E[softplus(s(x) − s(G(z)))].

    Huang et al. 2024, "The GAN is dead; long live the GAN!", eq. 3 and 4, algorithm in appendix. G(z) is computed once
    per round and used by both players. Gradients of the penalties are taken with respect to the image before its
    augmentation, through it.

    >>> config = R3GANConfig(generator="dcgan", discriminator="dcgan", width=4, d_width=4)
    >>> game = R3GAN.build(config, Space((3, 16, 16)))
    >>> game.relative
    True
    """

    Config = R3GANConfig
    averaged = ("G",)
    owner = "G"

    def __init__(self, config: R3GANConfig, shape: tuple[int, ...], D: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.config, self.shape, self.D, self.G = config, shape, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: R3GANConfig, space: Space) -> R3GAN:
        shape = space.shape
        D: nn.Module
        G: nn.Module
        if config.discriminator == "dcgan":
            D = dcgan.Discriminator(shape, config.d_width, "none")
        else:
            D = r3gan.Discriminator(shape, r3gan.widths(shape, config.d_width), config.blocks, group_width=config.group)
        if config.generator == "dcgan":
            G = dcgan.Generator(config.z, shape, config.width, config.generator_norm)
        else:
            G = r3gan.Generator(
                config.z, shape, r3gan.widths(shape, config.width), config.blocks, group_width=config.group
            )
        return cls(config, shape, D, G)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    def shared(self, batch: Batch, now: Now) -> Shared:
        return {"fake": self.decode(self.latents(now.chance("z")))}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        if player == "G":
            s_fake = self.judge(shared["fake"], now, "fake")
            return self.objective.generator(self.judge(batch.x, now, "real") if self.relative else None, s_fake)
        x, fake = batch.x.detach(), shared["fake"].detach()
        if not now.every(self.config.penalty_every):
            s_real, s_fake = self.judge(x, now, "real"), self.judge(fake, now, "fake")
            return self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
        with torch.autocast(x.device.type, enabled=False):  # penalties in full precision, the forward pass included
            x, fake = x.float().requires_grad_(), fake.float().requires_grad_()
            s_real, s_fake = self.judge(x, now, "real"), self.judge(fake, now, "fake")
            terms = self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
            return terms | {"r1": zero_centred(s_real, x), "r2": zero_centred(s_fake, fake)}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        half = (
            0.5 * now.at(self.config.gamma) * self.config.penalty_every
        )  # γ/2 (R1 + R2), ×k when paid every k-th time
        every = {"real": 1.0, "fake": 1.0, "pair": 1.0, "r1": half, "r2": half}
        return {name: weight for name, weight in every.items() if name in terms}

    def judge(self, x: Tensor, now: Now, side: str) -> Tensor:
        """s(T(x)): logits (N,) of augmented images."""
        p = now.at(self.config.augment)
        return self.D(augment(x, now.chance(f"augment/{side}"), p) if p > 0 else x)

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def decode(self, z: Tensor) -> Tensor:
        return self.G(z)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        return self.decode(paths.truncate(self.latents(dice), truncation))

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        return self.D(batch.x), self.D(self.decode(self.latents(dice)))
