"""What a trained game computes as ONNX files: z → image, (z, label) → image, image → image, image → logits.

The files are written by PyTorch's exporter from the networks as they are used (averaged weights, eval mode, float32),
with a batch of any size and, where the networks allow it, images of any size; then run with onnxruntime and compared
with PyTorch. What happens before and after is not in them: drawing z, reading pictures, rounding to 8 bits.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sparring
from sparring.chance import Dice
from sparring.errors import MachineError, SparringError, UsageError
from sparring.export.safetensors import able
from sparring.runs.run import Run
from sparring.types import (
    Classifies,
    HasLatents,
    HasLatentsByClass,
    Segments,
    Translates,
    TranslatesBack,
)

OPSET = 20
TOLERANCE = 1e-4
"""By how much onnxruntime and PyTorch may differ, of numbers of about 1."""
_LARGEST = 512 * 512  # pixels on which the two are compared
_DEEPEST = 32  # of how many pixels FCN-8s makes one: for any other sides it could not be traced
_MODEL, _BACK = "model.onnx", "back.onnx"

Sizes = tuple[int, int]


@dataclass(frozen=True)
class Port:
    """One input or output. shape: of numbers and names of sides that may be anything.   says: range and meaning."""

    name: str
    shape: tuple[int | str, ...]
    type: str
    says: str

    def line(self) -> str:
        """For people.

        >>> Port("z", ("batch", 64), "float32", "standard normal").line()
        'z: float32 (batch, 64), standard normal'
        """
        return f"{self.name}: {self.type} ({', '.join(map(str, self.shape))}), {self.says}"


@dataclass(frozen=True)
class Function:
    """A part of a game that becomes a file.

    module: computes it.   given: inputs (n, …) for n samples, of images with these sides.
    sides:  of images that it knows from training; None where it takes none.   unit: their sides are multiples of it.
    """

    file: str
    what: str
    module: nn.Module
    given: Callable[[int, Sizes], tuple[Tensor, ...]]
    inputs: tuple[Port, ...]
    output: Port
    sides: Sizes | None = None
    unit: int = 1


@dataclass(frozen=True)
class Written:
    """An ONNX file. difference: the largest one to PyTorch that was found, None where onnxruntime is not installed.
    notes: what its user should know."""

    file: str
    what: str
    inputs: tuple[Port, ...]
    output: Port
    difference: float | None
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """For people."""
        found = (
            "not compared with PyTorch, for onnxruntime is not installed" if self.difference is None
            else f"within {self.difference:.1g} of PyTorch" if self.difference else "equal to PyTorch"
        )  # fmt: skip
        return "; ".join((f"{self.file}: {self.what}", found, *self.notes))


def check(where: str = "") -> None:
    """`MachineError` where a package is not installed that writing needs."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MachineError(
            "EXTRA", "ONNX files need packages that are not installed", where=where, why=str(error),
            fix='pip install "sparring[onnx]"',
        ) from error  # fmt: skip


def write(run: Run, folder: Path, progress: Callable[..., None] | None = None) -> list[Written]:
    """Write every function of a run's game to `folder` and compare it with PyTorch.

    Raises `MachineError` (packages are missing), `UsageError` (the game computes nothing that can be written, or its
    code cannot be traced, or the file computes something else).
    """
    check(str(run.path))
    found = []
    with _calmly(), torch.no_grad():
        for number, function in enumerate(functions(run)):
            if progress is not None:
                progress(f"writing {function.file}, {function.what}", 0, 1) if number == 0 else None
            found.append(_written(run, function, folder))
    return found


# ── what a game computes ──────────────────────────────────────────────────────────────────────────────────────────


