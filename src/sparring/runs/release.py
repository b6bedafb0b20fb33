"""An exported folder, opened for use: what a run is to whoever samples, translates or classifies with it.

``config.json`` says which recipe it is, its settings, what its data were, and the SHA-256 of ``model.safetensors``,
which holds the players that use needs and nothing else. Both may come from anywhere: nothing in them is executed, every
key is checked as in recipe.yaml, and no memory is taken before it is known that the weights fit the settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.errors import CheckpointError, SparringError, UsageError
from sparring.networks.initialise import without_memory
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory, wrong_in
from sparring.runs.document import LARGEST, Document
from sparring.runs.recipe import Recipe, of_document
from sparring.runs.run import Run, described
from sparring.train.checkpoint import match_tensors
from sparring.train.engine import choose_device
from sparring.train.game import Game
from sparring.train.manifest import Damage, parsed
from sparring.train.parts import left_out, lop, used
from sparring.types import Space

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1

_SAID: dict[tuple[str, ...], tuple[type, ...]] = {
    ("format",): (int,), ("sparring",): (str,), ("recipe",): (str,), ("config",): (dict,), ("space",): (dict,),
    ("can",): (list,), ("data",): (dict,), ("data", "kind"): (str,), ("data", "shape"): (list,),
    ("run",): (dict,), ("run", "seed"): (int,), ("run", "images"): (int,), ("trained_on",): (dict,),
    ("measures",): (dict,), ("weights",): (dict,), ("weights", "bytes"): (int,), ("weights", "sha256"): (str,),
    ("weights", "players"): (list,),
}  # fmt: skip
"""What a config.json must say."""
_ROOM = 2**30  # bytes that networks of any folder may take; larger ones are as large as their weights suggest
_OTHERS = 64  # how many times as large as what is kept the players that are left out may be


def is_release(path: Path | str) -> bool:
    """Whether an exported folder is there, and no run."""
    folder = Path(path)
    return (folder / CONFIG).is_file() and not (folder / "recipe.yaml").exists()


class Release(Run):
    """An exported folder with what it holds; everything that a `Run` can do without its checkpoints and its log.

    path: the folder.   source: what the user calls it, such as ``hf:owner/name@1f2e…``.
    said: what config.json says; `document` is the part of it that a run's recipe.yaml would say.   notes: more remarks.
    """

    def __init__(self, path: Path | str, *, device: str = "auto", source: str = "", notes: Sequence[str] = ()) -> None:
        self.directory = RunDirectory(path)
        self.source, self.notes = source or str(path), tuple(notes)
        self.said = read(self.path / CONFIG)
        parts = ("recipe", "config", "data", "run", "others")
        self.document = {key: self.said[key] for key in parts if key in self.said}
        self.images = int(self.said["run"]["images"])
        self.device = choose_device(device)
        name, config = of_document(_as_recipe(self.said, self.path / CONFIG))
        self.game = self._open(Recipe(name, config))

    def _open(self, recipe: Recipe) -> Game:
        space = _space(self.said, self.path / CONFIG)
        tensors = read_weights(self.path / WEIGHTS, self.said["weights"])
        _check_fit(recipe, space, tensors, self.path, self.document)
        seed = int(self.said["run"]["seed"])
        game = plans.build(recipe, space, seed, begins=False, document=self.document)
        for name, tensor in kept(game).items():
            tensor.copy_(tensors[name])
        lop(game)
        plans.make_engine(recipe, self.device).settle(game)
        return game.eval().requires_grad_(False)

    @property
    def home(self) -> Path:
        """The folder; of a model of the hub, whose copy is everybody's, ``runs/hf-owner-name`` here."""
        if not self.source.startswith("hf:"):
            return self.path
        return Path("runs") / self.source.partition("@")[0].replace(":", "-").replace("/", "-")

    @property
    def remarks(self) -> list[str]:
        """What a person who uses this should know."""
        planned = self.said["run"].get("planned", self.images)
        young = [f"it has seen {self.images:,} of {planned:,} images"] if self.images < planned else []
        return [*self.notes, *young]

    def info(self) -> dict[str, Any]:
        """What it is, in plain values."""
        return described(self.directory, self.document) | {
            "path": self.source,
            "planned": self.said["run"].get("planned", self.images),
            "images": self.images,
            "checkpoint": self.said["run"].get("checkpoint", ""),
            "can": ", ".join(self.said["can"]),
            "parameters": {path: sum(p.numel() for p in part.parameters()) for path, part in used(self.game).items()},
            **({"left out": ", ".join(paths)} if (paths := left_out(self.game)) else {}),
            "remarks": self.remarks,
        }

    def __repr__(self) -> str:
        return f"Release({self.source!r}: {self.document['recipe']}, {self.images:,} images seen)"


def kept(game: Game) -> dict[str, Tensor]:
    """What of a game is exported, by name: the state of each player, or part of one, that use needs, as ``G.…``, and
    what is no player's and not for training alone, as ``game.…``. The tensors themselves, detached."""
    found = {f"{path}.{key}": tensor for path, part in used(game).items() for key, tensor in part.state_dict().items()}
    theirs = {id(t) for player in game.players.values() for t in player.state_dict(keep_vars=True).values()}
    for key, tensor in game.state_dict(keep_vars=True).items():
        if id(tensor) not in theirs and key.partition(".")[0] not in game.for_training:
            found[f"game.{key}"] = tensor.detach()
    return found


# ── config.json ───────────────────────────────────────────────────────────────────────────────────────────────────


