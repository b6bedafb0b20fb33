"""Mutation testing of the mathematics: every small error that a machine can think of must be noticed by a test.

    python -m benchmarks.proofs.mutants                            # go on where the last call stopped
    python -m benchmarks.proofs.mutants --only losses --minutes 30 # some modules, for some time
    python -m benchmarks.proofs.mutants --write                    # only write the results so far

Mutants come from cosmic-ray's operators (numbers ± 1, arithmetic and comparisons exchanged, conditions negated, loops
emptied, decorators removed, …), applied to a *copy* of the repository, one at a time. Each is tested in a process
forked from one that has imported torch and pytest, but nothing of ours: it runs the tests named in `TESTS`, its own
first, and stops at the first that fails. A mutant is killed if a test fails, or if the tests hang.

Left out: mutants that only change an annotation, or whether an argument may be given by position. Outcomes are kept in
runs/mutants.jsonl under a hash of the mutated program, and survivors also under a hash of their tests, so that nothing
is tried twice. Survivors that compute the same as the original are named, with the reason, in mutants_equivalent.json
beside this file; all others are gaps, and listed as such.

(mutmut 3 was tried too: it works here and is faster, but it leaves out what stands outside of functions, such as the
table of f-GANs, and most of its survivors are texts of error messages: 64 of 220 in margins.py and penalties.py.)
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed.machine import describe

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "runs" / "mutants.jsonl"
OUT = ROOT / "benchmarks" / "results" / "mutants.json"
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.json")

_L = "tests/losses"
TESTS: dict[str, tuple[str, ...]] = {
    "losses/logits.py": (f"{_L}/test_adversarial.py", f"{_L}/test_f_gan.py"),
    "losses/cross_entropy.py": (f"{_L}/test_adversarial.py", f"{_L}/test_smoothing.py"),
    "losses/margins.py": (f"{_L}/test_adversarial.py", f"{_L}/test_smoothing.py"),
    "losses/relativistic.py": (f"{_L}/test_adversarial.py",),
    "losses/f_gan.py": (f"{_L}/test_f_gan.py", f"{_L}/test_adversarial.py"),
    "losses/adversarial.py": (f"{_L}/test_adversarial.py", f"{_L}/test_smoothing.py", f"{_L}/test_f_gan.py"),
    "losses/penalties.py": (f"{_L}/test_penalties.py", f"{_L}/test_penalised_games.py"),
    "losses/smoothing.py": (f"{_L}/test_smoothing.py",),
    "losses/packing.py": (f"{_L}/test_smoothing.py",),
    "losses/lazy.py": (f"{_L}/test_smoothing.py",),
    "losses/skill.py": (f"{_L}/test_skill.py",),
    "losses/auxiliary.py": (f"{_L}/test_auxiliary.py",),
    "losses/divergences.py": (f"{_L}/test_divergences.py",),
    "losses/estimates.py": (f"{_L}/test_estimates.py",),
    "priors/gaussian.py": ("tests/priors",),
    "priors/uniform.py": ("tests/priors",),
    "priors/paths.py": ("tests/priors",),
    "priors/categorical.py": ("tests/priors",),
    "train/turn.py": (
        "tests/train/test_turn.py",
        "tests/train/test_match.py",
        "tests/dynamics/test_dirac.py",
        "tests/dynamics/test_dirac_turns.py",
        "tests/train/test_ensemble.py",
    ),
}
"""Module → the tests that are answerable for it; its own doctests come on top."""

_EXCHANGED = {
    "Add": ("Sub", "Mul"), "Sub": ("Add", "Div"), "Mul": ("Div", "Add"), "Div": ("Mul", "Sub"), "Pow": ("Mul", "Div"),
    "FloorDiv": ("Mul", "Div"), "Mod": ("Mul", "FloorDiv"),
    "Eq": ("NotEq", "LtE"), "NotEq": ("Eq", "Gt"), "Is": ("IsNot",), "IsNot": ("Is",),
    "Lt": ("LtE", "GtE"), "LtE": ("Lt", "Gt"), "Gt": ("GtE", "LtE"), "GtE": ("Gt", "Lt"),
}  # fmt: skip
"""What an operator is replaced by: each of cosmic-ray's eleven replacements would cost eleven times the time, and most
of them (a shift of floats) are a TypeError that any test notices. For comparisons: the boundary and the negation."""


def wanted(operator: str) -> bool:
    """Whether cosmic-ray's operator of this name is used."""
    parts = operator.removeprefix("core/").split("_")
    match parts:
        case ["ReplaceBinaryOperator" | "ReplaceComparisonOperator", before, after]:
            return after in _EXCHANGED.get(before, ())
        case _:
            return not any(word in operator for word in ("Variable", "Invert"))


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    meaning: the whole changed program without annotations, documentation and places.
    """

    module: str
    operator: str
    source: str
    meaning: str
    line: int
    before: str
    after: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.module}\0{self.meaning}".encode()).hexdigest()[:24]

    @property
    def change(self) -> str:
        return f"{self.before} → {self.after}"


def bare(source: str) -> str:
    """The program without annotations, documentation and places: to see whether a change changes anything at all."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.arg():
                node.annotation = None
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
            case ast.AnnAssign():
                node.annotation = ast.Name("Any", ast.Load())
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [line for line in node.body if not is_text(line)] or [ast.Pass()]
    return ast.dump(tree)


