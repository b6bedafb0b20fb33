"""How a loss to be compared is written, and which settings it stands for: ``hinge``, ``wasserstein+gp``,
``relativistic+r1+r2``, ``nonsaturating+pac2``: an objective, then what is added to the game.

Every entry begins from the same recipe, and a recipe's own penalty is taken out unless the entry names one. The
strengths are the usual ones of the papers named below, the same for all entries of a comparison: nothing is tuned for
one of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.penalties import PENALTIES
from sparring.train.schedule import Play

FAMOUS = (
    "minimax", "nonsaturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein+clip", "wasserstein+gp",
    "kl", "reverse_kl", "js", "pearson", "squared_hellinger", "nonsaturating+r1", "hinge+sn", "nonsaturating+dragan",
    "relativistic", "relativistic_average", "relativistic+r1+r2",
)  # fmt: skip
"""What is compared when nothing is named: the objectives of the literature, with the company they were published in."""

ZERO_CENTRED = ("r1", "r2", "gp-zero")
"""Penalties whose weight is the recipe's `gamma`."""
GAMMA = {"points": "0.3 -> 0.001 log 0.1..0.85", "images": "5 -> 0.5 cosine 0..0.8"}
"""γ of the zero-centred penalties where the recipe has none of its own: those of gan-points and r3gan-minutes."""
SLOPE = {"points": 0.1, "images": 10.0}
"""λ of the one-centred penalties (gp, dragan): 10 for images, and 0.1 for toy data, as in the code of Gulrajani et al.
2017: on points at unit scale 10 keeps D too flat to see narrow modes."""
CLIP = {"points": 0.1, "images": 0.01}
"""Bound on D's weights: 0.01 for images (Arjovsky et al. 2017); a small MLP on points sees nothing below 0.1."""
NOISE = {"points": "0.1 -> 0 linear 0..0.8", "images": "0.1 -> 0 linear 0..0.8"}
"""σ of instance noise, in units of the data (RMS 1, or [−1, 1]), gone after 80 % of the run (Sønderby et al. 2017)."""
SMOOTH = 0.9
"""The label of real samples (Salimans et al. 2016)."""
LAZY = 4
"""Rounds between two penalties, each then with four times its weight."""
PACKED = ("pac2", "pac3", "pac4")
EXTRAS = ("sn", "clip", "noise", "smooth", *PACKED, "lazy", "joined")
WORDS = (*PENALTIES, *EXTRAS)
"""What may stand after a plus sign."""
_KNOWN_AS = {
    "gan": "minimax", "vanilla": "minimax", "saturating": "minimax", "non-saturating": "nonsaturating",
    "bce": "nonsaturating", "lsgan": "least_squares", "wgan": "wasserstein+clip", "wgan-gp": "wasserstein+gp",
    "wgangp": "wasserstein+gp", "sngan": "hinge+sn", "rgan": "relativistic", "rpgan": "relativistic",
    "ragan": "relativistic_average", "r3gan": "relativistic+r1+r2", "pacgan": "nonsaturating+pac2",
    "hellinger": "squared_hellinger", "chi2": "pearson", "mle": "maximum_likelihood",
}  # fmt: skip
"""What people call them."""


@dataclass(frozen=True)
class Entry:
    """An objective with what is added to it. `text` is how it is written."""

    text: str
    objective: str
    extras: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Entry:
        """``"wasserstein+gp"``; `UsageError` with the nearest word for one that is not known.

        >>> Entry.parse("relativistic+r1+r2").extras
        ('r1', 'r2')
        """
        name, *extras = (re.sub(r"[\s_]+", "_", part.strip().lower()) for part in text.split("+"))
        if name not in OBJECTIVES:
            raise _unknown("there is no such objective", name, tuple(OBJECTIVES), text)
        for word in extras:
            if word not in WORDS:
                raise _unknown("nothing of this name can be added to a loss", word, WORDS, text)
        if len(set(extras)) < len(extras) or sum(word in PACKED for word in extras) > 1:
            raise UsageError("COMPARE-LOSS", "this is added twice", where=text, fix="name each thing once")
        return cls("+".join([name, *extras]), name, tuple(extras))

    def changes(self, kind: str, settings: Mapping[str, object]) -> list[str]:
        """The entry as ``key=value`` settings on top of a recipe's own. kind: "points" or "images".

        >>> Entry.parse("hinge").changes("points", {"gamma": 0})
        ['objective=hinge', 'penalty=none']
        """
        penalties = [word for word in PENALTIES if word in self.extras]  # in one order: r2+r1 is r1+r2
        out = [f"objective={self.objective}", f"penalty={'+'.join(penalties) or 'none'}"]
        if any(name in ZERO_CENTRED for name in penalties) and settings.get("gamma", 0) == 0:
            out.append(f"gamma={GAMMA[kind]}")
        if any(name not in ZERO_CENTRED for name in penalties):
            out.append(f"slope={SLOPE[kind]:g}")
        for word in self.extras:
            match word:
                case "sn":
                    out.append("spectral=true")
                case "clip":
                    out.append(f"clip={CLIP[kind]:g}")
                case "noise":
                    out.append(f"noise={NOISE[kind]}")
                case "smooth":
                    out.append(f"smoothing={SMOOTH}")
                case "lazy":
                    if not penalties:
                        raise UsageError(
                            "COMPARE-LAZY", "there is no penalty that could be paid lazily", where=self.text,
                            fix=f"write {self.objective}+r1+lazy",
                        )  # fmt: skip
                    out.append(f"penalty_every={LAZY}")
                case "joined":
                    out.append("joined=true")
                case _ if word in PACKED:
                    out.append(f"packing={word[3:]}")
        return out


def _unknown(what: str, word: str, known: tuple[str, ...], text: str) -> UsageError:
    """An error about a word, with the nearest known one, or with what people mean by it."""
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    meant = _KNOWN_AS.get(word.replace("_", "-"), "") if known != WORDS else ""
    fix = f"did you mean {meant or ' or '.join(near)}?" if meant or near else f"there are {', '.join(known)}"
    return UsageError("COMPARE-LOSS", what, where=f"{word} (in {text})" if word != text else text, fix=fix)


def parse_losses(text: str) -> tuple[Entry, ...]:
    """``"minimax,hinge,wasserstein+gp"``, each once; the famous ones for ``""``.

    >>> [entry.text for entry in parse_losses("hinge, wasserstein + gp,hinge")]
    ['hinge', 'wasserstein+gp']
    """
    words = [word for word in text.split(",") if word.strip()] or list(FAMOUS)
    entries = [Entry.parse(re.sub(r"\s*\+\s*", "+", word.strip())) for word in words]
    return tuple({entry.text: entry for entry in entries}.values())


def parse_schedules(text: str) -> tuple[str, ...]:
    """``"D:1,G:1;D:2,G:1;simultaneous"``: plays with a semicolon between them; ``""`` stands for the recipe's own.

    >>> parse_schedules("D:2,G:1; simultaneous")
    ('D:2,G:1', 'simultaneous')
    """
    words = tuple(dict.fromkeys(re.sub(r"\s+", "", word) for word in text.split(";") if word.strip()))
    for word in words:
        try:
            Play.parse(word)
        except ValueError as error:
            raise UsageError(
                "COMPARE-PLAY", "this is no schedule", where=word, why=str(error),
                fix="several are written with a semicolon between: 'D:1,G:1;D:2,G:1;simultaneous'",
            ) from None  # fmt: skip
    return words or ("",)
