"""The command line is a promise: its commands, flags and defaults are those in surface.txt.

If someone decides otherwise: ``python -m tests.contract.test_surface > tests/contract/surface.txt``, and CHANGELOG.md.
"""

import dataclasses
import re
from pathlib import Path

import pytest

from sparring.cli import commands, main

FROZEN = Path(__file__).with_name("surface.txt")


def flags(kind):
    """The fields of a command, those of its groups of flags in their place."""
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.default_factory):
            yield from flags(field.default_factory)
        else:
            yield field


def called(field):
    """The name of a flag: that of its field, or the one that its annotation gives it."""
    named = re.search(r"name='([^']*)'", str(field.type))
    return named[1] if named else field.name.replace("_", "-")


def surface():
    """Every command with its arguments and their defaults, as text."""
    lines = []
    for name, kind in commands().items():
        lines.append(name)
        for field in flags(kind):
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            if "Positional" in str(field.type):
                metavar = re.search(r"metavar='([^']*)'", str(field.type))[1]
                lines.append(f"  {metavar}" + ("" if default is dataclasses.MISSING else " (optional)"))
            else:
                short = " -n" if "aliases=['-n']" in str(field.type) else ""
                said = "(required)" if default is dataclasses.MISSING else f"= {default}"
                lines.append(f"  --{called(field)}{short} {said}")
    return "\n".join(lines) + "\n"


def test_the_surface_is_the_frozen_one():
    assert surface() == FROZEN.read_text("utf-8"), __doc__


@pytest.mark.parametrize("name", list(commands()))
def test_the_help_of_a_command_names_all_its_flags(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    block = re.search(rf"^{name}\n((?:  .*\n)*)", FROZEN.read_text("utf-8"), re.M)[1]
    for line in block.splitlines():
        flag = line.split()[0]
        assert flag in text, flag
    promised = {line.split()[0] for line in block.splitlines()}
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - {"--help"}
    assert shown <= promised, "a flag that is not frozen"


if __name__ == "__main__":
    print(surface(), end="")
