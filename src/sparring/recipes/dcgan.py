"""DCGAN: convolutional players with batch normalisation, the classic of 2016."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.skill import skill
from sparring.networks import dcgan
from sparring.priors import gaussian, paths
from sparring.train.game import Decay, Game, Now, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, HasLatents, Samples, Shared, Space, Terms, Weights


@dataclass(frozen=True, config=strict, kw_only=True)
class DCGANConfig(Training):
    """Settings of `DCGAN`. Defaults: Radford et al. 2016, section 4, with 64 hidden channels as usual at 64 px."""

    objective: Literal["minimax", "nonsaturating"] = "nonsaturating"
    """What G lowers: log(1 − D(G(z))) or −log D(G(z)); the paper plays the second."""
    z: Annotated[int, Field(ge=1, le=2**16)] = 100
    """Latent dimensions, standard normal."""
    width: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Channels of the finest hidden map, in both players."""
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class DCGAN(Game, HasLatents, Samples, Criticises):
    """The game of 2014 between convolutional players (Radford et al. 2016). Images only, any size from 8 px.

    G(z) is computed once per round and used by both players. Reals and fakes go through D as separate batches, so
    that batch normalisation never mixes their statistics.

    >>> game = DCGAN.build(DCGANConfig(width=4), Space((3, 16, 16)))
    >>> game.owner
    'G'
    """

    Config = DCGANConfig
    averaged = ("G",)
    owner = "G"

    def __init__(self, config: DCGANConfig, shape: tuple[int, ...], D: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.config, self.shape, self.D, self.G = config, shape, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: DCGANConfig, space: Space) -> DCGAN:
        shape = space.shape
        D = dcgan.Discriminator(shape, config.width, "batch")
        G = dcgan.Generator(config.z, shape, config.width, "batch")
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
            return self.objective.generator(None, self.D(shared["fake"]))
        s_real, s_fake = self.D(batch.x), self.D(shared["fake"])
        return self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {name: 1.0 for name in ("real", "fake") if name in terms}

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def decode(self, z: Tensor) -> Tensor:
        return self.G(z)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        return self.decode(paths.truncate(self.latents(dice), truncation))

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        return self.D(batch.x), self.D(self.decode(self.latents(dice)))
