"""Studies without pictures: what they say is all that most of their parts need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparring.study import plan
from sparring.study.plan import Kind, Model, Picture, Real, Study


def study_of(protocol: plan.Protocol = "paired", models: int = 1, pool: int = 0, **settings: Any) -> Study:
    """A study of so many models; `pool` pictures of each that count, default as many as a rater sees."""
    asked = {"trials": 20, "practice": 4, "catch": 4, "seed": 0} | settings
    uses: list[tuple[Kind, int]] = [
        ("scored", pool or asked["trials"] - asked["practice"]), ("practice", asked["practice"]),
        ("catch", asked["catch"]),
    ]  # fmt: skip
    letters = [chr(ord("A") + k) for k in range(models)]
    parts = [
        (of, use, item) for of in (*letters, "real", "noise") for use, count in uses for item in range(count)
        if of != "noise" or use == "catch"
    ]  # fmt: skip
    return Study(
        title="cats", protocol=protocol, seconds=1.0 if protocol == "paired" else None,
        models=tuple(Model(letter=letter, name=f"model {letter}", path=letter, kind="run") for letter in letters),
        real=Real(source="photos"),
        pictures=tuple(Picture(name=f"{k:016x}", of=of, use=use, item=i) for k, (of, use, i) in enumerate(parts)),
        **asked,
    )  # fmt: skip


def written(study: Study, folder: Path) -> Path:
    """The directory of a study, without its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    plan.write(study, folder)
    return folder
