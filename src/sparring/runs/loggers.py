"""What a run says, told to other programs as well: TensorBoard, Weights & Biases. They hear the events of a session.

The run's own log decides what happened; these follow it. A step is the number of images seen. When a run is resumed, or
goes back, what they were told of later images is undone (TensorBoard) or not told again (Weights & Biases, where
nothing can be undone). One that fails is left alone from then on: it never ends a run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import UsageError
from sparring.runs.directory import RunDirectory, written
from sparring.types import Alarm, Event, Probed, Sampled, Turn

NONE = "none"


class Logger(ABC):
    """Hears events. Whatever it raises ends it, not the run."""

    def __init__(self, directory: RunDirectory, document: Mapping[str, Any], images: int) -> None:
        """directory: of the run.   document: its recipe.yaml.   images: seen so far; what is known of later ones is
        undone."""
        self.directory = directory
        self.images = images

    @abstractmethod
    def numbers(self, images: int, values: Mapping[str, float]) -> None:
        """Numbers by name."""

    @abstractmethod
    def picture(self, images: int, png: bytes, size: tuple[int, int]) -> None:
        """Samples, as they lie in samples/. size: (width, height)."""

    @abstractmethod
    def alarm(self, event: Alarm) -> None:
        """Something that a person should know."""

    def back(self, images: int) -> None:  # noqa: B027 (there may be nothing to do)
        """The run goes on from `images`, which are fewer than it had seen."""

    @abstractmethod
    def close(self) -> None: ...


class TensorBoard(Logger):
    """Event files in RUN/tensorboard, by tensorboardX. They are written at once and not by its thread, which would
    block a run for good once its disk is full."""

    def __init__(self, directory: RunDirectory, document: Mapping[str, Any], images: int) -> None:
        super().__init__(directory, document, images)
        from tensorboardX import record_writer, summary
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._log = event_pb2.Event, event_pb2.SessionLog
        self._summary, self._made = summary_pb2.Summary, summary
        folder = directory.path / "tensorboard"
        folder.mkdir(exist_ok=True)
        again = any(folder.iterdir())
        now = time.time()  # in the name, so that files are read in the order of their beginnings
        self._file = record_writer.RecordWriter(str(folder / f"events.out.tfevents.{now:.6f}.{os.getpid()}"))
        self._add(self._event(wall_time=now, file_version="brain.Event:2"))
        if again:
            self.back(images)
        else:
            self._write(images, summary.text("recipe.yaml", f"```yaml\n{written(dict(document))}\n```"))
        self._file.flush()

    def numbers(self, images: int, values: Mapping[str, float]) -> None:
        found = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(images, self._summary(value=found))
        self._file.flush()

    def picture(self, images: int, png: bytes, size: tuple[int, int]) -> None:
        shown = self._summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=png)
        self._write(images, self._summary(value=[self._summary.Value(tag="samples", image=shown)]))
        self._file.flush()

    def alarm(self, event: Alarm) -> None:
        self._write(event.images, self._made.text(f"alarms/{event.code}", event.message))
        self._file.flush()

    def back(self, images: int) -> None:
        begun = self._log(status=self._log.START)
        self._add(self._event(wall_time=time.time(), step=images + (images > 0), session_log=begun))

    def close(self) -> None:
        self._file.close()

    def _write(self, images: int, summary: Any) -> None:
        self._add(self._event(wall_time=time.time(), step=images, summary=summary))

    def _add(self, event: Any) -> None:
        self._file.write(event.SerializeToString())


class Wandb(Logger):
    """A run of Weights & Biases, by its own client: WANDB_MODE=offline, WANDB_PROJECT and the like are its settings.

    RUN/wandb.json keeps its id, so that a resume goes on with it, and how far it has been told.
    """

    def __init__(self, directory: RunDirectory, document: Mapping[str, Any], images: int) -> None:
        super().__init__(directory, document, images)
        import wandb

        self._wandb, self._file = wandb, directory.path / "wandb.json"
        known = self._known()
        self._id = str(known.get("id") or uuid.uuid4().hex[:12])
        told = known.get("images", -1)
        self._before = told if isinstance(told, int) else -1  # told in sessions before this one
        self._reached = self._before
        self._keep()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "sparring",
            name=directory.path.resolve().name,
            id=self._id,
            resume="allow",
            dir=str(directory.path),
            config=dict(document),
            settings=wandb.Settings(console="off"),  # what is on the screen is talk
        )
        self._run.define_metric("images")
        self._run.define_metric("*", step_metric="images")

    def numbers(self, images: int, values: Mapping[str, float]) -> None:
        self._tell(images, values)

    def picture(self, images: int, png: bytes, size: tuple[int, int]) -> None:
        path = _grid(self.directory, images)
        self._tell(images, {"samples": self._wandb.Image(str(path), caption=f"after {images:,}")})

    def alarm(self, event: Alarm) -> None:
        if event.images >= self._reached and not event.code.startswith("DATA-"):  # of these there may be thousands
            self._run.alert(title=event.code, text=event.message)

    def close(self) -> None:
        self._run.finish()

    def _tell(self, images: int, values: Mapping[str, Any]) -> None:
        if images <= self._before or images < self._reached:
            return
        self._run.log({"images": images, **values})
        if images > self._reached:
            self._reached = images
            self._keep()

    def _known(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(self._file.read_text("utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    def _keep(self) -> None:
        fresh = self._file.with_name(".wandb.json.new")
        fresh.write_text(json.dumps({"id": self._id, "images": self._reached}), "utf-8")
        fresh.replace(self._file)


@dataclass(frozen=True)
class Kind:
    """module: what must be installed.   fix: how."""

    make: type[Logger]
    module: str
    fix: str


LOGGERS = {
    "tensorboard": Kind(TensorBoard, "tensorboardX", "pip install 'sparring[tensorboard]'"),
    "wandb": Kind(Wandb, "wandb", "pip install wandb"),
}


def names_of(text: str | Sequence[str]) -> tuple[str, ...]:
    """The loggers that are asked for; `UsageError` names what is none.

    >>> names_of("tensorboard,wandb"), names_of("none"), names_of("")
    (('tensorboard', 'wandb'), (), ())
    """
    said = text.split(",") if isinstance(text, str) else [str(name) for name in text]
    names = [name.strip().lower() for name in said if name.strip()]
    strange = [name for name in names if name not in LOGGERS and name != NONE]
    if strange or (NONE in names and len(names) > 1):
        raise UsageError(
            "LOG-NAME", "there is no such logger" if strange else "either none, or some", where=",".join(said),
            why=f"there are: {', '.join(LOGGERS)}, {NONE}", fix="--log tensorboard, --log wandb or both, with a comma",
        )  # fmt: skip
    return tuple(dict.fromkeys(name for name in names if name != NONE))


def names_in(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that recipe.yaml asks for; `UsageError` if that cannot be."""
    said = document["run"].get("log") or ()
    if not isinstance(said, (str, list, tuple)):
        raise UsageError("LOG-NAME", "run.log is a list of names", where=f"run.log: {said}", fix="log: [tensorboard]")
    return names_of(said)


