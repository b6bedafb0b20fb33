"""The game of 2014: two multilayer perceptrons, for 2-D points and small images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from sparring.contest import Contest, ContestConfig, Count
from sparring.errors import UsageError
from sparring.losses.packing import packed_shape
from sparring.networks import mlp, pacgan
from sparring.train.game import Decay, strict
from sparring.train.schedule import Ramp
from sparring.types import Space


def _rising(bands: tuple[int, float, float] | None) -> tuple[int, float, float] | None:
    if bands is not None and bands[1] > bands[2]:
        raise ValueError(f"the lowest frequency {bands[1]:g} is above the highest {bands[2]:g}")
    return bands


Frequency = Annotated[float, Field(gt=0, le=1e6)]
Fourier = Annotated[tuple[Annotated[int, Field(ge=1, le=2**12)], Frequency, Frequency] | None, AfterValidator(_rising)]


@dataclass(frozen=True, config=strict, kw_only=True)
class GANConfig(ContestConfig):
    """Settings of `GAN`. Defaults: Goodfellow et al. 2014 where the paper says, else common practice for MLPs."""

    network: Literal["mlp", "pacgan"] = "mlp"
    """Both players' networks: MLPs of the sizes below, or those of PacGAN's experiments on points, whose sizes are
    fixed (networks/pacgan.py)."""
    width: Count = 256
    """Hidden units per layer, in both players (mlp)."""
    depth: Annotated[int, Field(ge=1, le=64)] = 3
    """Hidden layers, in both players (mlp)."""
    g_fourier: Fourier = None
    """Random Fourier features of z: (count, lowest, highest frequency); none by default (mlp)."""
    g_jumps: Annotated[int, Field(ge=0, le=2**12)] = 0
    """Random lines across z at which G may jump from one mode to another: on which side of each a z lies is told to G
    (mlp). None by default: G is continuous, and draws bridges between modes."""
    d_fourier: Fourier = None
    """Random Fourier features of x, which let D see fine modes: (count, lowest, highest frequency) (mlp)."""
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network != "pacgan":
            return
        if self.g_fourier is not None or self.d_fourier is not None or self.g_jumps:
            raise ValueError("the networks of pacgan have no Fourier features and no jumps: leave their settings out")
        if (self.width, self.depth) != (256, 3):
            raise ValueError("the networks of pacgan have the sizes of the paper: leave width and depth out")


class GAN(Contest):
    """min_G max_D E_x[log D(x)] + E_z[log(1 − D(G(z)))], with D(x) = σ(s(x)).   Goodfellow et al. 2014, eq. 1.

    Every turn draws fresh noise, as the algorithm of the paper does (nothing is shared between the players).

    >>> game = GAN.build(GANConfig(width=8, z=2), Space((2,)))
    >>> sorted(game.players)
    ['D', 'G']
    """

    Config = GANConfig

    @classmethod
    def build(cls, config: GANConfig, space: Space) -> GAN:
        shape, seen = space.shape, packed_shape(space.shape, config.packing)
        if config.network == "pacgan":
            if len(shape) != 1:
                raise UsageError(
                    "GAN-NETWORK", "network = pacgan is for points, and these data are images",
                    fix="--set network=mlp, or --recipe dcgan",
                )  # fmt: skip
            return cls(config, shape, pacgan.Discriminator(seen), pacgan.Generator(config.z, shape))
        D = mlp.Discriminator(seen, config.width, config.depth, config.d_fourier)
        G = mlp.Generator(config.z, shape, config.width, config.depth, config.g_fourier, jumps=config.g_jumps)
        return cls(config, shape, D, G)
