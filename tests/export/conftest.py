"""What several tests of foreign models need."""

from __future__ import annotations

import io
import subprocess
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest

from sparring.export.foreign import reader, sandbox


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process, without limits, and not in one of their own, which would import torch first: for
    tests of what is made of them, and of what is said of those that are refused."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        said = io.StringIO()
        with redirect_stdout(said):
            code = reader.main(*command[-2:])
        return subprocess.CompletedProcess(command, code, said.getvalue().encode(), b"")

    monkeypatch.setattr(reader, "limit", lambda size: None)
    monkeypatch.setattr(sandbox, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": run}))
