"""Reads one file that ``torch.save`` wrote, in a process of its own: ``python -P unpickle.py IN OUT``.

Only tensors come out, as safetensors. Nothing that the file says is executed (``weights_only``), and whatever else a
hostile file may do, it does here: with little memory, little time, no terminal, in an empty directory. What went wrong
is said as one JSON line on stdout, which `sparring.export.classic_file` reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

SECONDS = 60
"""Of computing time, after torch has been imported."""
SPARE = 512 * 2**20
"""Bytes of memory beyond four times the file."""
MOST_TENSORS = 20_000


def main(source: str, target: str) -> int:
    import torch

    torch.set_num_threads(1)
    limit(os.path.getsize(source))
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
        tensors = checked(found, os.path.getsize(source))
    except Refused as error:
        return tell(str(error))
    except MemoryError:
        return tell("it asks for far more memory than its size explains")
    except Exception as error:  # of many kinds: what torch says of a damaged file
        return tell(reason(error))
    from safetensors.torch import save_file

    save_file(tensors, target)
    return 0


class Refused(Exception):
    """What is wrong with the contents, in a sentence."""


def checked(found: object, size: int) -> dict[str, Any]:
    """The tensors that were found, name by name, as plain float32. size: of the file, in bytes."""
    import torch

    if not isinstance(found, Mapping) or not found:
        raise Refused(f"it holds a {type(found).__name__}, and a checkpoint is a table of tensors by name")
    if len(found) > MOST_TENSORS:
        raise Refused(f"it holds {len(found):,} entries, far more than a network has")
    named, held = {}, {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            what = f"a {type(tensor).__name__} called {name!r}"[:80] if isinstance(name, str) else "what has no name"
            raise Refused(f"beside tensors it holds {what}: it is no checkpoint of a network alone")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise Refused(f"{name!r} is no plain tensor")
        if tensor.dtype not in (torch.float32, torch.float16, torch.float64, torch.bfloat16, torch.int64):
            raise Refused(f"{name!r} holds {str(tensor.dtype).removeprefix('torch.')}")
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        named[name] = tensor
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in named.values())
    if claimed > size or sum(held.values()) > size:  # a few bytes that claim to be terabytes
        raise Refused(f"its tensors claim {max(claimed, sum(held.values())):,} bytes, and the file has {size:,}")
    return {name: tensor.detach().float().contiguous().clone() for name, tensor in named.items()}


def reason(error: Exception) -> str:
    """One line of what torch says, without its advice (which is to load the file unsafely)."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if match := re.search(r"GLOBAL ([\w.]+)", text):
        return f"it names {match[1]}, which is no tensor: opened in the usual way it would run code"
    if "alloc" in text or "memory" in text.lower():
        return "it asks for far more memory than its size explains"
    if "Weights only load failed" in text:
        return "it is damaged, or holds more than tensors"
    first = text.strip().splitlines()[0][:120] if text.strip() else type(error).__name__
    return f"it is damaged, or no checkpoint: {first}"


def limit(size: int) -> None:
    """Take from this process what it does not need."""
    with contextlib.suppress(ImportError):  # Windows has no limits: there weights_only stands alone
        import resource

        used = 8 * 2**30  # where nobody says how much is in use
        with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        for name, most in (
            ("RLIMIT_AS", used + 4 * size + SPARE),
            ("RLIMIT_CPU", int(spent) + SECONDS),
            ("RLIMIT_FSIZE", 4 * size + 2**20),
            ("RLIMIT_CORE", 0),
        ):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                resource.setrlimit(getattr(resource, name), (most, most))


def tell(why: str) -> int:
    print(json.dumps({"why": why}), flush=True)
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
