"""One of every defect in a folder, each named with path, reason, fix: ``make proof-data`` on a tenth of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.corpus import build
from benchmarks.proofs.data import judge_all
from sparring.data import open_data
from sparring.data.inspect import inspect


@pytest.mark.skipif(os.name == "nt", reason="pipes, sockets, links and file rights")
def test_every_defect_is_named_with_its_path_a_reason_and_a_fix(tmp_path: Path) -> None:
    defects = build(tmp_path / "corpus", n=500)
    may_read = os.access(tmp_path / "corpus" / "private" / "secret.png", os.R_OK)  # root may read everything
    expected = [defect for defect in defects if not (may_read and defect.row == 37)]
    said: list[str] = []
    found = inspect(open_data(tmp_path / "corpus"))
    again = inspect(open_data(tmp_path / "corpus", progress=lambda what, done, total: said.append(what)))
    assert said == [] and again.record() == found.record()  # nothing is read twice, whatever is wrong with the files
    table, failures = judge_all(expected, found.record())
    assert failures == []
    assert all(line.isprintable() for line in found.lines())  # no name takes over a terminal
    assert {row["row"] for row in table} >= {4, 5, 6, 7, *range(8, 26), 29, 36, 38, 39, 40, 42}
