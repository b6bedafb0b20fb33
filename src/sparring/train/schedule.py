"""Who moves when, and how settings move: both plain functions of where we are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RAMP = re.compile(
    rf"^\s*({_NUMBER})\s*(?:(?:->|→)\s*({_NUMBER})\s*(cosine|linear|log)?\s*(?:({_NUMBER})\s*\.\.\s*({_NUMBER}))?)?\s*$"
)
_COUNTS = re.compile(r"^\s*[A-Za-z_]\w*\s*:\s*[1-9]\d*\s*(,\s*[A-Za-z_]\w*\s*:\s*[1-9]\d*\s*)*$")
_CONSENSUS = re.compile(rf"^\s*consensus\(\s*({_NUMBER})\s*\)\s*$")
_GATED = re.compile(rf"^\s*gated\(\s*([A-Za-z_]\w*)\s*<\s*({_NUMBER})\s*\)\s*$")


@pydantic_dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Ramp:
    """A value that goes from `start` to `end` while progress goes from `begin` to `until`, constant outside.

    >>> Ramp.parse("5 -> 0.5 cosine 0..0.8").at(0.4)
    2.75
    """

    start: float
    end: float
    shape: Literal["cosine", "linear", "log"] = "cosine"
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.until <= 1:
            raise ValueError(f"a ramp runs inside progress 0..1, not {self.begin}..{self.until}")
        if self.shape == "log" and (self.start <= 0 or self.end <= 0):
            raise ValueError("a log ramp needs a positive start and end")

    @classmethod
    def parse(cls, text: str) -> Ramp:
        """``"3e-4"`` or ``"1e-3 -> 2e-4 linear 0.5..1"``."""
        match = _RAMP.match(text)
        if not match:
            raise ValueError(f"{text!r} is neither a number nor a ramp such as '1e-3 -> 2e-4 linear 0.5..1'")
        start, end, shape, begin, until = match.groups()
        return cls(
            float(start),
            float(start if end is None else end),
            shape or "cosine",  # type: ignore[arg-type]
            float(begin or 0),
            float(until or 1),
        )

    def at(self, progress: float) -> float:
        """The value at `progress` in [0, 1]."""
        t = min(1.0, max(0.0, (progress - self.begin) / (self.until - self.begin)))
        if self.start == self.end:
            return self.end
        match self.shape:
            case "linear":
                return self.start * (1 - t) + self.end * t
            case "log":
                return math.exp(math.log(self.start) * (1 - t) + math.log(self.end) * t)
            case _:
                left = 0.5 * (1 + math.cos(math.pi * t))
                return self.start * left + self.end * (1 - left)  # exact at both ends


@dataclass(frozen=True)
class Play:
    """The order of moves in one round.

    kind "alternating": each player in `order` moves after the previous one has moved (Goodfellow et al. 2014, alg. 1).
    kind "simultaneous": all gradients at the same parameters, then all steps.
    kind "gated": alternating, but `gate` moves only while its skill is below `bound` (both kept at similar skill).
    kind "either-or": the discriminator moves when it is wrong more often than not, else the generator does.
    kind "extragradient": all players make a trial step; from where they were they then step with the gradients that
        they found there, on the next batch (Korpelevich 1976; Gidel et al. 2019, algorithms 2 and 4).
    kind "consensus": simultaneous, and every player also lowers `amount` · ½‖v‖², with v the gradients of all players
        (Mescheder et al. 2017, "The numerics of GANs", eq. 11).
    """

    kind: Literal["alternating", "simultaneous", "gated", "either-or", "extragradient", "consensus"]
    order: tuple[str, ...] = ()
    gate: str = ""
    bound: float = 0.0
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Play:
        """``"D:2,G:1"``, ``"simultaneous"``, ``"extragradient"``, ``"consensus(0.1)"``, ``"gated(D<0.8)"``, or
        ``"either-or"``.

        >>> Play.parse("D:2,G:1").order
        ('D', 'D', 'G')
        >>> Play.parse("consensus(0.1)").amount
        0.1
        """
        word = text.strip()
        if word in ("simultaneous", "either-or", "extragradient"):
            return cls(word)  # type: ignore[arg-type]
        if match := _GATED.match(word):
            return cls("gated", gate=match[1], bound=float(match[2]))
        if (match := _CONSENSUS.match(word)) and 0 <= float(match[1]) < math.inf:
            return cls("consensus", amount=float(match[1]))
        if _COUNTS.match(word):
            pairs = (part.split(":") for part in word.split(","))
            return cls("alternating", tuple(name.strip() for name, count in pairs for _ in range(int(count))))
        raise ValueError(
            f"{text!r} is no play: write D:1,G:1 or D:2,G:1, simultaneous, extragradient, consensus(0.1), "
            "gated(D<0.8), either-or"
        )
