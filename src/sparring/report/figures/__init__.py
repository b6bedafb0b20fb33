"""The figures of the founding notes, drawn by the code: every curve is what a function of the library returns."""

from __future__ import annotations

from sparring.report.figures.write import DRAWINGS, write

__all__ = ["DRAWINGS", "write"]
