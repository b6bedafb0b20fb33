"""What a person should know of two sides before believing any number about them, and the record as a table."""

from __future__ import annotations

from typing import Any

from sparring.data.report import few, shown
from sparring.health.pairs import FEWEST
from sparring.runs.evaluate import fcn_table, likelihood_table, retrieval_table
from sparring.runs.evaluate.memorisation import same_files
from sparring.runs.evaluate.sides import Drawn, Side

_SOME = 0.01  # share of images from which on it is worth a word


def of(real: Side, fake: Side, n_real: int, n_fake: int) -> list[str]:
    """Warnings about the sides themselves; the figures carry their own."""
    said = [*real.changes, *fake.changes]
    for role, side, n in (("REAL", real, n_real), ("FAKE", fake, n_fake)):
        if side.excluded:
            named = few([f"{shown(name)} ({why})" for name, why in side.excluded], most=3)
            said.append(f"{role}: {len(side.excluded):,} left out: {named}")
        if n < 200:
            said.append(f"{role}: {n:,} images are too few to say anything fine; some thousands are usual")
    if real.key == fake.key:
        said.append("both sides are the same images: every number is that of a perfect copy")
    elif copied := same_files(real, fake):
        said.append(f"{copied:,} of {len(fake):,} files of FAKE are, byte for byte, files of REAL")
    return list(dict.fromkeys(said + _unlike(real, fake)))


def _unlike(real: Side, fake: Side) -> list[str]:
    """Differences of the files, not of what they show."""
    said = []
    own = "own size" in real.prepared and "own size" in fake.prepared
    if own and real.sizes and fake.sizes:
        (one, _), (other, _) = real.sizes.most_common(1)[0], fake.sizes.most_common(1)[0]
        if one != other:
            said.append(
                f"most images of REAL are {_size(one)}, of FAKE {_size(other)}: resizing alone moves every number; "
                f"`--size {min(*one, *other)}` prepares both alike"
            )
        for role, side in (("REAL", real), ("FAKE", fake)):
            odd = sum(count for (w, h), count in side.sizes.items() if w != h) / max(1, sum(side.sizes.values()))
            if odd > _SOME:
                said.append(
                    f"{role}: {odd:.0%} of the images are not square, and the judge squeezes them; `--size` crops them"
                )
    small = [s for s in (real, fake) if not isinstance(s, Drawn) and "crop" in s.prepared and s.sizes]
    for side in small:
        asked = int(side.prepared.split("x")[0])
        tiny = sum(n for (w, h), n in side.sizes.items() if min(w, h) < asked) / max(1, sum(side.sizes.values()))
        if tiny > _SOME:
            said.append(f"{tiny:.0%} of the images of {shown(side.what)} are smaller than {asked} px and are enlarged")
    shares = [_jpeg(side) for side in (real, fake)]
    if None not in shares and abs(float(shares[0] or 0) - float(shares[1] or 0)) > 0.5:
        which = "REAL" if float(shares[0] or 0) > 0.5 else "FAKE"
        said.append(
            f"{which} is JPEG and the other side is not: its compression is measured too, and may cost more than the "
            "generator does; write samples as PNG, from data that were never compressed"
        )
    return said


def _jpeg(side: Side) -> float | None:
    """The share of files that are JPEG; None of what was never a file, or hides its format."""
    known = sum(side.formats.values()) - side.formats.get("", 0)
    return side.formats.get("JPEG", 0) / known if known and not isinstance(side, Drawn) else None


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[0]}x{sides[1]}"


# ── for people ────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(record: dict[str, Any]) -> list[str]:
    """The record of an evaluation as a table with what is to be known about it, a line each."""
    if "retrieval" in record:
        return retrieval_table.lines(record)
    if "real" not in record:  # of a run that makes nothing
        return [*fcn_table.lines(record["segmentation"]), *(f"! {text}" for text in record["warnings"])]
    if "features" not in record:  # of likelihoods alone
        said = [*likelihood_table.head(record), *likelihood_table.lines(record)]
        said += [f"! {text}" for text in record["warnings"]]
        return (
            said
            + _together(record["metrics"], "warning", "! {}: {}")
            + _together(record["metrics"], "refused", "- {}: not measured: {}")
        )
    said = [f"real   {_side(record['real'])}", f"fake   {_side(record['fake'])}"]
    said += [f"judge  {record['features']['name']}: {record['features']['preprocessing']}", ""]
    metrics, null = record["metrics"], record["null"]
    wide = max([len(name) for name in metrics] + [8])
    head = f"{'':{wide}}  {'value':>9}  {'95 % interval':<20}  {'better':<6}  {'n real / fake':<17}"
    said.append((head + ("  real against real" if null else "")).rstrip())
    for name, one in metrics.items():
        if one["value"] is not None and name not in (*likelihood_table.NAMES, "parzen"):
            said.append(_row(name, one, null.get(name), wide))
    said += ["", *likelihood_table.lines(record), *_pairs(record.get("pairs")), *_table_of_classes(record["classes"])]
    said += [*fcn_table.lines(record["segmentation"]), ""] if record.get("segmentation") else []
    said += _copies(record["memorisation"])
    said += [f"! {text}" for text in record["warnings"]]
    said += _together(metrics, "warning", "! {}: {}") + _together(metrics, "refused", "- {}: not measured: {}")
    said += _read(metrics, null) + _beside_input(record.get("pairs"))
    if record.get("pairs") and record["pairs"]["n"] < FEWEST:
        said.append(f"- no verdict: {record['pairs']['n']} pairs are too few, and {FEWEST} the least")
    return [*said, *[f"= {one['sentence']}" for one in record["verdicts"]]]


