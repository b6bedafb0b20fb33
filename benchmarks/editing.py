"""Does an edit do what its sentence says, by a scorer that never saw the edit and was trained on other words?

    python -m benchmarks.editing [RUN]        RUN: a generator that was trained on the built-in emoji; without one it is
                                              trained here first, for about an hour of one core

1. Two dual encoders, A and B, each on one half of the names of the emoji (three drawings of each where
   ../shared/data/emoji_styles_64.zip is there, else the built-in one), so that no name is in both; how often each
   retrieves the names of the other half is measured.
2. 16 samples of RUN are edited by ten sentences, which were written down before, with each of the three methods,
   steered by A.
3. What counts is B: by how much the cosine of picture and its own sentence grows, against that of the same pictures and
   the nine other sentences (shuffled). Intervals: 10,000 bootstrap draws of seeds and of sentences at once.

Everything is kept in a folder (--state), so that a stopped run goes on. Writes benchmarks/results/editing.json and
docs/images/editing/METHOD.webp.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import sparring
from benchmarks.speed.machine import describe
from sparring.data.builtin import emoji
from sparring.edit.editing import METHODS, Editing, Method
from sparring.edit.wish import Wish, perceptual
from sparring.generate.grid import to_bytes, to_picture
from sparring.runs.scorer import Scorer, in_colour, open_scorer

HERE = Path(__file__).parent
OUT, PICTURES = HERE / "results" / "editing.json", HERE.parent / "docs" / "images" / "editing"
STYLES = HERE.parent.parent / "shared" / "data" / "emoji_styles_64.zip"
SENTENCES = (
    "a red heart", "a smiling yellow face", "a green leaf", "a blue circle", "a cat face", "a yellow star",
    "a black bird", "a person with a hat", "a brown bear", "an orange fruit",
)  # fmt: skip
SEEDS, SHOWN, DRAWS = 16, 5, 10_000
SCORERS = {"recipe": "dualencoder", "size": 32, "channels": 3, "labels": "none", "held_out": 0.02,
           "set": {"width": 24}, "budget": "45k"}  # fmt: skip


def half_of(name: str) -> str:
    """Which half a name belongs to; those that differ only in what follows a colon belong together."""
    return "AB"[hashlib.sha256(name.split(":")[0].encode()).digest()[0] & 1]


def halves(folder: Path) -> str:
    """Two folders of pictures with captions, "A" and "B"; says what they were made of."""
    rows: dict[str, list[str]] = {"A": [], "B": []}
    for half in rows:
        (folder / half).mkdir(parents=True, exist_ok=True)

    def add(file: str, data: Image.Image, captions: list[str]) -> None:
        half = half_of(captions[0])
        data.save(folder / half / file)
        rows[half].append(json.dumps({"file_name": file, "text": captions}))

    if STYLES.is_file():
        with zipfile.ZipFile(STYLES) as archive:
            there = set(archive.namelist())
            for line in archive.read("metadata.jsonl").decode().splitlines():
                said = json.loads(line)
                tags = [tag for tag in said["tags"] if tag.isascii()]
                more = [f"{said['text']}, {', '.join(tags[:4])}", ", ".join(tags[:3]), ", ".join(tags[-3:])]
                for style in ("openmoji", "twemoji", "noto"):
                    if (name := f"{style}/{said['hexcode']}.png") in there:
                        with archive.open(name) as file, Image.open(file) as opened:
                            add(name.replace("/", "-"), opened.convert("RGB"), [said["text"], *(more if tags else [])])
    else:
        found = emoji()
        for k, (pixels, name) in enumerate(zip(found.colour, found.name, strict=True)):
            picture = Image.new("RGBA", (64, 64), "white")
            picture.alpha_composite(Image.fromarray(pixels))
            add(f"openmoji-{k:04d}.png", picture.convert("RGB"), [name])
    for half, lines in rows.items():
        (folder / half / "metadata.jsonl").write_text("\n".join(lines))
    return f"emoji_styles_64.zip, {len(rows['A']):,} and {len(rows['B']):,} pictures" if STYLES.is_file() else "emoji"


def generator(state: Path) -> Path:
    """A stylegan2 of the emoji, trained unless it is there."""
    out = state / "generator"
    if not (out / "report.html").is_file():
        sparring.train("emoji", recipe="stylegan2-minutes", size=32, budget="60k", out=out, seed=0, threads=1)
    return out


def scorers(state: Path) -> tuple[dict[str, Scorer], dict[str, Any]]:
    """A and B, trained unless they are there, and what they retrieve of the other's names."""
    of = halves(state)
    for half in "AB":
        if not (state / f"scorer{half}" / "report.html").is_file():
            sparring.train(str(state / half), out=state / f"scorer{half}", seed=0, threads=1, **SCORERS)
    found = {half: open_scorer(str(state / f"scorer{half}")) for half in "AB"}
    measured = {f"{half} on {other}": retrieval(found[half], state / other) for half, other in ("AA", "AB", "BB", "BA")}
    return found, {"data": of, "settings": SCORERS, "retrieval": measured}


