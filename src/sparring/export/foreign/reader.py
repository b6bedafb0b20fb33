"""Reads one file that another program wrote, in a process of its own: ``python -I reader.py PATHS IN OUT``.

Tensors come out as safetensors, and what else is known of the network as one JSON line on stdout: or, as such a line,
why the file is not read. Whatever a hostile file may do, it does here: with little memory, little time, no terminal, no
environment, in an empty directory, and without leave to begin a process. `sparring.export.foreign.sandbox` is the
other side.

PATHS: where Python looks for modules, as JSON. Neither torch nor pickle is among those that are imported.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from sparring.export.foreign.tensors import Held

SECONDS = 60
"""Of computing time."""
SPARE = 512 * 2**20
"""Bytes of memory beyond four times the file."""
_KINDS = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!", "a rar archive"), (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"), (b"\xfd7zXZ", "an xz archive"), (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x89HDF", "an HDF5 file"), (b"\x93NUMPY", "an array of numpy"), (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"<", "a page"), (b"version https://git-lfs", "a note "
    "of git-lfs that the file is elsewhere"),
)  # fmt: skip


def main(source: str, target: str) -> int:
    from sparring.export.foreign import tensors
    from sparring.export.foreign.names import Refused

    limit(os.path.getsize(source))
    try:
        with open(source, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            named, facts = found(data, file)
        tensors.affordable(named, len(data))
        write(named, target)
    except Refused as error:
        return tell({"why": str(error)})
    except MemoryError:
        return tell({"why": "it asks for far more memory than its size explains"})
    except Exception as error:  # none is known; still no file is to end in a traceback
        return tell({"why": f"it is damaged, or no model ({type(error).__name__})"})
    return tell({"facts": facts}, 0)


def found(data: memoryview, file: BinaryIO) -> tuple[dict[str, Held], dict[str, Any]]:
    """The tensors of a file by name, nothing copied yet; and of a network that was pickled whole the facts of its
    layers (`modules.Facts`), with "as" what it was called. `Refused`. file: the same bytes as `data`."""
    from sparring.export.foreign import modules, tensors, zips
    from sparring.export.foreign.inert import Made
    from sparring.export.foreign.names import Refused

    head = bytes(data[:32])
    for magic, kind in _KINDS:
        if head.startswith(magic):
            raise Refused(f"it is {kind}, not a model")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= len(data):
        raise Refused("it is a safetensors file, and models of the programs that are known here are pickles")
    if head.startswith(b"PK\x03\x04"):
        root, storages = tensors.zipped(data, zips.parts(data, file))
    elif head.startswith(tensors.LEGACY):
        root, storages = tensors.legacy(data)
    else:
        root, storages = tensors.bare(data)
        if not isinstance(root, dict | Made) or (isinstance(root, dict) and not _networks(root)):
            raise Refused("it is a pickle, but it holds no network")
    if isinstance(root, Made) or (isinstance(root, dict) and _networks(root)):
        network, name = modules.generator(root)
        named, facts = modules.flattened(network, storages)
        return named, {"as": name, "layers": facts}
    return modules.checkpoint(root, storages), {}


def _networks(root: Mapping[Any, Any]) -> bool:
    """Whether a table is a snapshot of networks."""
    from sparring.export.foreign.modules import PERSISTENT, Made

    return any(
        isinstance(one, Made) and (one.what.kind == "class" or one.what.full == PERSISTENT) for one in root.values()
    )


def write(named: Mapping[str, Held], target: str) -> None:
    """A safetensors file of float32, tensor by tensor: the length of a JSON header, the header, the numbers."""
    header, at = {}, 0
    for name, held in named.items():
        size = 4 * held.count
        header[name] = {"dtype": "F32", "shape": held.shape, "data_offsets": (at, at + size)}
        at += size
    head = json.dumps(header).encode()
    with open(target, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for held in named.values():
            file.write(held.array().tobytes())


def limit(size: int) -> None:
    """Take from this process what it does not need."""
    with contextlib.suppress(ImportError):  # Windows has no limits: there the reader stands alone
        import resource

        used = 8 * 2**30  # where nobody says how much is in use
        with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        for name, most in (
            ("RLIMIT_AS", used + 4 * size + SPARE),
            ("RLIMIT_CPU", int(spent) + SECONDS),
            ("RLIMIT_FSIZE", 4 * size + 2**20),
            ("RLIMIT_NPROC", 0),
            ("RLIMIT_CORE", 0),
        ):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                resource.setrlimit(getattr(resource, name), (most, most))


def tell(what: Mapping[str, Any], code: int = 3) -> int:
    print(json.dumps(what), flush=True)
    return code


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    sys.exit(main(sys.argv[2], sys.argv[3]))
