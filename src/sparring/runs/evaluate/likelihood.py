"""How likely held-out images are under a run that says so, what that number is of, and why a GAN has none.

Nothing is drawn and no judge is asked: the images of the data go through the model. Of a model with latents z there are
the ELBO with its parts and the bound of importance weights; of one that factorises p(x) the likelihood itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.sample import device_of
from sparring.metrics import likelihood as measures
from sparring.metrics.figure import Better, Figure
from sparring.runs.directory import RunDirectory, write_atomically
from sparring.runs.evaluate.opening import Place, Progress, Wanted, at_least, open_side, options_of, use_raw
from sparring.runs.evaluate.point_rows import PointRows
from sparring.runs.evaluate.sides import CHUNK, Drawn, Rows, Side
from sparring.runs.release import Release, is_release, refuse_which
from sparring.runs.run import Run
from sparring.types import HasLikelihood, HasPosterior, HasTokenLikelihood, Outcome, Samples

if TYPE_CHECKING:
    from sparring.runs.evaluate.evaluation import Ask

ABOUT: dict[str, tuple[str, Better]] = {
    "nll": ("minus log p(x), nats an image; of a VAE a bound from above by importance weights", "lower"),
    "elbo": ("a bound from below of log p(x), nats an image: reconstruction minus kl", "higher"),
    "reconstruction": ("log p(x | z), nats an image, z from what the encoder says", "higher"),
    "kl": ("KL(q(z | x) to the prior), nats an image: what the code says of x", ""),
    "bits_per_dim": ("nll in bits, for each value of an image", "lower"),
}
"""What ``--metrics nll`` asks for, and what is better."""
NAMES = tuple(ABOUT)
OF_WEIGHTS = ("nll", "bits_per_dim")
"""Those that importance weights bound, of a model with latents."""
OF_SAMPLES = ("parzen",)
USUAL = 1000
"""Images that are measured when nobody asked for likelihoods."""
MOST_PARZEN, DRAWN = 2000, 5000
"""Images that a kernel estimate takes, half of them for its bandwidth, and samples that its kernels lie on."""
_APART = 5.0
"""Standard errors by which two estimates of one ELBO may differ."""


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """figures: by name.   record: what they are of, for the JSON."""

    figures: dict[str, Figure]
    record: dict[str, Any] = field(default_factory=dict)


# ── alone ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def alone(names: Sequence[str]) -> bool:
    """Whether nothing but likelihoods is asked for, so that no judge need look at anything."""
    return bool(names) and set(names) <= {*NAMES, *OF_SAMPLES}


def evaluate(ask: Ask, real: Place, fake: Place, progress: Progress | None) -> dict[str, Any]:
    """The record of a run, measured on images of its own data, or on those of `real`."""
    began = time.monotonic()
    run = opened(ask, fake)
    side = open_side(_wanted(ask, real, fake, run), progress)
    try:
        at_least(len(side), side)
        assert isinstance(side, Rows | PointRows)
        parzen = "parzen" in ask.metrics and isinstance(run.game, Samples) and isinstance(side, Rows)
        drawn = _drawn(ask, run) if parzen else None
        found = measured(run, side, drawn, ask.metrics, importance=ask.importance, seed=ask.seed, progress=progress)
    finally:
        side.close()
    seconds = round(time.monotonic() - began, 1)
    record = {
        "real": side.record(len(side)),
        "fake": {"what": str(run.path), "kind": "export" if isinstance(run, Release) else fake.kind, "split": "",
                 "n": None, "weights": ask.weights, "seed": ask.seed, "images": run.images},
        "metrics": found_metrics(found, side, ask),
        "likelihood": found.record,
        "warnings": [*run.remarks, *side.changes, *idle_weights(ask, found)], "command": ask.command(),
        "seconds": seconds,
    }  # fmt: skip
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if ask.fake is None:
        write_atomically(RunDirectory(real.path).path / "evaluation.json", text)
    if ask.out is not None:
        write_atomically(Path(ask.out), text)
    return record


def opened(ask: Ask, place: Place) -> Run:
    """The run, or the exported folder, that is asked how likely images are."""
    if place.kind == "data":
        return _exported(ask, place)
    run = Run(place.path, which=str(place.checkpoint) if place.checkpoint is not None else ask.which, device=ask.device)
    if ask.weights == "raw":
        use_raw(run)
    return run


def _exported(ask: Ask, place: Place) -> Release:
    """An exported folder that holds all that a likelihood needs: a VAE leaves its encoder behind."""
    if not is_release(place.path):
        raise UsageError(
            "EVALUATE-LIKELIHOOD", "a likelihood is what a run says of images, and no run is judged here",
            where=ask.fake or ask.real, fix="sparring evaluate RUN --metrics nll, or sparring evaluate IMAGES RUN …",
        )  # fmt: skip
    run = Release(place.path, device=ask.device)
    refuse_which(ask.which, run)
    if isinstance(run.game, HasPosterior):
        raise UsageError(
            "EVALUATE-EXPORTED", "an exported folder of this recipe holds the decoder alone, which makes images",
            where=f"{place.path}, recipe {run.document['recipe']}",
            why="how likely an image is takes the encoder too, which is in the run and was not exported",
            fix="name the run that it was exported from: sparring evaluate IMAGES RUN --metrics nll",
        )  # fmt: skip
    if ask.weights == "raw":
        raise UsageError("EVALUATE-EXPORTED", "an exported folder holds one set of weights", where="--weights raw",
                         fix="leave --weights out, or name the run")  # fmt: skip
    return run


def idle_weights(ask: Ask, found: Likelihoods) -> list[str]:
    """What is to be said of ``--importance`` where no weights were drawn."""
    if ask.importance == measures.SAMPLES or "importance" in found.record or "refused" in found.record:
        return []
    exact = found.record.get("exact")
    why = "this recipe computes log p(x) itself" if exact else "only nll and bits_per_dim take weights"
    return [f"--importance {ask.importance} changes nothing here: {why}"]


def _wanted(ask: Ask, real: Place, fake: Place, run: Run) -> Wanted:
    """Rows of the data of a run; or of other data, prepared (and made binary) as those of the run that is judged."""
    own = real.kind != "data"
    split = ask.split if ask.split != "auto" else ("held-out" if own else "all")
    options = None if own else options_of(run.document, fake.path)
    return Wanted("rows", real.path, options=options, split=split, of_run=own, n=ask.n, seed=ask.seed)


def _drawn(ask: Ask, run: Run) -> Drawn:
    return Drawn(run, DRAWN, ask.seed, ask.weights)


def found_metrics(found: Likelihoods, side: Side, ask: Ask) -> dict[str, Any]:
    """Figures as the JSON has them."""
    carried = {"split": side.split, "seed": ask.seed, "weights": ask.weights, "resize": OWN_SIZE}
    weighed = {"importance": found.record["importance"]} if "importance" in found.record else {}
    return {
        name: figure.record() | (weighed if figure.bound and name in OF_WEIGHTS else {}) | carried
        for name, figure in found.figures.items()
    }


OWN_SIZE = "none: the values as the run is given them"


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────────────────────


def usual(run: Run) -> tuple[str, ...]:
    """What the table has of a run when nothing is asked for: what takes one look at each image."""
    if not isinstance(run.game, HasLikelihood):
        return ()
    return ("elbo", "reconstruction", "kl") if isinstance(run.game, HasPosterior) else ("nll", "bits_per_dim")


@torch.no_grad()
def measured(
    run: Run, side: Rows | PointRows, drawn: Drawn | None, names: Iterable[str], *, importance: int = measures.SAMPLES,
    seed: int = 0, most: int | None = None, progress: Progress | None = None,
) -> Likelihoods:  # fmt: skip
    """The likelihoods among `names` of the first `most` images of a side; "nll" stands for all that belongs to it.

    drawn: samples, for a kernel estimate.   importance: weights of each image.
    """
    asked = set(names)
    points = isinstance(side, PointRows)
    belong = set(NAMES) - ({"bits_per_dim"} if points else set())  # points have densities alone
    wanted = asked | belong if "nll" in asked else asked
    figures: dict[str, Figure] = {}
    record: dict[str, Any] = {}
    if wanted & set(NAMES):
        refused = cannot(run, side)
        if refused:
            figures |= {name: Figure(name, None, n_real=len(side), refused=refused) for name in NAMES if name in asked}
            record = {"refused": refused}
        else:
            found = _Measuring(run, side, min(len(side), most or len(side)), importance, seed, progress)
            figures |= found.figures([name for name in NAMES if name in wanted])
            record = found.record(figures)
    if "parzen" in wanted:
        figures["parzen"] = (
            Figure("parzen", None, n_real=len(side), refused="it is of images, and these are points")
            if isinstance(side, PointRows)
            else parzen(side, drawn, seed)
        )
    return Likelihoods(figures, record)


def cannot(run: Run, side: Rows | PointRows) -> str:
    """Why a run says nothing of how likely images are, and what would mend that; "" where it does."""
    game, recipe = run.game, run.document["recipe"]
    if not isinstance(game, HasLikelihood):
        if isinstance(game, Samples):
            said = measures.NO_LIKELIHOOD if "D" in game.players else "no likelihood: it assigns none to an image"
            if isinstance(game, HasTokenLikelihood):
                said = "no likelihood: it says how likely tokens are (nll in its log), and many images have the same"
            if isinstance(side, PointRows):
                return f"recipe {recipe}: {said}; vae and svae have one. The report of the run compares samples"
            return f"recipe {recipe}: {said}; vae, svae and pixelcnn have one. kid and coverage compare samples"
        return f"a run of recipe {recipe} makes no images of its own, so none is likely under it"
    if isinstance(side, PointRows):
        if game.outcome == "continuous":
            return ""
        return f"its decoder is one of {game.outcome} values, and these are points: train with --set decoder=gaussian"
    if game.outcome == "binary" and not _binary(side):
        return (
            "its decoder is one of black and white (bernoulli), and these images are grey: the cross-entropy that it "
            "learned by is no likelihood of them. Train on binary images: sparring train DATA --binarise static (or "
            "dynamic), or with --set decoder=logistic, which is of 256 levels"
        )
    return ""


def _binary(side: Rows) -> bool:
    """Whether all values are 0 or 255: of data that were made so, or are so."""
    if side.dataset.binarise != "none":
        return True
    images = next(_pieces(side, min(len(side), CHUNK)))[1]
    return bool(((images == 0) | (images == 255)).all())


def _pieces(side: Rows | PointRows, n: int) -> Iterator[tuple[int, Tensor]]:
    """Positions of the first, and images (b, C, H, W) uint8 or points (b, D) float32, of the first n of a side."""
    for start in range(0, n, CHUNK):
        for at, images in side.groups(start, min(start + CHUNK, n)):
            yield at[0], images


class _Measuring:
    """The likelihoods of n images under a run."""

    def __init__(
        self, run: Run, side: Rows | PointRows, n: int, importance: int, seed: int, progress: Progress | None
    ) -> None:  # fmt: skip
        self.game: Any = run.game
        self.side, self.importance, self.seed, self.progress = side, importance, seed, progress
        self.x = torch.cat([images for _, images in _pieces(side, n)])  # uint8, so that a set of a few thousand fits
        self.n, self.dimensions = len(self.x), int(np.prod(self.x.shape[1:]))
        self.device = device_of(run.game)
        self.outcome = cast(Outcome, self.game.outcome)
        self.unit = "point" if isinstance(side, PointRows) else "image"
        self.of = (
            f"a density of points as the run is given them ({side.prepared}): to be compared on the same points alone"
            if isinstance(side, PointRows)
            else measures.of_what(self.outcome, side.dataset.binarise)
        )
        self.warning = ""
        self.weighted: measures.Weighted | None = None

    def figures(self, names: Sequence[str]) -> dict[str, Figure]:
        """Those of `names`, in the order of the table."""
        parts = self._parts()
        found: dict[str, Figure] = {}
        found |= {name: self._figure(name, parts[name]) for name in ("elbo", "reconstruction", "kl")
                 if name in names and name in parts}  # fmt: skip
        if {"nll", "bits_per_dim"} & set(names):
            log_p = parts["log_p"] if self.game.exact else self._bound(parts.get("elbo"))
            found["nll"] = self._figure("nll", -log_p)
            found["bits_per_dim"] = self._bits(-log_p)
        return {name: found[name] for name in NAMES if name in found and name in names}

    def record(self, figures: dict[str, Figure]) -> dict[str, Any]:
        """What the numbers are of."""
        said: dict[str, Any] = {
            "of": self.of, "outcome": self.outcome, "binarise": self.side.dataset.binarise, "exact": self.game.exact,
            "n": self.n, "dimensions": self.dimensions, "unit": self.unit, "names": list(figures),
        }  # fmt: skip
        if self.weighted is not None:
            said["importance"] = self.importance
            said["effective"] = round(float(self.weighted.effective.median()), 2)
        return said

    def _figure(self, name: str, values: Tensor) -> Figure:
        warning = self.warning if name == "nll" else ""
        made = Figure.of(name, measures.average(values, self.seed), ABOUT[name][1], self.n, 0, self.of, warning)
        return self._bounded(made)

    def _bounded(self, figure: Figure) -> Figure:
        """The figure, marked where it is a bound: of log p(x) from below, of minus log p(x) from above."""
        if self.game.exact or figure.name not in ("elbo", *OF_WEIGHTS):
            return figure
        return replace(figure, bound="at least" if figure.name == "elbo" else "at most")

    def _bits(self, nll: Tensor) -> Figure:
        if self.outcome == "continuous":
            why = "a density is no probability: without dequantisation (uniform noise on each level) its logarithm is "\
                "no length of code" + ". Train with --set decoder=logistic" * (self.unit == "image")  # fmt: skip
            return Figure("bits_per_dim", None, n_real=self.n, features=self.of, refused=why)
        bits = measures.average(measures.bits_per_dimension(-nll, self.dimensions), self.seed)
        return self._bounded(Figure.of("bits_per_dim", bits, "lower", self.n, 0, self.of))

    def _parts(self) -> dict[str, Tensor]:
        """(n,) float64 each: the ELBO and its parts from one z an image, or log p itself."""
        found: dict[str, list[Tensor]] = {}
        for start in range(0, self.n, CHUNK):
            x = self._inside(self.x[start : start + CHUNK])
            dice = Dice(self.seed, "evaluate/elbo", range(start, start + len(x)), device=self.device)
            if isinstance(self.game, HasPosterior):
                said = self.game.elbo(x, dice)
                values = {"reconstruction": said["reconstruction"], "kl": said["kl"],
                          "elbo": said["reconstruction"] - said["kl"]}  # fmt: skip
            else:
                values = {"log_p" if self.game.exact else "elbo": self.game.log_likelihood(x, dice)}
            for name, value in values.items():
                found.setdefault(name, []).append(value.double().cpu())
            if self.progress is not None:
                self.progress("likelihoods", start + len(x), self.n)
        return {name: torch.cat(values) for name, values in found.items()}

    def _bound(self, elbo: Tensor | None) -> Tensor:
        """log p(x) from below: by importance weights where there is a posterior, else the ELBO."""
        if not isinstance(self.game, HasPosterior):
            assert elbo is not None
            return elbo
        game = self.game

        def weigh(rows: Tensor, draws: range) -> Tensor:
            return game.log_weight(
                self._inside(self.x[rows]), Dice(self.seed, "evaluate/weights", draws, (), self.device)
            )

        def tell(done: int) -> None:
            if self.progress is not None:
                self.progress(f"{self.importance} importance weights an image", done, self.n)

        found = measures.importance_weighted(weigh, self.n, self.importance, progress=tell)
        self.weighted, self.warning = found, self._doubts(found, elbo)
        return found.bound

    def _doubts(self, found: measures.Weighted, elbo: Tensor | None) -> str:
        """What makes the bound doubtful: few weights that count; or an ELBO that its own weights contradict."""
        said = []
        count = float(found.effective.median())
        if count < 2 and self.importance > 10:
            said.append(
                f"of {self.importance} importance weights {count:.1f} count in the median image: the bound is loose"
            )
        if elbo is not None and len(elbo) > 2:
            apart = elbo - found.elbo
            error = float(apart.std()) / len(apart) ** 0.5
            if abs(float(apart.mean())) > _APART * error + 1e-6 * float(elbo.abs().mean()):
                said.append(
                    f"the ELBO ({float(elbo.mean()):.2f}) is not the mean log weight ({float(found.elbo.mean()):.2f}): "
                    "elbo and log_weight of this recipe contradict each other"
                )
        return "; ".join(said)

    def _inside(self, images: Tensor) -> Tensor:
        """uint8 → [-1, 1] as games take them; points as they are."""
        placed = images.to(self.device).float()
        return placed if self.unit == "point" else placed / 127.5 - 1.0


def greys(real: Side, fake: Side) -> list[str]:
    """What to say where one side is black and white because the data were made so, and the other is not."""
    if not isinstance(real, Rows) or real.dataset.binarise == "none" or not len(fake):
        return []
    images = next(fake.groups(0, CHUNK), ([], None))[1]
    if images is None or bool(((images == 0) | (images == 255)).all()):
        return []
    said = "the data are black and white (--binarise) and the other side has greys, which every distance sees first"
    drawn = (
        "; a VAE trained with --set noise=true draws bits, else it shows their mean" if isinstance(fake, Drawn) else ""
    )
    return [said + drawn]


def parzen(side: Rows, drawn: Drawn | None, seed: int) -> Figure:
    """The kernel estimate, its bandwidth chosen on one half of the images and measured on the other."""
    n = min(len(side), MOST_PARZEN)
    if drawn is None:
        return Figure("parzen", None, n_real=n, refused="it needs samples: a run that makes images")
    if n < 20:
        return Figure("parzen", None, n_real=n, refused=f"{n} images are too few: half of them choose the bandwidth")
    x = torch.cat([images for _, images in _pieces(side, n)]).flatten(1).float() / 255
    pieces = [images for start in range(0, len(drawn), CHUNK) for _, images in drawn.groups(start, start + CHUNK)]
    y = torch.cat(pieces).flatten(1).float() / 255
    half = len(x) // 2
    sigma = measures.bandwidth(x[:half], y)
    value = measures.average(measures.parzen(x[half:], y, [sigma])[0], seed)
    of = f"Gaussian kernels of {sigma:g} around samples, values in [0, 1]; chosen on {half:,} other images"
    return Figure.of("parzen", value, "higher", len(x) - half, len(y), of, measures.PARZEN_WARNING)
