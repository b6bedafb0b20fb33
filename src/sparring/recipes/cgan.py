"""Conditional GAN: both players are told the class, P(x | y) instead of P(x).

Three ways for D to know the class, two for G, three sizes of network, every objective: the settings are what the
papers differ in, so that they can be compared one at a time.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.contest import Contest, ContestConfig, Count, Verdict
from sparring.errors import UsageError
from sparring.losses.adversarial import Objectives
from sparring.losses.auxiliary import class_cross_entropy
from sparring.networks import conditioning, dcgan, mlp, r3gan
from sparring.priors import categorical, paths
from sparring.train.game import Decay, Fraction, Now, Schedule, strict
from sparring.train.schedule import Ramp
from sparring.types import Dice, HasLatentsByClass, SamplesByClass, Space, Terms, Weights

Frequency = Annotated[float, Field(gt=0, le=1e6)]
Fourier = tuple[Annotated[int, Field(ge=1, le=2**12)], Frequency, Frequency] | None


@dataclass(frozen=True, config=strict, kw_only=True)
class CGANConfig(ContestConfig):
    """Settings of `CGAN`. Defaults: the light networks and the game of r3gan-minutes, with a projection in D."""

    conditioning: Literal["projection", "concatenation", "auxiliary"] = "projection"
    """How D knows the class: a projection of its features (Miyato & Koyama 2018), the class beside x (Mirza & Osindero
    2014), or not at all: then D guesses it, and both players pay the cross entropy (Odena et al. 2017)."""
    network: Literal["conv", "residual", "mlp"] = "conv"
    """Both players' networks: the DCGAN topology, R3GAN's residual one, or fully connected (points, small images)."""
    generator_norm: Literal["batch", "conditional", "pixel", "none"] = "batch"
    """Normalisation in a conv generator. "conditional": batch norm with a scale and shift per class (γ_y, β_y). With
    the others, and in the other networks, G is told the class beside z, which was better early (systems/cgan.md)."""
    objective: Objectives = "relativistic"
    """The game. A relativistic one compares a real sample with a fake of the same class."""
    classify: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Weight of the auxiliary classifier's cross entropy, in both players; only with conditioning = "auxiliary"."""
    width: Count = 32
    """G's channels at the finest map (conv, residual), or its hidden units per layer (mlp)."""
    d_width: Count = 32
    """The same for D."""
    depth: Annotated[int, Field(ge=1, le=64)] = 3
    """Hidden layers of both players (mlp)."""
    widths: tuple[Count, ...] = ()
    """G's channels of each stage, coarsest first, where they do not follow from `width` (residual)."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 1
    """Residual blocks per stage (residual)."""
    group: Count = 16
    """Channels per group of the 3×3 convolutions (residual)."""
    taps: Literal[3, 4] = 3
    """Of the filter between stages (residual): 3, [1, 2, 1]; or 4, [1, 3, 3, 1], as in R3GAN's own code."""
    g_fourier: Fourier = None
    """Random Fourier features of z: (count, lowest, highest frequency); mlp only."""
    d_fourier: Fourier = None
    """Random Fourier features of x, which let D see fine modes: (count, lowest, highest frequency); mlp only."""
    gamma: Schedule = Ramp(2.0, 0.2, "cosine", 0.0, 0.8)
    """Weight γ of γ/2 (R1 + R2), with respect to x alone; a squared length scale, so larger for larger images."""
    penalty_every: Count = 4
    """Pay the penalties once in so many rounds, with so many times the weight."""
    augment: Fraction = Ramp(0.0, 0.0)
    """Probability of each differentiable augmentation, of reals and fakes, in both players' turns (images)."""
    batch: Count = 16
    lr: Fraction = Ramp(1e-3, 2e-4, "linear", 0.5, 1.0)
    beta2: Decay = Ramp(0.9, 0.99, "cosine", 0.0, 0.2)
    ema_images: Annotated[float, Field(ge=0)] = 20_000
    ema_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing > 1:
            raise ValueError("packing: the samples of a pack would need one label, and batches bring all of them mixed")


