"""VQGAN: images as a few whole numbers each, by an autoencoder whose decoder a discriminator sharpens.

It makes no images of its own: its tokens are what a transformer learns to make.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.losses.adaptive import adaptive
from sparring.losses.adversarial import OBJECTIVES, Objectives
from sparring.losses.reconstruction import l1, l2
from sparring.losses.skill import skill
from sparring.networks import lpips, vqgan
from sparring.networks.normalise import Norm
from sparring.networks.patch import PatchDiscriminator, smallest
from sparring.networks.quantise import Quantiser, straight
from sparring.train.game import Decay, Fraction, Game, Now, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Balanced, Batch, Criticises, Dice, HasTokens, Shared, Space, Terms, Weights

Weight = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=2**16)]


@dataclass(frozen=True, config=strict, kw_only=True)
class VQGANConfig(Training):
    """Settings of `VQGAN`. Defaults: Esser et al. 2021 and their published code, with networks half as wide; for a GPU
    and some hours."""

    factor: Literal[2, 4, 8, 16, 32] = 8
    """A token stands for so many by so many pixels: each step more halves the sides once."""
    codes: Annotated[int, Field(ge=2, le=2**16)] = 1024
    """How many different tokens there are: K."""
    dimensions: Count = 64
    """Numbers of a code."""
    normalised: bool = False
    """Codes and what is compared with them have length 1 (Yu et al. 2022): with few dimensions more codes are used."""
    codebook: Literal["gradient", "ema"] = "gradient"
    """How codes are learned: by the gradient of the codebook loss, or as moving averages of what chose them."""
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Of those averages, per round."""
    commitment: Weight = 0.25
    """What the encoder pays for being far from the codes: the paper's β."""
    revive: Annotated[int, Field(ge=0, le=2**20)] = 100
    """A code that was not chosen in so many rounds begins anew where the encoder is; 0: never."""
    fold: Literal[1, 2, 4] = 1
    """So many by so many pixels are one place of the finest map: 2 halves its sides, and costs a CPU a third."""
    width: Count = 64
    """Channels of the finest map."""
    multipliers: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 1, 2, 4)
    """What each level has of them, from the finest; the last one stands for all coarser levels."""
    blocks: Annotated[int, Field(ge=1, le=16)] = 2
    """Residual blocks of each level of the encoder; the decoder has one more."""
    attention: bool = True
    """Whether each place of the coarsest map sees all others."""
    l1: Weight = 1.0
    """Weight of |x̂ − x|, pixel by pixel in [-1, 1]."""
    l2: Weight = 0.0
    """Weight of (x̂ − x)²."""
    perceptual: Weight = 1.0
    """Weight of LPIPS, how different the two are to people; 0 needs no weights of a network trained elsewhere."""
    judge: lpips.Backbone = "vgg"
    """Whose features LPIPS compares: "vgg" as in the paper, from 16 px; "alex" costs a tenth, from 31 px."""
    objective: Objectives = "hinge"
    """The game; docs/systems/gan.md has the equation of each."""
    adversarial: Weight = 0.8
    """Weight of the game in what G pays, times λ, with which it pulls as hard as the reconstruction; 0: no game."""
    adaptive: bool = True
    """Whether λ is taken; without, the game has the same weight throughout."""
    start: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of the run at which the game begins; D learns from then on."""
    patches: Literal[0, 1, 2, 3, 4, 5, 6] = 3
    """Convolutions of stride 2 in D: its patches are 1, 16, 34, 70, 142, 286 or 574 pixels wide."""
    d_width: Count = 64
    """Channels of D's finest map."""
    d_norm: Norm = "affine"
    """Normalisation in D, by the statistics of one image."""
    batch: Annotated[int, Field(ge=1, le=2**20)] = 16
    lr: Fraction = Ramp(1e-4, 1e-4)
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.9, 0.9)
    ema_images: Annotated[float, Field(ge=0)] = 0


