"""Do images of words show what the words say? text2image and taming on emoji, on names that neither has ever been told.

    python -m benchmarks.words                     (make bench-words) trains what is missing, then judges and draws
    python -m benchmarks.words --only scorers      trains some: scorers, vqgan, hinge, relativistic, taming
    python -m benchmarks.words --judge             only judges what there is

1. The names of ../shared/data/emoji_styles_64.zip (three drawings of each) are parted before anything is looked at:
   *held out*, the split "test" of the file (187 names); of the others two in three to *learn* from, and the rest for
   *judges*. Names that differ only in what follows a colon stay together.
2. text2image, by two games, and, over the tokens of a vqgan, taming learn from the first part.
3. Two dual encoders judge: `strict` has learned the judges' part only; `told` that and two of the three drawings of the
   held-out names. Neither was ever used in a training, and neither has seen a picture or a name that the generators
   have learned.
4. For each held-out name 8 samples: is the own name among the 10 nearest of 100 held-out ones (chance 10 %)? Intervals:
   bootstrap over names. Beside it the third drawing of each (ceiling), the samples of another name (floor), and for
   each name the nearest that the generators have learned, with samples of that name.

Everything is kept in a folder (--state), so that a stopped run goes on. Writes benchmarks/results/words.json and
docs/images/words/*.webp.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

import sparring
from benchmarks.cells import HERE
from benchmarks.speed.machine import record
from sparring.chance import Dice
from sparring.data import open_data, stream_of
from sparring.generate.grid import to_bytes, to_picture
from sparring.metrics.retrieval import retrieval, shuffled
from sparring.metrics.uncertainty import Measured
from sparring.networks import text
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.runs.scorer import Scorer, open_scorer
from sparring.train.engine import choose_device
from sparring.train.match import Match

DATA = HERE.parent.parent / "shared" / "data" / "emoji_styles_64.zip"
OUT, PICTURES = HERE / "results" / "words.json", HERE.parent / "docs" / "images" / "words"
STYLES, DRAWS = ("openmoji", "twemoji", "noto"), 10_000
REAL = "openmoji"
"""The drawings of held-out names that no judge is told: the ceiling."""


# ── who learns what ───────────────────────────────────────────────────────────────────────────────────────────────


def part_of(name: str, split: str) -> str:
    """ "held-out", "judges" or "learn".

    >>> part_of("red apple", "test"), part_of("red apple", "train"), part_of("green apple", "train")
    ('held-out', 'judges', 'learn')
    """
    if split == "test":
        return "held-out"
    return "judges" if hashlib.sha256(name.split(":")[0].encode()).digest()[0] % 3 == 0 else "learn"


def captions(row: dict[str, Any]) -> list[str]:
    """What a drawing is called: its name, the name with a few tags, some of the tags."""
    tags = [tag for tag in row["tags"] if tag.isascii()]
    more = [f"{row['text']}, {', '.join(tags[:4])}", ", ".join(tags[:3]), ", ".join(tags[-3:])]
    return [row["text"], *(more if tags else [])]


def folders(state: Path) -> dict[str, list[str]]:
    """Folders of pictures with captions: learn, strict, told (what each learns from) and real; the names by part."""
    names: dict[str, list[str]] = {"learn": [], "judges": [], "held-out": []}
    lines: dict[str, list[str]] = {"learn": [], "strict": [], "told": [], "real": []}
    with zipfile.ZipFile(DATA) as archive:
        there = set(archive.namelist())
        for line in archive.read("metadata.jsonl").decode().splitlines():
            row = json.loads(line)
            part = part_of(row["text"], row["split"])
            names[part].append(row["text"])
            for style in STYLES:
                if (inside := f"{style}/{row['hexcode']}.png") not in there:
                    continue
                held = "real" if style == REAL else "told"
                for name in {"learn": ["learn"], "judges": ["strict", "told"], "held-out": [held]}[part]:
                    (state / name).mkdir(parents=True, exist_ok=True)
                    file = inside.replace("/", "-")
                    with Image.open(io.BytesIO(archive.read(inside))) as opened:
                        opened.convert("RGB").save(state / name / file)
                    lines[name].append(json.dumps({"file_name": file, "text": captions(row)}))
    for name, some in lines.items():
        (state / name / "metadata.jsonl").write_text("\n".join(some))
    return names


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────

COMMON: dict[str, Any] = {"size": 32, "channels": 3, "labels": "none", "held_out": 0.02, "seed": 0, "threads": 1}
HINGE = {"objective": "hinge", "penalty": "matching", "slope": 1.0, "power": 2.0, "lr_ratio": 2,
         "lr": "2e-4 -> 5e-5 linear 0.5..1"}  # fmt: skip
RELATIVISTIC = {"objective": "relativistic", "penalty": "r1+r2", "lr": "5e-4", "lr_ratio": 1}
"""Two games on the same networks, for about as long: an image costs the second about 0.7 of the first (`cost`)."""
TRAININGS: dict[str, dict[str, Any]] = {
    "strict": {"data": "strict", "recipe": "dualencoder", "set": {"width": 24}, "budget": "45k"},
    "told": {"data": "told", "recipe": "dualencoder", "set": {"width": 24}, "budget": "45k"},
    "vqgan": {"data": "learn", "recipe": "vqgan-minutes", "set": {"factor": 4, "multipliers": [1, 2, 4], "codes": 256},
              "budget": "48k"},
    "hinge": {"data": "learn", "recipe": "text2image-minutes", "set": HINGE, "budget": "60k"},
    "relativistic": {"data": "learn", "recipe": "text2image-minutes", "set": RELATIVISTIC, "budget": "80k"},
    "taming": {"data": "learn", "recipe": "taming-minutes", "set": {"tokens": "{state}/run-vqgan"}, "budget": "38k"},
}  # fmt: skip
GROUPS = {"scorers": ("strict", "told"), "vqgan": ("vqgan",), "hinge": ("hinge",),
          "relativistic": ("relativistic",), "taming": ("taming",)}  # fmt: skip
MADE = ("hinge", "relativistic", "taming")


def train(name: str, state: Path) -> Path:
    """The run of that name, trained on, or from its beginning; a finished one is left as it is."""
    out = state / f"run-{name}"
    if (out / "log.jsonl").is_file():
        sparring.resume(out)
        return out
    asked = dict(TRAININGS[name])
    changes = {k: str(v).format(state=state) if isinstance(v, str) else v for k, v in asked.pop("set", {}).items()}
    sparring.train(str(state / asked.pop("data")), out=out, set=changes, **COMMON, **asked)
    return out


def cost(state: Path, *, times: int = 4, rounds: int = 16) -> dict[str, float]:
    """Milliseconds of processor time per image, the median of a few stretches, the two games in turn."""
    dataset = open_data(str(state / "learn"), size=(COMMON["size"],) * 2, labels="none", held_out=COMMON["held_out"])
    matches, spent = {}, {name: [] for name in ("hinge", "relativistic")}
    for name in spent:
        changes = [f"{k}={v}" for k, v in TRAININGS[name].get("set", {}).items()]
        recipe = load("text2image-minutes", changes)
        game = plans.build(recipe, plans.space_of(dataset), 0)
        engine = plans.make_engine(recipe, choose_device("cpu"))
        matches[name] = Match(game, stream_of(dataset, 0, True), engine, recipe.config, seed=0, horizon=10_000)
    for k in range(times + 1):
        for name, match in matches.items():
            begun, before = time.process_time(), match.images
            for _ in range(rounds):
                match.step()
            if k:  # the first stretch warms up
                spent[name].append(1000 * (time.process_time() - begun) / (match.images - before))
    return {name: round(statistics.median(some), 1) for name, some in spent.items()}


# ── judging ───────────────────────────────────────────────────────────────────────────────────────────────────────

EACH, SHOWN = 8, 4
"""Samples of a name, and how many of them a picture shows."""
ROWS = 14
"""Names in a picture: the first of an order that a hash decides."""


@torch.no_grad()
def samples_of(run: Any, names: Sequence[str], *, seed: int = 0) -> Tensor:
    """(names, EACH, 3, H, W) in [-1, 1]."""
    made = []
    for k, name in enumerate(names):
        dice = Dice(seed, "words", range(k * EACH, (k + 1) * EACH))
        made.append(run.game.sample(dice, text=[name] * EACH).float().clamp(-1, 1))
    return torch.stack(made)


def drawings(folder: Path, side: int) -> tuple[list[str], Tensor]:
    """The names of a folder's pictures, and the pictures, no finer than the samples: (n, 3, side, side) in [-1, 1]."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    pixels = []
    for row in rows:
        with Image.open(folder / row["file_name"]) as opened:
            pixels.append(np.array(opened.resize((side, side), Image.Resampling.BOX)))
    return [row["text"][0] for row in rows], torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def seen(scorer: Scorer, images: Tensor) -> Tensor:
    """(names, n, 3, H, W) → (names, n, d)."""
    flat = torch.cat([scorer.images(piece) for piece in images.flatten(0, 1).split(64)])
    return flat.view(*images.shape[:2], -1)


