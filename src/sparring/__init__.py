"""Adversarial generative models: from a folder of images to a generator one can trust and ship.

``sparring.train("photos/", size=64)`` trains and returns a `Run`; ``sparring.steps(…)`` streams what happens;
``sparring.load("runs/cats").sample(16, seed=0)`` gives a float tensor in [0, 1].

Importing this package imports neither torch nor numpy: what needs them is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sparring.train as _train

if TYPE_CHECKING:
    from sparring.api import Run, doctor, evaluate, load, plan, resume, resume_steps, steps

# Threads that wait for each other by spinning stand still when another program wants a core, and a step becomes many
# times slower. Spinning for a moment and then sleeping avoids it (python -m benchmarks.spin measures both). It is read
# once, when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"
__all__ = ["Run", "doctor", "evaluate", "load", "plan", "resume", "resume_steps", "steps", "train"]

_FROM_API = ("Run", "doctor", "evaluate", "load", "plan", "resume", "resume_steps", "steps")


class _Train(ModuleType):
    """`sparring.train` is the package of the engine and, called, the function `sparring.api.train`.

    Python keeps one name for both, and binds the package over the function as soon as a part of it is imported; so the
    package itself is made callable.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return importlib.import_module("sparring.api").train(*args, **kwargs)


_train.__class__ = _Train


def __getattr__(name: str) -> Any:
    """The names of `sparring.api`, loaded on first use (PEP 562)."""
    if name in _FROM_API:
        return getattr(importlib.import_module("sparring.api"), name)
    raise AttributeError(f"module 'sparring' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FROM_API})
