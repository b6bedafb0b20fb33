"""Pix2Pix: images from images that belong to them, as a conditional game beside a reconstruction.

Every part that the paper varies is a setting: the cost, what D sees, the size of its patches, the generator.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.differentiable import augment
from sparring.augment.paired import jitter
from sparring.errors import UsageError
from sparring.losses import lazy
from sparring.losses.adversarial import OBJECTIVES, Objectives
from sparring.losses.penalties import PENALTIES, zero_centred
from sparring.losses.reconstruction import RECONSTRUCTIONS
from sparring.losses.skill import skill
from sparring.networks import resnet, runet
from sparring.networks.normalise import Norm
from sparring.networks.patch import FullDiscriminator, PatchDiscriminator, smallest
from sparring.networks.resnet import ResnetGenerator
from sparring.networks.unet import UNet, depth_of
from sparring.ops.padding import padded
from sparring.train.game import Decay, Fraction, Game, Now, Positive, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, Shared, Space, Terms, Translates, Weights

Weight = Annotated[float, Field(ge=0, le=1e6)]
Patches = Literal[0, 1, 2, 3, 4, 5, 6, "full"]
Width = Annotated[int, Field(ge=1, le=2**12)]


@dataclass(frozen=True, config=strict, kw_only=True)
class Pix2PixConfig(Training):
    """Settings of `Pix2Pix`. Defaults: Isola et al. 2017, sections 3 and 6, and the authors' published code."""

    objective: Objectives = "nonsaturating"
    """The game; docs/systems/gan.md has the equation of each. A relativistic one compares y and G(a) for the same a."""
    adversarial: Weight = 1.0
    """Weight of the game in what G pays; 0 leaves the reconstruction alone (then play=G:1 saves D's time)."""
    reconstruction: Literal["l1", "l2", "none"] = "l1"
    """What G pays besides for being unlike the truth, pixel by pixel in [-1, 1]."""
    faithful: Schedule = Ramp(100.0, 100.0)
    """Weight of the reconstruction in what G pays: the paper's λ. A ramp such as "100 -> 20" first settles where things
    are, then what they look like."""
    conditional: bool = True
    """Whether D sees what was given beside what it judges: D(a, y); without, D(y), as in the paper's "GAN" rows."""
    d_weight: Annotated[float, Field(gt=0, le=1e6)] = 0.5
    """What D pays is multiplied by this: the paper halves it, so that D learns more slowly than G."""
    generator: Literal["unet", "encoder-decoder", "residual-unet", "resnet"] = "unet"
    """G's network: the U-Net, the same without skips, a residual one with skips, or CycleGAN's residual one."""
    depth: Annotated[int, Field(ge=0, le=10)] = 0
    """How often G halves the sides of the image (unet, encoder-decoder); 0: as suits the size, 8 at 256 px."""
    resized: Annotated[int, Field(ge=0, le=10)] = 0
    """So many of the finest levels of a unet repeat pixels and convolve them, which leaves no checkerboard; the others,
    and all of the paper's, have transposed convolutions."""
    width: Width = 64
    """Channels of G's finest map."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 9
    """Residual blocks of a resnet."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """The noise of G, in use as in training: probability with which an element of its inner maps is dropped."""
    patches: Patches = 3
    """Convolutions of stride 2 in D: its patches are 1, 16, 34, 70, 142, 286 or 574 pixels wide, or the whole image."""
    d_width: Width = 64
    """Channels of D's finest map."""
    norm: Norm = "affine"
    """Normalisation in both players, always by the statistics of one image, in use as in training."""
    d_norm: Norm | None = None
    """Another one in D. Normalised, it knows of an image's colours only how they differ from each other."""
    penalty: Literal["none", "r1", "r2", "r1+r2"] = "none"
    """Gradient penalties of D, with respect to y and G(a), of the mean over patches."""
    gamma: Schedule = Ramp(0.0, 0.0)
    """Weight γ of γ/2 times each penalty that is named; at 0 they are not paid."""
    penalty_every: Annotated[int, Field(ge=1, le=2**16)] = 1
    """Pay the penalties once in so many rounds, with so many times the weight."""
    jitter: bool = True
    """Enlarge both sides of a pair by 286/256 and cut them back at the same random place."""
    augment: Fraction = Ramp(0.0, 0.0)
    """Probability of each differentiable augmentation of what D sees, the same for all it compares."""
    batch: Positive = 1
    lr: Fraction = Ramp(2e-4, 2e-4)
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adversarial == 0 and not self.weights_reconstruction:
            raise ValueError("adversarial = 0 and no reconstruction: G would pay nothing")

    @property
    def weights_reconstruction(self) -> bool:
        """Whether G pays a reconstruction."""
        return self.reconstruction != "none" and max(self.faithful.start, self.faithful.end) > 0