def check(names: Sequence[str]) -> None:
    """`UsageError` for a logger whose package is not installed: before anything is trained."""
    missing = [name for name in names if importlib.util.find_spec(LOGGERS[name].module) is None]
    if missing:
        modules = ", ".join(LOGGERS[name].module for name in missing)
        raise UsageError(
            "LOG-MISSING", f"{modules} is not installed", where=f"--log {','.join(names)}",
            fix=" && ".join(LOGGERS[name].fix for name in missing) + "; or go without: --log none",
        )  # fmt: skip


class Loggers:
    """Those of one session. They begin with the first event."""

    def __init__(self, names: Sequence[str], directory: RunDirectory, document: Mapping[str, Any], images: int) -> None:
        self._waiting, self._document = tuple(names), document
        self._directory, self._begun = directory, images
        self._live: dict[str, Logger] = {}

    def hear(self, event: Event) -> Iterator[Alarm]:
        """Tell them all; an alarm for each one that fails, once."""
        for name in self._waiting:
            try:
                self._live[name] = LOGGERS[name].make(self._directory, self._document, self._begun)
            except Exception as error:  # whatever their packages raise
                yield _lost(event.images, name, error)
        self._waiting = ()
        for name, logger in list(self._live.items()):
            try:
                _tell(logger, event, self._directory)
            except Exception as error:
                del self._live[name]
                with suppress(Exception):
                    logger.close()
                yield _lost(event.images, name, error)

    def close(self) -> None:
        """All is said. What fails now cannot be told any more."""
        for logger in self._live.values():
            with suppress(Exception):
                logger.close()
        self._live = {}


def _tell(logger: Logger, event: Event, directory: RunDirectory) -> None:
    match event:
        case Turn():
            values = _numbers(event.values)
            logger.numbers(event.images, values | ({"speed/per second": event.rate} if event.rate else {}))
        case Probed() if event.values:
            logger.numbers(event.images, {f"measured/{name}": v for name, v in _numbers(event.values).items()})
        case Sampled():
            path = _grid(directory, event.images)
            if path.is_file():  # a full disk costs the picture
                png = path.read_bytes()
                size = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")  # of the header, IHDR
                logger.picture(event.images, png, size)
        case Alarm():
            if event.code == "ROLLBACK":
                logger.back(event.images)
            logger.alarm(event)


def _grid(directory: RunDirectory, images: int) -> Path:
    return directory.samples / f"{images:012d}.png"


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those that are numbers; NaN and infinities are told as they are."""
    return {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}


def _lost(images: int, name: str, error: Exception) -> Alarm:
    why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return Alarm(images, "LOG-LOST", f"{name} cannot be written ({why}); it is told nothing more, and the run goes on")
