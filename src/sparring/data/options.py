"""How data are to be read and prepared: everything a user may say about them, checked once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from sparring.data.decode import Crop, Limits
from sparring.errors import UsageError

Labels = Literal["auto", "none", "folders", "metadata"]
Frames = Literal["first", "all"]
OnBad = Literal["quarantine", "stop"]
Keep = Literal["auto", "on", "off"]
Pairs = Literal["auto", "none", "stems", "side-by-side", "columns", "unpaired"]
Direction = Literal["AtoB", "BtoA"]
Maps = Literal["none", "A", "B"]
Binarise = Literal["none", "threshold", "static", "dynamic"]

_CHOICES = {
    "labels": Labels, "frames": Frames, "on_bad": OnBad, "keep": Keep, "pairs": Pairs, "direction": Direction,
    "maps": Maps, "binarise": Binarise,
}  # fmt: skip
_FLAGS = {"levels": "range", "enlarge": "allow-upscale"}

COLUMNS = ("given", "image", "label", "text")
"""What a column may be said to hold."""


def flag(name: str) -> str:
    """The flag of the command line that sets a field of `Options`.

    >>> flag("held_out"), flag("levels")
    ('--held-out', '--range')
    """
    return "--" + _FLAGS.get(name, name).replace("_", "-")


@dataclass(frozen=True)
class Options:
    """What may be said about a data set.

    size:       (H, W) in pixels; None: the median shorter side, rounded down to 256, 128, 64 or 32, square; smaller
                images are enlarged to 32, but for recipes that take any size.
    channels:   1, 3 or 4; None: 1 where most images are grey, else 3. Transparency is kept only with 4.
    crop:       "center" cuts to the aspect of `size`, "squeeze" distorts, "pad" adds `background`.
    background: sRGB, under transparent pixels and around padded images.
    held_out:   share set aside, at least 50 images where there are 500; 0 for none.
    labels:     where classes come from: what the source itself says ("auto"), its top folders, its metadata, nowhere.
    columns:    (("image", "img"), ("label", "fine_label"), ("text", "caption")): names in parquet files and metadata;
                with pairs also ("given", "file_A").
    levels:     (low, high) of deep images (16-bit, float) that become 0 and 255; None: by bit depth.
    frames:     of animations and files of several pages: the "first", or "all".
    limits:     what is too small, too long or too large.
    enlarge:    whether enlarging is meant (then nobody is warned of it).
    on_bad:     what to do about images that cannot be used: leave them out and name them, or "stop".
    keep:       decoded images on disk: "on", "off" (decoded whenever they are needed), "auto" (on where they fit).
    binarise:   make each value 0 or 255: by "threshold" (128), or drawn with its level as the probability, once for
                each image ("static") or whenever it is delivered ("dynamic"): `data.binary`.

    Of pairs, an image that is given (side A) and one to be made of it (side B):

    into:       the second folder; the first one is the source. None: both sides are in the source.
    pairs:      how the two find each other: by "stems" of file names (of two folders, or of A and B in one), the halves
                of one picture ("side-by-side"), two "columns" of metadata, or not at all ("unpaired"). "none": there
                are no pairs. "auto": stems where there are two folders, else what the source has if `needs` ask for it.
    direction:  "BtoA": side B is given, and A to be made.
    drop_unpaired: leave out what has no partner, instead of stopping.
    given_channels: of the image that is given; channels is about the one to be made.
    maps:       the side (as typed, whatever the direction) whose pictures are label maps.
    palette:    a file with the colours of the classes of `maps`, or "cmp"; None: their pixels are class numbers.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    crop: Crop = "center"
    background: tuple[int, int, int] = (255, 255, 255)
    held_out: float = 0.05
    labels: Labels = "auto"
    columns: tuple[tuple[str, str], ...] = ()
    levels: tuple[float, float] | None = None
    frames: Frames = "first"
    limits: Limits = field(default_factory=Limits)
    enlarge: bool = False
    on_bad: OnBad = "quarantine"
    keep: Keep = "auto"
    into: str | None = None
    pairs: Pairs = "auto"
    direction: Direction = "AtoB"
    drop_unpaired: bool = False
    given_channels: int | None = None
    maps: Maps = "none"
    palette: str | None = None
    binarise: Binarise = "none"

    def __post_init__(self) -> None:
        size, levels = self.size, self.levels
        if size is not None and not (len(size) == 2 and all(1 <= side <= 4096 for side in size)):
            raise UsageError("DATA-SIZE", f"size {size} is not usable", fix="give height and width between 1 and 4096")
        for channels in (self.channels, self.given_channels):
            if channels not in (None, 1, 3, 4):
                raise UsageError(
                    "DATA-CHANNELS", f"{channels} channels", fix="1 is grey, 3 is colour, 4 has transparency"
                )
        if self.crop not in get_args(Crop):
            raise UsageError("DATA-CROP", f"no crop policy {self.crop!r}", fix=f"one of {', '.join(get_args(Crop))}")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise UsageError("DATA-BACKGROUND", f"background {self.background}", fix="red, green, blue, each 0 to 255")
        if not 0.0 <= self.held_out <= 0.5:
            raise UsageError("DATA-HELD-OUT", f"held-out share {self.held_out}", fix="0 to 0.5; 0.05 is the default")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise UsageError("DATA-OPTION", f"{name} cannot be {getattr(self, name)!r}",
                                 fix=f"one of {', '.join(get_args(choices))}")  # fmt: skip
        if levels is not None and not (len(levels) == 2 and levels[0] < levels[1] and levels[1] - levels[0] < 1e300):
            raise UsageError(
                "DATA-RANGE", f"range {levels}", fix="two numbers, the lower first: the levels of 0 and 255"
            )
        if bad := [name for name, _ in self.columns if name not in COLUMNS]:
            raise UsageError(
                "DATA-COLUMNS", f"no column is called {bad[0]!r} here", fix="given=…, image=…, label=… or text=…"
            )

    def check_pairs(self) -> None:
        """`UsageError` where what is said about pairs does not go together."""
        if self.into is not None and self.pairs in ("none", "side-by-side", "columns"):
            raise UsageError(
                "DATA-PAIRS", f"--pairs {self.pairs} is about one source, and two are given", where=self.into,
                fix="leave --pairs out (files with the same stem belong together), or name one source",
            )  # fmt: skip
        if self.into is None and self.drop_unpaired and self.pairs in ("none", "side-by-side", "columns", "unpaired"):
            raise UsageError("DATA-PAIRS", "--drop-unpaired is about files with the same stems",
                             where=f"--pairs {self.pairs}", fix="leave it out")  # fmt: skip
        if self.palette is not None and self.maps == "none":
            raise UsageError("DATA-PALETTE", "a palette is about label maps", where=self.palette,
                             fix="say which side holds them: --maps A or --maps B")  # fmt: skip

    def record(self) -> dict[str, Any]:
        """Plain JSON values; `of` undoes it."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Options:
        """The options that `record` was made from; what it does not name keeps its default."""
        given = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        for name in ("size", "background", "levels"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        if "columns" in given:
            given["columns"] = tuple((str(a), str(b)) for a, b in given["columns"])
        if isinstance(given.get("limits"), dict):
            given["limits"] = Limits(**given["limits"])
        return cls(**given)