class Pix2Pix(Game, Translates, Criticises):
    """G*: min_G max_D E[log D(a, y)] + E[log(1 − D(a, G(a, z)))] + λ E|y − G(a, z)|, a given, y the truth, z dropout.

    Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", eq. 4; G lowers
    −log D(a, G(a, z)) instead (section 3.3), or its half of another `objective`. G(a, z) is computed once per round and
    used by both players. All is the mean over patches, and of the mean logit penalties are taken: γ means what it does
    where D has a single one.

    >>> game = Pix2Pix.build(Pix2PixConfig(width=2, d_width=2, patches=1), Space((3, 16, 16), condition=(1, 16, 16)))
    >>> game.translate(torch.zeros(2, 1, 32, 16), None).shape
    torch.Size([2, 3, 32, 16])
    """

    Config = Pix2PixConfig
    averaged = ("G",)
    owner = "G"
    needs = frozenset({"pair"})

    def __init__(self, config: Pix2PixConfig, space: Space, D: nn.Module, G: nn.Module, stride: int) -> None:
        super().__init__()
        self.config, self.D, self.G, self._stride = config, D, G, stride
        self.objective = OBJECTIVES[config.objective]
        self.labels = bool(space.condition_legend), bool(space.legend)  # which sides hold label maps

    @classmethod
    def build(cls, config: Pix2PixConfig, space: Space) -> Pix2Pix:
        given, made = _sides(space)
        _, height, width = space.shape
        check_patches(config.patches, height, width)
        G, stride = generator(config, given, made, height, width)
        seen = made + (given if config.conditional else 0)
        D: nn.Module
        if config.patches == "full":
            D = FullDiscriminator((seen, height, width), config.d_width, config.d_norm or config.norm)
        else:
            D = PatchDiscriminator(seen, config.patches, config.d_width, config.d_norm or config.norm)
        return cls(config, space, D, G, stride)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    # ── what the players pay ─────────────────────────────────────────────────────────────────────────────────────

    def shared(self, batch: Batch, now: Now) -> Shared:
        """The pair, jittered, and what G makes of it: each (N, C, H, W)."""
        given, truth = _pair(batch)
        if self.config.jitter:
            given, truth = jitter([given, truth], now.chance("jitter"))
        return {"given": given, "truth": truth, "fake": self.translate(given, now.chance("dropout"))}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        given, truth, fake = shared["given"], shared["truth"], shared["fake"]
        if player == "D":
            return self._of_discriminator(given, truth, fake, now)
        terms: dict[str, Tensor] = {}
        if self.config.adversarial > 0:
            s_real = self.judge(given, truth, now) if self.relative else None
            terms |= self.objective.generator(s_real, self.judge(given, fake, now))
        if self.config.weights_reconstruction:
            name = self.config.reconstruction
            terms[name] = RECONSTRUCTIONS[name](fake, truth)
        return terms

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        game = self.config.adversarial if player == "G" else self.config.d_weight
        pays: dict[str, float] = dict.fromkeys(("real", "fake", "pair"), game)
        pays |= dict.fromkeys(RECONSTRUCTIONS, now.at(self.config.faithful))
        pays |= dict.fromkeys(PENALTIES, lazy.weight(0.5 * now.at(self.config.gamma), self.config.penalty_every))
        return {name: weight for name, weight in pays.items() if name in terms}

    def _of_discriminator(self, given: Tensor, truth: Tensor, fake: Tensor, now: Now) -> Terms:
        due = self.config.penalty.split("+") if now.at(self.config.gamma) > 0 and self.config.penalty != "none" else []
        if not due or not now.every(self.config.penalty_every):
            return self._unpenalised(self.judge(given, truth, now), self.judge(given, fake, now))
        with torch.autocast(fake.device.type, enabled=False):
            x = {"r1": _leaf(truth), "r2": _leaf(fake)}
            s = {name: self.judge(given.float(), side, now) for name, side in x.items()}
            terms = self._unpenalised(s["r1"], s["r2"])
            return terms | {name: zero_centred(s[name].reshape(len(fake), -1).mean(1), x[name]) for name in due}

    def _unpenalised(self, s_real: Tensor, s_fake: Tensor) -> dict[str, Tensor]:
        terms = dict(self.objective.discriminator(s_real, s_fake))
        return terms | skill(s_real, s_fake, relative=self.relative)

    def judge(self, given: Tensor, y: Tensor, now: Now | None = None) -> Tensor:
        """s(a, y), or s(y) without condition, of what both are augmented to: logits (N, 1, h, w), or (N,)."""
        p = now.at(self.config.augment) if now is not None else 0.0
        if now is not None and p > 0:
            dice, moves = now.chance("augment"), ("translation", "cutout")  # a label has no colour
            given, y = (
                augment(side, dice, p, moves if maps else ("color", *moves))
                for side, maps in zip((given, y), self.labels, strict=True)
            )
        logits: Tensor = self.D(torch.cat([given, y], dim=1) if self.config.conditional else y)
        return logits

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    @property
    def stride(self) -> int:
        return self._stride

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        """As of `Translates`; other sides are padded to a multiple of `stride` by repeating the border."""
        return padded(lambda x: self.G(x, dice), image, self.stride)

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        given, truth = _pair(batch)
        return self.judge(given, truth), self.judge(given, self.translate(given, dice))