def read(path: Path) -> dict[str, Any]:
    """What a config.json says, in the right form; `CheckpointError` if it is none of ours or says too little."""
    values = _parsed(path)
    if "recipe" not in values and "sparring" not in values:
        raise _wrong(path, "it is of another program", "choose a folder that `sparring export` wrote")
    version = values.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise _wrong(path, f"a later version of sparring wrote it (format {version})",
                     "upgrade: pip install --upgrade sparring")  # fmt: skip
    if "weights" not in values:
        raise _wrong(path, f"there is no {WEIGHTS} to it: this folder holds another form of the model",
                     "`sparring export RUN --to safetensors` writes what sparring can open")  # fmt: skip
    if wrong := wrong_in(Document(path.name, values, {}), _SAID):
        raise _wrong(path, "; ".join(wrong[:5]), "export the run again")
    return values


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        values = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except OSError as error:
        raise _wrong(path, error.strerror or str(error), "name the folder of an exported model") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(path, str(error) or "it is nested too deep", "export the run again") from None
    if not isinstance(values, dict):
        raise _wrong(path, "it is no JSON object", "export the run again")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key stands twice among {', '.join(key for key, _ in pairs)[:80]}")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _wrong(path: Path, why: str, fix: str) -> CheckpointError:
    return CheckpointError("RELEASE-CONFIG", f"the {path.name} of this folder cannot be used", where=str(path), why=why,
                           fix=fix)  # fmt: skip


def _as_recipe(said: Mapping[str, Any], path: Path) -> Document:
    """The part that a recipe file would say, to be checked as one."""
    return Document(str(path), {key: said[key] for key in ("recipe", "config", "sparring")}, {})


def space_record(space: Space) -> dict[str, Any]:
    """A space in plain JSON values, without its texts, which ``data`` says, and other games, which ``others`` says."""
    fields = {field.name: getattr(space, field.name) for field in dataclasses.fields(space)}
    record: dict[str, Any] = json.loads(json.dumps({k: v for k, v in fields.items() if k not in ("texts", "others")}))
    return record


def _space(said: Mapping[str, Any], path: Path) -> Space:
    """What the game is told of its data; `CheckpointError` where ``space`` and ``data`` do not say the same."""
    try:
        space = plans.space_of_document({"data": said["data"]})
        if space_record(space) != said["space"]:
            raise ValueError("space and data contradict each other")
        if not all(isinstance(side, int) and side > 0 for side in (*space.shape, *(space.condition or ()))):
            raise ValueError(f"there is no image of {space.shape}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _wrong(path, f"what it says of the data cannot be read ({error})", "export the run again") from None
    return space


# ── model.safetensors ─────────────────────────────────────────────────────────────────────────────────────────────


def read_weights(path: Path, weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """name → tensor, all finite, of the very bytes that config.json was written for. Raises `CheckpointError`."""
    try:
        size = path.stat().st_size
        if size != weights["bytes"]:
            raise Damage(f"it has {size:,} bytes, and {CONFIG} was written for {weights['bytes']:,}")
        data = path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != weights["sha256"]:
            raise Damage(f"its SHA-256 is {found[:12]}…, and {CONFIG} was written for {weights['sha256'][:12]}…")
        return parsed(data, path)
    except OSError as error:
        why = error.strerror or str(error)
    except Damage as damage:
        why = str(damage)
    raise CheckpointError(
        "RELEASE-WEIGHTS", "the weights of this folder cannot be used", where=str(path), why=why,
        fix="copy or fetch the whole folder again",
    )  # fmt: skip


def _check_fit(
    recipe: Recipe, space: Space, tensors: Mapping[str, Tensor], path: Path, document: Mapping[str, Any]
) -> None:
    """`CheckpointError` unless the weights are those of the networks that the settings describe, and those fit into
    memory: found out on networks without memory, for a file of a few bytes can describe some of a terabyte."""
    try:
        with without_memory():
            game = plans.build(recipe, space, 0, begins=False, document=document)
    except SparringError:
        raise
    except (RuntimeError, ValueError, OverflowError) as error:
        raise CheckpointError("RELEASE-MISMATCH", "the settings describe no network", where=str(path),
                              why=str(error).splitlines()[0][:200], fix="export the run again") from None  # fmt: skip
    try:
        match_tensors(tensors, kept(game), WEIGHTS)
    except CheckpointError as error:
        raise CheckpointError(
            "RELEASE-MISMATCH", "the weights are not those of the networks that the settings describe", where=str(path),
            why=error.why.replace("the checkpoint", WEIGHTS), fix="export the run again, with this version of sparring",
        ) from None  # fmt: skip
    whole = sum(tensor.nbytes for tensor in (*game.parameters(), *game.buffers()))
    ours = sum(tensor.nbytes for tensor in tensors.values())
    if whole > _ROOM + _OTHERS * ours:
        raise CheckpointError(
            "RELEASE-SIZE", f"its networks would take {whole / 2**30:,.0f} GiB, for weights of {ours / 2**20:,.1f} MiB",
            where=str(path), fix="its settings are not those that it was trained with: export the run again",
        )  # fmt: skip


def refuse_which(which: str | int, release: Release) -> None:
    """`UsageError` for another checkpoint than the one that was exported."""
    if str(which).replace(",", "").replace("_", "") not in ("best", "last", str(release.images)):
        raise UsageError(
            "WHICH", "an exported folder holds one checkpoint", where=str(which),
            fix=f"leave --which out: it has seen {release.images:,} images",
        )  # fmt: skip
