"""The flags that say how data are read and prepared: the same for train, check and pack."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from sparring.budget import parse_size
from sparring.cli.command import Flag
from sparring.errors import UsageError

_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "gray": (128, 128, 128)}


@dataclass
class DataFlags:
    """How the data are read and prepared."""

    size: Annotated[str | None, tyro.conf.arg(metavar="W[xH]", help_behavior_hint="(default: the data decides)")] = None
    """size of the images in pixels, width x height: 64 or 96x64"""
    crop: Literal["center", "squeeze", "pad"] = "center"
    """how images of another shape are fitted: cut off the edges, change the proportions, or add a border"""
    channels: Annotated[
        Literal[1, 3, 4] | None, tyro.conf.arg(metavar="1|3|4", help_behavior_hint="(default: the data decides)")
    ] = None
    """grey, colour, or colour with transparency"""
    labels: Literal["auto", "none", "folders", "metadata"] = "auto"
    """where classes come from: what the data say of themselves (metadata.jsonl, idx labels), nowhere, the top folders,
    or metadata.jsonl / metadata.csv and nothing else"""
    columns: Annotated[list[str], tyro.conf.arg(metavar="GIVEN|IMAGE|LABEL|TEXT=NAME"), tyro.conf.UseAppendAction] = (
        field(default_factory=list)
    )
    """which column of metadata or parquet files holds what: label=breed; of pairs given=file_A, image=file_B"""
    background: Annotated[str, tyro.conf.arg(metavar="COLOUR")] = "white"
    """under transparent pixels and around padded images: white, black, grey or #rrggbb"""
    range: Annotated[str | None, tyro.conf.arg(metavar="LOW,HIGH", help_behavior_hint="(default: the bit depth)")] = (
        None
    )
    """levels of 16-bit and float images that become black and white"""
    frames: Literal["first", "all"] = "first"
    """of animations and files of several pages: the first picture, or all"""
    min_side: Annotated[int, tyro.conf.arg(metavar="PIXELS")] = 8
    """images with a shorter side are left out"""
    max_aspect: Annotated[float, tyro.conf.arg(metavar="X")] = 4.0
    """images whose sides differ more are left out"""
    max_megapixels: Annotated[float, tyro.conf.arg(metavar="MP")] = 134.0
    """larger images are left out"""
    allow_upscale: Flag = False
    """enlarging is meant: do not warn of images smaller than --size"""
    held_out: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.05
    """share of the images kept aside for measuring; 0 keeps none"""
    on_bad: Literal["quarantine", "stop"] = "quarantine"
    """images that cannot be used are left out and named, or stop everything"""
    keep: Literal["auto", "on", "off"] = "auto"
    """keep decoded images on the disk (in the cache), or decode them whenever they are needed; auto: if they fit"""
    binarise: Literal["none", "threshold", "static", "dynamic"] = "none"
    """make every value black or white: at 128; or drawn with its level as the probability, once for each image
    (static), or anew whenever it is shown (dynamic)"""
    pairs: Literal["auto", "none", "stems", "side-by-side", "columns", "unpaired"] = "auto"
    """which images belong together, one given and one to be made of it: files with the same stem in two folders, the
    halves of each picture, two columns of metadata, or none (unpaired: two sets); auto: by the recipe and the data"""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """of pairs: what is given (A: the first folder, the left half, file_A) and what is to be made of it"""
    drop_unpaired: Flag = False
    """leave out files without a partner, instead of stopping"""
    given_channels: Annotated[
        Literal[1, 3, 4] | None, tyro.conf.arg(metavar="1|3|4", help_behavior_hint="(default: the data decides)")
    ] = None
    """as --channels, of the images that are given; --channels is about those to be made"""
    maps: Literal["none", "A", "B"] = "none"
    """the side that holds label maps, whose pixels are classes"""
    palette: Annotated[
        str | None, tyro.conf.arg(metavar="FILE|cmp", help_behavior_hint="(default: pixels are numbers)")
    ] = None
    """colours of the classes of --maps: a text with a line '#rrggbb name' for each, or cmp (facades)"""

    def settings(self) -> dict[str, Any]:
        """As arguments of `sparring.train` and `check`; a form that is wrong is found before anything is loaded."""
        low_high = None if self.range is None else _numbers(self.range)
        return {
            "size": parse_size(self.size) if self.size is not None else None,
            "crop": self.crop,
            "channels": self.channels,
            "labels": self.labels,
            "columns": [_pair(text) for text in self.columns],
            "background": _colour(self.background),
            "levels": low_high,
            "frames": self.frames,
            "min_side": self.min_side,
            "max_aspect": self.max_aspect,
            "max_megapixels": self.max_megapixels,
            "enlarge": self.allow_upscale,
            "held_out": self.held_out,
            "on_bad": self.on_bad,
            "keep": self.keep,
            "binarise": self.binarise,
            "pairs": self.pairs,
            "direction": self.direction,
            "drop_unpaired": self.drop_unpaired,
            "given_channels": self.given_channels,
            "maps": self.maps,
            "palette": self.palette,
        }

    def words(self) -> list[str]:
        """These flags as they are typed; those at their default are left out."""
        usual = DataFlags()
        words: list[str] = []
        for name, value in vars(self).items():
            if value == getattr(usual, name):
                continue
            flag = "--" + name.replace("_", "-")
            if isinstance(value, list):
                words += [word for one in value for word in (flag, one)]
            else:
                words += [flag] if value is True else [flag, str(value)]
        return words


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or name not in ("given", "image", "label", "text") or not column:
        raise UsageError(
            "DATA-COLUMNS", "a column is named given=…, image=…, label=… or text=…", where=text,
            fix="--columns label=breed",
        )  # fmt: skip
    return name, column


def _colour(text: str) -> tuple[int, int, int]:
    if text.lower() in _COLOURS:
        return _COLOURS[text.lower()]
    match = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    if not match:
        raise UsageError("DATA-BACKGROUND", "this is no colour", where=text, fix="white, black, grey or #rrggbb")
    return int(match[1], 16), int(match[2], 16), int(match[3], 16)


def _numbers(text: str) -> tuple[float, float]:
    low, comma, high = text.partition(",")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, 0.0)
    if not comma or not found[0] < found[1]:
        raise UsageError(
            "DATA-RANGE", "a range is two numbers, the lower first", where=text, fix="for example --range 0,4095"
        )
    return found
