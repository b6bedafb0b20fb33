"""StyleGAN2 with adaptive discriminator augmentation: z → w → a style for each layer → image.

Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", and "Training generative adversarial
networks with limited data". In pure torch: no compiled extension, any size, any number of channels, CPU or GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.adaptive import Adaptive, augment
from sparring.chance import Dice, Dices
from sparring.contest import Contest, ContestConfig, Count
from sparring.errors import UsageError
from sparring.losses import lazy
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.packing import packed_shape
from sparring.losses.path_length import PathLength, lengths
from sparring.networks.stylegan2 import Architecture, Generator, channels, mixed
from sparring.networks.stylegan2_critic import Discriminator
from sparring.train.game import Decay, Fraction, Now, Schedule, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, HasStyles, Shared, Space, Terms, Weights

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=strict, kw_only=True)
class StyleGAN2Config(ContestConfig):
    """Settings of `StyleGAN2`. Defaults: those that StyleGAN2-ADA chooses by itself ("auto"), for one GPU."""

    penalty: str = "r1"
    gamma: Schedule = Ramp(0.0, 0.0)
    """Weight γ of γ/2 R1; 0: by gamma_rule."""
    gamma_rule: Annotated[float, Field(ge=0, le=1e6)] = 2e-4
    """Where gamma is 0: γ is this · H · W / batch. Up to 4 times more or less may be better."""
    penalty_every: Count = 16
    """Pay R1 once in so many rounds, with so many times the weight."""
    z: Count = 512
    """Latent dimensions, standard normal; the mapping network begins by normalising them."""
    w: Count = 512
    """Dimensions of W."""
    mapping: Annotated[int, Field(ge=1, le=8)] = 8
    """Layers of the mapping network."""
    mapping_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    """How fast the mapping network learns, as a share of the others' speed."""
    base: Count = 16384
    """Channels of a block of side s are base / s, at most `most`; published: 32768 from 512 pixels on."""
    most: Count = 512
    """Channels of the coarsest blocks."""
    d_base: Annotated[int, Field(ge=0, le=2**16)] = 0
    """The same as `base` for D; 0: that of G."""
    architecture: Architecture = "skip"
    """How G's blocks are joined: "skip" adds up an image of each, "resnet" has residual paths, "orig" neither."""
    d_architecture: Architecture = "resnet"
    """How D's blocks are joined."""
    group: Annotated[int, Field(ge=1, le=2**10)] = 4
    """Of how many samples D is told the standard deviation; 1: none, so that it judges each by itself."""
    clamp: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Above 0: what leaves a convolution is cut to ± this (published: 256, for half precision)."""
    pixel_noise: bool = True
    """Whether G's layers add noise to each pixel; without it short runs made samples that were all alike."""
    mixing: Share = 0.9
    """How often an image is made of two latents, one for the coarser layers and one for the finer ones."""
    path_weight: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    """Weight of path-length regularisation; 0: none (published for 32 pixels)."""
    path_every: Count = 4
    """Pay it once in so many rounds, with so many times the weight."""
    path_share: Annotated[int, Field(ge=1, le=2**10)] = 2
    """On one of so many samples of the batch."""
    path_decay: Annotated[float, Field(gt=0, le=1)] = 0.01
    """By how much the mean length moves to that of a batch."""
    w_keep: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """What is left per batch of the old mean of W, towards which truncation draws."""
    ada_target: Annotated[float, Field(ge=0, lt=1)] = 0.6
    """Where augmentation holds E[sign D(x)] of training images, by moving its probability p; 0: p is `augment`."""
    ada_kimg: Annotated[float, Field(gt=0, le=1e6)] = 500.0
    """Thousands of images in which p can go from 0 to 1."""
    ada_every: Count = 4
    """Rounds after which p is moved."""
    augment: Fraction = Ramp(0.0, 0.0)
    """Probability of each augmentation; where it is adaptive (ada_target) only what p begins with."""
    transforms: Literal["b", "g", "c", "bg", "bc", "gc", "bgc"] = "bgc"
    """What augmentation does: b mirrors, turns by quarters and shifts; g scales, turns and stretches; c colours."""
    batch: Annotated[int, Field(ge=1, le=2**20)] = 32
    lr: Fraction = Ramp(0.0025, 0.0025)
    beta2: Decay = Ramp(0.99, 0.99)
    ema_images: Annotated[float, Field(ge=0)] = 10_000
    """Half-life of the averaged generator in images; published: 10,000 for a batch of 32."""
    ema_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ada_target > 0 and OBJECTIVES[self.objective].relative:
            raise ValueError(
                f"ada_target = {self.ada_target:g}: adaptive augmentation asks how often D finds training images real, "
                f"and in a {self.objective} game D only compares; take ada_target=0 with a fixed augment=0.3, or "
                "objective=nonsaturating"
            )
        if self.spectral:
            raise ValueError("spectral: the layers of stylegan2 have equalised learning rates, and are not normalised")

    @property
    def penalised(self) -> bool:
        """Whether any penalty is ever paid: γ = 0 stands for the rule."""
        return super().penalised or (bool(self.penalties) and self.gamma_rule > 0)


