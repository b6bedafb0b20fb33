"""Files that pretend to be models: programs in pickles, bombs, and archives that say two things at once.

Everything is made here, opcode by opcode, and says the same each time. Where one of them is run, it makes the directory
`canary`, or starts a process that does. tests/export uses them in one process, `benchmarks/proofs/foreign.py` through
the command. The names are those that scanners of pickles were found to know and not to know (classes of the samples of
picklescan's advisories); docs/security.md says why none is looked up here.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = b"\x80\x02M\xe9\x03."
MACHINE = b"\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88u."


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def blob(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def applied(function: bytes, *given: bytes) -> bytes:
    return function + b"(" + b"".join(given) + b"tR"


def whole(body: bytes, protocol: int = 4) -> bytes:
    return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + body + b"."


def framed(body: bytes) -> bytes:
    return whole(b"\x95" + struct.pack("<Q", len(body) + 1) + body)


def snapshot(body: bytes) -> bytes:
    """What stands where the network of a snapshot would stand."""
    return whole(b"}(" + text("G_ema") + body + b"u")


def programs(canary: Path) -> dict[str, tuple[str, str, tuple[bytes, ...]]]:
    """(module, name, arguments) that do something when they are called."""
    place, code = text(str(canary)), text(f"__import__('os').mkdir({str(canary)!r})")
    shell = text(f"mkdir {canary}")
    words = b"]" + b"".join(text(word) + b"a" for word in ("mkdir", str(canary)))
    said: list[tuple[str, str, tuple[bytes, ...]]] = [
        ("os", "mkdir", (place,)), ("posix", "mkdir", (place,)), ("nt", "mkdir", (place,)), ("os", "system", (shell,)),
        ("posix", "system", (shell,)), ("os", "popen", (shell,)), ("os", "execvp", (text("mkdir"), words)),
        ("os", "makedirs", (place,)), ("subprocess", "Popen", (words,)), ("subprocess", "call", (words,)),
        ("subprocess", "check_output", (words,)), ("subprocess", "getoutput", (shell,)), ("builtins", "eval", (code,)),
        ("builtins", "exec", (code,)), ("builtins", "__import__", (text("os"),)), ("builtins", "compile", (code,)),
        ("builtins", "open", (place, text("w"))), ("builtins", "getattr", (code, place)),
        ("builtins", "map", (code,)), ("__builtin__", "eval", (code,)), ("__builtin__", "apply", (code,)),
        ("importlib", "import_module", (text("antigravity"),)), ("importlib._bootstrap", "_load", (code,)),
        ("ctypes", "CDLL", (text("libc.so.6"),)), ("ctypes.util", "find_library", (code,)),
        ("runpy", "run_path", (place,)), ("runpy", "_run_code", (code, b"}")), ("pty", "spawn", (words,)),
        ("pickle", "loads", (blob(whole(applied(named("os", "mkdir"), place))),)),
        ("_pickle", "loads", (blob(whole(applied(named("os", "mkdir"), place))),)),
        ("marshal", "loads", (blob(b"c"),)), ("types", "FunctionType", (code,)), ("types", "CodeType", (code,)),
        ("operator", "attrgetter", (text("system"),)), ("operator", "methodcaller", (text("system"), shell)),
        ("functools", "partial", (named("os", "system"), shell)), ("functools", "reduce", (code,)),
        ("code", "InteractiveInterpreter", ()), ("webbrowser", "open", (text("http://127.0.0.1:9"),)),
        ("timeit", "timeit", (code,)), ("cProfile", "run", (code,)), ("profile", "Profile.run", (code,)),
        ("bdb", "Bdb.run", (code,)), ("doctest", "debug_script", (code,)), ("trace", "Trace.run", (code,)),
        ("asyncio.unix_events", "_UnixSubprocessTransport._start", (shell,)), ("socket", "create_connection", (place,)),
        ("multiprocessing.util", "spawnv_passfds", (words,)), ("shutil", "copytree", (text("/etc"), place)),
        ("tempfile", "mkdtemp", (b"N", b"N", place)), ("pathlib", "Path.mkdir", (place,)), ("io", "open", (place,)),
        ("codecs", "open", (place, text("w"))), ("logging.config", "listen", ()), ("site", "execsitecustomize", ()),
        ("urllib.request", "urlopen", (text("http://127.0.0.1:9"),)), ("pip", "main", (words,)), ("sys", "exit", ()),
        ("numpy.testing._private.utils", "runstring", (code, b"}")), ("numpy", "load", (place,)),
        ("numpy.f2py.crackfortran", "param_eval", (code,)), ("torch", "load", (place,)),
        ("torch.serialization", "load", (place,)), ("torch.hub", "load", (place,)), ("torch.jit", "load", (place,)),
        ("torch.utils.cpp_extension", "load_inline", (code,)), ("torch._dynamo.guards", "GuardBuilder.get", (code,)),
        ("torch.utils._config_module", "ConfigModule.load_config", (blob(b"x"),)),
        ("lib2to3.pgen2.grammar", "Grammar.loads", (blob(b"x"),)), ("idlelib.calltip", "Calltip.fetch_tip", (code,)),
        ("distutils.file_util", "write_file", (place, words)), ("_posixsubprocess", "fork_exec", ()),
        ("sparring.export.foreign.reader", "main", (place, place)), ("joblib", "load", (place,)),
    ]  # fmt: skip
    return {f"{module}.{name}": (module, name, given) for module, name, given in said}


def _ways(canary: Path) -> Iterator[tuple[str, bytes]]:
    """One program, reached in every way that the machine has, and in disguises."""
    place, mkdir = text(str(canary)), named("os", "mkdir")
    call = applied(mkdir, place)
    for protocol in range(6):
        yield f"protocol {protocol}", whole(call, protocol)
    yield "protocol 0, as text", b"cos\nmkdir\n(S'" + str(canary).encode() + b"'\ntR."
    yield "stacked", whole(applied(stacked("os", "mkdir"), place))
    yield "framed", framed(call)
    yield "INST", whole(b"(" + place + b"ios\nmkdir\n")
    yield "OBJ", whole(b"(" + mkdir + place + b"o")
    yield "NEWOBJ", whole(mkdir + place + b"\x85\x81")
    yield "NEWOBJ_EX", whole(mkdir + place + b"\x85}\x92")
    yield "EXT1", whole(b"\x82\x01" + place + b"\x85R")
    yield "EXT2", whole(b"\x83\x01\x00" + place + b"\x85R")
    yield "EXT4", whole(b"\x84\x01\x00\x00\x00" + place + b"\x85R")
    yield "PERSID", whole(b"Pos.mkdir\n")
    yield "BINPERSID", whole(place + b"Q")
    yield "BUILD on a layer", whole(named("torch.nn.modules.linear", "Linear") + b")\x81}" + text("x") + call + b"sb")
    yield "BUILD on a function", whole(mkdir + b"}" + text("__globals__") + b"}sb")
    yield (
        "its name from the memo",
        whole(text("os") + b"q\x000" + text("mkdir") + b"q\x010h\x00h\x01\x93" + place + b"\x85R"),
    )
    yield "from the memo", whole(mkdir + b"q\x05" + b"0h\x05" + place + b"\x85R")
    yield "thrown away", whole(call + b"0}")
    yield "thrown away with a mark", whole(b"(" + call + b"1}")
    yield "behind the end", whole(b"}") + whole(call)
    yield "twice", whole(b"}" + b"2" + call)
    yield "in a snapshot", snapshot(call)
    yield "in a snapshot, as a key", whole(b"}" + call + b"Ns")
    yield "as a parameter", snapshot(_layer(b"}" + text("weight") + call + b"s"))
    yield "as a layer", snapshot(_layer(b"}", b"}" + text("fc") + call + b"s"))
    yield "as the state", snapshot(applied(named("torch_utils.persistence", "_reconstruct_persistent_obj"), call))
    yield "as a dictionary", whole(applied(named("collections", "OrderedDict"), b"](" + call + b"e"))
    yield "a dotted name", whole(applied(stacked("torch.nn.modules.linear", "os.mkdir"), place))
    yield "a dotted name of torch", whole(applied(stacked("torch", "serialization.os.mkdir"), place))
    yield "a name within torch", whole(applied(stacked("torch.storage", "os"), place))
    yield "a name with an escape", whole(applied(stacked("os\x1b[2J\x07", "mkdir\n\r"), place))
    yield "a name with a zero", whole(applied(stacked("torch.nn.modules.linear\0os", "Linear"), place))
    yield "a name of other letters", whole(applied(stacked("collections", "OrderedDіct"), place))
    yield "an allowed name that is called", whole(applied(named("torch.nn.modules.linear", "Linear"), b"K\x02"))
    yield "a constant that is called", whole(applied(named("torch", "FloatStorage"), b"K\x02"))
    yield "another coding", whole(applied(named("_codecs", "encode"), text("π"), text("rot13")))
    yield (
        "what makes objects",
        whole(applied(named("copyreg", "_reconstructor"), mkdir, named("builtins", "object"), b"N")),
    )
    yield "numpy objects", snapshot(_layer(b"}", b"}", applied(named("numpy", "dtype"), text("O8"), b"\x89", b"\x88")))


def _layer(parameters: bytes, layers: bytes = b"}", other: bytes = b"N") -> bytes:
    state = b"}(" + text("_parameters") + parameters + text("_buffers") + b"}" + text("_modules") + layers
    state += text("other") + other + b"u"
    meta = b"}(" + text("type") + text("class") + text("module_src") + text("import os") + text("class_name")
    return applied(
        named("torch_utils.persistence", "_reconstruct_persistent_obj"),
        meta + text("Generator") + text("state") + state + b"u",
    )


def _tensor(storage: bytes, shape: bytes, strides: bytes, offset: bytes = b"K\x00") -> bytes:
    function = named("torch._utils", "_rebuild_tensor_v2")
    return applied(function, storage, offset, shape, strides, b"\x89", applied(named("collections", "OrderedDict")))


def _network(weight: bytes) -> bytes:
    return snapshot(_layer(b"}" + text("weight") + weight + b"s"))


def _stored(data: bytes) -> bytes:
    return applied(named("torch.storage", "_load_from_bytes"), blob(data))


def storage(count: int, numbers: bytes, dtype: str = "FloatStorage", root: bytes = b"") -> bytes:
    """One storage as a whole file of torch, as it was until 2020; it says that it has `count` numbers."""
    said = b"J" + struct.pack("<i", count)
    root = root or whole(b"(" + text("storage") + named("torch", dtype) + text("0") + text("cpu") + said + b"NtQ", 2)
    return LEGACY + VERSION + MACHINE + root + whole(b"]" + text("0") + b"a", 2) + struct.pack("<q", count) + numbers


def _nested(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Programs in the bytes of a storage, which torch opens as a file of its own, without a question."""
    call = whole(applied(named("os", "mkdir"), text(str(canary))), 2)
    one = b"K\x01\x85"
    yield "in a storage", _network(_tensor(_stored(call), one, one))
    yield "in a storage of torch", _network(_tensor(_stored(storage(1, b"\0\0\0\0", root=call)), one, one))
    yield "in the place of the magic number", _network(_tensor(_stored(call + VERSION + MACHINE), one, one))
    yield "in the machine", _network(_tensor(_stored(LEGACY + VERSION + call), one, one))
    yield (
        "in the keys",
        _network(_tensor(_stored(storage(1, b"")[: -len(whole(b"]" + text("0") + b"a", 2)) - 8] + call), one, one)),
    )
    yield "in a zip in a storage", _network(_tensor(_stored(zipped({"a/data.pkl": call})), one, one))
    again = whole(_stored(storage(1, b"\0\0\0\0", root=call)), 2)
    yield "in a storage in a storage", _network(_tensor(_stored(storage(1, b"\0\0\0\0", root=again)), one, one))
    yield "in a file of torch", zipped({"archive/data.pkl": call, "archive/version": b"3\n"})
    yield "in a file of torch as it was", LEGACY + VERSION + MACHINE + call + whole(b"]", 2)


