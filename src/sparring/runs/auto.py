"""``--recipe auto``: the recipe that a committed sweep found best for this size, device and budget.

The table follows benchmarks/results/auto/ (equal time per cell, three seeds, judged by KID on EfficientNet-Lite0
features of held-out images, and by looking at the grids).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sparring.autoencoder import AutoencoderConfig
from sparring.budget import Budget, parse_change
from sparring.runs.recipe import Recipe, load
from sparring.train.game import Training

DEFAULT_BUDGET = Budget(seconds=20 * 60.0)
"""What ``train`` does when no budget is named."""

CHOICES = ("r3gan-minutes", "r3gan-hours", "gan-points")
"""Everything that `choose` may choose."""
IMAGES_ONLY = ("dcgan", "r3gan", "classifier", "pixelcnn", "vqgan", "taming", "text2image", "dualencoder")
"""Recipes whose networks are made for images."""
ANY_SIZE = ("vae", "svae", "pixelcnn")
"""Recipes that take images of any size: small ones are not enlarged, for a likelihood is of the values there are."""
MEANT_FOR_POINTS = ("gan-points",)
OF_PAIRS = {
    "stems": ("pix2pix", "pairs: the second image is made of the first"),
    "unpaired": ("cyclegan", "two sets without pairs: each is turned into the other"),
}
"""(preset, why) where two sides are named, by `Options.pairs`; all kinds of pairs alike."""

LIGHTER = {"cyclegan": "cyclegan-modern"}
"""Instead of a preset that is chosen: what a CPU can train in an hour."""

HOURS = 4 * 3600.0
"""From here on, on a GPU, the published R3GAN networks pay off."""


def choose(kind: str, shape: tuple[int, ...], count: int, device: str, budget: Budget | None) -> tuple[str, str]:
    """(preset, why) for data of this kind and shape on this device within this budget."""
    if kind == "points":
        return "gan-points", "2-D points: two MLPs that can see fine modes"
    budget = budget or DEFAULT_BUDGET
    long = (budget.seconds is not None and budget.seconds >= HOURS) or (budget.images or 0) >= 5_000_000
    if device == "cuda" and long:
        return "r3gan-hours", "a GPU and hours: the published residual networks"
    return "r3gan-minutes", "best in the first hour at this size in the committed sweep (docs/choosing.md)"


def of_pairs(pairs: str, *, two: bool) -> tuple[str, str] | None:
    """(preset, why) where the request itself says that there are two sides; None where it does not. two: sources."""
    if pairs == "none" or (pairs == "auto" and not two):
        return None
    return OF_PAIRS["unpaired" if pairs == "unpaired" else "stems"]


SMALL = 128
"""Up to this side the published networks of Pix2Pix are wider, and its patches larger, than the images ask for."""
FITTED = "patches as small as the images ask for"
"""Why `fitted` changes a recipe."""


POINTS = ("free_bits=1", "lr=3e-3 -> 1e-5 cosine 0.1..1")
"""What a VAE of points needs."""
SUITED = "as suits these data"
"""Why `suited` changes a recipe."""


def suited(recipe: Recipe, shape: tuple[int, ...], binary: bool) -> list[str]:
    """Changes to a recipe that says what x is given z, where the data are not what it is set for: points have no
    neighbours to convolve and are drawn with their noise; what is black or white has a probability, not a density.
    Of the KL divergence of the few latents of a point a nat each is free, and steps are larger: with the settings for
    images the posterior of a ring collapsed in all seeds (benchmarks/results/vae_points.json)."""
    config = recipe.config
    if binary and getattr(config, "outcome", "") == "levels":  # pixelcnn
        return ["outcome=binary"]
    if not isinstance(config, AutoencoderConfig):
        return []
    sphere = "sphere" in {field.name for field in dataclasses.fields(config)}
    latent = ["sphere=2"] if sphere else ["z=2", *POINTS]
    points = ["network=mlp", *latent, "noise=true"] if len(shape) == 1 and config.network == "conv" else []
    return [*points, *(["decoder=bernoulli"] if binary and config.decoder != "bernoulli" else [])]


def fitted(asked: Recipe, shape: tuple[int, ...], device: str) -> tuple[str, list[str], str]:
    """(preset, changes, why): what is taken for a recipe that was asked for by its name, or because the data are pairs
    (then it says why), where images and machine are not those it was published for. ``--set`` goes before the changes.

    Chosen by measurement (docs/systems/pix2pix.md, docs/systems/cyclegan.md)."""
    preset, cpu = asked.preset, device == "cpu"
    if preset in LIGHTER and cpu and asked.why:  # chosen, not asked for
        return LIGHTER[preset], [], "narrow networks, since this is a CPU"
    if preset != "pix2pix" or len(shape) != 3 or min(shape[1:]) > SMALL:
        return preset, [], ""
    patches = f"patches={2 if min(shape[1:]) >= 16 else 1}"
    if cpu:
        return "pix2pix-modern", [patches], "for small images on a CPU in place of pix2pix, which takes hours there"
    return preset, [patches], FITTED


def adapted(config: Training, shape: tuple[int, ...], count: int) -> list[str]:
    """Changes for this data set: more augmentation the fewer images there are."""
    if len(shape) != 3:
        return []
    if count < 2_000:
        return ["augment=0 -> 1.0 cosine 0..0.2"]
    return []


def recipe_for(
    asked: Recipe | None, kind: str, shape: tuple[int, ...], count: int, device: str, *, budget: Budget | None = None,
    changes: Sequence[str] = (), binary: bool = False,
) -> Recipe:  # fmt: skip
    """The recipe that is trained on such data, which is also what `check` proposes: `asked` (by its name, or because
    the data are pairs, see `of_pairs`), fitted to images and machine; None: chosen, and adapted to their number.

    count: images for training.   changes: of the user, which go before all others.   binary: whether every value is
    black or white (`--binarise`).
    """
    if asked is None:
        preset, why = choose(kind, shape, count, device, budget)
        few = adapted(load(preset, changes).config, shape, count)
        return load(preset, [*few, *changes], why)
    preset, fit, reason = fitted(asked, shape, device)
    if preset == asked.preset and not fit:
        fit, reason = suited(asked, shape, binary), SUITED
    named = {parse_change(change)[0] for change in changes}
    fit = [change for change in fit if parse_change(change)[0] not in named]
    if preset == asked.preset and not fit:
        return asked
    told = f"{reason}: {', '.join(fit)}" if preset == asked.preset else reason
    return load(preset, [*fit, *changes], "; ".join([asked.why] * bool(asked.why) + [told]))
