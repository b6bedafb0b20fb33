"""A progress bar on stderr: how much is done, how fast, how long it will take."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_EVERY = 0.1  # seconds between two pictures of the bar


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


class Bar:
    """One stage. It is drawn when something is done, by no thread of its own, and is gone when it is closed."""

    def __init__(self, stage: str, total: int) -> None:
        self.stage = stage
        self._drawn = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} / {task.total:,.0f}"),
            _Rate(),
            TextColumn("time left"),
            TimeRemainingColumn(compact=True),
            console=Console(file=sys.stderr),
            auto_refresh=False,
            transient=True,
            speed_estimate_period=10.0,
        )
        self._task = self._progress.add_task(stage, total=total)
        self._progress.start()

    def update(self, done: int, total: int) -> None:
        """So much of it is done."""
        self._progress.update(self._task, completed=done, total=total)
        if time.monotonic() - self._drawn >= _EVERY or done >= total:
            self._progress.refresh()
            self._drawn = time.monotonic()

    def close(self) -> None:
        """Take it off the screen and give the cursor back."""
        self._progress.stop()