def is_text(line: ast.stmt) -> bool:
    """A string that stands alone."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def changes_signature(source: str, changed: str) -> bool:
    """Whether cosmic-ray took the bare * of a signature for a multiplication, which no computation depends on."""

    def positional(text: str) -> int:
        return sum(len(node.posonlyargs) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arguments))

    return positional(changed) != positional(source)


def mutants_of(module: str, root: Path = ROOT) -> Iterator[Mutant]:
    """Every mutant of a module, without repetitions."""
    import cosmic_ray.plugins
    from cosmic_ray.mutating import mutate_code

    source = (root / "src" / "sparring" / module).read_text("utf-8")
    original, seen = bare(source), set()
    for name in sorted(cosmic_ray.plugins.operator_names()):
        if not wanted(name):
            continue
        operator, occurrence = cosmic_ray.plugins.get_operator(name)(), 0
        while (changed := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            try:
                meaning = bare(changed)
            except SyntaxError:
                continue
            if meaning == original or meaning in seen or changes_signature(source, changed):
                continue
            seen.add(meaning)
            pairs = zip(source.splitlines(), changed.splitlines())
            at = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
            lines = source.splitlines(), changed.splitlines()
            yield Mutant(
                module, name.removeprefix("core/"), changed, meaning, at + 1, *(part[at].strip() for part in lines)
            )


# ── trying one ────────────────────────────────────────────────────────────────────────────────────────────────────


def try_tests(copy: Path, tests: list[str], *, keep_bytecode: bool = False) -> int:
    """A forked process whose exit code is pytest's: 0 means that nothing was noticed.

    keep_bytecode: compile tests once, for all that follow. A mutated module is always compiled from its source.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(copy)
        sys.dont_write_bytecode = not keep_bytecode
        sys.path[:0] = [str(copy / "src"), str(copy)]
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        import pytest

        code: int = 70
        try:
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
            import sparring

            if not str(sparring.__file__).startswith(str(copy)):
                code = 71
        finally:
            os._exit(code)
    return child


