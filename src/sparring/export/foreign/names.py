"""What a model's file may name. Nothing here is ever imported or called: a name that is allowed becomes a record, one
that is not ends the reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["function", "class", "mapping", "group", "constant"]


class Refused(Exception):
    """Why a file is not read, in a sentence."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a file may say. kind: whether it may be applied ("function"), made without arguments ("class"), or
    stands for a dictionary ("mapping"), a set ("group"), or itself."""

    module: str
    name: str
    kind: Kind

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
"""torch's names of storages, and what is in them."""

_FUNCTIONS = {
    "torch_utils.persistence._reconstruct_persistent_obj",
    "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2", "torch.storage._load_from_bytes", "torch.Size", "torch.device",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.dtype",
    "_codecs.encode", "copyreg._reconstructor", "copy_reg._reconstructor",
}  # fmt: skip
_MAPPINGS = {"collections.OrderedDict", "dnnlib.util.EasyDict", "dnnlib.EasyDict"}
_GROUPS = {"builtins.set", "builtins.frozenset", "__builtin__.set", "__builtin__.frozenset"}
_CONSTANTS = {
    "builtins.object", "__builtin__.object", "numpy.ndarray", "torch.Tensor", "torch.nn.parameter.Parameter",
    *(f"torch.{name}" for name in STORAGES), *(f"torch.{dtype}" for dtype in STORAGES.values()),
}  # fmt: skip
_CLASSES = re.compile(
    r"(torch\.nn\.modules(\.\w{1,40}){1,3}|R3GAN\.\w{1,40}|training\.networks\w{0,40})\.[A-Z]\w{0,40}", re.A
)
_TENSORFLOW = re.compile(r"(dnnlib\.)?(tflib|tfutil)(\.\w+)*\.\w+|tensorflow\..*")


def allowed(module: str, name: str) -> Name:
    """The record of a name, or `Refused`."""
    full = f"{module}.{name}"
    kinds: tuple[tuple[set[str], Kind], ...] = (
        (_FUNCTIONS, "function"), (_MAPPINGS, "mapping"), (_GROUPS, "group"), (_CONSTANTS, "constant"),
    )  # fmt: skip
    for known, kind in kinds:
        if full in known:
            return Name(module, name, kind)
    if _CLASSES.fullmatch(full):
        return Name(module, name, "class")
    if _TENSORFLOW.fullmatch(full):
        raise Refused(
            "it is a pickle of TensorFlow (ProGAN, StyleGAN, or the first form of StyleGAN2), of which the weights are "
            "laid out otherwise; a StyleGAN2 can be read once legacy.py of stylegan2-ada-pytorch has written it anew"
        )
    raise Refused(
        f"it names {shown(full)}, as no model that is known here does: opened in the usual way it would be run"
    )


def shown(text: str, most: int = 80) -> str:
    """Something that a file says, fit to be printed.

    >>> shown("os.system\\x1b[31m")
    'os.system?[31m'
    """
    plain = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text[: most + 1])
    return plain if len(text) <= most else plain[:most] + "…"