class _Calls(nn.Module):
    """A method of a game as a module, so that its weights go along."""

    def __init__(self, game: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.game, self.call = game, call

    def forward(self, *given: Tensor) -> Tensor:
        return self.call(*given)


def functions(run: Run) -> list[Function]:
    """What can be written of a run, the main one first; `UsageError` where nothing can."""
    game = copy.deepcopy(run.game).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    shape = tuple(int(side) for side in run.document["data"]["shape"])
    classes = run.classes
    found: list[Function] = []
    if isinstance(game, HasLatents):
        found.append(_decoder(game, shape, len(classes)))
    if isinstance(game, Translates):
        given = _given(run)
        found.append(_image(_MODEL, "image → translation", game, lambda x: game.translate(x, None), given, shape,
                            "translation", _RANGE, game.stride))  # fmt: skip
    if isinstance(game, TranslatesBack) and able("translate back", run):
        back: TranslatesBack = game
        found.append(_image(_BACK, "translation → image", game, lambda x: back.translate_back(x, None), shape,
                            _given(run), "image", _RANGE, game.stride, given="translation"))  # fmt: skip
    if isinstance(game, Classifies):
        logits = Port("logits", ("batch", len(classes)), "float32", "one for each class; softmax gives probabilities")
        found.append(
            Function(_MODEL, "image → logits", _Calls(game, game.classify), _pictures(shape[0]),
                     (Port("image", ("batch", *shape), "float32", _RANGE),), logits, (shape[1], shape[2]), 0)
        )  # fmt: skip
    if isinstance(game, Segments):
        found.append(_image(_MODEL, "image → logits of each pixel", game, game.segment, _given(run), shape, "logits",
                            "one map for each class; the largest is the class", _DEEPEST))  # fmt: skip
    if not found:
        raise UsageError(
            "EXPORT-ONNX", f"{type(run.game).__name__} computes nothing that ONNX could hold", where=str(run.path),
            why="it has no latents that are decoded, translates nothing and classifies nothing",
            fix="export it with --to safetensors",
        )  # fmt: skip
    return found


_RANGE = "[-1, 1] from black to white"


def _given(run: Run) -> tuple[int, ...]:
    """(C', H, W) of what is given to a game that translates."""
    from sparring.runs import plan as plans

    condition = plans.space_of_document(run.document).condition
    if condition is None:
        raise UsageError("EXPORT-ONNX", "the run does not say what its game is given", where=str(run.path))
    return condition


def _decoder(game: Any, shape: tuple[int, ...], classes: int) -> Function:
    """z, and where the game is told one the class, → samples."""
    told = isinstance(game, HasLatentsByClass)

    def given(n: int, sides: Sizes) -> tuple[Tensor, ...]:
        z = game.latents(Dice(0, "sample", range(n)))
        return (z, torch.arange(n) % classes) if told else (z,)

    z = given(1, (1, 1))[0]
    inputs = [Port("z", ("batch", *z.shape[1:]), "float32", "standard normal, each number by itself")]
    if told:
        inputs.append(Port("label", ("batch",), "int64", f"the class, 0 to {classes - 1}"))
    points = len(shape) == 1
    output = Port("points" if points else "image", ("batch", *shape), "float32",
                  "in the units of the data" if points else _RANGE)  # fmt: skip
    what = f"{'(z, label)' if told else 'z'} → {output.name}"
    return Function(_MODEL, what, _Calls(game, game.decode), given, tuple(inputs), output)


def _pictures(channels: int) -> Callable[[int, Sizes], tuple[Tensor, ...]]:
    """Images of noise, the same every time."""

    def given(n: int, sides: Sizes) -> tuple[Tensor, ...]:
        return (Dice(0, "export", range(n)).uniform(channels, *sides) * 2 - 1,)

    return given


def _image(
    file: str, what: str, game: nn.Module, call: Callable[..., Tensor], taken: Sequence[int], made: Sequence[int],
    name: str, says: str, unit: int, given: str = "image",
) -> Function:  # fmt: skip
    """An image of any size → an image of that size."""
    return Function(
        file, what, _Calls(game, call), _pictures(taken[0]),
        (Port(given, ("batch", taken[0], "height", "width"), "float32", _RANGE),),
        Port(name, ("batch", made[0], "height", "width"), "float32", says), (taken[1], taken[2]), unit,
    )  # fmt: skip


# ── writing and comparing ─────────────────────────────────────────────────────────────────────────────────────────


def _written(run: Run, function: Function, folder: Path) -> Written:
    """The file with sides of any size; where the code of the game cannot be traced so, of the size of training."""
    notes: list[str] = []
    try:
        program, free = _traced(function, free=bool(function.unit)), bool(function.unit)
    except (SparringError, OSError):
        raise
    except Exception as error:
        if not (function.sides and function.unit):
            raise _untraced(run, error) from error
        try:
            program, free = _traced(function, free=False), False
        except Exception as again:
            raise _untraced(run, again) from again
        notes.append("images of one size alone: the networks cannot be traced for any size")
    inputs, output = function.inputs, function.output
    if function.sides and function.unit and free and function.unit > 1:
        notes.append(f"height and width are multiples of {function.unit}")
    if function.sides and not free:
        inputs, output = tuple(_fixed(port, function.sides) for port in inputs), _fixed(output, function.sides)
    if function.what.endswith(("translation", "→ image")) and function.sides:
        notes.append("without noise (dropout), so the same image always gives the same one")
    if any(isinstance(port.shape[0], int) for port in program.model.graph.inputs):
        raise _untraced(run, ValueError("it works for one size of batch alone (len(x) of a tensor is a constant)"))
    _describe(program, run, function, inputs, output)
    path = folder / function.file
    program.save(path)
    found = Written(function.file, function.what, inputs, output, _compared(path, function, free), tuple(notes))
    if found.difference is not None and not found.difference <= TOLERANCE:
        raise UsageError(
            "EXPORT-ONNX", "the file computes something else than the game", where=str(path),
            why=f"they differ by {found.difference:.2g}; {TOLERANCE:g} is allowed", fix="export with --to safetensors",
        )  # fmt: skip
    return found


def _untraced(run: Run, error: Exception) -> UsageError:
    return UsageError(
        "EXPORT-ONNX", "the code of the game cannot be turned into ONNX", where=str(run.path),
        why=f"{type(error).__name__}: {(str(error.__cause__ or error).strip().splitlines() or [''])[0][:300]}",
        fix="export with --to safetensors",
    )  # fmt: skip


def _fixed(port: Port, sides: Sizes) -> Port:
    names = {"height": sides[0], "width": sides[1]}
    return Port(port.name, tuple(names.get(str(side), side) for side in port.shape), port.type, port.says)


def _traced(function: Function, *, free: bool) -> Any:
    """The program in ONNX. free: with sides of any size."""
    batch = torch.export.Dim("batch", min=1)
    dims: dict[int, Any] = {0: batch}
    sides = function.sides or (1, 1)
    if free and function.sides:
        unit = function.unit
        height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
        dims |= {2: unit * height if unit > 1 else height, 3: unit * width if unit > 1 else width}
        sides = (_multiple(sides[0], unit, 2), _multiple(sides[1], unit, 3))
    given = function.given(2, sides)
    shapes = tuple({axis: dim for axis, dim in dims.items() if axis < x.dim()} for x in given)
    return torch.onnx.export(
        function.module, given, dynamo=True, opset_version=OPSET, verbose=False, dynamic_shapes=(shapes,),
        input_names=[port.name for port in function.inputs], output_names=[function.output.name],
    )  # fmt: skip


def _multiple(side: int, unit: int, least: int) -> int:
    """The side, made a multiple of `unit`, at least `least` times it: tracing takes 1 for a constant."""
    return max(least, -(-side // unit)) * unit


def _describe(program: Any, run: Run, function: Function, inputs: Sequence[Port], output: Port) -> None:
    """Say in the file what it is; and leave out where on this machine the code lies that it was traced from."""
    model = program.model
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.producer_name, model.producer_version = "sparring", sparring.__version__
    model.doc_string = function.what
    model.metadata_props.update({
        "recipe": run.document["recipe"].rpartition("/")[2], "function": function.what,
        "inputs": json.dumps([port.line() for port in inputs], ensure_ascii=False), "output": output.line(),
        "classes": json.dumps(list(run.classes), ensure_ascii=False), "images": str(run.images),
    })  # fmt: skip


def _compared(path: Path, function: Function, free: bool) -> float | None:
    """The largest difference to PyTorch, on one sample and on three, of another size too where sizes are free."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sides = function.sides or (1, 1)
    unit = max(1, function.unit)
    usual = (_multiple(sides[0], unit, 1), _multiple(sides[1], unit, 1)) if free else sides
    other = (_multiple(sides[0] // 2, unit, 2), _multiple(sides[1] // 2, unit, 1)) if free else sides
    worst = 0.0
    for n, size in ((1, usual), (3, usual), (2, other)):
        if n > 1 and size[0] * size[1] > _LARGEST:
            continue
        given = function.given(n, size)
        named = {port.name: x.numpy() for port, x in zip(function.inputs, given, strict=True)}
        found = torch.from_numpy(session.run(None, named)[0])
        wanted = function.module(*given)
        if found.shape != wanted.shape:
            return float("inf")
        worst = max(worst, float((found - wanted).abs().max()))
    return worst


@contextmanager
def _calmly() -> Iterator[None]:
    """Inside, the exporter does not speak of packages that nobody needs."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
