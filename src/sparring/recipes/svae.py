"""The hyperspherical variational autoencoder: a von Mises-Fisher posterior, a uniform prior on the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor
from torch.nn import functional as F

from sparring.autoencoder import Autoencoder, AutoencoderConfig, Posterior
from sparring.errors import UsageError
from sparring.priors import von_mises_fisher
from sparring.train.game import strict
from sparring.types import Dice


@pydantic_dataclass(frozen=True, config=strict, kw_only=True)
class SVAEConfig(AutoencoderConfig):
    """Settings of `SVAE`. Defaults: those of the VAE, on a sphere of few dimensions, where it has its advantage."""

    sphere: Annotated[int, Field(ge=1, le=2**12)] = 10
    """d of the sphere S^d on which z lies: d dimensions, d + 1 coordinates. 1 is a circle, 2 the surface of a ball."""


@dataclass(frozen=True)
class VonMisesFisher(Posterior):
    """vMF(mu, kappa) on S^(m−1): mu (n, m), |mu| = 1; kappa (n,)."""

    mu: Tensor
    kappa: Tensor

    def draw(self, dice: Dice) -> Tensor:
        return von_mises_fisher.draw_around(dice, self.mu, self.kappa)

    def log_density(self, z: Tensor) -> Tensor:
        return von_mises_fisher.log_density(z, self.mu, self.kappa)

    def kl(self) -> Tensor:
        """Of κ alone: the prior looks the same from everywhere (Davidson et al. 2018, eq. 5)."""
        return von_mises_fisher.kl_to_uniform(self.kappa, self.mu.shape[1])[:, None]

    def mean(self) -> Tensor:
        return self.mu


class SVAE(Autoencoder):
    """q(z | x) = vMF(μ(x), κ(x)), p(z) uniform on S^d   (Davidson et al. 2018, arXiv:1804.00891).

    The sphere has no centre that a prior would pull everything to, and no edge. In few dimensions that is worth some
    nats; in many the single κ, the same in all directions, costs more than it gains (docs/systems/svae.md).

    >>> from sparring.chance import Dice
    >>> from sparring.types import Space
    >>> game = SVAE.build(SVAEConfig(sphere=2, width=4), Space((1, 8, 8)))
    >>> game.latents(Dice(0, "z", range(4))).shape
    torch.Size([4, 3])
    """

    Config = SVAEConfig
    prior = "sphere"

    @classmethod
    def sizes(cls, config: SVAEConfig) -> tuple[int, int]:
        """m coordinates of μ and one κ; m = d + 1."""
        return config.sphere + 2, config.sphere + 1

    def posterior(self, heads: Tensor) -> VonMisesFisher:
        """μ: a direction; κ = softplus + 1, so that the law never becomes so wide that it says nothing of μ."""
        return VonMisesFisher(F.normalize(heads[:, :-1], dim=1), F.softplus(heads[:, -1]) + 1)

    def latents(self, dice: Dice) -> Tensor:
        return von_mises_fisher.draw(dice, self.config.sphere + 1)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        if truncation != 1.0:
            raise UsageError(
                "SVAE-TRUNCATION", "latents on a sphere cannot be truncated", where=f"truncation = {truncation:g}",
                why="they are uniform: none is more typical than another, and the sphere's middle is not on it",
                fix="leave the truncation out",
            )  # fmt: skip
        return super().sample(dice)

    def log_prior(self, z: Tensor) -> Tensor:
        return torch.full_like(z[:, 0], -von_mises_fisher.log_area(z.shape[1]))
