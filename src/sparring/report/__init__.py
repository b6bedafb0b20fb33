"""The page of a run: one file that shows what was trained, how it went and what to do next, without any network."""

from sparring.report.page import write

__all__ = ["write"]