def measured(scorer: Scorer, images: Tensor, names: Sequence[str]) -> dict[str, Any]:
    """R@10 of 100 and the mean cosine, of pictures and of the same ones under other names."""
    embedded, texts = seen(scorer, images), scorer.texts(names)
    own, floor = (retrieval(x, texts, said=names, times=DRAWS) for x in (embedded, shuffled(embedded)))
    return {"R@10 of 100": told(own.precision), "cosine": told(own.similarity),
            "names above chance": int((own.by_text > own.chance).sum()),
            "shuffled: R@10 of 100": told(floor.precision), "shuffled: cosine": told(floor.similarity)}  # fmt: skip


def told(value: Measured) -> dict[str, Any]:
    return {"value": round(value.value, 4), "low": round(value.low, 4), "high": round(value.high, 4)}


def probed(run: Path) -> dict[str, float]:
    """KID at the last probe of a run: held-out pictures of names that it learned beside samples of such names."""
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    values = [line["values"] for line in lines if line["event"] == "probed"][-1]
    return {name: round(values[name], 4) for name in ("kid", "kid_se")}


def nearest(names: Sequence[str], learned: Sequence[str]) -> list[str]:
    """Of each name the one among those learned that the sentence encoder finds nearest."""
    ours, theirs = (F.normalize(text.load("minilm")(list(some)), dim=1) for some in (names, learned))
    return [learned[k] for k in (ours @ theirs.t()).argmax(1).tolist()]


