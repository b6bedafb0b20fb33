"""Runs that a run is built upon, such as the tokenizer of a transformer: opened where it begins, and copied in.

Settings name them (`Game.others`). recipe.yaml says under ``others`` which checkpoint of which run each was, with what
is needed to build its networks again; their weights are in every checkpoint of the run, and in its exports. So once a
run has a checkpoint, the others are no longer needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from sparring.data import SideSpec
from sparring.errors import CheckpointError, UsageError
from sparring.runs.document import Document
from sparring.runs.recipe import Recipe, of_document
from sparring.train.game import Game, seeded
from sparring.train.parts import LeftOut, lop
from sparring.types import Space

if TYPE_CHECKING:
    from sparring.runs.plan import Request
    from sparring.runs.run import Run

_DATA = ("kind", "shape", "classes", "captions", "texts", "sides", "pairs")
"""What recipe.yaml says of data that networks are built by."""


@dataclass(frozen=True)
class Other:
    """A checkpoint of another run. run: its directory, or an exported folder.   images: it had seen.   sha256: of the
    checkpoint's manifest, or of the exported weights.   recipe, config, data: what its networks are built by."""

    run: str
    images: int
    sha256: str
    recipe: str
    config: Mapping[str, Any]
    data: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run) -> Other:
        """As it is now."""
        said = run.document
        data = {key: said["data"][key] for key in _DATA if key in said["data"]}
        return cls(str(run.path.absolute()), run.images, _sha256(run), str(said["recipe"]), said["config"], data)

    @classmethod
    def said(cls, record: Mapping[str, Any], where: str) -> Other:
        """What recipe.yaml says of it; `UsageError` where that cannot be read."""
        try:
            return cls(str(record["run"]), int(record["images"]), str(record["sha256"]), str(record["recipe"]),
                       dict(record["config"]), dict(record["data"]))  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("RECIPE-OTHER", "what is said of the run that this one is built upon cannot be read",
                             where=where, why=repr(error), fix="restore recipe.yaml") from error  # fmt: skip

    def record(self) -> dict[str, Any]:
        """For recipe.yaml."""
        return asdict(self)

    def built(self) -> Game:
        """Its game without what only its training needs; the weights are to follow."""
        from sparring.runs.plan import space_of_document

        said = {"recipe": self.recipe, "config": dict(self.config)}
        name, config = of_document(Document(self.run, said, {}))
        recipe = Recipe(name, config)
        space = space_of_document({"data": dict(self.data)})
        game: Game = seeded(0, lambda: recipe.game.build(config, space))
        return _spare(game)

    def opened(self) -> Game:
        """The same with its weights; `CheckpointError` where they are no longer there, or others now."""
        run = _open(Path(self.run), self.images)
        if _sha256(run) != self.sha256:
            raise CheckpointError(
                "TRANSFER-CHANGED", "the checkpoint that this run is built upon is another one now", where=self.run,
                why="this run has no checkpoint of its own yet, so it would have to begin again",
                fix="start a new run",
            )  # fmt: skip
        return _spare(run.game)


def named(recipe: Recipe) -> dict[str, str]:
    """The runs that its settings name, by setting."""
    return {name: place for name in recipe.game.others if (place := str(getattr(recipe.config, name)))}


def found(recipe: Recipe) -> dict[str, Other]:
    """The runs that its settings name, as they are now. `UsageError` where one cannot do what is needed of it."""
    others = {}
    for name, place in named(recipe).items():
        run = _open(Path(place))
        if not isinstance(run.game, recipe.game.others[name]):
            wanted, _, _ = (recipe.game.others[name].__doc__ or "").partition(".")
            raise UsageError(
                "RECIPE-OTHER", f"{name} is a run of {run.document['recipe']}, which cannot do what it is needed for",
                where=place, why=f"it must be {_lower(wanted)}", fix=f"name another run: --set {name}=RUN",
            )  # fmt: skip
        others[name] = Other.of(run)
    return others


def _lower(sentence: str) -> str:
    return " ".join((sentence[:1].lower() + sentence[1:]).split())


def games(recipe: Recipe, said: Mapping[str, Any] | None, *, weights: bool) -> dict[str, nn.Module]:
    """The games that a game of this recipe is built upon.   said: what its recipe.yaml says of them; None: it has none
    yet, and they are what its settings name.   weights: with theirs; else those follow from a checkpoint."""
    if not recipe.game.others:
        return {}
    if said is None:
        others = found(recipe)
    else:
        others = {name: Other.said(record, f"others, {name}") for name, record in said.items()}
    return {name: other.opened() if weights else other.built() for name, other in others.items()}


def settled(recipe: Recipe, request: Request) -> tuple[Recipe, Request]:
    """The recipe with runs named by their whole paths, and the request with the size and channels of their images where
    nothing else was asked for. The first setting names the run of what is made; where there is a second, it names that
    of what is given.

    `UsageError` where no run is named."""
    settings = list(recipe.game.others)
    if not settings:
        return recipe, request
    others = found(recipe)
    if settings[0] not in others:
        raise UsageError(
            "RECIPE-OTHER", f"recipe {recipe.preset or recipe.name} is built upon another run, and none is named",
            where=settings[0], fix=f"--set {settings[0]}=RUN; `sparring recipes {recipe.name}` says which one",
        )  # fmt: skip
    paths: dict[str, Any] = {name: other.run for name, other in others.items()}
    changes = tuple(change for change in request.set if change.partition("=")[0].strip() not in paths)
    changes += tuple(f"{name}={path}" for name, path in paths.items())
    recipe = replace(recipe, config=replace(recipe.config, **paths))
    made, given = others[settings[0]].data, others[list(others)[-1]].data
    options = request.options
    if made.get("kind") == "images":
        options = replace(options, size=options.size or (int(made["shape"][1]), int(made["shape"][2])),
                          channels=options.channels or _channels(made))  # fmt: skip
        if options.into is not None or "pair" in recipe.kind(Space(())).needs:
            options = replace(options, given_channels=options.given_channels or _channels(given))
    return recipe, replace(request, options=options, set=changes)


def _channels(data: Mapping[str, Any]) -> int:
    """Of the images of a run."""
    return SideSpec.of_document(dict(data), made=True).channels if data.get("sides") else int(data["shape"][0])


def _open(place: Path, images: int | None = None) -> Run:
    """A run at a checkpoint, or an exported folder, on the CPU."""
    from sparring.runs.release import Release, is_release
    from sparring.runs.run import Run

    if is_release(place):
        return Release(place, device="cpu")
    return Run(place, which="best" if images is None else images, device="cpu")


def _sha256(run: Run) -> str:
    from sparring.runs.release import Release

    if isinstance(run, Release):
        return str(run.said["weights"]["sha256"])
    return hashlib.sha256(run.checkpoint.manifest.encode()).hexdigest()


def _spare(game: Game) -> Game:
    """Without players, and parts of them, that its use does not need."""
    lop(game)
    wanted = {path.partition(".")[0] for path in game.useful}
    for name in set(game.players) - wanted:
        setattr(game, name, LeftOut(name))
    return game
