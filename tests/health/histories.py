"""Constructed runs: one that is healthy, and for each verdict one that differs from it in what the verdict is about."""

from dataclasses import replace

from sparring.health.rules import Context
from sparring.runs import recipe as recipes
from sparring.runs.observe import solo
from sparring.runs.settings import plain
from sparring.types import HasTokens, Space

BOTH = ("vae", "r3gan-minutes", "pixelcnn")
PLANNED = 200_000
MOMENTS = [round(4_000 * 1.5**k) for k in range(10)]  # 4,000 … 153,773


def context(name="r3gan-minutes", changes=(), **more):
    """What a run of this recipe or preset is."""
    found = recipes.load(name, list(changes))
    game = found.kind(Space((3, 64, 64)))
    settings = plain(found.config)
    objective = str(settings.get("objective", ""))
    usual = dict(
        recipe=found.name, objective=objective, relative=objective.startswith("relativistic"), images=8838,
        held_out=465, kept="the checkpoint of 96k is kept", settings=settings, planned=PLANNED,
        kind="points" if name.endswith("points") else "images", classes=7 if found.name == "cgan" else 0,
        translates=bool(found.game.needs & {"pair", "unpaired"}), solo=solo(game),
        coded=issubclass(game, HasTokens),
    )  # fmt: skip
    return Context(**(usual | more))


def healthy_probe(k):
    """The k-th probe of a run that learns."""
    grown = 1 - 0.8 ** (k + 1)
    return {
        "kid": 0.5 * 0.8**k, "kid_se": 0.004, "auc": 0.93 - 0.01 * k, "auc_train": 0.94 - 0.01 * k,
        "diversity": 0.95 * grown + 0.04, "diversity_raw": 0.92 * grown + 0.04,
        "coverage": 0.8 * grown, "coverage_raw": 0.75 * grown, "coverage_self": 0.97,
        "precision": 0.6 * grown, "duplicates": 0.02, "duplicates_real": 0.01, "copies": 0.004, "contrast": 0.95,
        "saturated": 0.01, "constant": 0.0, "class_diversity": 0.8, "checkerboard": 1.1, "leak": 0.002,
    }  # fmt: skip


def healthy_probes():
    return [(images, healthy_probe(k)) for k, images in enumerate(MOMENTS)]