def judge(state: Path, names: dict[str, list[str]]) -> dict[str, Any]:
    """All measures, by judge; and the pictures."""
    held, runs = names["held-out"], {}
    for name in MADE:
        if (state / f"run-{name}" / "log.jsonl").is_file():
            runs[name] = sparring.load(state / f"run-{name}", device="cpu")
    order, real = drawings(state / "real", COMMON["size"])
    held = [name for name in held if name in order]
    real = real[[order.index(name) for name in held]][:, None]
    near = nearest(held, names["learn"])
    made = {name: samples_of(run, held) for name, run in runs.items()}
    made |= {f"{name}, nearest learned name": samples_of(run, near) for name, run in runs.items()}
    found: dict[str, Any] = {}
    for which in ("strict", "told"):
        scorer = open_scorer(str(state / f"run-{which}"), torch.device("cpu"), sparring.load)
        found[which] = {"real": measured(scorer, real, held)}
        found[which] |= {name: measured(scorer, images, held) for name, images in made.items()}
    pictures = {name: str(strip(name, held, near, real, made).name) for name in runs}
    trained = {
        name: {"recipe": run.document["recipe"], "images": run.images, "last probe": probed(run.path)}
        for name, run in runs.items()
    }
    return {"names": len(held), "samples of each": EACH, "generators": trained, "judges": found, "pictures": pictures,
            "cost in ms per image": cost(state), "nearest learned": dict(zip(held, near, strict=True))}  # fmt: skip


def strip(name: str, held: Sequence[str], near: Sequence[str], real: Tensor, made: dict[str, Tensor]) -> Path:
    """A row for each of some names: the drawing, samples of the name, then the nearest learned name and its samples."""
    rows = sorted(range(len(held)), key=lambda k: hashlib.sha256(held[k].encode()).digest())[:ROWS]
    side, gap, words = 64, 4, 190
    width = 2 * words + (1 + 2 * SHOWN) * (side + gap)
    sheet = Image.new("RGB", (width, len(rows) * (side + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, k in enumerate(rows):
        top, left = row * (side + gap), words
        pen.text((6, top + side // 2 - 7), held[k][:24], fill="black", font_size=14)
        for x in (*real[k], *made[name][k, :SHOWN]):
            left = _pasted(sheet, x, left, top, side, gap)
        pen.text((left + 6, top + side // 2 - 7), near[k][:24], fill="black", font_size=14)
        left += words
        for x in made[f"{name}, nearest learned name"][k, :SHOWN]:
            left = _pasted(sheet, x, left, top, side, gap)
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.webp"
    sheet.save(path, "WEBP", quality=85, method=6)
    return path


def _pasted(sheet: Image.Image, x: Tensor, left: int, top: int, side: int, gap: int) -> int:
    picture = to_picture(to_bytes(x[None])[0]).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    sheet.paste(picture, (left, top))
    return left + side + gap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=HERE / "state" / "words")
    parser.add_argument("--only", nargs="*", choices=list(GROUPS), help="train these alone, and judge nothing")
    parser.add_argument("--judge", action="store_true", help="train nothing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = folders(asked.state)
    for group in () if asked.judge else asked.only or GROUPS:
        for name in GROUPS[group]:
            print(train(name, asked.state), flush=True)
    if asked.only:
        return
    found = judge(asked.state, names) | {"trainings": TRAININGS, "common": COMMON}
    record(OUT, command=" ".join(["python -m benchmarks.words", *sys.argv[1:]]), **found)
    print(json.dumps(found["judges"], indent=1))


if __name__ == "__main__":
    main()
