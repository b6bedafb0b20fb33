"""Whether a large photograph fits into memory, and what of the tiles can be seen.

python -m benchmarks.translate memory [--nets unet resnet] [--compile]    6000 × 4000 through `sparring translate`
python -m benchmarks.translate seams RUN PICTURE [--tile 256]             tiles against the picture in one piece

memory  the most that the process held (its maximum resident set), networks of the published sizes; at most 2 GB.
        Of the 9 blocks of the resnet one is enough: the largest maps are those of its first and last layers.
seams   mean difference between neighbouring pixels across the middle of an overlap, divided by that elsewhere: 1 where
        nothing is to be seen; with tiles cut hard, blended as they are, and in one piece

Each result is kept under its own name in benchmarks/results/translate.json and replaces only itself.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.spent import spent

RESULTS = Path(__file__).parent / "results" / "translate.json"
LIMIT = 2e9
NETS = {"unet": {"generator": "unet"}, "resnet": {"generator": "resnet", "blocks": "1", "dropout": "0"}}
"""Settings of pix2pix beside the width of 64 channels."""


def photograph(path: Path, width: int, height: int) -> Path:
    """A JPEG with large shapes and fine grain."""
    chance = np.random.default_rng(0)
    coarse = Image.fromarray(chance.integers(0, 256, (height // 250 + 2, width // 250 + 2, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = chance.integers(-12, 13, (height, width, 1), np.int16)
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def memory(
    net: str, *, compiled: bool, width: int, height: int, threads: int, made: Path | None = None
) -> dict[str, Any]:
    """Translate a photograph with an untrained network of the published size. made: a run of it, from an earlier
    call."""
    from sparring import api

    with tempfile.TemporaryDirectory() as folder:
        run, photo = made or Path(folder) / "run", photograph(Path(folder) / "photo.jpg", width, height)
        settings = {"width": "64", "d_width": "8", "batch": "1", **NETS[net]}
        if made is None:
            api.train(
                "emoji", recipe="pix2pix", size=256, budget="2", held_out=0.0, set=settings, out=run, threads=threads,
                device="cpu", enlarge=True,
            )  # fmt: skip
        out = Path(folder) / "out.jpg"
        took = spent(["translate", str(run), str(photo), "--out", str(out), *["--compile"] * compiled], threads)
        with Image.open(out) as made:
            assert made.size == (width, height)
    return {
        "pixels": [width, height], "threads": threads, "peak_bytes": took.peak, "seconds": took.seconds,
        "cpu_seconds": took.cpu_seconds, "said": took.err.strip().splitlines()[-1], "within_2_GB": took.peak < LIMIT,
    }  # fmt: skip


def jumps(image: np.ndarray, places: list[int]) -> float:
    """How much more neighbouring columns differ at some places than at all others, as a ratio of means."""
    steps = np.abs(np.diff(image.astype(np.float64), axis=1)).mean(axis=(0, 2))
    there = np.zeros(len(steps), bool)
    there[[place - 1 for place in places]] = True
    return round(float(steps[there].mean() / steps[~there].mean()), 3)


def seams(run: str, picture: Path, tile: int) -> dict[str, Any]:
    """Tiles of a picture, cut hard and blended, against the picture in one piece."""
    from sparring import api
    from sparring.data import given_pixels
    from sparring.generate import tiles
    from sparring.runs.translation import Translation

    opened = api.load(run)
    made = {}
    blend = tiles._RAMP
    for name, side, ramp in (("one piece", 2**14, blend), ("cut hard", tile, 1e-6), ("blended", tile, blend)):
        job = Translation(opened, tile=side, deterministic=True)
        given = given_pixels(picture.read_bytes(), job.given)
        tiles._RAMP = ramp
        made[name] = job.translator(given)
    tiles._RAMP = blend
    axis = tiles.cut(given.shape[1], opened.game.stride, tile)
    middles = [(after + start + axis.side) // 2 for start, after in zip(axis.starts, axis.starts[1:], strict=False)]
    whole = made["one piece"].astype(np.float64)
    return {
        "run": opened.document["recipe"], "pixels": [given.shape[1], given.shape[0]], "tile": axis.side,
        "columns": middles,
        "jump_at_seams": {name: jumps(image, middles) for name, image in made.items()},
        "levels_from_one_piece": {
            name: round(float(np.abs(image - whole).mean()), 2) for name, image in made.items() if name != "one piece"
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    large = what.add_parser("memory")
    large.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    large.add_argument("--compile", action="store_true")
    large.add_argument("--pixels", type=int, nargs=2, default=(6000, 4000), metavar=("WIDTH", "HEIGHT"))
    large.add_argument("--threads", type=int, default=2)
    large.add_argument("--run", type=Path, help="a run of that network, from an earlier call; else one is made")
    cut = what.add_parser("seams")
    cut.add_argument("run")
    cut.add_argument("picture", type=Path)
    cut.add_argument("--tile", type=int, default=256)
    arguments = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.what == "seams":
        found = seams(arguments.run, arguments.picture, arguments.tile)
        document[f"seams, {found['run']}, {arguments.picture.name}, tile {arguments.tile}"] = found
    else:
        width, height = arguments.pixels
        for net in arguments.nets:
            key = f"memory, {net}{', --compile' * arguments.compile}, {width} x {height}"
            threads = arguments.threads
            document[key] = memory(
                net, compiled=arguments.compile, width=width, height=height, threads=threads, made=arguments.run
            )
    latest = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(dict(sorted({**latest, **document}.items())), indent=1, ensure_ascii=False) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
