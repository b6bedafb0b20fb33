"""The variational autoencoder: a Gaussian posterior around each x, a standard normal prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor

from sparring.autoencoder import Autoencoder, AutoencoderConfig, Count, Posterior
from sparring.priors import gaussian
from sparring.train.game import strict
from sparring.types import Dice


@pydantic_dataclass(frozen=True, config=strict, kw_only=True)
class VAEConfig(AutoencoderConfig):
    """Settings of `VAE`. Defaults: images of any size, some minutes on a CPU; the Gaussian decoder with one learned
    standard deviation of Rybkin et al. 2021 (σ-VAE), with which no weight between the two terms need be found."""

    z: Count = 64
    """Dimensions of the latent space."""


@dataclass(frozen=True)
class Normal(Posterior):
    """N(mu, diag exp(log_variance)): (n, z) each."""

    mu: Tensor
    log_variance: Tensor

    def draw(self, dice: Dice) -> Tensor:
        """z = μ + σ ε, ε ~ N(0, I) (Kingma & Welling 2014, section 2.4)."""
        return self.mu + torch.exp(0.5 * self.log_variance) * dice.normal(self.mu.shape[1]).to(self.mu)

    def log_density(self, z: Tensor) -> Tensor:
        square = (z - self.mu).square() * torch.exp(-self.log_variance)
        return -0.5 * (square + self.log_variance + math.log(2 * math.pi)).sum(1)

    def kl(self) -> Tensor:
        """½ (μ² + σ² − log σ² − 1) for each dimension (Kingma & Welling 2014, appendix B)."""
        return 0.5 * (self.mu.square() + self.log_variance.exp() - self.log_variance - 1)

    def mean(self) -> Tensor:
        return self.mu


class VAE(Autoencoder):
    """q(z | x) = N(μ(x), diag σ²(x)), p(z) = N(0, I)   (Kingma & Welling 2014).

    >>> from sparring.types import Space
    >>> game = VAE.build(VAEConfig(z=2), Space((1, 8, 8)))
    >>> list(game.players)
    ['M']
    """

    Config = VAEConfig

    @classmethod
    def sizes(cls, config: VAEConfig) -> tuple[int, int]:
        return 2 * config.z, config.z

    def posterior(self, heads: Tensor) -> Normal:
        mu, log_variance = heads.chunk(2, dim=1)
        return Normal(mu, log_variance)

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def log_prior(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
