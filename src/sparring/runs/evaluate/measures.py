"""The measures by name: each compares what a judge saw of two sides, and says what makes its number doubtful."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sparring.chance import permutation
from sparring.metrics import (
    classes,
    diversity,
    frechet,
    inception_score,
    kernel,
    neighbours,
    prdc,
    smoothness,
    spectrum,
    texture,
)
from sparring.metrics.extractors import ClassifierFeatures
from sparring.metrics.features import EfficientNetFeatures, Extractor, prepare
from sparring.metrics.figure import Better, Figure, HasInterval
from sparring.metrics.uncertainty import Measured
from sparring.runs.evaluate.seen import Seen
from sparring.runs.evaluate.sides import CHUNK, Drawn, Side
from sparring.runs.evaluate.translations import Cycle, Scores
from sparring.types import HasLatents

_LOOKED = 256  # images of either side whose spectrum and texture are compared
_ROUNDING = 1 / 12  # of levels 0 … 255: the variance of rounding, below which nothing is texture
_PATHS = 1000
_STEP = 1e-3  # of a path: large against the rounding of float32, small against a path of length 1


@dataclass(frozen=True, eq=False)
class Scene:
    """What is compared: what the extractor saw, and the sides themselves for measures that need more.

    copies: the memorisation test, where there is training data.   features: identity of the extractor.
    pairs, cycle: what is measured of translations: of pairs, and of two sets that do not belong together.
    """

    real: Seen
    fake: Seen
    extractor: Extractor
    features: str
    seed: int = 0
    real_side: Side | None = None
    fake_side: Side | None = None
    copies: neighbours.Copies | None = None
    pairs: Scores | None = None
    cycle: Cycle | None = None

    @property
    def aligned(self) -> bool:
        """Whether feature k of either side is of one pair."""
        return self.pairs is not None and np.array_equal(self.real.positions, self.fake.positions)

    @cached_property
    def manifold(self) -> prdc.PRDC:
        """Precision, recall, density and coverage at equal n."""
        n = self.equal
        real, fake = (_part(seen.features, n, self.seed, name) for seen, name in self._sides)
        return prdc.prdc(real, fake, seed=self.seed)

    @property
    def equal(self) -> int:
        """The number of samples that both sides have."""
        return min(len(self.real.features), len(self.fake.features))

    @property
    def inception(self) -> bool:
        """Whether a Fréchet distance may be called FID."""
        return self.extractor.name == "inception" and self.extractor.version == "2015-12-05"

    @property
    def _sides(self) -> tuple[tuple[Seen, str], tuple[Seen, str]]:
        return (self.real, "real"), (self.fake, "fake")

    def figure(
        self, name: str, measured: HasInterval, better: Better, n_real: int, n_fake: int, warning: str = ""
    ) -> Figure:
        return Figure.of(name, measured, better, n_real, n_fake, self.features, warning)

    def refusal(self, name: str, why: str) -> Figure:
        n_real, n_fake = len(self.real.features), len(self.fake.features)
        return Figure(name, None, n_real=n_real, n_fake=n_fake, features=self.features, refused=why)


def _part(x: Tensor, n: int, seed: int, side: str) -> Tensor:
    if n >= len(x):
        return x
    return x[torch.from_numpy(np.sort(permutation(seed, f"evaluate/equal/{side}", 0, len(x))[:n]))]


# ── distances ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _kid(scene: Scene) -> Figure:
    x, y = scene.real.features, scene.fake.features
    n = min(len(x), len(y))
    few = f"{n:,} images are few: the interval is wide; below 200 KID tells only gross differences" if n < 200 else ""
    found = kernel.kid_of_pairs(x, y) if scene.aligned else kernel.kid(x, y)
    return scene.figure("kid", found, "lower", len(x), len(y), few)


def _fd(scene: Scene) -> Figure:
    """The value is of all images; the interval of the kept ones, narrowed by how many more there are."""
    real, fake = scene.real, scene.fake
    name, kid = ("fid", "kid") if scene.inception else ("fd", "kid")
    kept = frechet.fid(real.features, fake.features)
    value = kept.value
    if real.n > len(real.features) or fake.n > len(fake.features):
        value = frechet.distance(real.moments, fake.moments)
    shrink = math.sqrt(max(len(real.features) / real.n, len(fake.features) / fake.n))
    half = shrink * (kept.high - kept.low) / 2
    few = frechet.warning(real.n, fake.n, scene.extractor.dimensions)
    if not few and min(real.n, fake.n) < 10_000:
        few = f"published values are of 50,000 samples; with {min(real.n, fake.n):,} it is larger: read {kid} as well"
    found = Measured(value, value - half, value + half, kept.interval)
    return scene.figure(name, found, "lower", real.n, fake.n, few)


def _fid(scene: Scene) -> Figure:
    if not scene.inception:
        why = "the name FID belongs to features of Inception; on these features it is called fd"
        return scene.refusal("fid", f"{why} (or take --features inception)")
    return _fd(scene)


def _fd_inf(scene: Scene) -> Figure:
    x, y = scene.real.features, scene.fake.features
    name = "fid_inf" if scene.inception else "fd_inf"
    n, d = min(len(x), len(y)), scene.extractor.dimensions
    if n < max(8, 2 * d):
        why = f"{n:,} samples in {d:,} dimensions cannot be extrapolated; {2 * d:,} can, {4 * d:,} better: read kid"
        return scene.refusal(name, why)
    few = f"{n:,} samples in {d:,} dimensions: the extrapolation is rough; read kid as well" if n < 4 * d else ""
    return scene.figure(name, frechet.fid_infinity(x, y, scene.seed), "lower", len(x), len(y), few)


def _cmmd(scene: Scene) -> Figure:
    if scene.extractor.name != "clip":
        return scene.refusal(
            "cmmd", "CMMD is defined on features of CLIP: take --features clip; here kid says the like"
        )
    x, y = scene.real.features, scene.fake.features
    n = min(len(x), len(y))
    few = f"{n:,} images: too large by about {10 / n:.2g}; published values are of 30,000" if n < 5000 else ""
    return scene.figure("cmmd", kernel.cmmd(x, y), "lower", len(x), len(y), few)


# ── fidelity and variety ──────────────────────────────────────────────────────────────────────────────────────────

_PRDC = ("precision", "recall", "density", "coverage")


def _of_manifold(name: str) -> Callable[[Scene], Figure]:
    def measure(scene: Scene) -> Figure:
        n = scene.equal
        if n < 6:
            return scene.refusal(name, f"{n} images have no fifth neighbours: at least 6 are needed, 1,000 are usual")
        found: Measured = getattr(scene.manifold, name)
        few = ""
        if n < 1000:
            few = f"{n:,} images a side (1,000 are usual): it depends on n, so compare at equal n only; read kid first"
        return scene.figure(name, found, "higher" if name != "density" else "", n, n, few)

    return measure


def _vendi(scene: Scene) -> Figure:
    found = diversity.ratio(scene.fake.features, scene.real.features, seed=scene.seed)
    few = f"{found.n} images show little variety of any kind" if found.n < 200 else ""
    return scene.figure("vendi_ratio", found.ratio, "higher", found.n, found.n, few)


def _duplicates(scene: Scene) -> Figure:
    found = neighbours.duplicates(scene.fake.features, scene.real.features, seed=scene.seed)
    said = ""
    if found.share.low > 3 * max(found.null, 0.01):
        said = f"samples repeat each other: {found.null:.1%} of real images are as near to another one"
    elif found.n < 200:
        said = f"{found.n} images hardly show repetition"
    return scene.figure("duplicates", found.share, "lower", found.n, found.n, said)


def _copies(scene: Scene) -> Figure:
    if scene.pairs is not None or scene.cycle is not None:
        return scene.refusal("copies", "what a translation is near to is decided by what it was made from")
    if scene.copies is None:
        return scene.refusal("copies", "it needs at least 100 real images: some as training data, some held out")
    found = scene.copies
    said = ""
    if found.p < 1e-3 and found.excess > 0.01:
        said = f"copies of training images: fresh data would show {found.null.value:.1%} (p = {found.p:.1g})"
    return scene.figure("copies", found.share, "lower", len(scene.real.features), len(found.distance), said)


# ── classes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def predicted(seen: Seen) -> NDArray[np.int64] | None:
    """(K,) how often the judge sees each class; None where it names none."""
    if seen.probabilities is None or not len(seen.probabilities):
        return None
    return classes.counts(seen.probabilities.argmax(1), seen.probabilities.shape[1])


def frequencies(scene: Scene) -> classes.Frequencies | None:
    """Classes as the judge sees them on both sides; None where it names none."""
    fake, real = predicted(scene.fake), predicted(scene.real)
    if fake is None or real is None:
        return None
    names = scene.extractor.classes if isinstance(scene.extractor, ClassifierFeatures) else ()
    return classes.frequencies(fake, real, names)


_NO_CLASSES = "this judge names no classes: train one with `sparring train DATA --recipe classifier`, and take "\
    "--features classifier:RUN"  # fmt: skip


def _class_frequencies(scene: Scene) -> Figure:
    found = frequencies(scene)
    if found is None:
        return scene.refusal("class_frequencies", _NO_CLASSES)
    said = f"{found.apart:.1%} of the samples are of the wrong class; equal laws would show {found.chance:.1%}"
    said += ("; " + "; ".join(found.flags[:3])) if found.flags else ""
    n_real, n_fake = found.n_real, found.n_fake
    return Figure("class_frequencies", found.apart, None, None, "", "lower", n_real, n_fake, scene.features,
                  said if found.p < 0.01 else "")  # fmt: skip


def _modes(scene: Scene) -> Figure:
    sure, real = scene.fake.probabilities, predicted(scene.real)
    if sure is None or real is None:
        return scene.refusal("modes", _NO_CLASSES)
    found = classes.modes(sure, reference=np.maximum(real, 0.5), seed=scene.seed)[0]
    said = (
        f"{found.classes - found.modes} of {found.classes} classes are missing" if found.modes < found.expected else ""
    )
    n_real = len(scene.real.features)
    return Figure("modes", float(found.modes), None, None, "", "higher", n_real, len(sure), scene.features, said)


def _inception_score(scene: Scene) -> Figure:
    data = scene.real_side.classes if scene.real_side is not None else ()
    judge = scene.extractor.classes if isinstance(scene.extractor, ClassifierFeatures) else ()
    why = inception_score.refusal(judge, data, "the real side")
    if scene.fake.probabilities is None and not why:
        why = _NO_CLASSES
    if why or scene.fake.probabilities is None:
        return scene.refusal("inception_score", why)
    return inception_score.figure(scene.fake.probabilities, judge, data, scene.features)


# ── of translations ───────────────────────────────────────────────────────────────────────────────────────────────


def _of_pairs(name: str) -> Callable[[Scene], Figure]:
    def measure(scene: Scene) -> Figure:
        if scene.pairs is None:
            return scene.refusal(name, "it needs pairs: a run of pix2pix alone, which is held against its own data")
        if name not in scene.pairs.rows["translations"] and name not in scene.pairs.refused:
            return scene.refusal(name, "what is made are label maps")
        return scene.pairs.figure(name, seed=scene.seed)

    return measure


def _of_cycle(name: str) -> Callable[[Scene], Figure]:
    def measure(scene: Scene) -> Figure:
        if scene.cycle is None:
            return scene.refusal(name, "it needs a run that knows the way back, of cyclegan, held against its own data")
        return scene.cycle.figures.get(name) or scene.refusal(name, "too few images, or label maps")

    return measure


# ── of the generator itself ───────────────────────────────────────────────────────────────────────────────────────


def _ppl(scene: Scene) -> Figure:
    side, judge = scene.fake_side, scene.extractor
    if not isinstance(side, Drawn) or not isinstance(side.run.game, HasLatents):
        return scene.refusal("ppl", "a path through latent space needs a run with latents, not files")
    if not isinstance(judge, EfficientNetFeatures):
        return scene.refusal("ppl", "it needs a judge of images that are not rounded: the default one")
    game = side.run.game

    def embed(images: Tensor) -> Tensor:
        levels = (images.float() + 1.0) * 127.5
        levels = levels.expand(-1, 3, -1, -1) if levels.shape[1] == 1 else levels[:, :3]
        size = (judge.size, judge.size)
        seen = F.interpolate(levels, size=size, mode="bilinear", align_corners=False, antialias=True)
        found: Tensor = judge.network(seen.contiguous(memory_format=torch.channels_last))
        return F.normalize(found, dim=1) * math.sqrt(judge.dimensions)

    found = smoothness.ppl(game.decode, embed, game.latents, _PATHS, seed=scene.seed, epsilon=_STEP)
    said = "a collapsed generator has a short path too: read it with recall and vendi_ratio, and between runs only"
    return Figure.of("ppl", found, "lower", 0, _PATHS, scene.features, said)


def _checkerboard(scene: Scene) -> Figure:
    found = _pixels(scene, least=4)
    if isinstance(found, str):
        return scene.refusal("checkerboard", found)
    fake, real = found
    return scene.figure("checkerboard", spectrum.checkerboard(fake, real), "", len(real), len(fake))


def _texture(name: str, *, background: bool) -> Callable[[Scene], Figure]:
    def measure(scene: Scene) -> Figure:
        found = _pixels(scene, least=2 * texture.PATCH)
        if isinstance(found, str):
            return scene.refusal(name, found)
        fake, real = found
        if float(texture.textures(real, background=background).mean()) < _ROUNDING:
            return scene.refusal(name, "real images are plain there: nothing to hold the samples against")
        return scene.figure(name, texture.texture(fake, real, background=background), "", len(real), len(fake))

    return measure


def _pixels(scene: Scene, least: int) -> tuple[Tensor, Tensor] | str:
    """Some samples and some real images, (n, C, H, W) each, of one size; or why not. least: pixels of a side."""
    if scene.real_side is None or scene.fake_side is None:
        return "it needs the images themselves"
    found = []
    for side, seen in ((scene.fake_side, scene.fake), (scene.real_side, scene.real)):
        images = _at(side, seen.positions[:_LOOKED])
        if len({tuple(image.shape[1:]) for image in images}) != 1:
            return f"the images of {side.what} are of several sizes: take --size"
        found.append(torch.stack([prepare(i[None], (i.shape[1], i.shape[2]))[0] for i in images]))
    fake, real = found
    if fake.shape[1:] != real.shape[1:]:
        return "the two sides are of different sizes: take --size"
    return (fake, real) if min(fake.shape[2:]) >= least else f"it needs images of at least {least} pixels a side"


def _at(side: Side, positions: NDArray[np.int64]) -> list[Tensor]:
    """The images at these positions, (C, H, W) each. The first ones are asked for together: a model that draws pixel by
    pixel takes about as long for one as for many."""
    if not np.array_equal(positions, np.arange(len(positions))):
        return side.at(positions.tolist())
    found: dict[int, Tensor] = {}
    for start in range(0, len(positions), CHUNK):
        for at, images in side.groups(start, start + CHUNK):
            found |= dict(zip(at, images, strict=True))
    return [found[k] for k in sorted(found) if k < len(positions)]


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Measure:
    """about: a line for a person.   usual: whether it is measured when nothing is named.
    paired: whether two sets of features are all it needs, so that it has a null."""

    about: str
    of: Callable[[Scene], Figure]
    usual: bool = True
    paired: bool = True


MEASURES: dict[str, Measure] = {
    "l1": Measure("mean difference from the truth, of pairs, in [0, 1]", _of_pairs("l1"), paired=False),
    "psnr": Measure("signal to noise in dB, of pairs", _of_pairs("psnr"), paired=False),
    "ssim": Measure("structural similarity (Wang et al. 2004), of pairs", _of_pairs("ssim"), paired=False),
    "lpips": Measure("distance to people's eyes (AlexNet, v0.1), of pairs", _of_pairs("lpips"), paired=False),
    "kid": Measure("kernel distance (unbiased, all pairs): the one to read first; 0 for equal laws", _kid),
    "kid_back": Measure("kid of the way back", _of_cycle("kid_back"), paired=False),
    "cycle_error": Measure("mean difference after the way there and back, in [0, 1]", _of_cycle("cycle_error"),
                           paired=False),
    "cycle_error_back": Measure("the same of the other side", _of_cycle("cycle_error_back"), paired=False),
    "fd": Measure("Fréchet distance; called fid on Inception features, and only there", _fd),
    "fid": Measure("the same, refused on any other features", _fid, usual=False),
    "fd_inf": Measure("Fréchet distance extrapolated to infinitely many samples", _fd_inf),
    "precision": Measure("share of fakes that look like real images (k = 3)", _of_manifold("precision")),
    "recall": Measure("share of real images that the fakes could be (k = 3)", _of_manifold("recall")),
    "density": Measure("how typical fakes are; 1 for equal laws (k = 5)", _of_manifold("density")),
    "coverage": Measure("share of real images with a fake nearby; equal laws: 0.97 (k = 5)", _of_manifold("coverage")),
    "vendi_ratio": Measure("variety of fakes over that of real images; 1 for equal laws", _vendi),
    "duplicates": Measure("share of fakes that repeat another fake", _duplicates),
    "copies": Measure("share of fakes that repeat a training image", _copies, paired=False),
    "class_frequencies": Measure("share of fakes of the wrong class", _class_frequencies, usual=False),
    "modes": Measure("classes that the fakes show, where the judge is sure", _modes, usual=False),
    "inception_score": Measure("exp of mean KL of class probabilities", _inception_score, usual=False, paired=False),
    "cmmd": Measure("kernel distance on CLIP features, as published", _cmmd, usual=False),
    "ppl": Measure("perceptual path length of the latent space", _ppl, usual=False, paired=False),
    "checkerboard": Measure("energy of the highest frequencies over that of real images", _checkerboard, usual=False,
                            paired=False),
    "texture": Measure("variance inside squares of 4 × 4 px over that of real images", _texture(
        "texture", background=False), usual=False, paired=False),
    "background_texture": Measure("the same where no edge is near: an average is smooth there", _texture(
        "background_texture", background=True), usual=False, paired=False),
}  # fmt: skip
"""Every measure by the name that ``--metrics`` takes."""


OF_PAIRS = ("l1", "psnr", "ssim", "lpips")
OF_CYCLES = ("kid_back", "cycle_error", "cycle_error_back")
OF_TRANSLATIONS = ("kid", "fd")
"""What two sets are compared by where what is given decides what is made: that the set is various, or has doubles, says
something of what was given."""


def usual(extractor: Extractor, n: int, trained: bool, of: str = "") -> tuple[str, ...]:
    """What is measured when nothing is named. n: features of the smaller side; trained: whether there is training data
    to hold samples against; of: "pairs" or "cycles" where the samples are translations."""
    if of:
        besides = OF_PAIRS if of == "pairs" else OF_CYCLES
        return tuple(name for name in MEASURES if name in (*besides, *OF_TRANSLATIONS))
    names = [name for name, measure in MEASURES.items() if measure.usual and name not in (*OF_PAIRS, *OF_CYCLES)]
    names += ["cmmd"] if extractor.name == "clip" else []
    names += ["class_frequencies", "modes"] if isinstance(extractor, ClassifierFeatures) else []
    if n < 4 * extractor.dimensions:
        names.remove("fd_inf")
    if not trained:
        names.remove("copies")
    return tuple(names)
