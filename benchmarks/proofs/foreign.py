"""The proof that nothing in a foreign file is executed: hostile files by the command, mutations by the reader.

    python -m benchmarks.proofs.foreign --mutations 10000 --out benchmarks/results/foreign.json

- hostile: each file of `hostile.payloads` is given to ``sparring convert``, which reads it in a process of its own. It
  counts as a failure when the canary is there, the exit code is not 4, something is left behind, or what is said is
  anything but one reason of one line;
- mutations: opcodes of benign files (snapshots of StyleGAN2 and R3GAN by protocols 2, 4 and 5, checkpoints of torch of
  both kinds) are replaced, removed, doubled, swapped, and mixed with those of programs, and read in this process, where
  every import, call of a file, process or socket is counted (`sys.addaudithook`). It counts as a failure when anything
  is counted, when anything but `Refused` is raised, or when one takes more than 5 s. A mutation may still be a model:
  then its numbers are looked at too;
- benign: the same files, not mutated, must be read; and a snapshot of a StyleGAN2 for 1024 × 1024 (random weights) is,
  with the time and the memory that this takes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import pickletools
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tests.export import published_networks, published_r3gan
from tests.export.snapshots import snapshot

from benchmarks.proofs import hostile
from benchmarks.proofs.hostile import named, payloads, text, zipped
from benchmarks.speed.machine import record
from sparring.cli import main as sparring
from sparring.export.foreign import reader, sandbox, tensors
from sparring.export.foreign.names import Refused

SECONDS = 5.0
_READ = """
import sys
from benchmarks.spent import peak
from sparring.export.foreign import reader
reader.main(*sys.argv[1:])
print(peak())
"""
_WATCHED = (
    "import",
    "open",
    "exec",
    "compile",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "pickle.",
    "shutil.",
    "marshal.",
)


class Watch:
    """What Python reports of itself (PEP 578) while `watching`: imports, files, processes, sockets, code."""

    def __init__(self) -> None:
        self.watching, self.seen = False, Counter[str]()
        for data in benign().values():
            read(data)  # what reading needs is imported by now
        sys.addaudithook(self._heard)

    def _heard(self, event: str, _: Any) -> None:
        if self.watching and event.startswith(_WATCHED):
            self.seen[event] += 1

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.watching = True
        try:
            yield
        finally:
            self.watching = False


def benign() -> dict[str, bytes]:
    """Small files in the layouts that are read."""
    torch.manual_seed(0)
    style = published_networks.Generator(3, 4, [4, 2], layers=1)
    r3gan = published_r3gan.Generator(3, [4, 2], width=2, blocks=1)
    files = {f"stylegan2, protocol {k}": snapshot(style, k) for k in (2, 4, 5)}
    files |= {f"r3gan, protocol {k}": snapshot(r3gan, k, cur_nimg=1) for k in (2, 4)}
    for name, as_zip in (("checkpoint", True), ("checkpoint, as until 2020", False)):
        file = io.BytesIO()
        torch.save(torch.nn.Linear(2, 2).state_dict(), file, _use_new_zipfile_serialization=as_zip)
        files[name] = file.getvalue()
    return files


def read(data: bytes) -> int:
    """How many numbers a file holds, each of them looked at. `Refused`."""
    found, _ = reader.found(memoryview(data), io.BytesIO(data))
    tensors.affordable(found, len(data))
    return sum(held.array().size for held in found.values())


# ── mutations ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Benign:
    """A file as the opcodes of its object, and what stands before and behind them; or of a zip its other parts."""

    before: bytes
    opcodes: list[bytes]
    behind: bytes
    parts: Mapping[str, bytes]

    @classmethod
    def of(cls, data: bytes) -> Benign:
        parts: dict[str, bytes] = {}
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            data = next(content for name, content in parts.items() if name.endswith("data.pkl"))
        begin = 0
        for _ in range(3 if data.startswith(tensors.LEGACY) else 0):  # the fourth pickle is the object
            begin = _cuts(data, begin)[-1]
        cuts = _cuts(data, begin)
        return cls(data[:begin], [data[a:b] for a, b in pairwise(cuts)], data[cuts[-1] :], parts)

    def with_opcodes(self, opcodes: list[bytes]) -> bytes:
        data = self.before + b"".join(opcodes) + self.behind
        if not self.parts:
            return data
        return zipped({name: data if name.endswith("data.pkl") else part for name, part in self.parts.items()})


def _cuts(data: bytes, begin: int) -> list[int]:
    """Where the opcodes of the pickle at `begin` begin, and where the last one ends."""
    places = [place or 0 for _, _, place in pickletools.genops(io.BytesIO(data[begin:]))]
    return [begin + place for place in places] + [begin + places[-1] + 1]


_CODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
_PROGRAMS = [
    named("os", "mkdir"), named("builtins", "exec") + text("1") + b"\x85R", named("posix", "system") + b")R", b")R",
    text("os") + text("system") + b"\x93", b"\x82\x01", b"ios\nmkdir\n", b"o", b"}b", b"Q", b")\x81", b"}\x92",
]  # fmt: skip


def mutated(opcodes: list[bytes], dice: random.Random) -> list[bytes]:
    """One to four changes: another opcode, one less, one twice, two swapped, another argument, or part of a program."""
    made = list(opcodes)
    for _ in range(dice.randint(1, 4)):
        at, other = dice.randrange(len(made)), dice.randrange(len(made))
        match dice.randrange(6):
            case 0:
                made[at] = dice.choice(_CODES) + made[at][1:]
            case 1:
                made[at] = b""
            case 2:
                made.insert(other, made[at])
            case 3:
                made[at], made[other] = made[other], made[at]
            case 4 if len(made[at]) > 1:
                byte = dice.randrange(1, len(made[at]))
                made[at] = made[at][:byte] + bytes([dice.randrange(256)]) + made[at][byte + 1 :]
            case _:
                made.insert(at, dice.choice(_PROGRAMS))
    return made


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name of the file, the file changed), `count` times."""
    dice = random.Random(seed)
    files = {name: Benign.of(data) for name, data in benign().items()}
    names = list(files)
    for k in range(count):
        file = files[names[k % len(names)]]
        yield names[k % len(names)], file.with_opcodes(mutated(file.opcodes, dice))


