"""How to train on data that were inspected: size, crop, channels, recipe, each with its reason, and the command."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sparring import __version__
from sparring.data import Options, cache
from sparring.data.findings import FEW
from sparring.data.inspection import Inspection
from sparring.data.options import flag
from sparring.data.remarks import ground, hexadecimal

WITHOUT_GPU = 64
"""Pixels of the shorter side that a processor alone can learn in an hour."""


@dataclass(frozen=True)
class Choice:
    """One thing that has to be decided. value: what is proposed.   why: in plain words.   words: flags that say so."""

    name: str
    value: str
    why: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """How to train on the data. command: the words to type, none where training would be refused whatever is typed.
    note: what has to be known of the command."""

    choices: list[Choice]
    command: list[str]
    note: str = ""

    def lines(self) -> list[str]:
        """A line for each choice."""
        wide = max((len(choice.value) for choice in self.choices), default=0)
        return [f"  {choice.name:<13}{choice.value:<{wide}}  {choice.why}" for choice in self.choices]


@dataclass(frozen=True)
class Advice:
    """What `train` would take for data of a kind, shape and number. augment: its strength, start and end; None of
    a recipe that has no such setting.   jitter: whether images are enlarged and cut back at a random place."""

    device: str
    preset: str
    why: str
    batch: int
    flip: bool
    augment: tuple[float, float] | None
    jitter: bool = False

    def varied(self) -> str:
        """What training does so that few images are not learnt by heart, in words."""
        if max(self.augment or (0.0,)):
            return "in training they are augmented"
        done = "enlarged and cut at random (jitter), not more" if self.jitter else "not augmented"
        more = "; --set augment=0.5 augments what D sees" if self.augment is not None else ""
        return f"in training they are {done}{more}"


def advise(
    kind: str, shape: tuple[int, ...], count: int, device: str = "", cache_dir: Path | None = None, pairs: str = ""
) -> Advice:
    """The recipe that `auto.recipe_for` takes without a word about it, kept in the cache: asking again needs no torch,
    whose loading would take longer than a second check. device: "" for what this machine has.   pairs: how two images
    belong together, if they do."""
    machine = sorted(glob.glob("/dev/nvidia*") + glob.glob("/dev/kfd")), os.environ.get("CUDA_VISIBLE_DEVICES"), device
    folder = Path(__file__).parents[1]
    texts = [path.read_bytes() for path in sorted(folder.glob("recipes/**/*.[py]*")) if path.is_file()]
    texts.append((folder / "runs" / "auto.py").read_bytes())
    asked = f"{__version__} {sys.version} {version('torch')} {machine} {kind} {shape} {count} {pairs}"
    digest = hashlib.blake2b(b"".join([asked.encode(), *texts]), digest_size=16).hexdigest()

    def write(_: Path) -> dict[str, Any]:
        return {"advice": dataclasses.asdict(_advice(kind, shape, count, device, pairs))}

    entry = cache.directory(cache_dir)[0] / "advice" / digest
    entry.parent.mkdir(parents=True, exist_ok=True)
    said = cache.create(entry, write)["advice"]
    return Advice(**{**said, "augment": said["augment"] and tuple(said["augment"])})


def _advice(kind: str, shape: tuple[int, ...], count: int, device: str, pairs: str) -> Advice:
    from sparring.runs import auto
    from sparring.runs.recipe import load
    from sparring.train.engine import choose_device

    device = device or choose_device("auto").type
    named = auto.of_pairs(pairs or "none", two=False)
    asked = load(named[0], (), named[1]) if named else None
    recipe = auto.recipe_for(asked, kind, shape, count, device)
    config = recipe.config
    augment = getattr(config, "augment", None)
    strength = None if augment is None else (float(augment.start), float(augment.end))
    return Advice(
        device, recipe.preset, recipe.why, config.batch, config.flip, strength, bool(getattr(config, "jitter", False))
    )


def proposed_shape(options: Options, found: Inspection, device: str) -> tuple[int, ...]:
    """The shape (C, H, W) that is proposed: that of the inspection, unless another size is better on this device."""
    if found.kind != "images":
        return found.shape
    width, height = map(int, _size(options, found, device).value.split("x"))
    return found.shape[0], height, width


def propose(source: str, options: Options, found: Inspection, count: int, advice: Advice) -> Proposal:
    """Size, crop, channels, recipe, batch, augmentation and mirroring for these data, with reasons.

    count: images for training.
    """
    choices = []
    if found.kind == "images":
        size = _size(options, found, advice.device)
        choices += [size, _crop(options, found, size), _channels(options, found)]
    choices.append(Choice("recipe", advice.preset, advice.why + _idle_labels(found)))
    often = f"; {_images(count)} come{'s' if count == 1 else ''} round often" if count < advice.batch else ""
    measured = "as the recipe has it" if found.pairs else "what the recipe was measured with"
    choices.append(Choice("batch", str(advice.batch), f"{measured}{often}"))
    if found.kind == "images":
        choices.append(_augmentation(advice, count))
        choices.append(_mirroring(found, advice.flip))
    chosen = {word for choice in choices for word in choice.words if word.startswith("--") and word != "--set"}
    said = _pairs(words_of(options))
    words = [word for flag, values in said for word in (flag, *values) if flag not in chosen]
    words += [word for choice in choices for word in choice.words]
    sources = [source] if options.into is None else [source, options.into]
    return Proposal(choices, ["sparring", "train", *sources, *words])


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count != 1 else ''}"


def _idle_labels(found: Inspection) -> str:
    """The recipes that are chosen from have no use for labels; another one has."""
    if found.kind != "images" or found.pairs or sum(1 for count in found.classes.values() if count) < 2:
        return ""
    return "; it does not use the labels: --recipe cgan does (docs/systems/cgan.md)"


def _size(options: Options, found: Inspection, device: str) -> Choice:
    height, width = found.shape[1:]
    if options.size is not None:
        return Choice("size", f"{width}x{height}", _asked(found, min(height, width)), _size_words(options.size))
    assert found.median
    side = min(height, width)
    middle = min(found.median)
    small = device == "cpu" and side > WITHOUT_GPU
    chosen = WITHOUT_GPU if small else side
    why = f"the shorter side is {middle} in the middle" if found.smallest != found.largest else f"all have {middle}"
    if chosen > middle:
        why += ", enlarged: networks need 32"
    if small:
        why += f"; a processor alone learns {WITHOUT_GPU} pixels in an hour, {side} are for a GPU (--size {side})"
    wanted = (chosen, chosen)
    if found.even and not 0.95 < found.even < 1.05 and 0.25 <= found.even <= 4.0:
        long = 8 * round(chosen * max(found.even, 1 / found.even) / 8)
        wanted = (chosen, long) if found.even > 1 else (long, chosen)
        why += "; in the shape that all images have, so that nothing is cut off"
    words = () if wanted == (height, width) else _size_words(wanted)
    return Choice("size", f"{wanted[1]}x{wanted[0]}", why, words)


def _size_words(size: tuple[int, int]) -> tuple[str, ...]:
    return "--size", str(size[0]) if size[0] == size[1] else f"{size[1]}x{size[0]}"


def _asked(found: Inspection, side: int) -> str:
    assert found.median
    if min(found.median) >= side:
        return "as asked"
    return f"as asked; most images are smaller, the shorter side is {min(found.median)} in the middle"


def _crop(options: Options, found: Inspection, size: Choice) -> Choice:
    if options.crop != "center":
        what = "distorts what is not of this shape" if options.crop == "squeeze" else "adds a border to other shapes"
        return Choice("crop", options.crop, f"as asked; {what}", ("--crop", options.crop))
    width, height = map(int, size.value.split("x"))
    if found.even:
        ratio = found.even * height / width
        lost = 1.0 - min(ratio, 1.0 / ratio)
        if lost < 0.01:
            return Choice("crop", "center", "nothing is lost: the images have this shape")
    else:
        lost = found.lost
    cropped = found.conversions.get("cropped", 0)
    if lost < 0.01:
        said = f"{cropped:,} of {_images(found.usable)} are cropped" if cropped else "other shapes are cut"
        return Choice("crop", "center", f"hardly anything is lost: {said}, by less than 1 % on average over all")
    cut = f"{lost:.0%} of an image is cut off on average"
    transparent = sum(count for mode, count in found.modes.items() if "transparency" in mode)
    if 2 * transparent > found.usable:
        return Choice(
            "crop", "pad", f"drawings on a free ground are best kept whole; center cuts: {cut}", ("--crop", "pad")
        )
    return Choice("crop", "center", f"{cut}; --crop pad keeps everything, with borders that are learnt too")


def _channels(options: Options, found: Inspection) -> Choice:
    channels = found.shape[0]
    if found.pairs:
        said = options.channels, options.given_channels
        words = [word for flag, number in zip(("--channels", "--given-channels"), said) if number is not None
                 for word in (flag, str(number))]  # fmt: skip
        why = "as asked" if words else "as the files are: what is given → what is to be made of it"
        return Choice("channels", found.pixels, why, tuple(words))
    value = {1: "1 (grey)", 3: "3 (colour)", 4: "4 (colour and transparency)"}[channels]
    if options.channels is not None:
        return Choice("channels", value, "as asked", ("--channels", str(channels)))
    transparent = sum(count for mode, count in found.modes.items() if "transparency" in mode)
    if 2 * transparent > found.usable and channels == 3:
        put = f"{transparent:,} files are transparent and are put on {ground(found.background)}"
        return Choice("channels", value, f"{put}; --channels 4 makes transparent images")
    grey = sum(count for mode, count in found.modes.items() if mode.startswith(("grey", "black")))
    if channels == 1:
        return Choice("channels", value, "all images are grey" if grey == found.usable else "most images are grey")
    return Choice("channels", value, "all images are in colour" if not grey else "most images are in colour")


def _augmentation(advice: Advice, count: int) -> Choice:
    if advice.augment and max(advice.augment):
        text = f"only {_images(count)}: augmented ones keep D from learning them by heart"
        return Choice("augmentation", "{:g} to {:g}".format(*advice.augment), text)
    if count < FEW or advice.jitter:
        return Choice("augmentation", "none", advice.varied())
    return Choice("augmentation", "none", f"{count:,} images are enough without")


_WRITING = re.compile(
    r"\b(digits?|letters?|alphabet|characters?|glyphs?|fonts?|text|handwriting|handwritten|e?mnist|svhn|kanji|kana|"
    r"hiragana|katakana|hangul|words?|ocr|numbers?|numerals?|licen[cs]e plates?|signs?)\b"
)
_SIDED = re.compile(r"\b(left|right)(wards?)?\b", re.IGNORECASE)


def mirror_is_wrong(found: Inspection) -> str:
    """Why mirror images of these would be wrong, or "". Cautious: only where the data say what they are."""
    classes = [name for name, count in found.classes.items() if count]
    if len(classes) > 1 and all(len(name) == 1 or (name.isdigit() and len(name) <= 2) for name in classes):
        return (
            f"classes such as {classes[0]} and {classes[-1]} look like digits or letters, which have no mirror images"
        )
    if "DATA-SIDE-BY-SIDE" in {finding.code for finding in found.findings}:
        return "two pictures side by side would change places"
    named = re.sub(r"[\W_]+", " ", f"{found.name} {' '.join(classes[:50])}").lower()
    match = _WRITING.search(named)
    if match and "fashion" not in named:
        return f'"{match[0]}" in the names: writing is not mirrored'
    sided = sum(bool(_SIDED.search(text)) for _, text in found.examples)
    if found.examples and 2 * sided >= len(found.examples):
        return "captions speak of left and right"
    return ""


def _mirroring(found: Inspection, flip: bool) -> Choice:
    why = mirror_is_wrong(found)
    if why:
        return Choice("mirroring", "off", f"{why}; --set flip=true if they may be mirrored", ("--set", "flip=false"))
    if not flip:
        return Choice("mirroring", "off", "the recipe's choice; --set flip=true doubles the data")
    return Choice("mirroring", "on", "doubles the data; --set flip=false where mirror images would be wrong (writing)")


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────


def words_of(options: Options) -> list[str]:
    """The flags that say what `options` says; those at their default are left out, and the second folder of pairs."""
    usual = Options()
    words: list[str] = []
    for spec in dataclasses.fields(options):
        name, value = spec.name, getattr(options, spec.name)
        if value == getattr(usual, name) or name in ("limits", "into"):
            continue
        if name == "size":
            words += _size_words(value)
        elif name == "background":
            words += [flag(name), hexadecimal(value)]
        elif name == "columns":
            words += [word for what, column in value for word in (flag(name), f"{what}={column}")]
        elif name == "levels":
            words += [flag(name), f"{value[0]:g},{value[1]:g}"]
        else:
            words += [flag(name)] if value is True else [flag(name), str(value)]
    limits, most = options.limits, usual.limits
    words += ["--min-side", str(limits.min_side)] * (limits.min_side != most.min_side)
    words += ["--max-aspect", f"{limits.max_aspect:g}"] * (limits.max_aspect != most.max_aspect)
    megapixels = f"{limits.max_pixels / 1e6:g}"
    words += ["--max-megapixels", megapixels] * (round(limits.max_pixels / 1e6) != round(most.max_pixels / 1e6))
    return words


def _pairs(words: list[str]) -> list[tuple[str, list[str]]]:
    """Flags with their values."""
    pairs: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            pairs.append((word, []))
        else:
            pairs[-1][1].append(word)
    return pairs
