"""Which curves belong together, and what each chart says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sparring.health.thresholds import usual
from sparring.report.curves import Panel, Values
from sparring.report.facts import Curves, Facts
from sparring.types import PAID

NORMAL = 1.96
"""Standard errors on either side of a value that a 95 % interval reaches."""
QUIET = ("spent", "share")
"""What is measured of the measuring itself, and not drawn."""


@dataclass(frozen=True)
class Kind:
    """A chart that is drawn when one of its measures has been taken.

    lines: name of the measure → label.   aside: names that only say what others are compared with.
    main: whether it is shown at once, or only to who opens the rest.
    """

    title: str
    note: str
    lines: Mapping[str, str]
    bounds: tuple[float, float] | None = None
    hints: tuple[float, ...] = ()
    aside: tuple[str, ...] = ()
    log: bool = False
    main: bool = True


def _measured() -> tuple[Kind, ...]:
    t = usual()
    share = (0.0, 1.0)
    return (
        Kind("KID", "Distance of the averaged G’s samples to held-out data; about 0 for equal laws. The band is the "
             "95 % interval.", {"kid": "KID"}, log=True),
        Kind("Distance of pairs", "Of translations from the truth, in the judge’s features "
             "(1 − cosine); the best checkpoint is where it is lowest. The band is the 95 % interval.",
             {"pair_distance": "distance of pairs"}, log=True),
        Kind("Difference from the truth", "L1: by how much a translation and the truth differ, mean over pixels "
             "and colours; 0 is equal, 1 black for white. A blurred mean of all that could be right has the least.",
             {"l1": "L1"}),
        Kind("Whose truth is nearest", "How often a translation is nearer to its own truth than to another one; ½ is "
             "chance.", {"matched": "own truth"}, share, (0.5, t.matched)),
        Kind("Pixels of the right class", "Of label maps. Where held-out images fall behind, it learns by heart.",
             {"pixel_accuracy": "held-out data", "pixel_accuracy_train": "training data"}, share),
        Kind("Energy distance", "Of samples to held-out data, in their units; about 0 for equal laws.",
             {"energy_distance": "energy distance"}, log=True),
        Kind("What a sample costs", "−log p(x) in nats, or the bound on it that is lowered. Where held-out data get "
             "dearer, it learns by heart. The bands are the 95 % intervals.",
             {"nll": "held-out data", "nll_train": "training data"}),
        Kind("Training data beside held-out data", "How much less a training sample costs, in standard deviations of a "
             "held-out one; 0 where nothing is known by heart.", {"nll_gap": "less"}, hints=(0.0, t.nll_gap),
             main=False),
        Kind("Coverage", "Share of held-out data that have a sample close by. Dashed: what as much training data would "
             "cover.", {"coverage": "averaged G", "coverage_raw": "G as it is", "coverage_self": "training data"},
             share, aside=("coverage_self",)),
        Kind("Variety", "Effective number of different samples over that of as many real ones; 1 is as varied as the "
             f"data, below {t.low_diversity:g} (dashed) too little.",
             {"diversity": "averaged G", "diversity_raw": "G as it is"}, hints=(1.0, t.low_diversity)),
        Kind("How well D tells them apart", "Share of pairs of a real and a generated sample that D orders rightly. ½ "
             f"is guessing; above {t.d_wins:g} D has won. Far better on training than on held-out data: D knows them "
             "by heart.", {"auc": "held-out data", "auc_train": "training data"}, share, (0.5, t.d_wins)),
        Kind("Precision", "Share of samples that lie among the data.", {"precision": "averaged G"}, share),
        Kind("Copies", "Share of samples that are copies of training images, beyond what unseen real ones show; above "
             f"{t.copies:g} (dashed) G repeats them.", {"copies": "copies"}, hints=(t.copies,)),
        Kind("What D believes of held-out data", "Mean probability of being real. At 0.5 D is only guessing.",
             {"d_fake": "generated", "d_real": "held-out"}, share, (0.5,)),
        Kind("Quality and evenness", "Share of samples within three standard deviations of a mode (98.9 % is perfect), "
             "and what the rarest mode has of its share.",
             {"high_quality": "high quality", "smallest_share": "smallest share"}, share, (0.989,)),
        Kind("How often the class is guessed", "Share of images whose class is guessed right. Where held-out images "
             "fall behind, it learns by heart.", {"accuracy": "held-out data", "accuracy_train": "training data"},
             share),
        Kind("Captions that are found", "Share of images whose own caption is among the nearest tenth of all; chance "
             "is a tenth. Where held-out images fall behind, it learns by heart.",
             {"retrieval": "held-out data", "retrieval_train": "training data"}, share, (0.1,)),
        Kind("Modes", "With at least one of 2,500 samples within three standard deviations.", {"modes": "modes"}),
        Kind("Reverse KL", "Of the high-quality samples over the modes, to equal shares; 0 is even, in nats.",
             {"reverse_kl": "reverse KL"}),
        Kind("Does G look at its input?", "Difference of two translations over that of real images (0: all alike), and "
             "of translations from what was given over that of real images (0: it hands back its input).",
             {"varied": "of two translations", "changed": "from what was given"}, hints=(1.0,), main=False),
        Kind("Doubles", "Share of samples with a near-double among the samples.",
             {"duplicates": "samples", "duplicates_real": "training data"}, aside=("duplicates_real",), main=False),
        Kind("Variety of the poorest class", "Over that of the middle class.", {"class_diversity": "poorest class"},
             hints=(t.class_diversity,), main=False),
        Kind("Contrast", "Of samples over that of the data, in the channel that is furthest off; 1 is right.",
             {"contrast": "contrast"}, hints=(1.0,), main=False),
        Kind("Pixels at the limit", "Share of black or white values, minus that of the data; and of flat pictures.",
             {"saturated": "at the limit", "constant": "flat pictures"}, main=False),
        Kind("Checkerboard", "Energy of the finest pattern that pixels can show, over that of the data.",
             {"checkerboard": "finest pattern"}, hints=(1.0,), main=False),
        Kind("Traces of augmentation", "Share of samples with borders or holes, minus that of the data.",
             {"leak": "with traces"}, main=False),
    )  # fmt: skip


def measured(facts: Facts) -> tuple[list[Panel], list[Panel]]:
    """Charts of what was measured: those that are shown at once, and the rest. A measure without a chart of its own has
    one by its name among the rest."""
    errors = {name: f"{name}_se" for name in ("kid", "pair_distance", "nll", "nll_train")}
    left = [name for name in facts.probes.lines if name not in (*QUIET, *errors.values())]
    main: list[Panel] = []
    rest: list[Panel] = []
    for kind in _measured():
        names = [name for name in kind.lines if name in left]
        left = [name for name in left if name not in names]
        if not set(names) - set(kind.aside):
            continue
        panel = Panel(
            kind.title, kind.note, {kind.lines[name]: facts.probes.lines[name] for name in names}, kind.bounds,
            kind.hints, facts.probes.images, aside=tuple(kind.lines[name] for name in kind.aside), log=kind.log,
            undone=_undone(facts, {name: kind.lines[name] for name in names}, probes=True),
        )  # fmt: skip
        known = [name for name in names if errors.get(name) in facts.probes.lines]
        if known:
            lines = facts.probes.lines
            bands = {kind.lines[name]: band(lines[name], lines[errors[name]]) for name in known}
            panel = replace(panel, bands=bands)
        (main if kind.main else rest).append(panel)
    rest += [Panel(name, "", {name: facts.probes.lines[name]}, at=facts.probes.images) for name in left]
    return main, rest


def band(values: Values, errors: Values) -> tuple[list[float | None], list[float | None]]:
    """The 95 % interval of each value from its standard error.

    >>> band([1.0, None], [0.5, 0.1])
    ([0.020000000000000018, None], [1.98, None])
    """
    both = [(v, e) if v is not None and e is not None else None for v, e in zip(values, errors, strict=True)]
    low = [None if pair is None else pair[0] - NORMAL * pair[1] for pair in both]
    return low, [None if pair is None else pair[0] + NORMAL * pair[1] for pair in both]


# ── what was paid ─────────────────────────────────────────────────────────────────────────────────────────────────

SKILL = {  # the first line is blue, the second orange: generated and real, as in pictures of points
    "D(G(z))": "D(G(z)), generated",
    "D(x)": "D(x), real",
}
RATES = {"true_negative": "generated called generated (TNR)", "true_positive": "real called real (TPR)"}
PLAYED = "Each player lowers its own. Neither goes to zero in a healthy game."
LOWERED = {False: "What is lowered.", True: "In nats for each sample; their sum is minus the ELBO."}
OTHERS = {
    "r1": ("Gradient penalty on real {unit}", "R1 before its weight: the mean squared slope of D there."),
    "r2": ("Gradient penalty on generated {unit}", "R2 before its weight: the mean squared slope of D there."),
    "right": ("How often the class is guessed", "Share of the images of its batches whose class is guessed right."),
    "scale": ("Scale", "Learned: how far values of {unit} are from what is decoded, in units of [-1, 1]."),
    "gradient": ("Gradients", "The norm of each player’s gradient."),
}


def paid(facts: Facts) -> list[Panel]:
    """Charts of the game. A term is named ``player/term``; what no chart claims gets one by its name."""
    left = dict.fromkeys(facts.turns.lines)

    def take(names: Mapping[str, str]) -> dict[str, str]:
        found = {key: label for name, label in names.items() for key in left if key.split("/")[-1] == name}
        for key in found:
            left.pop(key)
        return found

    probabilities, rates = take(SKILL), take(RATES)
    costs = [key for key in left if key.split("/")[-1] in PAID]
    for key in costs:
        left.pop(key)

    def panel(title: str, note: str, names: Mapping[str, str], **more: object) -> Panel:
        lines = {label: facts.turns.lines[key] for key, label in names.items()}
        undone = _undone(facts, names, probes=False)
        return Panel(title, note, lines, at=facts.turns.images, undone=undone, **more)  # type: ignore[arg-type]

    right = f"On real and on generated {facts.unit}. Where both stay at 1, D may have won."
    even = {"bounds": (0.0, 1.0), "hints": (0.5,)}
    panels = [
        panel(
            "Losses",
            PLAYED if len({key.split("/")[0] for key in costs}) > 1 else LOWERED[_bound(costs)],
            _by_player(costs),
        ),
        panel("What D believes", "Mean probability of being real. At 0.5 D is only guessing.", probabilities, **even),
        panel("How often D is right", right, rates, **even),
    ]
    groups: dict[str, list[str]] = {}
    for key in left:
        groups.setdefault(key.split("/")[-1], []).append(key)
    for name, keys in groups.items():
        title, note = OTHERS.get(name, (name, ""))
        log = name in ("gradient", "r1", "r2")
        title, note = (text.replace("{unit}", facts.unit) for text in (title, note))
        panels.append(panel(title, note, _by_player(keys), log=log))
    return panels


def _bound(costs: Iterable[str]) -> bool:
    """Whether these are the two parts of a bound on −log p(x)."""
    return {key.split("/")[-1] for key in costs} == {"reconstruction", "kl"}


def _by_player(keys: Iterable[str]) -> dict[str, str]:
    """G first: blue; then D: orange."""
    return {key: key for key in sorted(sorted(keys), key=lambda key: not key.startswith("G/"))}


def _undone(
    facts: Facts, names: Mapping[str, str], *, probes: bool
) -> dict[str, list[tuple[list[int], list[float | None]]]]:
    pieces: list[Curves] = [pair[probes] for pair in facts.undone]
    return {
        label: [(piece.images, piece.lines[name]) for piece in pieces if name in piece.lines]
        for name, label in names.items()
    }