@torch.no_grad()
def retrieval(scorer: Scorer, folder: Path, most: int = 100) -> dict[str, Any]:
    """Share of the built-in drawings whose name is among the nearest 10 of 100 names of the folder (chance: 10 %), the
    mean over 20 random choices of the other 99; its standard error over drawings."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["file_name"].startswith("openmoji")]
    pixels = np.stack([np.array(Image.open(folder / row["file_name"])) for row in rows])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    seen = torch.cat([scorer.images(piece) for piece in x.split(64)])
    similar = (seen @ scorer.texts([row["text"][0] for row in rows]).t()).numpy()
    chance = np.random.default_rng(0)
    hits = np.zeros((20, len(rows)))
    for draw in range(len(hits)):
        for row in range(len(rows)):
            others = chance.choice(np.delete(np.arange(len(rows)), row), most - 1, replace=False)
            hits[draw, row] = (similar[row, others] > similar[row, row]).sum() < 10
    share = hits.mean(0)
    return {"names": len(rows), "R@10 of 100": round(float(share.mean()), 4),
            "standard error": round(float(share.std() / len(rows) ** 0.5), 4)}  # fmt: skip


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def edits(run: Any, found: dict[str, Scorer], state: Path, methods: Sequence[Method]) -> dict[str, Any]:
    """By method and sentence: gains by both scorers, (seeds, sentences) of B, distance, seconds; and the pictures."""
    folder = state / f"edits-{Path(run.path).name}-{run.images}"
    folder.mkdir(exist_ok=True)
    editing = Editing(run, found["A"], perceptual())
    editing.folder = folder
    codes = editing.start(0, range(SEEDS))
    every: dict[str, Any] = {}
    for method in methods:
        for number, text in enumerate(SENTENCES):
            file = folder / f"{method}-{number}.json"
            if not file.is_file():
                began = time.process_time()
                edited = editing.edit(codes, Wish(text), method)
                seconds = time.process_time() - began
                gains = [found["B"].similarity(in_colour(x), SENTENCES).tolist() for x in (edited.before, edited.after)]
                before, after = edited.similarity
                to_picture(np.concatenate(list(to_bytes(edited.after)), 1)).save(file.with_suffix(".png"))
                to_picture(np.concatenate(list(to_bytes(edited.before)), 1)).save(folder / "before.png")
                file.write_text(json.dumps({
                    "text": text, "A": (after - before).tolist(), "B before": gains[0], "B after": gains[1],
                    "identity distance": edited.identity.tolist(), "cpu seconds": round(seconds, 1),
                    "channels": edited.channels,
                }))  # fmt: skip
                print(method, text, f"{float((after - before).mean()):+.3f} by A", flush=True)
            every[f"{method}/{number}"] = json.loads(file.read_text())
    return every | {"folder": str(folder), "space": editing.coordinates.name}


def judged(every: dict[str, Any], method: str) -> dict[str, Any]:
    """What a method gains by B, with intervals."""
    cells = [every[f"{method}/{number}"] for number in range(len(SENTENCES))]
    gain = np.array([np.subtract(cell["B after"], cell["B before"]) for cell in cells])  # (edited by, seed, asked of)
    number = np.arange(len(SENTENCES))
    own = gain[number, :, number]  # (sentences, seeds)
    shuffled = (gain.sum(2) - own) / (len(SENTENCES) - 1)
    after = np.array([cell["B after"] for cell in cells])
    right = after.argmax(2) == number[:, None]
    return {
        "own": interval(own), "shuffled": interval(shuffled), "difference": interval(own - shuffled),
        "own sentence is the nearest of ten, after": interval(right.astype(float)),
        "by A": interval(np.array([cell["A"] for cell in cells])),
        "LPIPS from before": interval(np.array([cell["identity distance"] for cell in cells])),
        "by sentence": {text: round(float(own[k].mean() - shuffled[k].mean()), 4) for k, text in enumerate(SENTENCES)},
        "cpu seconds a sentence": round(float(np.mean([cell["cpu seconds"] for cell in cells])), 1),
        **({"channels": [cell["channels"] for cell in cells]} if method == "direction" else {}),
    }  # fmt: skip


def interval(values: NDArray[Any]) -> dict[str, float]:
    """The mean of (sentences, seeds) and its 95 % interval, both drawn anew with replacement."""
    chance = np.random.default_rng(0)
    m, n = values.shape
    means = [values[np.ix_(chance.integers(0, m, m), chance.integers(0, n, n))].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def strip(folder: Path, method: str, side: int = 72) -> Path:
    """A row for each sentence: the first samples as they become; above them as they were."""
    gap, words = 4, 190
    rows = [("before", folder / "before.png")]
    rows += [(text, folder / f"{method}-{number}.png") for number, text in enumerate(SENTENCES)]
    sheet = Image.new("RGB", (words + SHOWN * (side + gap), len(rows) * (side + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (text, file) in enumerate(rows):
        top = row * (side + gap)
        pen.text((6, top + side // 2 - 6), text, fill="black", font_size=15)
        with Image.open(file) as opened:
            tile = opened.height
            for k in range(SHOWN):
                picture = opened.crop((k * tile, 0, (k + 1) * tile, tile)).convert("RGB")
                sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (words + k * (side + gap), top))
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{method}.webp"
    sheet.save(path, "WEBP", quality=85, method=6)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a generator that was trained on the built-in emoji")
    parser.add_argument("--which", default="best", help="its checkpoint")
    parser.add_argument("--state", type=Path, default=HERE / "state" / "editing")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=METHODS, help="edit by this method, and stop: several can run side by side")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.state.mkdir(parents=True, exist_ok=True)
    run = sparring.load(asked.run or generator(asked.state), device="cpu", which=asked.which)
    if asked.only:
        edits(run, {half: open_scorer(str(asked.state / f"scorer{half}")) for half in "AB"}, asked.state, [asked.only])
        return
    found, told = scorers(asked.state)
    every = edits(run, found, asked.state, METHODS)
    document = {
        "command": "python -m benchmarks.editing " + " ".join(sys.argv[1:]),
        "generator": {"recipe": run.document["recipe"], "images": run.images, "planned": run.document["run"]["images"],
                      "shape": run.document["data"]["shape"], "space": every["space"]},
        "scorers": told | {"identity": {half: scorer.identity for half, scorer in found.items()}},
        "sentences": SENTENCES, "seeds": SEEDS,
        "methods": {method: judged(every, method) for method in METHODS},
        "machine": describe(1),
    }  # fmt: skip
    asked.out.write_text(json.dumps(document, indent=1) + "\n")
    for method in METHODS:
        said = document["methods"][method]
        print(
            method,
            {name: said[name] for name in ("own", "shuffled", "difference")},
            strip(Path(every["folder"]), method),
        )


if __name__ == "__main__":
    main()
