"""Who imports whom, and what is never called."""

import ast
import gc
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "sparring"
FILES = sorted(SOURCE.rglob("*.py"))
GIVEN = ("shell", "allow_pickle", "weights_only")


@cache
def trees():
    """Every file by its place."""
    gc.disable()  # which would look through a million nodes again and again, and find nothing to free
    try:
        return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in FILES}
    finally:
        gc.enable()


@cache
def nodes(tree):
    """All calls and all imports."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        if isinstance(node, (ast.Call, ast.Import, ast.ImportFrom)):
            found.append(node)
        for name in node._fields:
            below = getattr(node, name, None)
            if isinstance(below, list):
                left += [part for part in below if isinstance(part, ast.AST) and part._fields]
            elif isinstance(below, ast.AST) and below._fields:
                left.append(below)
    return found


def test_the_table_of_layers_holds():
    """The contracts stand in pyproject.toml; docs/architecture.md explains them."""
    code = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint(['--no-cache']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]


@cache
def calls(tree):
    """(dotted name, call) of every call."""
    return [(dotted(node.func), node) for node in nodes(tree) if isinstance(node, ast.Call)]


def dotted(node):
    """The names and dots that are written, after () where something else is called or asked for an attribute."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "()", *reversed(parts)])


def test_nothing_that_executes_or_unpacks_foreign_data_is_called():
    for place, tree in trees().items():
        for name, call in calls(tree):
            words = {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg in GIVEN}
            last = name.split(".")[-1]
            where = f"{place}:{call.lineno}: {name}"
            assert name not in ("eval", "exec", "compile", "__import__"), where
            assert last not in ("extractall", "extract", "unpack_archive", "allow_pickle"), where
            assert name not in ("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"), where
            assert words.get("shell") != "True", where
            assert words.get("allow_pickle") != "True", where
            if name.startswith("torch.") and last == "load":
                assert words.get("weights_only") == "True", where
            if name in ("Image.open", "PIL.Image.open"):
                assert place == "data/opening.py", where
        imported = {
            alias.name.split(".")[0]
            for node in nodes(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
        }
        forbidden = {"pickle", "marshal", "shelve", "dill", "joblib", "torchvision"}
        if place == "networks/imagenet.py":  # reads two files known by their hash, with a table of names of its own
            assert "def find_class" in ast.unparse(tree)
            assert not any(name.startswith("pickle.load") for name, _ in calls(tree))
            forbidden -= {"pickle"}
        assert not imported & forbidden, place


def test_isinstance_decides_never_hasattr():
    """Style rule 3. `types.Event.record` asks a value whether it is a tensor, without importing torch."""
    known = {"types.py", "train/engine.py"}  # the second: backends that a torch has
    used = [f"{place}:{c.lineno}" for place, tree in trees().items() for n, c in calls(tree) if n == "hasattr"]
    assert {place.partition(":")[0] for place in used} <= known, used


def test_importing_the_package_loads_neither_torch_nor_numpy():
    code = "import sys, sparring, sparring.types, sparring.errors, sparring.budget; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "PIL", "matplotlib", "yaml"} & set(loaded)


def test_the_package_works_where_torchvision_is_forbidden_and_train_is_a_package_and_a_function():
    """`sparring.train(...)` works before and after a part of the package `sparring.train` was imported."""
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "import pkgutil, importlib, sparring\n"
        "assert callable(sparring.train)\n"
        "import sparring.train.schedule as s; assert callable(sparring.train) and s.Ramp\n"
        "from sparring.errors import DataError\n"
        "try: sparring.train('/no/such/place')\n"
        "except DataError: print('explained')\n"
        "for m in pkgutil.walk_packages(sparring.__path__, 'sparring.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.strip() == "explained", ended.stderr


def test_every_package_says_what_it_is():
    for path in FILES:
        text = path.read_text("utf-8")
        assert ast.get_docstring(trees()[path.relative_to(SOURCE).as_posix()]), f"{path} has no docstring"
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), f"{path} is not finished"


def test_every_promised_name_is_there():
    import sparring
    from sparring import api

    for module in (sparring, api):
        assert [name for name in module.__all__ if getattr(module, name, None) is None] == []