class StyleGAN2(Contest, HasStyles):
    """L_D = E[softplus(s(T(G(z))))] + E[softplus(−s(T(x)))] + γ/2 E‖∇ₓ s(T(x))‖²,
    L_G = E[softplus(−s(T(G(z))))] + λ E(‖J_wᵀ y‖ − a)².

    R1 and the path length are paid lazily. T is the augmentation, whose probability is moved so that D does not become
    too sure (`augment.adaptive`). G(z) is computed once per round and used by both players, of two latents as a rule
    (style mixing), with fresh noise; samples are made of one, with the noise that G remembers.

    >>> config = StyleGAN2Config(z=8, w=8, base=64, most=8, mapping=2)
    >>> game = StyleGAN2.build(config, Space((3, 16, 16)))
    >>> game.to_w(torch.zeros(2, 8)).shape, len(game.to_styles(game.to_w(torch.zeros(2, 8)))), game.config.gamma.start
    (torch.Size([2, 6, 8]), 8, 0.0016)
    """

    Config = StyleGAN2Config
    owner = "G"
    for_training = ("path", "ada")
    heeds: Mapping[str, tuple[str, ...]] = {"D": ("true_positive",), "G": ("length",)}
    D: nn.Module
    G: Generator

    def __init__(self, config: StyleGAN2Config, shape: tuple[int, ...], D: nn.Module, G: Generator) -> None:
        super().__init__(config, shape, D, G)
        self.path = PathLength(config.path_decay)
        self._told: Tensor | None = None  # the sum of w over the samples of a move, until it is heard
        target, first = config.ada_target, config.augment.start
        self.ada = Adaptive(target, config.ada_kimg, config.ada_every, p=first) if target > 0 else None

    @classmethod
    def build(cls, config: StyleGAN2Config, space: Space) -> StyleGAN2:
        shape, clamp = space.shape, config.clamp or None
        if len(shape) != 3 or min(shape[1:]) < 8:
            raise UsageError(
                "NET-SHAPE", f"stylegan2 needs images (C, H, W) of at least 8×8, not {shape}",
                fix="use a larger --size" if len(shape) == 3 else "for points: --recipe gan-points",
            )  # fmt: skip
        if config.gamma.start == config.gamma.end == 0:
            rule = config.gamma_rule * shape[1] * shape[2] / config.batch
            config = replace(config, gamma=Ramp(rule, rule))
        G = Generator(
            config.z, config.w, shape, channels(shape, config.base, config.most), mapping=config.mapping,
            rate=config.mapping_rate, architecture=config.architecture, clamp=clamp,
            noisy=config.pixel_noise,
        )  # fmt: skip
        D = Discriminator(
            packed_shape(shape, config.packing), channels(shape, config.d_base or config.base, config.most),
            architecture=config.d_architecture, group=config.group, clamp=clamp,
        )  # fmt: skip
        return cls(config, shape, D, G)

    # ── what the players are shown ───────────────────────────────────────────────────────────────────────────────

    @property
    def p(self) -> float | None:
        """The probability of each augmentation where it is adaptive."""
        return None if self.ada is None else float(self.ada.p)

    def view(self, x: Tensor, now: Now, side: str) -> Tensor:
        p = now.at(self.config.augment) if self.p is None else self.p
        with torch.autocast(x.device.type, enabled=False):
            return augment(x.float() if x.dtype == torch.bfloat16 else x, now.chance(f"augment/{side}"), p,
                           self.config.transforms)  # fmt: skip

    def make(self, dice: Dice | Dices, label: Tensor | None) -> Tensor:  # type: ignore[override]
        w = self._mixed(self.G.mapping(self.latents(dice)), dice)
        made: Tensor = self.G(w=w, noise=self._noise(dice))
        return made

    def shared(self, batch: Batch, now: Now) -> Shared:
        dice = now.chance("z")
        w = self.G.mapping(self.latents(dice))
        return {"fake": self.G(w=self._mixed(w, dice), noise=self._noise(dice)), "w": w}

    def _mixed(self, w: Tensor, dice: Dice | Dices) -> Tensor:
        """(N, w) → (N, layers, w): from a layer on that is drawn for each sample, the w of another latent."""
        layers = self.G.broadcast(w)
        if self.config.mixing == 0:
            return layers
        other = self.G.broadcast(self.G.mapping(self.latents(dice.of("other"))))
        u = dice.of("cut").uniform(2).to(w.device)
        count = layers.shape[1]
        cut = 1 + (u[:, 1] * (count - 1)).floor().long().clamp(max=count - 2)
        return mixed(layers, other, torch.where(u[:, 0] < self.config.mixing, cut, count))

    def _noise(self, dice: Dice | Dices) -> list[Tensor] | None:
        """Fresh noise for each layer, (N, 1, h, w)."""
        if not self.config.pixel_noise:
            return None
        sizes = self.G.synthesis.noises
        numbers = dice.of("noise").field(sum(h * w for h, w in sizes))
        pieces = numbers.split([h * w for h, w in sizes], dim=1)
        return [piece.reshape(-1, 1, *size) for piece, size in zip(pieces, sizes, strict=True)]

    # ── what they pay, and what is remembered ────────────────────────────────────────────────────────────────────

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        terms = dict(super().losses(player, batch, shared, now))
        if player == "G" and self.config.path_weight > 0 and now.every(self.config.path_every):
            terms |= self._path(now)
        return terms

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        weights = dict(super().weights(player, terms, now))
        if "path" in terms:
            weights["path"] = lazy.weight(self.config.path_weight, self.config.path_every)
        return weights

    def _path(self, now: Now) -> dict[str, Tensor]:
        """{"path": (N,) the penalty, "length": (N,)}: of those samples whose position `path_share` divides, so many
        times as much, and 0 of the others. Whose they are does not depend on how the batch is cut."""
        k = self.config.path_share
        first = -now.samples.start % k
        chosen = now.samples[first::k]
        if not len(chosen):
            return {}
        dice = replace(now, samples=chosen).chance("path")
        w = self._mixed(self.G.mapping(self.latents(dice)), dice)
        images = self.G(w=w, noise=self._noise(dice))
        length = lengths(images, w, dice.of("direction").field(*images.shape[1:]).to(images))
        at = torch.arange(first, len(now.samples), k, device=length.device)
        empty = length.new_zeros(len(now.samples))
        return {
            "path": empty.index_add(0, at, k * self.path(length)),
            "length": empty.index_add(0, at, k * length.detach()),
        }

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        super().after(player, batch, shared, now)
        if player == "G":
            told = shared["w"].float().sum(0)
            self._told = told if self._told is None else self._told + told

    def hear(self, player: str, means: Mapping[str, Tensor], now: Now) -> None:
        if player == "G":
            assert self._told is not None
            self.G.mapping.remember(self._told / self.config.batch, self.config.w_keep)
            self._told = None
            if "length" in means:
                self.path.remember(means["length"])
        elif self.ada is not None and "true_positive" in means:
            self.ada.hear(2 * means["true_positive"] - 1, self.config.batch)  # E[sign s(x)]

    def statistics(self, player: str) -> Sequence[Tensor]:
        return (self._told,) if player == "G" and self._told is not None else ()

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    @property
    def mean_w(self) -> Tensor:
        return self.G.mapping.w_avg

    def to_w(self, z: Tensor, *, truncation: float = 1.0) -> Tensor:
        return self.G.broadcast(self.G.mapping.truncated(self.G.mapping(z), truncation))

    def to_styles(self, w: Tensor) -> tuple[Tensor, ...]:
        return self.G.synthesis.styles(w)

    def from_w(self, w: Tensor) -> Tensor:
        made: Tensor = self.G(w=w)
        return made

    def from_styles(self, styles: Sequence[Tensor]) -> Tensor:
        made: Tensor = self.G.synthesis(styles)
        return made

    def decode(self, z: Tensor) -> Tensor:
        return self.from_w(self.to_w(z))

    def sample(self, dice: Dice | Dices, *, truncation: float = 1.0) -> Tensor:  # type: ignore[override]
        return self.from_w(self.to_w(self.latents(dice), truncation=truncation))
