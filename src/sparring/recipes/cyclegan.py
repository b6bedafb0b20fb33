"""CycleGAN: from images of one kind to another and back, learned from two sets that do not belong together."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.augment.paired import jitter
from sparring.chance import permutation
from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES, Objectives
from sparring.losses.penalties import zero_centred
from sparring.losses.reconstruction import l1
from sparring.losses.skill import skill
from sparring.networks import resnet, unet
from sparring.networks.normalise import Norm
from sparring.networks.patch import PatchDiscriminator
from sparring.networks.pool import ImagePool
from sparring.ops.padding import padded
from sparring.train.game import Decay, Fraction, Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, Shared, Space, Terms, TranslatesBack, Weights

Count = Annotated[int, Field(ge=1, le=2**12)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, lt=1)]

LARGE = 256
"""Pixels from which on the paper takes nine residual blocks, below six."""


@dataclass(frozen=True, config=strict, kw_only=True)
class CycleGANConfig(Training):
    """Settings of `CycleGAN`. Defaults: Zhu et al. 2017, section 4 and appendix 7."""

    generator: Literal["resnet", "unet"] = "resnet"
    """Both generators' network: residual (the paper), or a U-Net."""
    blocks: Annotated[int, Field(ge=0, le=64)] = 0
    """Residual blocks (resnet); 0: nine from 256 pixels on, six below, as in the paper."""
    depth: Annotated[int, Field(ge=0, le=12)] = 0
    """Halvings of a U-Net; 0: what suits the size."""
    width: Count = 64
    """Channels of a generator's finest map."""
    norm: Norm = "instance"
    """Normalisation in the generators: by the statistics of each image, without (instance) or with (affine) a scale and
    shift that are learned, or none."""
    up: resnet.Up = "transposed"
    """How maps grow (resnet): by transposed convolutions (the paper), or by repeating pixels and a convolution, which
    leaves no checkerboard."""
    dropout: Share = 0.0
    """Share of the numbers dropped in the generators, in use too, as noise; none in the paper."""
    d_layers: Annotated[int, Field(ge=0, le=6)] = 3
    """Halvings in D: its patches are 1, 16, 34, 70, 142, 286 or 574 pixels large; 3 in the paper."""
    d_width: Count = 64
    """Channels of D's finest map."""
    d_norm: Norm = "instance"
    """Normalisation in D."""
    objective: Objectives = "least_squares"
    """The game of each D with the generator of its side; least_squares has the paper's labels 0 and 1."""
    gamma: Schedule = Ramp(0.0, 0.0)
    """Weight γ of γ/2 (R1 + R2) of each D, of the mean over patches, on what it is shown; the paper pays none."""
    cycle: Weight = 10.0
    """Weight λ of the way there and back: |F(G(a)) − a| + |G(F(b)) − b|, images in [−1, 1]."""
    identity: Weight = 0.5
    """Weight, times λ, of leaving alone what is already there: |G(b) − b| + |F(a) − a|. Both sides then have equally
    many channels; 0 leaves it out, which is quicker."""
    pool: Annotated[int, Field(ge=0, le=2**16)] = 50
    """Images that each D remembers, of which every second one that it is shown comes; 0: none."""
    jitter: bool = True
    """Enlarge each image by 286/256 and cut it at a random place."""
    ways: Literal["both", "AtoB"] = "both"
    """Which generators there are. AtoB: of a model from elsewhere that brought one alone; it translates, but cannot be
    trained."""
    batch: Annotated[int, Field(ge=1, le=2**16)] = 1
    play: str = "simultaneous"
    """Who moves when. Simultaneous: all three on the same translations, each of which is made once; it is what the
    published code does, where G moves before both D but they see what it made before it moved."""
    lr: Fraction = Ramp(2e-4, 0.0, "linear", 0.5, 1.0)
    beta1: Decay = Ramp(0.5, 0.5)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 0
    """Half-life of the averaged generators in images; 0, as in the paper, keeps no average."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.pool < self.batch:
            raise ValueError(f"pool = {self.pool}: it keeps at least a batch (of {self.batch}), or nothing (0)")
        if self.play.strip() == "either-or" or "gated(D_A" in self.play.replace(" ", ""):
            raise ValueError(f"play = {self.play}: of the two D only the skill of D_B is known; gated(D_B<0.8) can be")
        if self.lr_ratio != 1:
            raise ValueError("lr_ratio is for games of two players: all three learn at the same rate here")


class CycleGAN(Game, TranslatesBack, Criticises):
    """G: A → B, F: B → A, and a D for each side; Zhu et al. 2017, eq. 3, with eq. 2 (cycle) and section 5.2 (identity).

    What is given is side A, x is side B. The player "G" holds both generators, G (``AtoB``) and F (``BtoA``). With D_B:

        G pays   (D_B(G(a)) − 1)² + (D_A(F(b)) − 1)² + λ (|F(G(a)) − a| + |G(F(b)) − b|) + ½ λ (|G(b) − b| + |F(a) − a|)
        D_B pays ½ ((D_B(b) − 1)² + D_B(b̃)²), b̃ = G(a) or a translation of before (`ImagePool`); D_A likewise

    Its skill, and so its `logits`, are those of D_B: how well G's translations pass. The terms of cycle and identity
    are in the units of images in [0, 1] in the log, half of what the formula has.

    >>> config = CycleGANConfig(width=4, d_width=4, blocks=1, d_layers=1, pool=2)
    >>> game = CycleGAN.build(config, Space((3, 16, 16), condition=(3, 16, 16), paired=False))
    >>> game.translate(torch.zeros(2, 3, 16, 16), None).shape
    torch.Size([2, 3, 16, 16])
    """

    Config = CycleGANConfig
    averaged = ("G",)
    owner = "G"
    needs = frozenset({"unpaired"})
    for_training = ("pools",)

    def __init__(self, config: CycleGANConfig, space: Space) -> None:
        super().__init__()
        assert space.condition is not None
        self.config = config
        given, made = space.condition, space.shape
        self.G = nn.ModuleDict({"AtoB": generator(config, given[0], made)})
        if config.ways == "both":
            self.G["BtoA"] = generator(config, made[0], given)
        self.D_A, self.D_B = (
            PatchDiscriminator(shape[0], config.d_layers, config.d_width, config.d_norm) for shape in (given, made)
        )
        self.objective = OBJECTIVES[config.objective]
        sides = {"A": given, "B": made} if config.pool else {}
        self.pools = nn.ModuleDict({side: ImagePool(config.pool, shape) for side, shape in sides.items()})

    @classmethod
    def build(cls, config: CycleGANConfig, space: Space) -> CycleGAN:
        _check(config, space)
        return cls(config, space)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D_A": self.D_A, "D_B": self.D_B}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    # ── what the players pay ─────────────────────────────────────────────────────────────────────────────────────

    def shared(self, batch: Batch, now: Now) -> Shared:
        """The images of both sides as everyone sees them, and their translations."""
        assert batch.condition is not None  # `needs`
        a, b = batch.condition, batch.x
        if self.config.jitter:
            ((a,), (b,)) = (jitter([x], now.chance(f"jitter/{side}")) for side, x in (("A", a), ("B", b)))
        return {"A": a, "B": b, "fake_A": self._made("BtoA", b, now), "fake_B": self._made("AtoB", a, now)}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        if player == "G":
            return self._of_generators(shared, now)
        return self._of_discriminator(player.removeprefix("D_"), shared, now)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        half = 0.5 if self.config.objective == "least_squares" else 1.0  # (D − 1)² = ½ · ½ (s − 1)², s = 2 D − 1
        cycle = 2 * self.config.cycle  # twice: terms in the units of [0, 1]
        same = cycle * self.config.identity
        if player == "G":  # the mean over both D: their sum is twice that
            pays = {"fake": 2 * half, "pair": 2 * half} | dict.fromkeys(("cycle_A", "cycle_B"), cycle)
            pays |= dict.fromkeys(("same_A", "same_B"), same)
        else:
            gamma = 0.5 * now.at(self.config.gamma)
            pays = {"real": 0.5 * half, "fake": 0.5 * half, "pair": 0.5 * half, "r1": gamma, "r2": gamma}
        return {name: weight for name, weight in pays.items() if name in terms}

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        side = player.removeprefix("D_")
        if side in self.pools:
            pool = self._pool(side)
            pool.take(shared[f"fake_{side}"], *self._drawn(side, now), self.config.batch, first=now.piece == 0)

    def written(self, player: str) -> list[tuple[Tensor, Tensor]]:
        side = player.removeprefix("D_")
        return [(self._pool(side).images, self._pool(side).mine)] if side in self.pools else []

    def _of_generators(self, shared: Shared, now: Now) -> dict[str, Tensor]:
        said = {}
        for side in ("A", "B"):
            s_real = self._judge(side, shared[side]) if self.relative else None
            said[side] = self.objective.generator(s_real, self._judge(side, shared[f"fake_{side}"]))
        terms = {name: torch.cat([said["A"][name], said["B"][name]], dim=1) for name in said["A"]}
        for side, way in (("A", "BtoA"), ("B", "AtoB")):
            other = "B" if side == "A" else "A"
            terms[f"cycle_{side}"] = _distance(self._made(way, shared[f"fake_{other}"], now), shared[side])
            if self.config.identity > 0 and self.config.cycle > 0:
                terms[f"same_{side}"] = _distance(self._made(way, shared[side], now), shared[side])
        return terms

    def _of_discriminator(self, side: str, shared: Shared, now: Now) -> dict[str, Tensor]:
        real, fake = shared[side], shared[f"fake_{side}"]
        if side in self.pools:
            fake = self._pool(side).shown(fake, *self._drawn(side, now), self.config.batch)
        penalised = now.at(self.config.gamma) > 0
        if penalised:
            real, fake = (x.detach().float().requires_grad_() for x in (real, fake))
        with torch.autocast(real.device.type, enabled=False) if penalised else nullcontext():
            s_real, s_fake = self._judge(side, real), self._judge(side, fake)
        terms = dict(self.objective.discriminator(s_real, s_fake))
        if penalised:
            for name, s, x in (("r1", s_real, real), ("r2", s_fake, fake)):
                terms[name] = zero_centred(s.flatten(1).mean(1), x)
        return terms | skill(s_real, s_fake, relative=self.relative)

    def _judge(self, side: str, x: Tensor) -> Tensor:
        """Patch logits (N, 1, h, w) of the D of a side. In the game of least squares D is 1 for reals and 0 for fakes,
        as in the paper, so that s = 2 D − 1 is above 0 where D rather believes x."""
        said: Tensor = (self.D_A if side == "A" else self.D_B)(x)
        return 2 * said - 1 if self.config.objective == "least_squares" else said

    def _made(self, way: str, x: Tensor, now: Now) -> Tensor:
        """x translated, with noise if there is any."""
        return self._through(way, x, now.chance(f"noise/{way}") if self.config.dropout > 0 else None)

    def _pool(self, side: str) -> ImagePool:
        pool = self.pools[side]
        assert isinstance(pool, ImagePool)
        return pool

    def _drawn(self, side: str, now: Now) -> tuple[Dice, Tensor]:
        """The dice of a pool in this move, and the places in it that a batch may exchange with, (batch,)."""
        (seed,) = now.seeds
        places = permutation(seed, f"pool/{side}/{now.turn}", now.round, self.config.pool)[: self.config.batch]
        return now.chance(f"pool/{side}"), torch.from_numpy(places)

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    @property
    def stride(self) -> int:
        one = self.G["AtoB"]
        return 2**one.depth if isinstance(one, unet.UNet) else resnet.STRIDE

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        """As of `Translates`; other sides are padded to a multiple of `stride` by repeating the border."""
        return self._through("AtoB", image, dice)

    def translate_back(self, image: Tensor, dice: Dice | None) -> Tensor:
        """The same with the other generator."""
        return self._through("BtoA", image, dice)

    def _through(self, way: str, image: Tensor, dice: Dice | None) -> Tensor:
        if way not in self.G:
            raise UsageError(
                "CYCLEGAN-WAY", f"this model has no generator of the way {way}",
                why="it was converted from one checkpoint, which holds one generator",
                fix="convert both: sparring convert latest_net_G_A.pth --as cyclegan --back latest_net_G_B.pth",
            )  # fmt: skip
        return padded(lambda x: self.G[way](x, dice), image, self.stride)

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        assert batch.condition is not None
        return self._judge("B", batch.x), self._judge("B", self.translate(batch.condition, dice))


def generator(config: CycleGANConfig, given: int, made: tuple[int, ...]) -> nn.Module:
    """One of the two generators: from images of `given` channels to images `made`, (C, H, W)."""
    channels, height, width = made
    if config.generator == "unet":
        depth = config.depth or unet.depth_of(height, width)
        return unet.UNet(given, channels, depth, config.width, config.norm, dropout=config.dropout)
    blocks = config.blocks or (9 if min(height, width) >= LARGE else 6)
    return resnet.ResnetGenerator(given, channels, blocks, config.width, config.norm, config.dropout, config.up)


def _distance(made: Tensor, truth: Tensor) -> Tensor:
    """|ŷ − y| of images in [−1, 1], in the units of [0, 1]: (N, C, H, W)."""
    return 0.5 * l1(made.float(), truth.float())


def _check(config: CycleGANConfig, space: Space) -> None:
    """`UsageError` for data that cannot be played on, or not with these settings."""
    given = space.condition
    if given is None or len(space.shape) != 3 or len(given) != 3:
        raise UsageError(
            "CYCLEGAN-SIDES", "cyclegan translates between two sets of images",
            fix="give two folders: sparring train A/ B/ --recipe cyclegan",
        )  # fmt: skip
    if given[1:] != space.shape[1:]:
        raise UsageError("CYCLEGAN-SIZE", "both sides have one size", where=f"{given} and {space.shape}", fix="--size")
    if given[0] != space.shape[0] and config.identity > 0:
        raise UsageError(
            "CYCLEGAN-IDENTITY", f"A has {given[0]} channels and B {space.shape[0]}: neither can be left as it is",
            why="identity compares G(b) with b, and G takes images of side A",
            fix="--set identity=0; or one number of both: --channels 3 --given-channels 3",
        )  # fmt: skip
