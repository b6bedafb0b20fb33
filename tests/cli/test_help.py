"""Help is there at once: it loads neither torch nor numpy."""

import subprocess
import sys

from sparring.cli import commands

CODE = """
import sys
from sparring.cli import main
for words in {every!r}:
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
    heavy = {{"torch", "numpy", "PIL", "matplotlib", "pydantic"}} & set(sys.modules)
    assert not heavy, (words, heavy)
    print("<<", *words, ">>")
"""


def test_help_loads_nothing_heavy():
    """Asked one after another in one process, which has none of it in the end: no question loads any of it."""
    every = [[], ["--help"], ["--version"], *([name, "--help"] for name in commands())]
    ended = subprocess.run([sys.executable, "-c", CODE.format(every=every)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for words in every:
        said, _, rest = ended.stdout.partition(f"<< {' '.join(words)} >>" if words else "<< >>")
        assert "sparring" in said, words
        ended.stdout = rest
