"""The one-player game that vae and svae have in common: an encoder says where z is, a decoder says what x is.

A recipe says which law z has before (`latents`, `log_prior`) and after x is seen (`posterior`); what is paid, sampled
and measured is written here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, Self

from pydantic import Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor, nn

from sparring.losses.likelihood import LIKELIHOODS
from sparring.networks import encoder_decoder, lpips
from sparring.priors import paths
from sparring.train import ensemble
from sparring.train.game import Decay, Fraction, Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import (
    Batch,
    Dice,
    HasLatents,
    HasPosterior,
    Outcome,
    Reconstructs,
    Samples,
    Shared,
    Space,
    Terms,
    Weights,
)

Count = Annotated[int, Field(ge=1, le=2**16)]


@pydantic_dataclass(frozen=True, config=strict, kw_only=True)
class AutoencoderConfig(Training):
    """Settings that every `Autoencoder` has."""

    network: Literal["mlp", "conv"] = "conv"
    """Convolutional (images only), with `width` channels on the finest map; or fully connected, of `hidden` layers."""
    hidden: tuple[Count, ...] = (256, 128)
    """Sizes of the encoder's hidden layers; the decoder has them the other way round (mlp)."""
    width: Count = 32
    """Channels of the finest map (conv)."""
    decoder: Literal["bernoulli", "gaussian", "logistic"] = "gaussian"
    """The law of x given z: of black and white values, of real numbers, or of the 256 levels of an image."""
    scale: Annotated[float, Field(gt=0, le=1e3)] | None = None
    """Standard deviation (gaussian) or scale (logistic) of each value around what is decoded, in units of [-1, 1];
    none: one for all values, learned."""
    noise: bool = False
    """Draw samples from the law of x given z, noise and all; else show its mean, as is usual of images."""
    beta: Schedule = Ramp(1.0, 1.0)
    """Weight of the KL divergence; "0 -> 1 linear 0..0.1" warms it up over the first tenth."""
    free_bits: Annotated[float, Field(ge=0)] = 0.0
    """Nats of KL divergence, of each latent dimension where the law has them, below which nothing is gained."""
    perceptual: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Nats for each unit of LPIPS, how different x and the mean of what is decoded are to people: sharper, and what is
    lowered is no bound on the likelihood any more (the log and evaluate still say the ELBO). Needs `lpips` weights."""
    judge: lpips.Backbone = "vgg"
    """Whose features LPIPS compares: "vgg", from 16 px; "alex" costs a tenth, from 31 px."""
    play: str = "M:1"
    """Who moves when: there is only M."""
    lr: Fraction = Ramp(1e-3, 1e-4, "cosine", 0.5, 1.0)
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    flip: bool = False


class Posterior(ABC):
    """q(z | x) for n samples x."""

    @abstractmethod
    def draw(self, dice: Dice) -> Tensor:
        """(n, coordinates): one z for each x, a differentiable function of the parameters (reparametrised)."""

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """(n, coordinates) → (n,): log q(z | x), nats."""

    @abstractmethod
    def kl(self) -> Tensor:
        """(n, groups): KL(q(z | x) ‖ p(z)) in nats; a column for each independent dimension, else one."""

    @abstractmethod
    def mean(self) -> Tensor:
        """(n, coordinates): its middle, a point of the latent space; for pictures of it."""


class Coder(nn.Module):
    """The player: `encoder` x → (n, heads), `decoder` z → (location, log scale) of x."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class Autoencoder(Game, HasLatents, Samples, Reconstructs, HasPosterior):
    """M lowers E_q[−log p(x | z)] + β KL(q(z | x) ‖ p(z)): with β = 1 minus the ELBO   (Kingma & Welling 2014, eq. 3).

    A recipe gives `sizes`, `posterior`, `latents` and `log_prior`. Once trained, samples need the decoder alone.
    """

    averaged = ("M",)
    useful = ("M.decoder",)  # once it is trained samples need no encoder

    def __init__(self, config: Any, shape: tuple[int, ...], M: nn.Module) -> None:
        super().__init__()
        self.config, self.shape, self.M = config, shape, M
        self.law = LIKELIHOODS[config.decoder]

    @classmethod
    def build(cls, config: Any, space: Space) -> Self:
        heads, coordinates = cls.sizes(config)
        scale = config.scale if LIKELIHOODS[config.decoder].scaled else 1.0
        encoder: nn.Module
        decoder: nn.Module
        if config.network == "mlp":
            encoder = encoder_decoder.Encoder(space.shape, heads, config.hidden)
            decoder = encoder_decoder.Decoder(coordinates, space.shape, config.hidden[::-1], scale)
        else:
            encoder = encoder_decoder.ConvolutionalEncoder(space.shape, heads, config.width)
            decoder = encoder_decoder.ConvolutionalDecoder(coordinates, space.shape, config.width, scale)
        return cls(config, space.shape, Coder(encoder, decoder))

    def begin(self) -> None:
        """Nothing is taken over; but the weights of what judges pictures are there, or it is said at once."""
        if self.config.perceptual > 0:
            lpips.check(self.config.judge, self.shape)

    # ── what a recipe says ───────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    @abstractmethod
    def sizes(cls, config: Any) -> tuple[int, int]:
        """How many numbers the encoder gives for each x, and how many coordinates a z has."""

    @abstractmethod
    def posterior(self, heads: Tensor) -> Posterior:
        """q(z | x), of what the encoder gives, (n, heads)."""

    @abstractmethod
    def log_prior(self, z: Tensor) -> Tensor:
        """(n, coordinates) → (n,): log p(z), nats."""

    # ── what is paid ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"M": self.M}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """reconstruction: −log p(x | z); kl: KL(q ‖ p); their sum is minus the ELBO. free: what free bits add to kl.
        lpips: of x and the mean of what is decoded. scale: of each value around that, where the law has one. All (N,),
        the first three in nats."""
        q = self.encode(batch.x)
        kl = q.kl()
        raw, log_scale = self.say(q.draw(now.chance("z")))
        terms = {"reconstruction": -self.law.log_p(batch.x, raw, log_scale).flatten(1).sum(1), "kl": kl.sum(1)}
        if self.config.free_bits > 0:
            terms["free"] = (self.config.free_bits - kl).clamp(min=0).sum(1)
        if self.config.perceptual > 0:
            judge = lpips.shared(self.config.judge, str(raw.device))
            terms["lpips"] = judge(self.law.mean(raw).float(), batch.x.float())
        if self.law.scaled:
            terms["scale"] = log_scale.detach().exp().flatten()
        return terms

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        beta = now.at(self.config.beta)
        pays = {"reconstruction": 1.0, "kl": beta, "free": beta, "lpips": self.config.perceptual}
        return {name: weight for name, weight in pays.items() if name in terms}

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    def encode(self, x: Tensor) -> Posterior:
        """q(z | x), of x (n, …) in [-1, 1]. What is black or white is shown to the encoder as 0 or 1: the black around
        a digit then moves nothing, and a step of the first layer is not multiplied by all of it. (After 77,000 digits
        3 nats lower, with an MLP.)"""
        if self.law.outcome == "binary":
            x = (x + 1) / 2
        return self.posterior(ensemble.each(self.M, lambda net, x: net.encoder(x), x))

    def say(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(n, coordinates) → what the decoder says of x: (n, …) raw, (n, 1, …) log scale."""
        raw, log_scale = ensemble.each(self.M, lambda net, z: net.decoder(z), z)
        return raw, log_scale

    def log_p(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), (n,) nats."""
        return self.law.log_p(x, *self.say(z)).flatten(1).sum(1)

    @property
    def outcome(self) -> Outcome:
        return self.law.outcome

    @property
    def exact(self) -> bool:
        return False

    def elbo(self, x: Tensor, dice: Dice) -> dict[str, Tensor]:
        q = self.encode(x)
        return {"reconstruction": self.log_p(x, q.draw(dice)), "kl": q.kl().sum(1)}

    def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
        parts = self.elbo(x, dice)
        return parts["reconstruction"] - parts["kl"]

    def log_weight(self, x: Tensor, dice: Dice) -> Tensor:
        q = self.encode(x)
        z = q.draw(dice)
        return self.log_p(x, z) + self.log_prior(z) - q.log_density(z)

    def reconstruct(self, x: Tensor, dice: Dice) -> Tensor:
        return self.decode(self.encode(x).draw(dice))

    def decode(self, z: Tensor) -> Tensor:
        """The mean of x given z."""
        return self._shown(self.law.mean(self.say(z)[0]))

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        z = paths.truncate(self.latents(dice), truncation)
        return self._shown(self.law.draw(*self.say(z), dice)) if self.config.noise else self.decode(z)

    def _shown(self, x: Tensor) -> Tensor:
        return x if len(self.shape) == 1 else x.clamp(-1, 1)  # an image ends where black and white do
