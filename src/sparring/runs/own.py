"""A user's own game: a class in a Python file, named ``path/to/file.py:Class``.

Using it runs the file, so only files that the user names are used: on the command line or in a call in this process,
or in the environment variable ``SPARRING_GAMES``. A recipe.yaml that names a file is data and not reason enough: it may
have come with a run from elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from sparring.errors import UsageError

TRUSTED = "SPARRING_GAMES"
"""Files that may be run although only a recipe.yaml names them, separated like the entries of PATH."""


def is_own(name: str) -> bool:
    """Whether a recipe's name is a class in a file.

    >>> is_own("games/lsgan.py:LSGAN"), is_own("dcgan"), is_own("recipe.yaml")
    (True, False, False)
    """
    return _split(name)[0].endswith(".py")


def absolute(name: str) -> str:
    """The same name, true in every working directory."""
    path, attribute = _split(name)
    return f"{Path(path).resolve()}:{attribute}"


def find(name: str, *, named: bool) -> object:
    """What ``file.py:Class`` stands for. named: the user named it just now, so the file is run (again).

    Otherwise it must have been run in this process before, or stand in `SPARRING_GAMES`; `UsageError` if not.
    """
    text, attribute = _split(absolute(name))
    path = Path(text)
    module = sys.modules.get(_module_name(path))
    if named or (module is None and path in _trusted()):
        module = _run(path)
    if module is None:
        raise UsageError(
            "RECIPE-OWN",
            "the run was trained with a game in a file, and a file is not run because a run names it",
            where=str(path),
            why="it is a program; a run may come from someone else",
            fix=f"if you trust the file: export {TRUSTED}={shlex.quote(str(path))} and try again",
        )
    if attribute not in vars(module):
        raise UsageError("RECIPE-OWN", f"the file defines no {attribute or 'class'}", where=str(path),
                         fix="name the class of the game: file.py:Class")  # fmt: skip
    return vars(module)[attribute]


def trust(name: str) -> str:
    """What another process needs in its environment to use a run of this game: ``SPARRING_GAMES=/home/me/mine.py``.
    Nothing for the recipes of sparring, and where the environment says it already."""
    if not is_own(name):
        return ""
    path = Path(_split(absolute(name))[0])
    if path in _trusted():
        return ""
    before = os.environ.get(TRUSTED, "")
    return f"{TRUSTED}={shlex.quote(os.pathsep.join(filter(None, (before, str(path)))))}"


def _split(name: str) -> tuple[str, str]:
    """("file.py", "Class"); the class is empty where none is named."""
    path, _, attribute = name.rpartition(":")
    return (path, attribute) if path.endswith(".py") else (name, "")


def _trusted() -> list[Path]:
    return [Path(entry).resolve() for entry in os.environ.get(TRUSTED, "").split(os.pathsep) if entry]


def _module_name(path: Path) -> str:
    return f"sparring_own_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()}"


class _Loader(SourceFileLoader):
    """Compiles what the file says now: Python's own cache takes an edit within a second, of equal length, for none."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run(path: Path) -> ModuleType:
    """Run the file as a module. It is known by its module's name from then on, as pydantic and inspect need it."""
    if not path.is_file():
        raise UsageError("RECIPE-OWN", "there is no such file", where=str(path), fix="check the path")
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise UsageError(
            "RECIPE-OWN", "the file of the game cannot be run", where=str(path), why=f"{type(error).__name__}: {error}"
        ) from error
    return module
