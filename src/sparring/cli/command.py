"""What every command is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import tyro

from sparring.cli.talk import Talk

Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
"""On or off, off when it is not named."""


class Command(ABC):
    """A dataclass whose fields are the flags, and what to do with them."""

    @abstractmethod
    def run(self, talk: Talk) -> int:
        """Do it; returns the exit code. Raises `SparringError` for what the user can mend."""