def zipped(parts: Mapping[str, bytes], *, packed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return file.getvalue()


def _archives(canary: Path) -> Iterator[tuple[str, bytes]]:
    call = whole(applied(named("os", "mkdir"), text(str(canary))), 2)
    benign = checkpoint()
    inner = zipped({"archive/data.pkl": call})
    twin = zipped({"archive/data.pkl": benign, "archive/dato.pkl": call})
    yield "a zip in a zip", zipped({"archive/inner.zip": inner, "archive/readme.txt": b"hello"})
    yield "two data.pkl", zipped({"archive/data.pkl": benign, "other/data.pkl": call})
    yield "data.pkl twice", twin.replace(b"dato.pkl", b"data.pkl")
    yield "two names for one part", _renamed(zipped({"archive/data.pkl": benign}), b"data.pkl", b"dato.pkl")
    yield "one part over another", _overlapping(benign)
    yield "packed", zipped({"archive/data.pkl": call, "archive/data/0": b"\0" * 2**24}, packed=True)
    yield "a zip behind something", b"\x80\x04" + call + zipped({"archive/data.pkl": benign})
    yield "TorchScript", zipped({"a/data.pkl": call, "a/code/__torch__.py": b"import os", "a/constants.pkl": call})
    yield "an array of numpy in a zip", zipped({"arr_0.npy": b"\x93NUMPY\x01\x00" + call})
    yield "cut", inner[: len(inner) // 2]
    yield "a directory without its parts", inner[inner.index(b"PK\x01\x02") :]
    yield "7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + call
    yield "gzip", gzip.compress(call, mtime=0)
    yield "HDF5", b"\x89HDF\r\n\x1a\n" + call
    yield "safetensors that is none", struct.pack("<Q", len(call) + 1) + b"{" + call
    yield "a page", b"<html><script>alert(1)</script>" + call
    yield "a note of git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    yield "nothing", b"\0"


def checkpoint() -> bytes:
    """data.pkl of an empty table, which is no network either."""
    return whole(b"}", 2)


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Another name in the header in front of a part than in the directory."""
    at = data.index(old)
    return data[:at] + new + data[at + len(old) :]


def _overlapping(inside: bytes) -> bytes:
    data = zipped({"archive/data.pkl": inside, "archive/data/0": b"\0" * 64})
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    grown = struct.pack("<II", len(inside) + 40, len(inside) + 40)  # the first part reaches into the second
    return data[: first + 20] + grown + data[first + 28 : second] + data[second:]


def bombs() -> Iterator[tuple[str, bytes]]:
    """Much out of little: memory, time, or a deep stack."""
    one = _stored(storage(1, b"\0\0\0\0"))
    wide = b"J" + struct.pack("<i", 2**20)
    yield "4 TB in 1.6 KB", _network(_tensor(one, wide + wide + b"\x86", b"K\x00K\x00\x86"))
    yield "more sides than a tensor", _network(_tensor(one, b"(" + b"K\x01" * 40 + b"t", b"(" + b"K\x00" * 40 + b"t"))
    yield "sides below nothing", _network(_tensor(one, b"J\xff\xff\xff\xff\x85", b"K\x01\x85"))
    yield "a stride below nothing", _network(_tensor(one, b"K\x02\x85", b"J\xff\xff\xff\xff\x85"))
    yield "a side that is no number", _network(_tensor(one, text("9") + b"\x85", b"K\x01\x85"))
    yield "behind the storage", _network(_tensor(one, b"K\x01\x85", b"K\x01\x85", b"M\xff\xff"))
    yield "beyond the storage", _network(_tensor(one, b"K\x02\x85", b"K\x01\x85"))
    yield (
        "a storage of more than it has",
        _network(_tensor(_stored(storage(2**31 - 1, b"\0\0\0\0")), b"K\x01\x85", b"K\x01\x85")),
    )
    yield (
        "a storage of less than nothing",
        _network(_tensor(_stored(storage(-5, b"\0\0\0\0")), b"K\x01\x85", b"K\x01\x85")),
    )
    wrapped = named("torch._utils", "_rebuild_parameter") * 5_000
    inside = _tensor(one, b"K\x01\x85", b"K\x01\x85") + b"\x89}\x87R" * 5_000
    yield "5,000 parameters, each in the next", _network(wrapped + inside)
    yield (
        "an unknown storage",
        _network(_tensor(_stored(storage(1, b"\0" * 16, "ComplexDoubleStorage")), b"K\x01\x85", b"K\x01\x85")),
    )
    yield "a text of 4 GB", whole(b"X\xff\xff\xff\xff")
    yield "a text of 16 EB", whole(b"\x8d" + b"\xff" * 8)
    yield "bytes of 16 EB", whole(b"\x8e" + b"\xff" * 8)
    yield "a number of 2 GB", whole(b"\x8b\xff\xff\xff\x7f")
    yield "a number of less than nothing", whole(b"\x8b\xff\xff\xff\xff")
    yield "a decimal of 100,000 digits", whole(b"I" + b"9" * 100_000 + b"\n", 0)
    yield "a frame of 16 EB", whole(b"\x95" + b"\xff" * 8 + b"\x8d" + b"\xff" * 8)
    yield "100,000 marks", whole(b"(" * 100_000)
    yield "100,000 tuples, each in the next", whole(b")" + b"\x85" * 100_000)
    yield "100,000 tuples as a key", whole(b"}" + b")" + b"\x85" * 100_000 + b"Ns")
    laughs = b"]q\x00" + b"".join(b"0]q%c(" % (k + 1) + b"h%c" % k * 10 + b"e" for k in range(30))
    yield "a billion laughs", whole(laughs)
    yield "a billion laughs in a network", _network(laughs)
    yield (
        "layers that hold themselves",
        snapshot(b"}q\x01" + _layer(b"}", b"h\x01" + text("a") + _layer(b"}", b"h\x01") + b"s")),
    )
    yield "a list that holds itself", whole(b"]q\x00h\x00a")
    twins = _layer(b"}")
    for _ in range(30):
        twins = twins + b"q\x070" + _layer(b"}", b"}(" + text("a") + b"h\x07" + text("b") + b"h\x07u")
    yield "2³⁰ layers of 30", whole(b"}" + text("G_ema") + twins + b"s")
    yield "the pickle of TensorFlow", whole(applied(named("dnnlib.tflib.network", "Network")), 3)
    yield "an object without its end", whole(b"")
    yield "a stack that is empty", whole(b"0000R")
    yield "an unknown opcode", whole(b"\xfe")
    yield "protocol 77", b"\x80\x4d}."


def payloads(canary: Path) -> dict[str, bytes]:
    """Every hostile file, by what it does.

    >>> files = payloads(Path("/tmp/canary"))
    >>> len(files) >= 150, all(isinstance(data, bytes) for data in files.values())
    (True, True)
    """
    found = {f"calls {name}": whole(applied(stacked(module, what), *given))
             for name, (module, what, given) in programs(canary).items()}  # fmt: skip
    for kind in (_ways(canary), _nested(canary), _archives(canary), bombs()):
        found |= dict(kind)
    return found
