"""Help is there at once: it loads neither torch nor numpy."""

import subprocess
import sys

import pytest

from sparring.cli import commands

CODE = """
import sys
from sparring.cli import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {{"torch", "numpy", "PIL", "matplotlib", "pydantic"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], *([name, "--help"] for name in commands())])
def test_help_loads_nothing_heavy(arguments):
    code = CODE.format(arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "sparring" in ended.stdout
