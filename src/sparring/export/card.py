"""The model card of an exported folder: README.md with the metadata that the hub reads, and a picture.

A card is written from what config.json says, so that a folder can be exported again without its run. It holds none of
the data: a picture of translations shows what was made, and what it was made from only where that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import yaml
from PIL import Image
from torch import Tensor

from sparring.chance import Dice
from sparring.data.report import BINARY
from sparring.errors import SparringError
from sparring.export.functions import PRIORS, Port
from sparring.export.onnx import OPSET, Written
from sparring.generate import sample
from sparring.generate.grid import picture
from sparring.generate.pairs import side_by_side, visible
from sparring.runs import session
from sparring.runs.exhibits import exhibits_of
from sparring.runs.recipe import game_class
from sparring.runs.release import CONFIG, WEIGHTS, Release
from sparring.runs.run import Run
from sparring.types import HasLikelihood, HasPosterior, Samples, Translates

PICTURE, CARD = "samples.png", "README.md"
ANYWHERE = "hf:owner/name"
"""Stands in a card for where the folder will lie on the hub; `hub.push` puts the name in its place."""

_TASKS = (("segment", "image-segmentation"), ("translate", "image-to-image"), ("classify", "image-classification"),
          ("sample", "unconditional-image-generation"))  # fmt: skip
_LICENCES = {
    "emoji": ("CC BY-SA 4.0", "All emojis designed by OpenMoji – the open-source emoji and icon project"),
    "fashion": ("MIT", "Fashion-MNIST, © 2017 Zalando SE"),
}
"""Of data that come with sparring: the licence, and whom it names."""
LIKELIHOODS = {
    "nll": "−log p(x), nats {unit}",
    "elbo": "log p(x), nats {unit}, by one code of each",
    "reconstruction": "log p(x | z), nats {unit}",
    "kl": "KL(q(z | x) ‖ p(z)), nats {unit}",
    "bits_per_dim": "−log p(x) in bits for each value",
}
"""What each number of a likelihood is."""
_FEW = 1000  # images of data
_AT_ONCE = 8
_VISIBLE = 64  # pixels of a side up to which pictures are enlarged in whole steps


def text(
    said: Mapping[str, Any], place: str, *, licence: str = "", shows: str = "", onnx: Sequence[Written] = ()
) -> str:
    """The card. place: where the folder is, as one types it.   licence: of the model, as the hub calls it.
    shows: what the picture shows, "" where there is none.   onnx: the files of this form, where there are any."""
    name = said["trained_on"]["name"]
    parts = [
        f"# {said['recipe']} on {name}",
        _summary(said),
        f"![Samples]({PICTURE})\n\n{shows}" if shows else "",
        *([_use(said, place)] if said.get("weights") else []),
        *([_use_onnx(onnx)] if onnx else []),
        _model(said),
        _data(said),
        _measures(said),
        _limits(said, licence),
    ]
    return _metadata(said, licence) + "\n\n".join(part for part in parts if part) + "\n"


def _metadata(said: Mapping[str, Any], licence: str) -> str:
    """What the hub reads: YAML between two lines of dashes."""
    tags = ["sparring", _field(said), said["recipe"]]
    images = said["data"]["kind"] == "images"
    task = next((task for ability, task in _TASKS if ability in said["can"] and images), None)
    values: dict[str, Any] = {"library_name": "sparring", "license": licence or "unknown",
                              "tags": list(dict.fromkeys(tags))}  # fmt: skip
    if task is not None:
        values["pipeline_tag"] = task
    if said["trained_on"]["name"].startswith("hf:"):
        values["datasets"] = [said["trained_on"]["name"][3:].partition("@")[0]]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n\n"


def _field(said: Mapping[str, Any]) -> str:
    """The tag that says what kind of model it is."""
    kind = game_class(str(said["recipe"]))
    if issubclass(kind, HasLikelihood):
        return "vae" if issubclass(kind, HasPosterior) else "density-estimation"
    plays = {"sample", "translate"} & set(said["can"]) and "segment" not in said["can"]
    return "gan" if plays else "computer-vision"


def _summary(said: Mapping[str, Any]) -> str:
    space, can, name = said["space"], said["can"], said["trained_on"]["name"]
    if "segment" in can:
        does = f"Says of every pixel of an image which of {len(space['legend'])} classes it is of"
    elif "translate" in can:
        made, given = _kind(space, "legend"), _kind(space, "condition_legend")
        does = f"Makes {made} of {_size(space['shape'])} from {given} of {_size(space['condition'])}, and other sizes"
    elif "classify" in can:
        does = f"Says which of {space['classes']} classes an image of {_size(space['shape'])} is of"
    elif "tokens" in can:
        does = f"Says images of {_size(space['shape'])} in tokens, and makes them of tokens again"
    elif len(space["shape"]) == 1:
        does = f"Makes points of {space['shape'][0]} numbers"
    else:
        asked = f", each of one of {space['classes']} classes that is asked for" if "sample by class" in can else ""
        asked = ", each of a text that is asked for" if "sample by text" in can else asked
        does = f"Makes images of {_size(space['shape'])}{asked}"
    ours = "[sparring](https://pypi.org/project/sparring/)"
    return f"{does}. Trained with {ours} on `{name}`, recipe `{said['recipe']}`."


def _size(shape: Sequence[int]) -> str:
    channels, height, width = shape
    colours = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(channels, f"{channels} channels")
    return f"{width}×{height} pixels ({colours})"


def _kind(space: Mapping[str, Any], legend: str) -> str:
    return f"label maps with {len(space[legend])} classes," if space[legend] else "images"


def _use(said: Mapping[str, Any], place: str) -> str:
    can, points = said["can"], said["data"]["kind"] == "points"
    shape = ", ".join(map(str, said["space"]["shape"]))
    calls = {
        "sample": f"images = model.sample(4, seed=0)  # float tensor (4, {shape}){'' if points else ' in [0, 1]'}",
        "sample by text": 'images = model.sample(4, text="a red apple")  # what a text says',
        "translate": 'image = model.translate("photo.jpg")  # or a PIL picture, an array, a tensor',
        "tokens": f"tokens = model.game.encode(images)  # (n, {shape}) in [-1, 1] → (n, h, w) int64; game.decode: back",
        "classify": f"logits = model.game.classify(images)  # (n, {shape}) in [-1, 1] → (n, classes)",
        "segment": "logits = model.game.segment(images)  # (n, C, H, W) in [-1, 1] → (n, classes, H, W)",
    }
    words = {"sample": f"sparring sample {place} -n 16 --out samples",
             "translate": f"sparring translate {place} photo.jpg --out made.png"}  # fmt: skip
    extra = '"sparring[hub]"' if place.startswith("hf:") else "sparring"
    shell = [f"pip install {extra}", *(words[name] for name in words if name in can)]
    python = ["import sparring", "", f'model = sparring.load("{place}")',
              *(calls[name] for name in calls if name in can)]  # fmt: skip
    return "## Use\n\n```sh\n" + "\n".join(shell) + "\n```\n```python\n" + "\n".join(python) + "\n```"


def _use_onnx(files: Sequence[Written]) -> str:
    """How the ONNX files are used, and what goes in and out."""
    first = files[0]
    lines = [f"## ONNX\n\nOpset {OPSET}; the batch may have any size.", ""]
    for one in files:
        lines += [f"- `{one.file}`:{one.line().partition(':')[2]}",
                  *(f"    - {_port(port)}" for port in (*one.inputs, one.output))]  # fmt: skip
    given = ", ".join(f'"{port.name}": {_example(port)}' for port in first.inputs)
    lines += ["", "```python", "import numpy as np, onnxruntime", "",
              f'session = onnxruntime.InferenceSession("{first.file}")', f"(made,) = session.run(None, {{{given}}})",
              "```"]  # fmt: skip
    return "\n".join(lines)


def _port(port: Port) -> str:
    return f"`{port.name}`: {port.line().partition(': ')[2]}"


def _example(port: Port) -> str:
    """An array that the port takes, as one would write it."""
    sides = {"batch": 4, "height": 256, "width": 256}
    shape = tuple(sides.get(str(side), side) for side in port.shape)
    if port.type == "int64":
        return "np.arange(4)"
    law = "standard_normal" if port.name == "z" else "random"
    drawn = f"np.random.default_rng(0).{law}({shape}, dtype=np.float32)"
    return f"(z := {drawn}) / np.linalg.norm(z, axis=1, keepdims=True)" if port.says == PRIORS["sphere"] else drawn


def _model(said: Mapping[str, Any]) -> str:
    run = said["run"]
    kept = said.get("weights", {}).get("players", ())
    rows = [
        ("recipe", f"`{said['recipe']}`"),
        ("preset", f"`{run['preset']}`" if run.get("preset") not in (None, "", said["recipe"]) else ""),
        ("images seen", f"{run['images']:,} of {run['planned']:,} planned"),
        ("checkpoint", run["checkpoint"]),
        ("weights", ", ".join(f"`{name}`" for name in kept) + (", averaged" if _averaged(said) else "")
         + f"; {WEIGHTS}, {said['weights']['bytes'] / 2**20:,.1f} MiB" if kept else ""),
        ("seed", str(run["seed"])),
        ("written by", f"sparring {said['sparring']}, torch {run['torch']}"),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"## Model\n\n| | |\n|---|---|\n{table}\n\nEvery setting is in {CONFIG}."


def _averaged(said: Mapping[str, Any]) -> bool:
    return bool(said["config"].get("ema_images"))


def _data(said: Mapping[str, Any]) -> str:
    on, space, data = said["trained_on"], said["space"], said["data"]
    licence, whom = _LICENCES.get(on["name"], ("", ""))
    counts = [f"{on['used']:,} used for training" if "used" in on else "",
              f"{on['held_out']:,} held out" if on.get("held_out") else ""]  # fmt: skip
    lines = [f"`{on['name']}`: " + (", ".join(filter(None, counts)) or "how many images is not known") + "."]
    if len(space["shape"]) == 3:
        binary = str(data.get("binarise", "none"))
        made = f" Made black and white ({binary}): {BINARY[binary]}." if binary in BINARY else ""
        lines.append(f"Prepared as {_size(space['shape'])}, crop: {data.get('crop', 'center')}.{made}")
    for title, names in (("Classes", data.get("classes") or ()), ("Classes of the map that is given",
                         space["condition_legend"]), ("Classes of the map that is made", space["legend"])):  # fmt: skip
        if names:
            more = f" and {len(names) - 50:,} more" if len(names) > 50 else ""
            lines.append(f"{title}: {', '.join(map(str, names[:50]))}{more}.")
    lines.append(f"Licence of the data: {licence} ({whom})." if licence else
                 "Licence of the data: not known to sparring; whoever publishes this model says it here.")  # fmt: skip
    return "## Data\n\n" + "\n".join(lines) + "\n\nNone of the data are part of this folder."


def _measures(said: Mapping[str, Any]) -> str:
    measures = said["measures"]
    if not measures:
        return "## Measures\n\nThis checkpoint was not evaluated (`sparring evaluate RUN`, then export again)."
    rows = [
        "| measure | value | 95 % interval | better | n real / made | judge, or what it is of |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in measures.items():
        interval = f"{one['interval'][0]:.4g} to {one['interval'][1]:.4g}" if one.get("interval") else "–"
        n = f"{one.get('n_real', 0):,} / {one.get('n_fake', 0):,}"
        bound = f"{one['bound']} " if one.get("bound") else ""
        rows.append(f"| {name} | {bound}{one['value']:.4g} | {interval} | {one.get('better', '')} | {n} | "
                    f"{one.get('features', '')} |")  # fmt: skip
    noted = [f"- {name}: {_stands_for(name, one, said)}" for name, one in measures.items() if name in LIKELIHOODS]
    noted += [f"- {name}: {one['warning']}" for name, one in measures.items() if one.get("warning")]
    return "## Measures\n\n" + "\n".join(rows) + ("\n\n" + "\n".join(noted) if noted else "")


def _stands_for(name: str, one: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """What a likelihood is, in which unit, and where it is a bound, of what and by how many weights."""
    unit = "point" if said["data"]["kind"] == "points" else "image"
    what = LIKELIHOODS[name].format(unit=f"{'a' if unit == 'point' else 'an'} {unit}")
    if one.get("bound"):
        weights = f", by {one['importance']:,} importance weights of each {unit}" if one.get("importance") else ""
        what += f"; a bound: the true number is {one['bound']} this{weights}"
    return what


def _limits(said: Mapping[str, Any], licence: str) -> str:
    on, run = said["trained_on"], said["run"]
    lines = [*said.get("verdicts", ())]
    if run["images"] < run["planned"]:
        lines.append(f"It has seen {run['images']:,} of {run['planned']:,} planned images.")
    if on.get("used", _FEW) < _FEW and len(said["space"]["shape"]) == 3:
        lines.append(f"It was trained on {on['used']:,} images alone: what it makes may repeat them.")
    if {"sample", "translate"} & set(said["can"]):
        lines.append("It knows nothing but its data: what they show rarely or not at all it makes badly, and what is "
                     "one-sided about them is one-sided here.")  # fmt: skip
    if not licence:
        lines.append("Its licence is not said: without one nobody may use it. `--license` says it when it is exported.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


# ── the picture ───────────────────────────────────────────────────────────────────────────────────────────────────


def draw(run: Run, *, inputs: bool = False) -> tuple[Image.Image | None, str]:
    """(a picture of what the run makes, or None; what it shows, or why there is none).

    inputs: beside each translation the picture that it was made from, which is one of the data.
    """
    game = run.game
    if isinstance(game, Translates):
        return _translations(run, game, inputs)
    if not isinstance(game, Samples):
        return None, ""
    rows = sample.rows_of(game, len(run.classes))
    n = sample.shown(rows) if run.document["data"]["kind"] == "images" else 2000
    each = "of some captions of the data" if run.texts else "class"
    shown = f"{n:,} samples of seed 0, as they came" + (f", a row for each {each}" if rows else "")
    return picture(sample.draw(run, n, seed=0, rows=True), rows=rows), f"{shown}."


def _translations(run: Run, game: Translates, inputs: bool) -> tuple[Image.Image | None, str]:
    """What is made of a few held-out pictures, where the data of the run are there."""
    if isinstance(run, Release):
        return None, ""
    try:
        dataset, _, _ = session.data_of(run.directory, session.request_of(run.document))
    except (SparringError, OSError) as error:
        what = error.what if isinstance(error, SparringError) else str(error)
        return None, f"no picture: the data that would be translated cannot be read ({what})"
    shown = exhibits_of(dataset, game)
    if shown is None or shown.condition is None:
        return None, ""
    made = _made(game, shown.condition, run)
    columns = [visible(made, dataset.palette)]
    if inputs and dataset.given is not None:
        given = shown.condition.float() / 127.5 - 1
        columns.insert(0, visible(given, dataset.given.palette))
    said = f"What it makes of {len(made)} pictures that were held out from training"
    sheet, factor = side_by_side(columns), -(-_VISIBLE // min(made.shape[-2:]))
    sheet = sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST)
    return sheet, f"{said}{', beside what was given' if inputs else ' (not shown)'}."


@torch.no_grad()
def _made(game: Translates, condition: Tensor, run: Run) -> Tensor:
    """(n, C, H, W) in [-1, 1] on the CPU, of the noise that the pictures of the run have; condition (n, …) uint8."""
    made, seed = [], int(run.document["run"]["seed"])
    for start in range(0, len(condition), _AT_ONCE):
        given = (condition[start : start + _AT_ONCE].float() / 127.5 - 1).to(run.device)
        dice = Dice(seed, "sample", range(start, start + len(given)), device=run.device)
        made.append(game.translate(given, dice).float().cpu())
    return torch.cat(made)
