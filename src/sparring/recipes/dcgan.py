"""DCGAN: convolutional players with batch normalisation, the classic of 2016."""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from sparring.contest import Contest, ContestConfig, Count
from sparring.losses.packing import packed_shape
from sparring.networks import dcgan
from sparring.train.game import Decay, strict
from sparring.train.schedule import Ramp
from sparring.types import Space


@dataclass(frozen=True, config=strict, kw_only=True)
class DCGANConfig(ContestConfig):
    """Settings of `DCGAN`. Defaults: Radford et al. 2016, section 4, with 64 hidden channels as usual at 64 px."""

    d_norm: Literal["batch", "none"] = "batch"
    """Normalisation in D; penalties need "none", since batch statistics couple the samples of a batch."""
    z: Count = 100
    """Latent dimensions, standard normal."""
    width: Count = 64
    """Channels of the finest hidden map, in both players."""
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d_norm == "batch" and self.penalised:
            raise ValueError(
                f"penalty = {self.penalty} takes one gradient per sample, and d_norm = batch couples the samples of a "
                "batch: set d_norm=none, or pay no penalty (gamma=0, penalty=none)"
            )


class DCGAN(Contest):
    """The game of 2014 between convolutional players (Radford et al. 2016). Images only, any size from 8 px.

    G(z) is computed once per round and used by both players. Reals and fakes go through D as separate batches, so
    that batch normalisation does not mix their statistics (unless `joined`).

    >>> game = DCGAN.build(DCGANConfig(width=4), Space((3, 16, 16)))
    >>> game.owner
    'G'
    """

    Config = DCGANConfig
    owner = "G"

    @classmethod
    def build(cls, config: DCGANConfig, space: Space) -> DCGAN:
        D = dcgan.Discriminator(packed_shape(space.shape, config.packing), config.width, config.d_norm)
        G = dcgan.Generator(config.z, space.shape, config.width, "batch")
        return cls(config, space.shape, D, G)
