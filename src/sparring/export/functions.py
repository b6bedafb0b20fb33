"""What a trained game computes, as functions of tensors: z → image, (z, label) → image, image → image, image → logits.

What happens before and after is in none of them: drawing z, reading pictures, rounding to 8 bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.export.safetensors import able
from sparring.runs import plan as plans
from sparring.runs.run import Run
from sparring.types import (
    Classifies,
    HasLatents,
    HasLatentsByClass,
    HasLatentsByText,
    SamplesByText,
    Segments,
    Translates,
    TranslatesBack,
)

MAIN, BACK = "model.onnx", "back.onnx"
"""The file of what a game is for, and of the way back where it knows one."""

Sizes = tuple[int, int]
"""Height and width."""

_DEEPEST = 32  # of how many pixels FCN-8s makes one: for any other sides it could not be traced
_RANGE = "[-1, 1] from black to white"
PRIORS = {
    "normal": "standard normal, each number by itself",
    "sphere": "uniform on the unit sphere: a standard normal vector divided by its length",
}
"""What to draw z from, by `HasLatents.prior`."""
_STILL = ("without noise (dropout), so the same image always gives the same one",)


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
    sides:  of the images that it was trained on; None where it takes none.   unit: sides are multiples of it; 0: none
    but these will do.   notes: what its user should know.
    """

    file: str
    what: str
    module: nn.Module
    given: Callable[[int, Sizes], tuple[Tensor, ...]]
    inputs: tuple[Port, ...]
    output: Port
    sides: Sizes | None = None
    unit: int = 0
    notes: tuple[str, ...] = ()


class _Calls(nn.Module):
    """A method of a game as a module, so that its weights go along."""

    def __init__(self, game: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.game, self.call = game, call

    def forward(self, *given: Tensor) -> Tensor:
        return self.call(*given)


def functions(run: Run) -> list[Function]:
    """What can be written of a run, the main one first; `UsageError` where nothing can."""
    # as Any: its type says which game it is, its interfaces what it can do
    game: Any = copy.deepcopy(run.game).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    shape = tuple(int(side) for side in run.document["data"]["shape"])
    classes = len(run.classes)
    found: list[Function] = []
    if isinstance(run.game, HasLatents) and not isinstance(run.game, HasLatentsByText):  # an encoder reads its texts
        found.append(_decoder(game, shape, classes))
    if isinstance(run.game, Translates) and not isinstance(run.game, Segments):  # whose logits say more
        found.append(_image(MAIN, "image → translation", game, lambda x: game.translate(x, None), _given(run), shape,
                            "translation", _RANGE, game.stride, notes=_STILL))  # fmt: skip
    if isinstance(run.game, TranslatesBack) and able("translate back", run):
        found.append(_image(BACK, "translation → image", game, lambda x: game.translate_back(x, None), shape,
                            _given(run), "image", _RANGE, game.stride, "translation", _STILL))  # fmt: skip
    if isinstance(run.game, Classifies):
        logits = Port("logits", ("batch", classes), "float32", "one for each class; softmax gives probabilities")
        image = Port("image", ("batch", *shape), "float32", _RANGE)
        found.append(Function(MAIN, "image → logits", _Calls(game, game.classify), _pictures(shape[0]), (image,),
                              logits, (shape[1], shape[2])))  # fmt: skip
    if isinstance(run.game, Segments):
        found.append(_image(MAIN, "image → logits of each pixel", game, game.segment, _given(run), shape, "logits",
                            "one map for each class; the largest is the class", _DEEPEST))  # fmt: skip
    if not found:
        why = "it has no latents that are decoded, translates nothing and classifies nothing"
        if isinstance(run.game, SamplesByText):
            why = "what it makes is of a text, and a text is read by an encoder that is no part of it"
        raise UsageError(
            "EXPORT-ONNX", f"{type(run.game).__name__} computes nothing that ONNX could hold", where=str(run.path),
            why=why,
            fix="export it with --to safetensors",
        )  # fmt: skip
    return found


def _given(run: Run) -> tuple[int, ...]:
    """(C', H, W) of what is given to a game that translates."""
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
    inputs = [Port("z", ("batch", *z.shape[1:]), "float32", PRIORS[game.prior])]
    if told:
        inputs.append(Port("label", ("batch",), "int64", f"the class, 0 to {classes - 1}"))
    points = len(shape) == 1
    output = Port("points" if points else "image", ("batch", *shape), "float32",
                  "in the units of the data" if points else _RANGE)  # fmt: skip
    what = f"{'(z, label)' if told else 'z'} → {output.name}"
    return Function(MAIN, what, _Calls(game, game.decode), given, tuple(inputs), output)


def _pictures(channels: int) -> Callable[[int, Sizes], tuple[Tensor, ...]]:
    """Images of noise, the same every time."""

    def given(n: int, sides: Sizes) -> tuple[Tensor, ...]:
        return (Dice(0, "export", range(n)).uniform(channels, *sides) * 2 - 1,)

    return given


def _image(
    file: str, what: str, game: nn.Module, call: Callable[..., Tensor], taken: Sequence[int], made: Sequence[int],
    name: str, says: str, unit: int, given: str = "image", notes: tuple[str, ...] = (),
) -> Function:  # fmt: skip
    """An image of any size → an image of that size."""
    return Function(
        file, what, _Calls(game, call), _pictures(taken[0]),
        (Port(given, ("batch", taken[0], "height", "width"), "float32", _RANGE),),
        Port(name, ("batch", made[0], "height", "width"), "float32", says), (taken[1], taken[2]), unit, notes,
    )  # fmt: skip