def wait(child: int, limit: float) -> int | None:
    """The child's exit code, or None if it had to be ended."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def judge(mutant: Mutant, copy: Path, limit: float) -> str:
    """ "killed", "killed (hangs)" or "survived"."""
    path = copy / "src" / "sparring" / mutant.module
    original = path.read_text("utf-8")
    path.write_text(mutant.source, "utf-8")
    try:
        code = wait(try_tests(copy, tests_of(mutant.module)), limit)
    finally:
        path.write_text(original, "utf-8")
    if code == 71:
        raise SystemExit("the tests did not import the copy")
    return "killed (hangs)" if code is None else ("survived" if code == 0 else "killed")


def tests_of(module: str) -> list[str]:
    return [*TESTS[module], f"src/sparring/{module}"]


def tests_hash(module: str, root: Path = ROOT) -> str:
    """Of what decides whether a mutant survives: its tests."""
    paths = [root / name for name in TESTS[module]]
    files = [file for path in paths for file in ([path] if path.suffix == ".py" else path.glob("*.py"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]


def duplicate(into: Path) -> None:
    for name in ("src", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__", "state"))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    kept = {name: settings[name] for name in ("pythonpath", "filterwarnings", "doctest_optionflags")}
    lines = [f"{name} = {' '.join(values)}" for name, values in kept.items()]
    lines += ["addopts = --import-mode=importlib --doctest-modules"]
    (into / "pytest.ini").write_text("\n".join(["[pytest]", *lines, ""]), "utf-8")  # as ours, without plugins


def warm_up() -> None:
    """Import what all tests import, but nothing of ours (and no plugin of pytest, which wants to do that itself)."""
    import pytest  # noqa: F401
    import scipy.integrate
    import scipy.linalg
    import scipy.stats  # noqa: F401
    import torch
    from _pytest.config import default_plugins

    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")
    torch.set_num_threads(1)
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)  # what torch imports only when it is first used
    torch.autograd.gradcheck(torch.sin, x)
    torch.optim.LBFGS([x]).step(lambda: x.square().sum())
    torch.autograd.functional.jacobian(torch.sin, x)
    torch.distributions.kl_divergence(torch.distributions.Normal(0, 1), torch.distributions.Normal(0, 1))
    assert not any(name.split(".")[0] == "sparring" for name in sys.modules), "the mutants could not be imported"


# ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────────


def load() -> dict[str, dict[str, Any]]:
    if not STATE.exists():
        return {}
    return {row["key"]: row for row in map(json.loads, STATE.read_text("utf-8").splitlines())}


def known(mutant: Mutant, rows: dict[str, dict[str, Any]], tests: str) -> str | None:
    """The outcome, if it still holds: a survivor may be killed by better tests."""
    row = rows.get(mutant.key)
    if row is None or (row["outcome"] == "survived" and row["tests"] != tests):
        return None
    return str(row["outcome"])


def write(every: dict[str, list[Mutant]], rows: dict[str, dict[str, Any]], out: Path) -> float:
    """The artefact; returns the share that was killed."""
    reasons: dict[str, dict[str, str]] = json.loads(EQUIVALENT.read_text("utf-8")) if EQUIVALENT.exists() else {}
    modules, total = {}, Counter[str]()
    for module, mutants in every.items():
        count, survivors, tests = Counter[str](), [], tests_hash(module)
        for mutant in mutants:
            outcome = (known(mutant, rows, tests) or "not tried").split(" ")[0]
            count[outcome] += 1
            if outcome == "survived":
                why = reasons.get(module, {}).get(mutant.change, "NOT EQUIVALENT, or not explained: a gap in the tests")
                survivors.append(
                    {"line": mutant.line, "operator": mutant.operator, "change": mutant.change, "why": why}
                )
        total.update(count)
        modules[module] = {**{name: count[name] for name in ("killed", "survived", "not")}, "survivors": survivors}
        modules[module]["not tried"] = modules[module].pop("not")
    tried = total["killed"] + total["survived"]
    share = total["killed"] / max(1, tried)
    gaps = sum(s["why"].startswith("NOT") for m in modules.values() for s in m["survivors"])
    found = {
        "claim": "at least 95 % of all mutants of losses/, priors/ and train/turn.py are killed by the tests",
        "command": "python -m benchmarks.proofs.mutants",
        "tool": "cosmic-ray (operators), forked pytest",
        "machine": describe(threads=1),
        "mutants": tried + total["not"],
        "tried": tried,
        "killed": total["killed"],
        "killed_share": round(share, 4),
        "survived": total["survived"],
        "survived_unexplained": gaps,
        "modules": modules,
    }
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{tried} of {found['mutants']} tried, {share:.1%} killed, {gaps} survivors unexplained: {out}")
    return share


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="modules whose path contains this")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--write", action="store_true", help="try nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    rows = load()
    if not options.write:
        hunt([module for module in TESTS if options.only in module], rows, time.monotonic() + 60 * options.minutes)
    return 0 if write({module: list(mutants_of(module)) for module in TESTS}, rows, options.out) >= 0.95 else 1


def hunt(modules: list[str], rows: dict[str, dict[str, Any]], until: float) -> None:
    warm_up()
    STATE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutants-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        copy = Path(place)
        duplicate(copy)
        for module in modules:
            tests = tests_hash(module, copy)
            waiting = [mutant for mutant in mutants_of(module, copy) if known(mutant, rows, tests) is None]
            if not waiting or time.monotonic() > until:
                continue
            began = time.monotonic()
            if code := wait(try_tests(copy, tests_of(module), keep_bytecode=True), 600):
                raise SystemExit(f"the tests of {module} fail without any mutant: exit code {code}")
            for stale in (copy / "src" / "sparring" / module).parent.glob("__pycache__/*"):
                stale.unlink()
            limit = 20 + 10 * (time.monotonic() - began)
            for number, mutant in enumerate(waiting, 1):
                if time.monotonic() > until:
                    break
                outcome = judge(mutant, copy, limit)
                row = {
                    "key": mutant.key, "module": module, "line": mutant.line, "change": mutant.change,
                    "outcome": outcome, "tests": tests,
                }  # fmt: skip
                rows[mutant.key] = row
                with STATE.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                if outcome == "survived":
                    print(f"{module}:{mutant.line}: {mutant.change}", flush=True)
                if number % 50 == 0:
                    print(f"{module}: {number} of {len(waiting)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
