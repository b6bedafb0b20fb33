"""What a trained game computes (`functions`) as ONNX files.

They are written by PyTorch's exporter from the networks as they are used (averaged weights, eval mode, float32), with a
batch of any size and, where the networks allow it, images of any size; then run with onnxruntime, and compared.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import sparring
from sparring.errors import MachineError, SparringError, UsageError
from sparring.export.functions import Function, Port, Sizes, functions
from sparring.runs.run import Run

OPSET = 20
TOLERANCE = 1e-4
"""By how much onnxruntime and PyTorch may differ, of numbers of about 1."""
_LARGEST = 512 * 512  # pixels on which the two are compared


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
        for function in functions(run):
            if progress is not None:
                progress(f"writing {function.file}, {function.what}", 0, 1)
            found.append(_written(run, function, folder))
    return found


# ── writing and comparing ─────────────────────────────────────────────────────────────────────────────────────────


def _written(run: Run, function: Function, folder: Path) -> Written:
    """One file, compared with PyTorch."""
    program, free = _program(run, function)
    inputs, output, notes = function.inputs, function.output, list(function.notes)
    if function.sides and free and function.unit > 1:
        notes.insert(0, f"height and width are multiples of {function.unit}")
    if function.sides and not free:
        inputs, output = tuple(_fixed(port, function.sides) for port in inputs), _fixed(output, function.sides)
        if function.unit:
            notes.insert(0, "images of one size alone: the networks cannot be traced for any size")
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


def _program(run: Run, function: Function) -> tuple[Any, bool]:
    """(the program, whether sides may be of any size): where the code of the game cannot be traced so, of the size of
    training. The batch is always of any size."""
    trouble: Exception = ValueError("the size of its batch is a constant: len(x) of a tensor is one in a program")
    for free in (True, False) if function.sides and function.unit else (False,):
        try:
            program = _traced(function, free=free)
        except (SparringError, OSError):
            raise
        except Exception as error:
            trouble = error
            continue
        shapes = [port.shape for port in program.model.graph.inputs]
        if not any(isinstance(shape[axis], int) for shape in shapes for axis in ((0, 2, 3) if free else (0,))):
            return program, free
    raise _untraced(run, trouble) from trouble


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
