"""The two-player game that gan, dcgan, r3gan and cgan have in common: one objective, and every way to hold D back.

A recipe says which networks play, which settings are usual and what is special; what the players pay is written here
once, so that objectives and stabilisers can be compared with nothing else changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.losses import lazy
from sparring.losses.adversarial import OBJECTIVES, Objective, Objectives
from sparring.losses.packing import pack
from sparring.losses.penalties import PENALTIES, Penalty, finite_difference, zero_centred
from sparring.losses.skill import skill
from sparring.losses.smoothing import instance_noise, smooth
from sparring.networks import spectral
from sparring.priors import gaussian, paths
from sparring.train import ensemble
from sparring.train.game import Game, Now, Schedule, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Criticises, Dice, HasLatents, Landscape, Layered, Samples, Shared, Terms, Weights

Count = Annotated[int, Field(ge=1, le=2**16)]


def _names(text: str) -> tuple[str, ...]:
    """``"r1+r2"`` → ``("r1", "r2")``, in the order of `PENALTIES`; ``"none"`` → ``()``."""
    words = [word.strip() for word in text.split("+")]
    if words == ["none"]:
        return ()
    for word in words:
        if word not in PENALTIES:
            near = difflib.get_close_matches(word, PENALTIES, 1, 0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"there is no penalty {word!r}; {hint}there are {', '.join(PENALTIES)}, and none alone")
    if len(set(words)) < len(words):
        raise ValueError(f"{text!r} names a penalty twice")
    return tuple(name for name in PENALTIES if name in words)


def _checked(text: str) -> str:
    return "+".join(_names(text)) or "none"


def _is_zero_centred(penalty: Penalty) -> bool:
    """Whether it is zero-centred: weighed by γ/2, not by λ."""
    return penalty.measure is zero_centred


@pydantic_dataclass(frozen=True, config=strict, kw_only=True)
class ContestConfig(Training):
    """Settings of every `Contest`; each recipe's Config extends it with its networks and its own defaults."""

    objective: Objectives = "nonsaturating"
    """The game that is played; docs/systems/gan.md has the equation of each."""
    penalty: Annotated[str, AfterValidator(_checked)] = "r1+r2"
    """Gradient penalties of D: none, or r1, r2, gp, gp-one-sided, gp-zero, dragan, joined by "+"."""
    gamma: Schedule = Ramp(0.0, 0.0)
    """Weight γ of γ/2 times each zero-centred penalty that is named (r1, r2, gp-zero); at 0 they are not paid."""
    slope: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """Weight λ of each one-centred penalty that is named (gp, gp-one-sided, dragan): Gulrajani et al. 2017."""
    near: Annotated[float, Field(gt=0, le=1e6)] = 0.25
    """How far from the data dragan is measured: standard deviation of its noise, in the units of x."""
    penalty_every: Count = 1
    """Pay the penalties once in so many rounds, with so many times the weight."""
    finite_difference: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    """Above 0: zero-centred penalties are estimated by a difference over this step in one random direction, without a
    second derivative: an approximation (Lin et al. 2025)."""
    smoothing: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    """D's label of real samples, 0.9 in Salimans et al. 2016; only in games in which D predicts a label."""
    noise: Schedule = Ramp(0.0, 0.0)
    """Standard deviation of instance noise on reals and fakes before D, in the units of x (Sønderby et al. 2017)."""
    packing: Annotated[int, Field(ge=1, le=2**10)] = 1
    """How many samples D judges at once (PacGAN, Lin et al. 2018); it divides the batch."""
    spectral: bool = False
    """Divide each weight of D by its largest singular value (Miyato et al. 2018)."""
    clip: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """Above 0: D's weights are cut to [−c, c] after each of its moves (Arjovsky et al. 2017: 0.01)."""
    joined: bool = False
    """Where D judges reals and fakes in one turn: both in one forward pass. It matters to batch normalisation alone,
    which then takes its statistics over the mixture."""
    freeze_d: Annotated[int, Field(ge=0, le=2**10)] = 0
    """How many layers of D, from the one that sees the image upwards, never move: for networks that begin as those of
    another run (FreezeD, Mo et al. 2020)."""
    z: Count = 64
    """Latent dimensions, standard normal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.smoothing < 1 and OBJECTIVES[self.objective].smoothed is None:
            able = ", ".join(name for name, game in OBJECTIVES.items() if game.smoothed is not None)
            raise ValueError(f"smoothing: in {self.objective} D predicts no label that could be smoothed; {able} do")
        if self.batch // self.micro_batches % self.packing:
            whole = f"batch = {self.batch}" + (
                f" / {self.micro_batches} micro_batches" if self.micro_batches > 1 else ""
            )
            raise ValueError(f"packing = {self.packing} does not divide {whole}")
        steep = [penalty.name for penalty in self.penalties if not _is_zero_centred(penalty)]
        if self.finite_difference > 0 and steep:
            raise ValueError(f"finite_difference estimates zero-centred penalties, and {steep[0]} is not one")

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """Those that are named."""
        return tuple(PENALTIES[name] for name in _names(self.penalty))

    @property
    def penalised(self) -> bool:
        """Whether any penalty is ever paid."""
        moves = self.gamma.start > 0 or self.gamma.end > 0
        return any(moves if _is_zero_centred(penalty) else self.slope > 0 for penalty in self.penalties)


@dataclass(frozen=True)
class Verdict:
    """What D says: logits (N, …) and what is paid or observed besides, by name, (N, …); of packs, (N/m, …)."""

    logits: Tensor
    besides: dict[str, Tensor] = field(default_factory=dict)

    def named(self, side: str) -> dict[str, Tensor]:
        """The terms besides, of one side: ``class(x)``, ``class(G(z))``."""
        return {f"{name}({side})": term for name, term in self.besides.items()}


class Contest(Game, HasLatents, Samples, Criticises, Landscape):
    """D lowers its half of `objective` + Σ weight · penalty, G its half.

    A recipe gives `build`, and overrides `view` (augmentation), `judge` and `make` (where players are told more than x
    and z). With ``owner = "G"`` G(z) is computed once per round and used by both players; without an owner every turn
    draws fresh noise.

    Penalties are computed in full precision, D's forward pass included, and their gradients are taken with respect to
    samples before noise and augmentation, through them; of packs, with respect to all samples of a pack.
    """

    averaged = ("G",)

    def __init__(self, config: Any, shape: tuple[int, ...], D: nn.Module, G: nn.Module) -> None:
        super().__init__()
        self.config, self.shape, self.D, self.G = config, shape, D, G
        found = OBJECTIVES[config.objective]
        self.objective: Objective = smooth(found, config.smoothing) if config.smoothing < 1 else found
        if config.spectral:
            spectral.normalise(D)
        layers = len(D.layers) if isinstance(D, Layered) else 0
        if config.freeze_d > layers:
            raise UsageError(
                "CONTEST-FREEZE", f"freeze_d = {config.freeze_d}, and this D has {layers} layers below its logit",
                fix=f"freeze_d is from 0 to {layers}",
            )  # fmt: skip

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    @property
    def relative(self) -> bool:
        return self.objective.relative

    @property
    def frozen(self) -> list[nn.Parameter]:
        """The parameters of D's `freeze_d` lowest layers."""
        lowest = self.D.layers[: self.config.freeze_d] if isinstance(self.D, Layered) else ()
        return [p for layer in lowest for module in layer for p in module.parameters()]

    # ── what a recipe may say ────────────────────────────────────────────────────────────────────────────────────

    def view(self, x: Tensor, now: Now, side: str) -> Tensor:
        """What D is shown of x (N, …): its augmentation. `side` names the dice: "real", "fake" or a penalty."""
        return x

    def judge(self, x: Tensor, label: Tensor | None) -> Verdict:
        """D's verdict on x, (N, …), or on packs of m of them, (N/m, m…). label: (N,) classes, if data have any."""
        return Verdict(self.D(x))

    def make(self, dice: Dice, label: Tensor | None) -> Tensor:
        """Fakes (N, …) for a batch with these labels (N,)."""
        return self.decode(self.latents(dice))

    # ── what the players pay ─────────────────────────────────────────────────────────────────────────────────────

    def shared(self, batch: Batch, now: Now) -> Shared:
        return {"fake": self.make(now.chance("z"), batch.label)} if self.owner else {}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        fake = shared["fake"] if self.owner else self.make(now.chance("z"), batch.label)
        return self._of_generator(batch, fake, now) if player == "G" else self._of_discriminator(batch, fake, now)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        k = self.config.penalty_every
        half = lazy.weight(0.5 * now.at(self.config.gamma), k)  # γ/2, ×k when paid every k-th time
        steep = lazy.weight(self.config.slope, k)
        pays = {"real": 1.0, "fake": 1.0, "pair": 1.0}
        pays |= {name: half if _is_zero_centred(penalty) else steep for name, penalty in PENALTIES.items()}
        return {name: weight for name, weight in pays.items() if name in terms}

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        if player != "D" or now.piece > 0:
            return
        if self.config.spectral:
            ensemble.each(self.D, spectral.advance)
        if self.config.clip > 0:
            spectral.clip(self.D, self.config.clip)

    def _of_generator(self, batch: Batch, fake: Tensor, now: Now) -> Terms:
        fake = self._packs(fake)
        if self.relative:
            real, made = self._verdicts(self._packs(batch.x), fake, batch.label, now)
            terms = self._each(self.objective.generator, real.logits, made.logits)
        else:
            made = self.judge(self._seen(fake, now, "fake"), batch.label)
            terms = self._each(lambda s_fake: self.objective.generator(None, s_fake), made.logits)
        return terms | made.named("G(z)")

    def _of_discriminator(self, batch: Batch, fake: Tensor, now: Now) -> Terms:
        due = self._due(now)
        if not due:
            return self._unpenalised(self._packs(batch.x), self._packs(fake), batch.label, now)[0]
        with torch.autocast(fake.device.type, enabled=False):
            x, fake = self._leaf(batch.x), self._leaf(fake)
            terms, s_real, s_fake = self._unpenalised(x, fake, batch.label, now)
            for penalty in due:
                terms[penalty.name] = self._penalty(penalty, x, fake, s_real, s_fake, batch.label, now)
            return terms

    def _unpenalised(
        self, x: Tensor, fake: Tensor, label: Tensor | None, now: Now
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """What D pays without its penalties, and the logits of reals and fakes (packs)."""
        real, made = self._verdicts(x, fake, label, now)
        terms = self._each(self.objective.discriminator, real.logits, made.logits)
        terms |= self._each(lambda s, t: skill(s, t, relative=self.relative), real.logits, made.logits)
        return terms | real.named("x") | made.named("G(z)"), real.logits, made.logits

    def _verdicts(self, x: Tensor, fake: Tensor, label: Tensor | None, now: Now) -> tuple[Verdict, Verdict]:
        """D's verdicts on packs of reals and of fakes, in one forward pass or in two."""
        if not self.config.joined:
            real = self.judge(self._seen(x, now, "real"), label)
            return real, self.judge(self._seen(fake, now, "fake"), label)
        both = self._join(self._seen(x, now, "real"), self._seen(fake, now, "fake"))
        found = self.judge(both, None if label is None else self._join(label, label))
        logits, besides = self._part(found.logits), {name: self._part(t) for name, t in found.besides.items()}
        real, made = (Verdict(logits[side], {name: t[side] for name, t in besides.items()}) for side in (0, 1))
        return real, made

    # ── penalties ────────────────────────────────────────────────────────────────────────────────────────────────

    def _due(self, now: Now) -> list[Penalty]:
        """The penalties that D pays in this round."""
        if not now.every(self.config.penalty_every):
            return []
        weight = {True: now.at(self.config.gamma), False: self.config.slope}
        return [penalty for penalty in self.config.penalties if weight[_is_zero_centred(penalty)] > 0]

    def _leaf(self, x: Tensor) -> Tensor:
        """Packs of x in full precision, with respect to which a gradient can be taken; a graph behind x is kept."""
        x = self._packs(x if x.dtype == torch.float64 else x.float())
        return x if x.grad_fn is not None else x.detach().requires_grad_()

    def _penalty(
        self, penalty: Penalty, x: Tensor, fake: Tensor, s_real: Tensor, s_fake: Tensor, label: Tensor | None, now: Now
    ) -> Tensor:
        """(N/m,): the penalty of each sample, or of each pack of m."""
        match penalty.place:
            case "real":
                at, s, side = x, s_real, "real"
            case "fake":
                at, s, side = fake, s_fake, "fake"
            case _:
                dice = _OfPacks(now.chance(f"penalty/{penalty.name}"), self.config.packing)
                at, side = penalty.at(x, fake, dice, scale=self.config.near), penalty.name
                s = self.judge(self._seen(at, now, side), label).logits
        step = self.config.finite_difference
        if step == 0:
            return penalty.measure(s, at)
        e = _OfPacks(now.chance(f"direction/{penalty.name}"), self.config.packing).normal(*at.shape[1:]).to(at)
        return finite_difference(s, self.judge(self._seen(at + step * e, now, side), label).logits, step)

    # ── packs and members ────────────────────────────────────────────────────────────────────────────────────────

    def _packs(self, x: Tensor) -> Tensor:
        """(N, C, …) → (N/m, mC, …)."""
        return pack(x, self.config.packing)

    def _seen(self, packs: Tensor, now: Now, side: str) -> Tensor:
        """Packs (N/m, mC, …) as D sees them: each sample augmented and with noise, by dice of its own."""
        m = self.config.packing
        x = self.view(packs if m == 1 else packs.reshape(m * len(packs), *self.shape), now, side)
        sigma = now.at(self.config.noise)
        return self._packs(instance_noise(x, now.chance(f"noise/{side}"), sigma) if sigma > 0 else x)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        """(S·N, …), (S·N, …) → (S·2N, …): those of `a`, then those of `b`, member by member."""
        if self.members == 1:
            return torch.cat([a, b])
        shares = [self._of_members(t) for t in (a, b)]
        return torch.cat(shares, dim=1).flatten(0, 1)

    def _part(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of `_join`."""
        a, b = self._of_members(both).chunk(2, dim=1)
        return a.flatten(0, 1), b.flatten(0, 1)

    def _of_members(self, rows: Tensor) -> Tensor:
        """(S·N, …) → (S, N, …)."""
        return rows.reshape(self.members, -1, *rows.shape[1:])

    def _each(self, function: Callable[..., dict[str, Tensor]], *logits: Tensor) -> dict[str, Tensor]:
        """`function` of logits (S·N, …), applied to each member's own (N, …)."""
        if self.members == 1:
            return dict(function(*logits))
        shares = map(self._of_members, logits)
        return {name: term.flatten(0, 1) for name, term in torch.vmap(function)(*shares).items()}

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    def latents(self, dice: Dice) -> Tensor:
        return gaussian.draw(dice, self.config.z)

    def decode(self, z: Tensor) -> Tensor:
        made: Tensor = self.G(z)
        return made

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        return self.decode(paths.truncate(self.latents(dice), truncation))

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        real = self.judge(self._packs(batch.x), batch.label).logits
        return real, self.judge(self._packs(self.make(dice, batch.label)), batch.label).logits

    def score(self, x: Tensor) -> Tensor:
        m = self.config.packing
        return self.judge(self._packs(x.repeat_interleave(m, dim=0)), None).logits

    def pull(self, x: Tensor, real: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            if self.relative:
                terms = self._each(self.objective.generator, self.score(real), self.score(x))
            else:
                terms = self._each(lambda s_fake: self.objective.generator(None, s_fake), self.score(x))
            pays = torch.stack([term.sum() for term in terms.values()]).sum()  # n times the mean: each x for itself
            (gradient,) = torch.autograd.grad(pays, x)
        return -gradient


@dataclass(frozen=True)
class _OfPacks:
    """One draw for each pack of m samples: that of its first sample."""

    dice: Dice
    m: int

    @property
    def samples(self) -> range:
        return self.dice.samples[:: self.m]

    @property
    def device(self) -> str | torch.device:
        return self.dice.device

    def normal(self, *shape: int) -> Tensor:
        return self.dice.normal(*shape)[:: self.m]

    def uniform(self, *shape: int) -> Tensor:
        return self.dice.uniform(*shape)[:: self.m]

    def integers(self, high: int, *shape: int) -> Tensor:
        return self.dice.integers(high, *shape)[:: self.m]