def _kind(reason: str) -> str:
    return "it names what no model does" if reason.startswith("it names ") else reason[:60]


def try_mutations(count: int, watch: Watch, seed: int = 0) -> dict[str, Any]:
    """What became of them, and what failed."""
    refused, models, failures, slowest = Counter[str](), Counter[str](), [], 0.0
    watch.seen.clear()
    for name, data in mutations(count, seed):
        began = time.perf_counter()
        try:
            with watch.on():
                read(data)
            models[name] += 1
        except Refused as error:
            refused[_kind(str(error))] += 1
        except Exception as error:  # whatever it is, it is a failure
            failures.append(f"{name}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.perf_counter() - began)
    if slowest > SECONDS:
        failures.append(f"one took {slowest:.1f} s")
    failures += [f"{event}, {times} times" for event, times in watch.seen.items()]
    return {
        "mutations": count, "seed": seed, "refused": refused.total(), "still models": models.total(),
        "reasons": dict(refused.most_common(12)), "slowest, s": round(slowest, 3), "failures": failures[:20],
    }  # fmt: skip


# ── hostile files ─────────────────────────────────────────────────────────────────────────────────────────────────


def through_the_command(folder: Path) -> dict[str, Any]:
    """What ``sparring convert`` does with each of them."""
    canary, failures, reasons = folder / "canary", [], {}
    for name, data in payloads(canary).items():
        file, run = folder / "model.pkl", folder / "run"
        file.write_bytes(data)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = sparring(["convert", str(file), "--out", str(run)])
        lines = [line.removeprefix("  why: ") for line in said.getvalue().splitlines() if line.startswith("  why: ")]
        reasons[name] = lines[0] if lines else ""
        if code != 4 or len(lines) != 1 or "Traceback" in said.getvalue() or canary.exists() or run.exists():
            failures.append(f"{name}: exit code {code}: {said.getvalue()[-300:]}")
    return {"files": len(reasons), "failures": failures, "reasons": reasons}


def peak(file: Path) -> float:
    """The most MB that a process holds which reads this file."""
    ended = subprocess.run(
        [sys.executable, "-c", _READ, str(file), str(file.with_suffix(".out"))],
        capture_output=True,
        text=True,
        check=True,
    )
    return round(int(ended.stdout.splitlines()[-1]) / 1e6)


def bombs(folder: Path) -> dict[str, float]:
    """MB that reading takes, of each file that asks for much."""
    found = {}
    for name, data in hostile.bombs():
        (folder / "bomb.pkl").write_bytes(data)
        found[name] = peak(folder / "bomb.pkl")
    return found


def large(folder: Path) -> dict[str, Any]:
    """A snapshot as large as those of people's faces, read."""
    torch.manual_seed(0)
    network = published_networks.Generator(512, 512, [512, 512, 512, 512, 512, 256, 128, 64, 32], layers=8)
    file = folder / "ffhq.pkl"
    file.write_bytes(snapshot(network))
    began = time.perf_counter()
    found = sandbox.read(file)
    seconds = time.perf_counter() - began
    same = all(torch.equal(tensor, found.tensors[name]) for name, tensor in network.state_dict().items())
    return {"MB": round(file.stat().st_size / 1e6), "seconds": round(seconds, 1), "process, MB": peak(file),
            "tensors as they were": same}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.foreign", description=__doc__.split("\n")[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    watch = Watch()
    sizes = {name: read(data) for name, data in benign().items()}
    changed = try_mutations(given.mutations, watch, given.seed)
    print({name: value for name, value in changed.items() if name != "reasons"}, flush=True)
    with tempfile.TemporaryDirectory(prefix="sparring-foreign-") as place:
        thrown = through_the_command(Path(place)) | {"MB": bombs(Path(place))}
        faces = large(Path(place))
        for failure in thrown["failures"]:
            print(failure, file=sys.stderr)
    record(
        given.out, claim="nothing that a foreign file says is executed, and every hostile one is refused in a sentence",
        command=f"python -m benchmarks.proofs.foreign --mutations {given.mutations} --seed {given.seed}",
        benign={"numbers read": sizes, "1024 × 1024": faces}, mutations=changed, hostile=thrown,
    )  # fmt: skip
    return 1 if changed["failures"] or thrown["failures"] or not faces["tensors as they were"] else 0


if __name__ == "__main__":
    sys.exit(main())
