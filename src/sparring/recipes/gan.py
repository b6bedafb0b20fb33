"""The game of 2014: two multilayer perceptrons, for 2-D points and small images."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.losses.adversarial import OBJECTIVES, Objectives
from sparring.losses.penalties import zero_centred
from sparring.losses.skill import skill
from sparring.networks import mlp
from sparring.priors import gaussian, paths
from sparring.train.game import Decay, Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, HasLatents, Samples, Shared, Space, Terms, Weights


def _rising(bands: tuple[int, float, float] | None) -> tuple[int, float, float] | None:
    if bands is not None and bands[1] > bands[2]:
        raise ValueError(f"the lowest frequency {bands[1]:g} is above the highest {bands[2]:g}")
    return bands


Frequency = Annotated[float, Field(gt=0, le=1e6)]
Fourier = Annotated[tuple[Annotated[int, Field(ge=1, le=2**12)], Frequency, Frequency] | None, AfterValidator(_rising)]


@dataclass(frozen=True, config=strict, kw_only=True)
class GANConfig(Training):
    """Settings of `GAN`. Defaults: Goodfellow et al. 2014 where the paper says, else common practice for MLPs."""

    objective: Objectives = "nonsaturating"
    """The game: minimax (eq. 1) and nonsaturating (section 3) are those of the paper; docs/systems/gan.md has all."""
    z: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Latent dimensions, standard normal."""
    width: Annotated[int, Field(ge=1, le=2**16)] = 256
    """Hidden units per layer, in both players."""
    depth: Annotated[int, Field(ge=1, le=64)] = 3
    """Hidden layers, in both players."""
    gamma: Schedule = Ramp(0.0, 0.0)
    """Weight γ of γ/2 (R1 + R2), Mescheder et al. 2018; 0 is the game of 2014, which need not converge."""
    g_fourier: Fourier = None
    """Random Fourier features of z: (count, lowest, highest frequency); none by default."""
    d_fourier: Fourier = None
    """Random Fourier features of x, which let D see fine modes: (count, lowest, highest frequency)."""
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)


class GAN(Game, HasLatents, Samples, Criticises):
    """min_G max_D E_x[log D(x)] + E_z[log(1 − D(G(z)))], with D(x) = σ(s(x)).   Goodfellow et al. 2014, eq. 1.

    Every turn draws fresh noise, as the algorithm of the paper does (nothing is shared between the players).

    >>> game = GAN.build(GANConfig(width=8, z=2), Space((2,)))
    >>> sorted(game.players)
    ['D', 'G']
    """

    Config = GANConfig
    averaged = ("G",)

    def __init__(self, config: GANConfig, shape: tuple[int, ...], D: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.config, self.shape, self.D, self.G = config, shape, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: GANConfig, space: Space) -> GAN:
        shape = space.shape
        D = mlp.Discriminator(shape, config.width, config.depth, config.d_fourier)
        G = mlp.Generator(config.z, shape, config.width, config.depth, config.g_fourier)
        return cls(config, shape, D, G)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        x, fake = batch.x, self.decode(self.latents(now.chance("z")))
        if player == "G":
            return self.objective.generator(self.D(x) if self.relative else None, self.D(fake))
        penalised = now.at(self.config.gamma) > 0
        if penalised:
            x, fake = x.detach().requires_grad_(), fake.detach().requires_grad_()
        s_real, s_fake = self.D(x), self.D(fake)
        terms = self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
        if penalised:
            terms |= {"r1": zero_centred(s_real, x), "r2": zero_centred(s_fake, fake)}
        return terms

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        half = 0.5 * now.at(self.config.gamma)  # γ/2 (R1 + R2)
        every = {"real": 1.0, "fake": 1.0, "pair": 1.0, "r1": half, "r2": half}
        return {name: weight for name, weight in every.items() if name in terms}

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def decode(self, z: Tensor) -> Tensor:
        return self.G(z)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        return self.decode(paths.truncate(self.latents(dice), truncation))

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        return self.D(batch.x), self.D(self.decode(self.latents(dice)))
