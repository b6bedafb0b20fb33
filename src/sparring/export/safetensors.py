"""A trained run as ``config.json`` and ``model.safetensors``: what sparring itself opens, anywhere, without the run."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import torch

import sparring
from sparring.errors import SparringError
from sparring.runs import plan as plans
from sparring.runs.directory import write_atomically
from sparring.runs.release import CONFIG, FORMAT, WEIGHTS, Release, kept, space_record
from sparring.runs.run import Run
from sparring.train.manifest import serialised
from sparring.types import (
    Classifies,
    HasLatents,
    HasTokens,
    MatchesText,
    Samples,
    SamplesByClass,
    SamplesByText,
    Segments,
    Translates,
    TranslatesBack,
)

CAN: dict[str, type] = {
    "sample": Samples, "sample by class": SamplesByClass, "sample by text": SamplesByText, "interpolate": HasLatents,
    "translate": Translates, "translate back": TranslatesBack, "classify": Classifies, "segment": Segments,
    "tokens": HasTokens, "match texts": MatchesText,
}  # fmt: skip
"""What a trained game can do, and the interface that says so."""
_PLACES = ("source", "into", "palette")
"""What recipe.yaml says of data that may be a path on somebody's machine."""


def described(run: Run) -> dict[str, Any]:
    """What config.json says of a run but for its weights: plain JSON values, no path of this machine.

    Data are named, measures are those of RUN/evaluation.json where it judged this very checkpoint.
    """
    if isinstance(run, Release):
        return {key: value for key, value in run.said.items() if key != "weights"}
    said, report = run.document, run.directory.report()
    others = said.get("others", {})
    data = {key: public(value) if key in _PLACES else value for key, value in said["data"].items()}
    evaluation = _evaluation(run)
    return {
        "format": FORMAT,
        "sparring": sparring.__version__,
        "recipe": said["recipe"],
        "config": said["config"] | {name: public(one["run"]) for name, one in others.items()},
        **({"others": {name: {**one, "run": public(one["run"])} for name, one in others.items()}} if others else {}),
        "space": space_record(plans.space_of_document(said)),
        "can": [name for name, kind in CAN.items() if isinstance(run.game, kind) and able(name, run)],
        "trained_on": {
            "name": data["source"],
            **{key: int(report[key]) for key in ("used", "held_out") if isinstance(report.get(key), int)},
        },
        "measures": _measures(evaluation),
        "verdicts": [str(one["sentence"]) for one in evaluation.get("verdicts", ()) if one.get("sentence")],
        "data": data,
        "run": {
            "seed": said["run"]["seed"], "images": run.images, "planned": said["run"]["images"],
            "preset": public(said["run"].get("preset", "")), "checkpoint": run.choice.reason,
            "torch": str(torch.__version__),
        },
    }  # fmt: skip


def public(text: Any) -> Any:
    """The name of data without where it lies on this machine; what lies on the hub keeps its address.

    >>> public("/home/me/my cats/"), public("hf:owner/cats@1f2e"), public("emoji"), public("s3://secret/faces.zip")
    ('my cats', 'hf:owner/cats@1f2e', 'emoji', 'faces.zip')
    """
    if not isinstance(text, str) or text.startswith("hf:"):
        return text
    return PurePath(re.split(r"[?#]", text)[0].replace("\\", "/").rstrip("/")).name


def write(run: Run, folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Write both files; what config.json then says."""
    tensors = kept(run.game)
    data = serialised(WEIGHTS, tensors, {"format": "pt"})  # which others expect; two entries come in any order
    write_atomically(folder / WEIGHTS, data)
    weights = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "players": list(run.game.useful)}
    said = {**config, "weights": weights}
    write_config(folder, said)
    return said


def write_config(folder: Path, said: Mapping[str, Any]) -> None:
    """Write config.json alone, which says without weights what an ONNX file was made from."""
    write_atomically(folder / CONFIG, json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@torch.no_grad()
def able(ability: str, run: Run) -> bool:
    """Whether a game that has an interface can also do what it says: of one generator alone there is no way back."""
    if ability != "translate back":
        return True
    game: Any = run.game
    small = (1, int(run.document["data"]["shape"][0]), game.stride, game.stride)
    try:
        game.translate_back(torch.zeros(small, device=run.device), None)
    except SparringError:
        return False
    return True


def _evaluation(run: Run) -> dict[str, Any]:
    """RUN/evaluation.json, where it judged the averaged weights of this checkpoint; else nothing."""
    try:
        found = json.loads((run.path / "evaluation.json").read_text("utf-8"))
        fake = found["fake"]
        same = fake["images"] == run.images and fake["weights"] in ("ema", "", None)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if same else {}


def _measures(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Of each measured number what is needed to compare it with another one."""
    found = {}
    for name, one in (evaluation.get("metrics") or {}).items():
        value = one.get("value")
        if isinstance(value, (int, float)) and math.isfinite(value):
            keys = (
                "value",
                "interval",
                "better",
                "n_real",
                "n_fake",
                "features",
                "split",
                "warning",
                "bound",
                "importance",
            )
            found[name] = {key: one[key] for key in keys if one.get(key) not in (None, "")}
    return found