class VQGAN(Game, HasTokens, Criticises):
    """G lowers ‖x̂ − x‖ + LPIPS(x̂, x) + ‖sg[z] − e‖² + β ‖z − sg[e]‖² + λ · its half of the game, x̂ = G(e), z = E(x),
    e the code nearest to each vector of z; D its half, patch by patch.

    Esser et al. 2021, "Taming transformers for high-resolution image synthesis", eqs. 4 to 7; ‖·‖² is the mean over
    dimensions, as in the published code. Encoder, codes and decoder are one player. The gradient passes straight
    through the quantiser.

    >>> import torch
    >>> game = VQGAN.build(VQGANConfig(factor=4, codes=16, width=4, patches=1, perceptual=0), Space((3, 16, 16)))
    >>> game.encode(torch.zeros(2, 3, 16, 32)).shape, game.decode(torch.zeros(2, 4, 8, dtype=torch.int64)).shape
    (torch.Size([2, 4, 8]), torch.Size([2, 3, 16, 32]))
    """

    Config = VQGANConfig
    averaged = ("G",)
    owner = "G"
    balanced = ("G",)

    def __init__(self, config: VQGANConfig, space: Space, D: PatchDiscriminator, G: vqgan.VQAutoencoder) -> None:
        super().__init__()
        self.config, self.shape, self.D, self.G = config, space.shape, D, G
        self.objective = OBJECTIVES[config.objective]

    @classmethod
    def build(cls, config: VQGANConfig, space: Space) -> VQGAN:
        _check(config, space.shape)
        channels, height, width = space.shape
        decay = config.decay if config.codebook == "ema" else 0.0
        quantiser = Quantiser(
            config.codes, config.dimensions, decay=decay, normalised=config.normalised, revive=config.revive
        )
        G = vqgan.build(
            (channels, height, width), quantiser, config.dimensions, factor=config.factor, width=config.width,
            multipliers=config.multipliers, blocks=config.blocks, attention=config.attention, fold=config.fold,
        )  # fmt: skip
        return cls(config, space, PatchDiscriminator(channels, config.patches, config.d_width, config.d_norm), G)

    def begin(self) -> None:
        """Nothing is taken over; but what is needed is there, or it is said at once."""
        if self.config.perceptual > 0:
            lpips.check(self.config.judge, self.shape)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    def plays(self, now: Now) -> bool:
        """Whether the game has begun."""
        return self.config.adversarial > 0 and now.progress >= self.config.start

    # ── what the players pay ─────────────────────────────────────────────────────────────────────────────────────

    def shared(self, batch: Batch, now: Now) -> Shared:
        """z and e (N, d, h, w), the tokens (N, h, w), x̂ (N, C, H, W)."""
        z = self.G.vectors(batch.x)
        tokens = self.G.quantiser.nearest(z)
        codes = self.G.quantiser.look_up(tokens)
        return {"z": z, "tokens": tokens, "codes": codes, "fake": self.G.images(straight(z, codes))}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """Of G also `usage` and `perplexity` of the codes in the last rounds, the same for every sample."""
        real, fake = batch.x, shared["fake"]
        if player == "D":
            s_real, s_fake = self.D(real), self.D(fake)
            return dict(self.objective.discriminator(s_real, s_fake)) | skill(s_real, s_fake, relative=self.relative)
        terms: dict[str, Tensor] = {}
        if self.plays(now):
            terms |= self.objective.generator(self.D(real) if self.relative else None, self.D(fake))
        for name, distance in (("l1", l1), ("l2", l2)):
            if getattr(self.config, name) > 0:
                terms[name] = distance(fake.float(), real.float())
        if self.config.perceptual > 0:
            terms["lpips"] = lpips.shared(self.config.judge, str(fake.device))(fake.float(), real.float())
        z, codes, quantiser = shared["z"], shared["codes"], self.G.quantiser
        if self.config.codebook == "gradient":
            terms["codebook"] = l2(codes, z.detach())
        terms["commitment"] = l2(z, codes.detach())
        seen = {"usage": quantiser.usage, "perplexity": quantiser.perplexity}
        return terms | {name: value.expand(len(real)) for name, value in seen.items()}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        config, game = self.config, ("real", "fake", "pair")
        if player == "D":
            return {name: 0.5 * self.plays(now) for name in game if name in terms}
        pays: dict[str, float | Tensor | Balanced] = {
            "l1": config.l1, "l2": config.l2, "lpips": config.perceptual, "codebook": 1.0,
            "commitment": config.commitment,
        }  # fmt: skip
        rule = partial(adaptive, weight=config.adversarial)
        same = Balanced(("l1", "l2", "lpips"), self.G.decoder.last, rule) if config.adaptive else config.adversarial
        return {name: weight for name, weight in (pays | dict.fromkeys(game, same)).items() if name in terms}

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        if player == "G":
            dice = replace(now, samples=range(self.config.codes)).chance("revive")
            self.G.quantiser.take(
                shared["z"], shared["tokens"], now.samples, self.config.batch, dice, first=now.piece == 0
            )

    def written(self, player: str) -> list[tuple[Tensor, Tensor]]:
        return [self.G.quantiser.written] if player == "G" else []

    def statistics(self, player: str) -> list[Tensor]:
        return self.G.quantiser.statistics if player == "G" else []

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    @property
    def codes(self) -> int:
        return self.config.codes

    @property
    def grid(self) -> tuple[int, int]:
        return self.shape[1] // self.config.factor, self.shape[2] // self.config.factor

    def encode(self, x: Tensor) -> Tensor:
        return self.G.quantiser.nearest(self.G.vectors(x))

    def decode(self, tokens: Tensor) -> Tensor:
        return self.G.images(self.G.quantiser.look_up(tokens)).clamp(-1, 1)

    def reconstruct(self, x: Tensor, dice: Dice | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        return self.D(batch.x), self.D(self.reconstruct(batch.x))


def _check(config: VQGANConfig, shape: tuple[int, ...]) -> None:
    """`UsageError` for data that cannot be played on, or not with these settings."""
    if len(shape) != 3:
        raise UsageError("VQGAN-IMAGES", "vqgan is for images", where=f"samples of shape {shape}", fix="--recipe vae")
    side = min(shape[1:])
    if config.adversarial > 0 and side < smallest(config.patches):
        most = max(layers for layers in range(7) if smallest(layers) <= side)
        raise UsageError(
            "VQGAN-PATCHES", f"patches = {config.patches} needs images of {smallest(config.patches)} pixels a side",
            why=f"these have {shape[1]}×{shape[2]}", fix=f"--set patches={most}, or a larger --size",
        )  # fmt: skip
    if config.l1 == config.l2 == config.perceptual == 0:
        raise UsageError("VQGAN-TERMS", "G would pay nothing for its reconstructions", fix="--set l1=1")