class CGAN(Contest, HasLatentsByClass, SamplesByClass):
    """min_G max_D E_{x,y}[log D(x, y)] + E_{z,y}[log(1 − D(G(z, y), y))].   Mirza & Osindero 2014, eq. 2.

    Fake i has the class of real i: y comes from the data, so a pair of a relativistic game shares its label, and G and
    D meet the classes as often as the data show them. G(z, y) is computed once per round and used by both players. D
    has no normalisation, since penalties need samples that are not coupled.

    >>> game = CGAN.build(CGANConfig(width=4, d_width=4), Space((3, 16, 16), classes=5))
    >>> from sparring.chance import Dice
    >>> game.sample(Dice(0, "sample", range(7)), label=torch.full((7,), 3)).shape
    torch.Size([7, 3, 16, 16])
    """

    Config = CGANConfig
    owner = "G"
    needs = frozenset({"label"})

    def __init__(
        self, config: CGANConfig, space: Space, D: conditioning.Discriminator, G: conditioning.Generator
    ) -> None:
        super().__init__(config, space.shape, D, G)
        self.classes = space.classes

    @classmethod
    def build(cls, config: CGANConfig, space: Space) -> CGAN:
        _check(config, space)
        judge, maker = networks(config, space)
        D = conditioning.Discriminator(judge, space.classes, config.conditioning)
        in_norms = config.network == "conv" and config.generator_norm == "conditional"
        G = conditioning.Generator(maker, space.classes, scaled=not in_norms)
        return cls(config, space, D, G)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        known = {name: self.config.classify for name in ("class(x)", "class(G(z))") if name in terms}
        return {**super().weights(player, terms, now), **known}

    def view(self, x: Tensor, now: Now, side: str) -> Tensor:
        """T(x), (N, …): the images augmented."""
        p = now.at(self.config.augment)
        return augment(x, now.chance(f"augment/{side}"), p) if p > 0 else x

    def judge(self, x: Tensor, label: Tensor | None) -> Verdict:
        """s(x, y), (N,), and of a D that guesses: −log P(y | x) and whether the guess is right."""
        assert label is not None  # `needs`
        logits, guess = self.D(x, label)
        if guess is None:
            return Verdict(logits)
        right = (guess.detach().argmax(1) == label).float()
        return Verdict(logits, {"class": class_cross_entropy(guess, label), "guessed": right})

    def make(self, dice: Dice, label: Tensor | None) -> Tensor:
        assert label is not None
        return self.decode(self.latents(dice), label)  # fake i: of the class of real i

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if label is None:
            label = torch.arange(len(z), device=z.device) % self.classes
        made: Tensor = self.G(z, label)
        return made

    def sample(self, dice: Dice, *, truncation: float = 1.0, label: Tensor | None = None) -> Tensor:
        label = categorical.in_turn(dice, self.classes) if label is None else label
        return self.decode(paths.truncate(self.latents(dice), truncation), label)

    def score(self, x: Tensor) -> Tensor:
        """The logit of the class that suits each x best, (n,)."""
        every = torch.arange(self.classes, device=x.device).repeat(len(x))  # (n K,)
        logits = self.judge(x.repeat_interleave(self.classes, dim=0), every).logits
        return logits.unflatten(0, (len(x), self.classes)).amax(1)


def networks(config: CGANConfig, space: Space) -> tuple[nn.Module, nn.Module]:
    """D's and G's networks before they are told the class; those that concatenate have room for it."""
    shape, classes = space.shape, space.classes
    beside = classes if config.conditioning == "concatenation" else 0
    match config.network:
        case "mlp":
            return (
                mlp.Discriminator(shape, config.d_width, config.depth, config.d_fourier, beside),
                mlp.Generator(config.z, shape, config.width, config.depth, config.g_fourier, classes),
            )
        case "residual":
            wide, thin = r3gan.widths(shape, config.d_width), config.widths or r3gan.widths(shape, config.width)
            blocks, group, taps = config.blocks, config.group, config.taps
            return (
                r3gan.Discriminator(shape, wide, blocks, group_width=group, told=beside, taps=taps),
                r3gan.Generator(config.z, shape, thin, blocks, group_width=group, told=classes, taps=taps),
            )
        case _:
            return (
                dcgan.Discriminator(shape, config.d_width, "none", beside),
                dcgan.Generator(config.z, shape, config.width, config.generator_norm, classes),
            )


def _check(config: CGANConfig, space: Space) -> None:
    """`UsageError` for settings that the data cannot have."""
    if not space.classes:
        raise UsageError(
            "DATA-UNLABELLED", "cgan needs to know how many classes there are", fix="give data with labels"
        )
    if len(space.shape) == 3:
        return
    if config.network != "mlp":
        raise UsageError(
            "CGAN-NETWORK", f"network = {config.network} is for images, and these data are points",
            fix="--recipe cgan-points, or --set network=mlp",
        )  # fmt: skip
    if config.augment.start > 0 or config.augment.end > 0:
        raise UsageError("CGAN-AUGMENT", "only images can be augmented, and these data are points", fix="augment=0")