def _pairs(found: dict[str, Any] | None) -> list[str]:
    """What the measures of pairs say of translations, and of what could be taken for one."""
    if not found or not any(found["rows"].values()):
        return []
    words = {
        "translations": "reconstructions" if found.get("coded") else "translations",
        "input": "what was given",
        "another": "another pair's truth",
        "truth": "the truth itself",
    }
    names = list(found["rows"]["truth"])
    head = f"{found['n']:,} pairs at {found['size'][1]}x{found['size'][0]}"
    wide = max(len(head), *map(len, words.values()))
    said = ["  ".join([head.ljust(wide), *(f"{name:>9}" for name in names)])]
    for row, word in words.items():
        if row in found["rows"]:
            values = [found["rows"][row][name]["value"] for name in names]
            numbers = ("∞" if value is None else _number(value) for value in values)  # of psnr alone
            said.append("  ".join([word.ljust(wide), *(f"{number:>9}" for number in numbers)]))
    return [*said, ""]


def _beside_input(found: dict[str, Any] | None) -> list[str]:
    """Whether translations are nearer to the truth than what was given."""
    if not found or not found.get("beside_input"):
        return []
    beside = found["beside_input"]
    by = {word: [name for name in beside if beside[name] == word] for word in ("worse", "better", "")}
    parts = [f"{word} by {', '.join(by[word])}" for word in ("worse", "better") if by[word]]
    parts += [f"no difference to be seen by {', '.join(by[''])}"] * bool(by[""])
    said = [f"= translations beside what was given: {'; '.join(parts)} (the same {found['n']:,} pairs, 95 %)"]
    if not by["better"]:
        said.append("= so the run does not do better than handing back its input: train it longer, or see whether the "
                    "pairs belong together (pairs.png in the run)")  # fmt: skip
    if equal := found["input_is_truth"]:
        said.append(f"! in {equal:,} of the {found['n']:,} pairs what was given is the truth itself, to the last bit")
    return said


def _together(metrics: dict[str, Any], word: str, form: str) -> list[str]:
    """What is said of several measures in the same words, once."""
    said: dict[str, list[str]] = {}
    for name, one in metrics.items():
        if one.get(word):
            said.setdefault(one[word], []).append(name)
    return [form.format(", ".join(names), text) for text, names in said.items()]


def _read(metrics: dict[str, Any], null: dict[str, Any]) -> list[str]:
    """What the first numbers mean, in plain words."""
    said = []
    kid = metrics.get("kid")
    if kid and kid["interval"]:
        low, high = kid["interval"]
        if low <= 0 <= high:
            said.append("= kid: the interval covers 0: with so many images no difference can be seen")
    if null:
        n = next(iter(null.values()))
        said.append(
            f"= real against real: {n['n_real']:,} images against {n['n_fake']:,} others of the same data; "
            "do not expect better of any generator at that n"
        )
    return said


def _row(name: str, one: dict[str, Any], null: dict[str, Any] | None, wide: int) -> str:
    interval = f"{_number(one['interval'][0])} to {_number(one['interval'][1])}" if one["interval"] else ""
    n = f"{one['n_real']:,} / {one['n_fake']:,}" if one["n_real"] else f"– / {one['n_fake']:,}"
    text = f"{name:{wide}}  {_number(one['value']):>9}  {interval:<20}  {one['better']:<6}  {n:<17}"
    if null is not None:
        bounds = f" ({_number(null['interval'][0])} to {_number(null['interval'][1])})" if null["interval"] else ""
        text += f"  {_number(null['value'])}{bounds}"
    return text.rstrip()


def _number(value: float) -> str:
    """Three digits that mean something.

    >>> _number(0.00012), _number(123.456), _number(0.5)
    ('0.0001', '123', '0.5000')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _side(side: dict[str, Any]) -> str:
    text = f"{shown(str(side['what']))} ({side['kind']}"
    if side["weights"]:
        text += f", {side['weights']} weights, {side['images']:,} images seen, seed {side['seed']}"
    elif side["split"] != "all":
        text += f", {side['split']}"
    return f"{text}): {side['n']:,} images, {side['prepared']}"


def _copies(found: dict[str, Any] | None) -> list[str]:
    """The memorisation test in a line or two, with the first names."""
    if not found:
        return []
    many = found["share"] * found["samples"]
    text = (
        f"copies of training images: {round(many):,} of {found['samples']:,} samples ({found['share']:.1%}; "
        f"fresh data would show {found['null']:.1%}; p = {found['p']:.2g}; {found['exact']:,} exact)"
    )
    said = [text]
    if found["p"] < 1e-3:
        pairs = [f"{shown(str(one['fake']))} = {shown(str(one['real']))}" for one in found["copies"][:3]]
        more = len(found["copies"]) - len(pairs)
        said.append("  " + "; ".join(pairs) + (f"; and {more:,} more, all named by --json" if more > 0 else ""))
    return said + ([f"  {found['warning']}"] if found.get("warning") else [])


def _table_of_classes(found: list[dict[str, Any]]) -> list[str]:
    flagged = [one for one in found if one["flag"]]
    return [
        f"class {shown(str(one['class']))}: {one['fake']:.1%} of the samples, {one['real']:.1%} of the data"
        for one in flagged[:10]
    ]