def generator(config: Pix2PixConfig, given: int, made: int, height: int, width: int) -> tuple[nn.Module, int]:
    """G for images of this size, and what their sides are multiples of."""
    match config.generator:
        case "resnet":
            return ResnetGenerator(given, made, config.blocks, config.width, config.norm, config.dropout), resnet.STRIDE
        case "residual-unet":
            depth = config.depth or runet.depth_of(height, width)
            return runet.ResidualUNet(given, made, depth, config.width, config.norm, config.dropout), 2**depth
        case _:
            depth, skips = config.depth or depth_of(height, width), config.generator == "unet"
            unet = UNet(given, made, depth, config.width, config.norm, skips, config.dropout, config.resized)
            return unet, 2**depth


def check_patches(patches: Patches, height: int, width: int) -> None:
    """`UsageError` where D's patches do not fit into the images."""
    side = min(height, width)
    if patches != "full" and side < smallest(patches):
        most = max(layers for layers in range(7) if smallest(layers) <= side)
        raise UsageError(
            "PIX2PIX-PATCHES", f"patches = {patches} needs images of {smallest(patches)} pixels a side",
            why=f"these have {height}×{width}", fix=f"--set patches={most}, or a larger --size",
        )  # fmt: skip


def _sides(space: Space) -> tuple[int, int]:
    """Channels given, channels made."""
    if len(space.shape) != 3 or space.condition is None:
        raise UsageError(
            "DATA-UNPAIRED", "pix2pix needs pairs of images: what is given, and what is to be made of it",
            fix="sparring train A/ B/, --pairs side-by-side, or metadata with file_A and file_B",
        )  # fmt: skip
    return space.condition[0], space.shape[0]


def _pair(batch: Batch) -> tuple[Tensor, Tensor]:
    assert batch.condition is not None  # `needs`
    return batch.condition, batch.x


def _leaf(x: Tensor) -> Tensor:
    """x in full precision, with respect to which a gradient can be taken; a graph behind x is kept."""
    x = x if x.dtype == torch.float64 else x.float()
    return x if x.grad_fn is not None else x.detach().requires_grad_()
