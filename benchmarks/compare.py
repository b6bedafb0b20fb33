"""Which objective, and which kind of model: the comparisons behind docs/choosing.md, by the command that everybody has.

    python -m benchmarks.compare                 (make bench-compare)  plays what is missing; a stopped one goes on
    python -m benchmarks.compare penalised       this one

"first": eight games for two minutes each, all ten seeds of a game together; equal seconds, so that a game whose rounds
cost more sees fewer points. It depends on how fast the machine is. "penalised": the same objectives, each of them with
R1 and R2, for equally many points. Both on the grid of 25 Gaussians, with the settings of gan-points, which were chosen
for one of the rows (relativistic+r1+r2).

"recipes": a VAE, two GANs and a PixelCNN as they are, on cat faces of 32 px, two minutes of one thread each
(../shared/data/cat_faces_64.zip), with the picture docs/images/compare_recipes.webp.

What `sparring compare` writes as compare.json, without the curves, is benchmarks/results/compare/<name>.json; the
tables of docs/choosing.md are made from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from sparring.cli import main as sparring
from sparring.runs.compare import standing
from sparring.runs.compare.measures import Measure

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "choosing.md"
RESULTS = HERE / "results" / "compare"
OBJECTIVES = "minimax,nonsaturating,maximum_likelihood,kl,reverse_kl,hinge,wasserstein,relativistic"
QUESTIONS = {
    "first": (
        "minimax,nonsaturating,maximum_likelihood,kl,reverse_kl,hinge,wasserstein+gp,relativistic+r1+r2", "2m",
    ),
    "penalised": (",".join(f"{name}+r1+r2" for name in (*OBJECTIVES.split(","), "least_squares")), "200k"),
}  # fmt: skip
"""Name → losses, budget."""
RECIPES = "dcgan,r3gan-minutes,benchmarks/recipes/vae-levels.yaml,pixelcnn"
PICTURE = HERE.parent / "docs" / "images" / "compare_recipes.webp"
NAMES = (*QUESTIONS, "recipes")


def words_of(name: str) -> list[str]:
    """What is typed after `sparring compare`."""
    if name == "recipes":
        return [
            "../shared/data/cat_faces_64.zip",
            "--size",
            "32",
            "--recipes",
            RECIPES,
            "--budget",
            "2m",
            "--jobs",
            "2",
        ]
    losses, budget = QUESTIONS[name]
    return ["grid", "--losses", losses, "--seeds", "10", "--budget", budget]


def play(name: str) -> None:
    """Ask one question and keep the answer."""
    out = HERE / "state" / "compare" / name
    began = time.perf_counter()
    code = sparring(["compare", *words_of(name), "--out", str(out)])
    if code:
        raise SystemExit(code)
    found = json.loads((out / "compare.json").read_text("utf-8"))
    for cell in found["cells"]:
        for seed in cell["seeds"]:
            seed.pop("curve", None)
    if name != "recipes":  # whose cells may have been played before
        found["minutes"] = round((time.perf_counter() - began) / 60, 1)
    found["command"] = f"python -m benchmarks.compare {name}"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", "utf-8")
    if name == "recipes":
        side_by_side(found, out).save(PICTURE, "WEBP", quality=88, method=6)
    else:
        shutil.rmtree(out)


def side_by_side(found: dict[str, Any], folder: Path) -> Image.Image:
    """Samples of every recipe, a row each, over held-out images; beside them where they have texture."""
    rows = [("held-out images", folder / f"{standing.REAL}.png")]
    rows += [(cell["label"], folder / cell["folder"] / "seed-0.png") for cell in standing.played(found)]
    pairs = [[Image.open(path.with_name(f"{path.stem}{kind}.png")).convert("RGB") for kind in ("", "-texture")]
             for _, path in rows]  # fmt: skip
    width, height, left = pairs[0][0].width, pairs[0][0].height, 150
    sheet = Image.new("RGB", (left + 2 * width + 12, 20 + len(rows) * height), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for at, text in ((left + 4, "samples"), (left + width + 16, "variance inside squares of 4 x 4 pixels")):
        pen.text((at, 1), text, fill=(90, 90, 90), font=font)
    for number, ((label, _), pair) in enumerate(zip(rows, pairs, strict=True)):
        pen.text((6, 20 + number * height + height // 2 - 9), label, fill=(20, 20, 20), font=font)
        for place, strip in enumerate(pair):
            sheet.paste(strip, (left + place * (width + 12), 20 + number * height))
    return sheet


def table(name: str) -> str:
    """The rows of a question as a table for documents."""
    found = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    if name == "recipes":
        return _recipes(found)
    rows = {cell["key"]: cell for cell in found["cells"]}
    lines = [
        "| loss | right place (95 % interval) | modes | high quality | reverse KL | smallest share | failed | points |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in found["verdict"]["ranking"]:
        cell = rows[key]
        mean = {measure: values["mean"] for measure, values in cell["summary"]["averaged"].items()}
        place = cell["summary"]["averaged"]["overlap"]
        lines.append(
            f"| `{cell['loss']}` | {place['mean']:.1%} ({place['low']:.1%} to {place['high']:.1%}) "
            f"| {mean['modes']:.1f} | {mean['high_quality']:.1%} | {mean['reverse_kl']:.3f} "
            f"| {mean['smallest_share']:.2f} | {sum(cell['failures'].values())} of {len(cell['seeds'])} "
            f"| {cell['images']:,} |"
        )
    return "\n".join(lines)


def _recipes(found: dict[str, Any]) -> str:
    """The rows of recipes as they are, nearest first, with what training images get in the last one."""
    measures = [Measure.of(m) for m in found["measures"] if m["name"] not in ("fd", "texture")]
    names = ["recipe", "KID (95 % interval)", *[m.title for m in measures[1:-1]], "background texture", "likelihood"]
    lines = [_line([*names, "a sample", "parameters to sample", "images seen"]), _line(["---"] * (len(names) + 3))]
    for cell in standing.played(found):
        shown = [_value(cell["summary"][m.name], m) for m in measures]
        cost, needed = standing.small(cell["sampling"]["seconds"]), f"{cell['parameters']['sampling']:,}"
        row = [f"`{cell['label']}`", *shown, standing.likelihood(cell), cost, needed, f"{cell['images']:,}"]
        lines.append(_line(row))
    fresh = [m.show(found["reference"][m.name]["value"]) for m in measures]
    lines.append(_line(["*training images*", *fresh, "", "", "", ""]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _value(summary: dict[str, Any], measure: Measure) -> str:
    value = measure.show(summary["mean"])
    if measure.name not in ("kid", "background_texture") or summary["low"] is None:
        return value
    return f"{value} ({measure.show(summary['low'])} to {measure.show(summary['high'])})"


def filled(text: str) -> str:
    """The page with the tables of the results there are, between ``<!-- compare NAME -->`` and ``<!-- end -->``."""
    for name in NAMES:
        if (RESULTS / f"{name}.json").exists():
            mark = f"<!-- compare {name} -->"
            before, found, after = text.partition(mark)
            assert found, f"{PAGE} has no place {mark}"
            text = f"{before}{mark}\n\n{table(name)}\n\n{after[after.index('<!-- end -->') :]}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: those that are missing")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    arguments = parser.parse_args()
    names = arguments.names or [name for name in NAMES if not (RESULTS / f"{name}.json").exists()]
    if not arguments.table:
        for name in names:
            play(name)
        PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    for name in NAMES:
        if (RESULTS / f"{name}.json").exists():
            print(f"{name}\n\n{table(name)}\n")


if __name__ == "__main__":
    sys.exit(main())
