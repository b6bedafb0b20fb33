"""Places in a latent space: a sample by its seed and number, the line through two of them, the plane through three.

A normal latent of many dimensions z lies near the sphere of radius √z, and nothing nearer to the middle was ever
shown to the generator. So lines and planes are bent along that sphere: from A one goes along great circles, by the
exponential map, and the radius goes from that of one corner to that of the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.instead import instead_of_samples, why_no_samples
from sparring.generate.sample import Trained, checked, device_of, draw
from sparring.networks.stylegan2 import mixed
from sparring.priors.paths import truncate
from sparring.types import (
    HasLatents,
    HasLatentsByClass,
    HasLatentsByText,
    HasStyles,
    Samples,
    SamplesByClass,
    SamplesByText,
)

_ALIKE = 1e-4  # relative: norms that differ by less are those of a sphere; of a normal law they differ by far more
_PROBES = 8  # latents by whose norms a law on a sphere is known
MOST = 256
"""Pictures that are made at once."""

ONE_LEVEL = "its networks take a latent in at one place, so it has no coarse and fine levels to mix"


@dataclass(frozen=True)
class Spot:
    """Sample `number` of `seed`, as `sparring sample` numbers its files."""

    seed: int = 0
    number: int = 0


Place = tuple[float, float]
"""(u, v) in [0, 1]²: from the first of three corners towards the second, and towards the third."""


@dataclass(frozen=True)
class Powers:
    """What can be done with the samples of a game.

    latents: coordinates of a latent, 0 where there are none.   sphere: whether all of them lie on one sphere.
    classes: that one can ask for, 0 where one cannot.   texts: whether one can ask for a text.
    truncates: whether samples can be made more typical.
    mixes: whether the coarse levels of one sample can be joined with the fine ones of another.
    why: by the name of what cannot be done, the reason, in words.
    """

    latents: int
    sphere: bool
    classes: int
    texts: bool
    truncates: bool
    mixes: bool
    why: dict[str, str]


def powers(run: Trained, classes: int = 0) -> Powers:
    """What a run can do. classes: of its data. `UsageError` for a game that makes no samples of its own."""
    game, name = run.game, type(run.game).__name__
    if not isinstance(game, Samples):
        raise UsageError(
            "PLAY-CANNOT", f"{name} does not make samples of its own",
            why=why_no_samples(game), fix=instead_of_samples(game),
        )  # fmt: skip
    mixes = isinstance(game, HasStyles)
    why = {} if mixes else {"mixing": ONE_LEVEL}
    z = _drawn(game, [Spot(0, k) for k in range(_PROBES)]) if isinstance(game, HasLatents) else None
    if z is None:
        why["latents"] = f"{name} has no latents: it draws a sample part by part"
        why["mixing"] = why["latents"]
    sphere = z is not None and _on_sphere(z)
    if sphere:
        why["truncation"] = "its latents lie on a sphere, where none is more typical than another"
    told = classes if isinstance(game, SamplesByClass) else 0
    if not told:
        why["class"] = "it was not told classes"
    return Powers(0 if z is None else z.shape[1], sphere, told, isinstance(game, SamplesByText), not sphere, mixes, why)


def latents(run: Trained, spots: Sequence[Spot]) -> Tensor:
    """(n, z): the latents of these samples, those that `sparring sample` makes them of. `UsageError` without any."""
    if not isinstance(run.game, HasLatents):
        raise UsageError("PLAY-LATENTS", f"{type(run.game).__name__} has no latents: it draws a sample part by part")
    return _drawn(run.game, spots)


def plane(corners: Tensor, places: Sequence[Place]) -> Tensor:
    """(n, z): the latents at n places (u, v) of the plane through one to three corners (k ≤ 3, z).

    z(u, v) = r exp_A(u log_A B + v log_A C) with exp and log of the unit sphere, and r = |A| + u (|B| − |A|) +
    v (|C| − |A|), kept between the least and the greatest norm of the three. So (0, 0), (1, 0) and (0, 1) are A, B and
    C, bit for bit; the edges from A are great circles (`priors.paths.slerp`, where norms are equal); and (1, 1) goes on
    from C by what leads from A to B. Without C there is only u; without B only A. Latents of one or two dimensions,
    which are not near any sphere, get the plane itself, A + u (B − A) + v (C − A).

    >>> z = plane(torch.eye(3), [(0, 0), (0.5, 0), (0, 1)])
    >>> z[1]
    tensor([0.7071, 0.7071, 0.0000])
    """
    uv = torch.tensor([[float(u), float(v)] for u, v in places], dtype=torch.float64)
    if not len(uv) or not bool(((uv >= 0) & (uv <= 1)).all()):
        raise UsageError("PLAY-PLACE", "a place in the plane is two numbers from 0 to 1", where=str(list(places)[:3]))
    if not 1 <= len(corners) <= 3:
        raise UsageError("PLAY-CORNERS", "a plane goes through one to three latents", where=str(len(corners)))
    three = torch.cat([corners, corners[:1].expand(3 - len(corners), -1)]).cpu().double()
    steps = three[1:] - three[0]
    if three.shape[1] <= 2 and not _on_sphere(three):
        z = three[0] + uv @ steps
    else:
        norms = three.norm(dim=1)
        radius = (norms[0] + uv @ (norms[1:] - norms[0])).clamp(norms.min(), norms.max())
        z = radius[:, None] * _along(three / norms[:, None].clamp_min(1e-30), uv)
    for corner, at in zip(three, ((0, 0), (1, 0), (0, 1)), strict=True):
        z[(uv == torch.tensor(at)).all(1)] = corner  # and not only but for rounding
    return z.to(corners)


@torch.no_grad()
def show(
    run: Trained, spots: Sequence[Spot], places: Sequence[Place] = ((0.0, 0.0),), *, label: int | None = None,
    classes: int = 0, text: str | None = None, truncation: float = 1.0, at_once: int = 16,
) -> Tensor:  # fmt: skip
    """What is made at n places of the plane through 1 to 3 samples: (n, C, H, W) in [-1, 1], or (n, D), on the CPU.

    label: of all of them; None: that of the first sample, `number` mod `classes`, as `sparring sample` has it.
    text: likewise, of a game that is told texts.
    truncation: 1 is what was learned; below, latents are drawn towards the middle.
    """
    for spot in spots:
        checked(1, spot.seed, truncation)
        _check_number(spot)
    if not 1 <= len(places) <= MOST:
        raise UsageError("PLAY-MANY", f"1 to {MOST} pictures are made at once", where=str(len(places)))
    if len(spots) == 1 or all(u == v == 0 for u, v in places):
        one = draw(run, 1, seed=spots[0].seed, truncation=truncation, label=label, text=text, first=spots[0].number)
        return one.expand(len(places), *one.shape[1:])
    z = latents(run, spots)
    if truncation != 1 and _on_sphere(latents(run, [Spot(0, k) for k in range(_PROBES)])):
        raise UsageError("PLAY-TRUNCATION", "latents on a sphere cannot be truncated", where=f"{truncation:g}")
    z = truncate(plane(z, places), truncation)
    game = run.game
    told: dict[str, Any] = {}
    if isinstance(game, HasLatentsByText) and isinstance(game, SamplesByText):
        told["text"] = [text or game.remembered[spots[0].number % len(game.remembered)]] * len(z)
    elif text is not None:
        raise UsageError("PLAY-TEXT", f"the latents of {type(game).__name__} have no text", fix="leave it out")
    if isinstance(game, HasLatentsByClass):
        chosen = spots[0].number % max(1, classes) if label is None else label
        told["label"] = torch.full((len(z),), chosen, device=z.device)
    elif label is not None:
        raise UsageError("PLAY-LABEL", f"the latents of {type(game).__name__} have no class", fix="leave it out")
    parts = []
    for k in range(0, len(z), at_once):
        some = slice(k, k + at_once)
        parts.append(game.decode(z[some], **{name: of[some] for name, of in told.items()}).float().cpu())
    return torch.cat(parts)


@torch.no_grad()
def mix(
    run: Trained, coarse: Sequence[Spot], fine: Sequence[Spot], *, level: float = 0.5, truncation: float = 1.0,
    at_once: int = 16,
) -> Tensor:  # fmt: skip
    """The coarse levels of some samples with the fine ones of others: (n · m, C, H, W) in [-1, 1] on the CPU, in rows
    of the m `fine` ones (style mixing, Karras et al. 2019, section 3.1).

    level: up to which share of the layers the coarse sample decides, 0 to 1; of at least one, and not of all.
    `UsageError` for a game of which no layers can be told apart (`powers` says why).
    """
    game = run.game
    if not isinstance(game, HasStyles):
        raise UsageError("PLAY-MIXING", f"{type(game).__name__} cannot mix samples", why=ONE_LEVEL)
    for spot in (*coarse, *fine):
        checked(1, spot.seed, truncation)
        _check_number(spot)
    if not 1 <= len(coarse) * len(fine) <= MOST:
        raise UsageError("PLAY-MANY", f"1 to {MOST} pictures are made at once", where=str(len(coarse) * len(fine)))
    if not 0 <= level <= 1:
        raise UsageError("PLAY-LEVEL", "the level is a number from 0 to 1", where=f"{level:g}")
    first, second = (game.to_w(_drawn(game, spots), truncation=truncation) for spots in (coarse, fine))
    count = first.shape[1]
    cut = min(max(1, round(level * count)), count - 1)
    w = mixed(first.repeat_interleave(len(fine), 0), second.repeat(len(coarse), 1, 1), cut)
    return torch.cat([game.from_w(some).float().cpu() for some in w.split(at_once)])


def _check_number(spot: Spot) -> None:
    if not 0 <= spot.number < 2**31:
        raise UsageError("PLAY-NUMBER", "a sample has a number from 0 to 2^31 − 1", where=str(spot.number))


def _drawn(game: HasLatents, spots: Sequence[Spot]) -> Tensor:
    device = device_of(game)
    drawn = [game.latents(Dice(s.seed, "sample", range(s.number, s.number + 1), device=device)) for s in spots]
    return torch.cat(drawn)


def _on_sphere(z: Tensor) -> bool:
    norms = z.norm(dim=1)
    return bool((norms.max() - norms.min() <= _ALIKE * norms.max()).item())


def _along(three: Tensor, uv: Tensor) -> Tensor:
    """exp_a(u log_a b + v log_a c): unit vectors (3, z), (n, 2) → (n, z). Where a and b are opposite there is no
    shortest way: log is 0."""
    a = three[0]
    logs = []
    for b in three[1:]:
        angle = 2 * math.atan2(float((a - b).norm()), float((a + b).norm()))
        logs.append(angle * torch.nn.functional.normalize(b - (a @ b) * a, dim=0, eps=1e-9))
    tangent = uv @ torch.stack(logs)
    angle = tangent.norm(dim=1, keepdim=True)
    return angle.cos() * a + torch.sinc(angle / math.pi) * tangent