def healthy_turns(last=MOMENTS[-1], every=1_000):
    """Gradients that vary a little; penalties that grow as γ falls."""
    return [
        (images, {"D/gradient": 4 + (images // every) % 3, "G/gradient": 1.5 + 0.2 * ((images // every) % 2),
                  "D/r1": 0.03 + 0.1 * images / last, "D/r2": 0.03 + 0.1 * images / last, "D/real": 0.5, "G/fake": 1.0})
        for images in range(every, last + 1, every)
    ]  # fmt: skip


def since(probes, count, **values):
    """`probes` with other values in the last `count`; None takes a value away."""
    first = len(probes) - count
    return [
        (images, {n: v for n, v in {**old, **(values if k >= first else {})}.items() if v is not None})
        for k, (images, old) in enumerate(probes)
    ]


def shouting(turns, lines=3, **values):
    """`turns` with other values in the last `lines`; names with _ for /."""
    given = {name.replace("_", "/", 1): value for name, value in values.items()}
    return [(images, {**old, **(given if k >= len(turns) - lines else {})}) for k, (images, old) in enumerate(turns)]


def gone(probes, count, diversity=0.255):
    """The last `count` probes have lost their variety, raw and averaged."""
    return since(probes, count, diversity=diversity, diversity_raw=diversity, coverage=0.2, coverage_raw=0.2)


def stuck(probes, count):
    """The last `count` probes score like the one before them."""
    first = len(probes) - count
    return since(probes, count, kid=probes[first - 1][1]["kid"])


# code → (probes for a streak of n, how long it must be, level, changes of the context)
SIGNS = {
    "DIVERGED": (lambda p, n: since(p, n, contrast=9.0, coverage=0.01), 2, "hard", {}),
    "MODE-COLLAPSE": (gone, 3, "hard", {}),
    "MEMORISING": (lambda p, n: since(p, n, copies=0.5), 2, "hard", {}),
    "D-WINS": (lambda p, n: since(p, n, auc=0.985, auc_train=0.99), 3, "warn", {}),
    "D-FOOLED": (lambda p, n: since(p, n, auc=0.05, auc_train=0.05), 3, "warn", {}),
    "D-OVERFITS": (lambda p, n: since(p, n, auc=0.7, auc_train=0.95), 3, "note", {}),
    "LOW-DIVERSITY": (lambda p, n: since(p, n, diversity=0.3), 3, "warn", {}),
    "CLASS-COLLAPSE": (lambda p, n: since(p, n, class_diversity=0.1), 3, "warn", {"classes": 7}),
    "OUTPUT-RANGE": (lambda p, n: since(p, n, contrast=5.0), 3, "warn", {}),
    "EMA-LAG": (lambda p, n: since(p, n, coverage=0.2), 3, "warn", {}),
    "IGNORES-INPUT": (lambda p, n: since(p, n, varied=0.02), 3, "warn", {"translates": True}),
    "COPIES-INPUT": (lambda p, n: since(p, n, changed=0.02, l1=0.1), 3, "warn", {"translates": True}),
    "WORSE-THAN-INPUT": (
        lambda p, n: since(p, n, ahead=-0.5, ahead_se=0.1, ahead_l1=-0.1, ahead_l1_se=0.1),
        3,
        "warn",
        {"translates": True},
    ),
    "CHECKERBOARD": (lambda p, n: since(p, n, checkerboard=6.0), 3, "note", {}),
    "AUGMENT-LEAK": (lambda p, n: since(p, n, leak=0.3), 2, "warn", {"settings": {"augment": 0.5}}),
    "KID-RISING": (lambda p, n: since(p, n, kid=0.2, coverage=0.6), 3, "warn", {}),
}


def turned(code):
    """(probes, turns) for the verdicts that need lines of the log, or more than one signal."""
    probes, turns = healthy_probes(), healthy_turns()
    match code:
        case "NOT-FINITE":
            return probes, shouting(turns, 1, D_gradient=float("nan"))
        case "GRADIENT-JUMP":
            return probes, shouting(turns, 3, G_gradient=40.0)
        case "PENALTY":
            return probes, shouting(turns, 4, D_r1=50.0)
        case "G-STARVED":
            return probes, shouting(turns, 6, G_gradient=1e-5)
        case "DIVERGED":
            return since(probes, 1, coverage=0.1), shouting(turns, 3, D_gradient=900.0)
        case "D-WINS":
            return since(stuck(probes, 6), 6, auc=0.999, auc_train=1.0), turns
        case "D-OVERFITS":
            return since(probes, 3, auc=0.7, auc_train=0.95, kid=0.3, coverage=0.6), turns
        case "EMA-FROZEN":
            return [(i, {**v, "kid": 0.4321}) for i, v in probes], turns
        case "PLATEAU":
            dense = [(10_000 * k, {**healthy_probe(9), "kid": max(0.1, 0.5 - 0.05 * k)}) for k in range(1, 20)]
            return dense, turns
    raise KeyError(code)


TURNED = {
    "NOT-FINITE": "hard", "GRADIENT-JUMP": "warn", "PENALTY": "warn", "G-STARVED": "warn", "DIVERGED": "hard",
    "D-WINS": "hard", "D-OVERFITS": "warn", "EMA-FROZEN": "warn", "PLATEAU": "note",
}  # fmt: skip


def situations(name="r3gan-minutes"):
    """(code, level, probes, turns, context) of every verdict there is but HEALTHY, in a run of this recipe."""
    of = context(name)
    for code, (broken, asked, level, more) in SIGNS.items():
        if code == "AUGMENT-LEAK" and "augment" not in of.settings:
            continue
        settings = {"settings": {**of.settings, **more["settings"]}} if "settings" in more else {}
        yield code, level, broken(healthy_probes(), asked), healthy_turns(), replace(of, **(more | settings))
    for code, level in TURNED.items():
        yield code, level, *turned(code), replace(of, planned=150_000) if code == "PLATEAU" else of
    yield "FEW-IMAGES", "note", healthy_probes(), healthy_turns(), replace(of, images=300, kind="images")


def situations_of_one(name="vae"):
    """The same of a game of one player that makes samples: no D looks at them."""
    of = context(name)
    ours = {"auc": None, "auc_train": None, "class_diversity": None}

    def probes(count=0, **values):
        rows = [(i, {**v, "nll": 90 - 2.0 * k, "nll_se": 0.3, "nll_train": 89 - 2.2 * k})
                for k, (i, v) in enumerate(since(healthy_probes(), 10, **ours))]  # fmt: skip
        return since(rows, count, **values)

    turns = [(i, {"M/reconstruction": 80.0, "M/kl": 12.0, "M/gradient": 4 + (i // 1000) % 3})
             for i in range(1_000, MOMENTS[-1] + 1, 1_000)]  # fmt: skip
    silent = [(i, {**v, "M/kl": 0.02}) for i, v in turns]
    yield "HEALTHY", "fine", probes(), turns, of
    yield "NOT-FINITE", "hard", probes(), shouting(turns, 1, M_gradient=float("nan")), of
    yield "OVERFITS", "warn", probes(3, nll=80.0, nll_train=60.0), turns, of
    yield "OVERFITS", "warn", probes(1, nll=72.0, nll_train=60.0, nll_gap=1.5), turns, of
    yield "OUTPUT-RANGE", "note", probes(3, contrast=0.2), turns, of
    yield "LOW-DIVERSITY", "note", probes(3, duplicates=0.35), turns, of
    if "beta" in of.settings:
        yield "CODE-UNUSED", "warn", probes(), silent, of
    yield "LOW-DIVERSITY", "note", probes(3, diversity=0.2), turns, of
    yield "MEMORISING", "hard", probes(2, copies=0.5), turns, of
    yield "GRADIENT-JUMP", "warn", probes(), shouting(turns, 3, M_gradient=60.0), of
    yield "EMA-LAG", "warn", probes(3, coverage=0.2), turns, of
    yield "CHECKERBOARD", "note", probes(3, checkerboard=6.0), turns, of
    yield "KID-RISING", "warn", probes(3, kid=0.2, coverage=0.6), turns, of


def situations_of_tokens(name="vqgan"):
    """The same of a game that says images in tokens."""
    of = context(name)

    def probes(count=0, **values):
        rows = [(i, {"kid": v["kid"], "kid_se": 0.004, "psnr": 15.0 + k, "usage": 0.9, "perplexity": 400.0})
                for k, (i, v) in enumerate(healthy_probes())]  # fmt: skip
        return since(rows, count, **values)

    turns = [(i, {"D/gradient": 0.0 if i < 50_000 else 2.0, "G/gradient": 4 + (i // 1000) % 3})
             for i in range(1_000, MOMENTS[-1] + 1, 1_000)]  # fmt: skip
    yield "HEALTHY", "fine", probes(), turns, of
    yield "NOT-FINITE", "hard", probes(), shouting(turns, 1, G_gradient=float("nan")), of
    yield "FEW-CODES", "warn", probes(3, usage=0.04), turns, of
    yield "KID-RISING", "warn", probes(3, kid=0.2), turns, of
