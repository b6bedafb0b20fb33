"""R3GAN: relativistic pairing with R1 and R2, on residual nets without normalisation, or on lighter ones.

The networks, the norm of G and how often penalties are paid can be chosen, so that one recipe serves a laptop with
minutes and a fast machine with hours: see the presets.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.contest import Contest, ContestConfig, Count
from sparring.losses.adversarial import Objectives
from sparring.losses.packing import packed_shape
from sparring.networks import dcgan, r3gan
from sparring.train.game import Decay, Fraction, Now, Schedule, strict
from sparring.train.schedule import Ramp
from sparring.types import Space


@dataclass(frozen=True, config=strict, kw_only=True)
class R3GANConfig(ContestConfig):
    """Settings of `R3GAN`. Defaults: Huang et al. 2024, table 9 (FFHQ-64), with widths for one GPU."""

    objective: Objectives = "relativistic"
    """The game: relativistic pairing (the paper), or any other for comparison."""
    generator: Literal["r3gan", "dcgan"] = "r3gan"
    """G's network: residual without normalisation (the paper), or the DCGAN topology (better in the first hour)."""
    discriminator: Literal["r3gan", "dcgan"] = "r3gan"
    """D's network, always without normalisation: penalties need samples that are not coupled."""
    generator_norm: Literal["batch", "pixel", "none"] = "none"
    """Normalisation in a dcgan generator; "batch" is what helps early (docs/choosing.md)."""
    width: Count = 64
    """Channels of G's finest map; doubled per coarser stage, up to 4 times this (r3gan) or 8 times (dcgan)."""
    d_width: Count = 64
    """The same for D."""
    widths: tuple[Count, ...] = ()
    """G's channels of each stage, coarsest first, where they do not follow from `width` (r3gan networks)."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 2
    """Residual blocks per stage (r3gan networks)."""
    group: Count = 16
    """Channels per group of the 3×3 convolutions (r3gan networks)."""
    taps: Literal[3, 4] = 3
    """Of the filter between stages (r3gan networks): 3, [1, 2, 1]; or 4, [1, 3, 3, 1], as in the authors' code."""
    gamma: Schedule = Ramp(2.0, 0.2, "cosine", 0.0, 0.2)
    """Weight γ of γ/2 (R1 + R2): a squared length scale, so it grows with the image and falls in the burn-in."""
    penalty_every: Count = 1
    """Pay the penalties once in so many rounds, with so many times the weight; the paper pays them always."""
    augment: Fraction = Ramp(0.0, 0.3, "cosine", 0.0, 0.2)
    """Probability of each differentiable augmentation, of reals and fakes, in both players' turns."""
    lr: Fraction = Ramp(2e-4, 5e-5, "cosine", 0.0, 0.2)
    beta2: Decay = Ramp(0.9, 0.99, "cosine", 0.0, 0.2)
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class R3GAN(Contest):
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
    owner = "G"

    @classmethod
    def build(cls, config: R3GANConfig, space: Space) -> R3GAN:
        shape, seen = space.shape, packed_shape(space.shape, config.packing)
        D: nn.Module
        G: nn.Module
        if config.discriminator == "dcgan":
            D = dcgan.Discriminator(seen, config.d_width, "none")
        else:
            D = r3gan.Discriminator(
                seen, r3gan.widths(shape, config.d_width), config.blocks, group_width=config.group, taps=config.taps
            )
        if config.generator == "dcgan":
            G = dcgan.Generator(config.z, shape, config.width, config.generator_norm)
        else:
            G = r3gan.Generator(
                config.z, shape, config.widths or r3gan.widths(shape, config.width), config.blocks,
                group_width=config.group, taps=config.taps,
            )  # fmt: skip
        return cls(config, shape, D, G)

    def view(self, x: Tensor, now: Now, side: str) -> Tensor:
        """T(x), (N, C, H, W): the images augmented."""
        p = now.at(self.config.augment)
        return augment(x, now.chance(f"augment/{side}"), p) if p > 0 else x
