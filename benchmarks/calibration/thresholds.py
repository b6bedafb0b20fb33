"""Writes fitted values into health/thresholds.yaml; names, units and comments stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

from sparring.health.thresholds import PATH, Thresholds


def write(found: Thresholds, path: Path = PATH) -> None:
    """Every line whose value differs gets the new one."""
    lines = [_line(line, found) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(line: str, found: Thresholds) -> str:
    """
    >>> from sparring.health.thresholds import usual
    >>> _line("d_wins: 0.5            # [share of pairs] …", usual()).split()[0]
    'd_wins:'
    """
    head = re.match(r"^([a-z_]+):\s*([-+0-9.eE]+)(\s*)#", line)
    if head is None:
        return line
    value = getattr(found, head[1], None)  # one that was added meanwhile is not ours
    if value is None or float(head[2]) == float(value):
        return line
    text = f"{head[1]}: {value:.10g}"
    return f"{text:<{head.end() - 2}} {line[head.end() - 1 :]}"
