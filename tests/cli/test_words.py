"""Slips of the finger on the command line: each is answered with a code, what, where and a fix, never by the parser."""

import re

import pytest

from sparring import cli
from sparring.cli.words import slots


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train cats --processes two", r"\[FLAG-VALUE\] --processes takes a whole number: two\n  fix: .*--processes 1"),
        ("train cats --seed 1.5", r"--seed takes a whole number: 1.5\n  fix: for example --seed 0"),
        ("sample runs/x -n many", r"-n takes a whole number: many\n  fix: for example -n 64"),
        ("sample runs/x -n 1,000", r"-n takes a whole number: 1,000\n  fix: write -n 1000"),
        ("pack cats out --shard-size big", r"--shard-size takes a whole number: big\n  fix: .*256"),
        ("train cats --held-out 5%", r"--held-out takes a number: 5%\n  fix: write --held-out 0.05"),
        ("train cats --held-out=", r"--held-out takes a number: nothing"),
        ("train cats --channels 2", r"--channels is 1, 3 or 4: 2\n"),
        ("train cats --channels None", r"--channels is 1, 3 or 4: None\n"),
        (
            "train cats --labels folder",
            r"--labels is auto, none, folders or metadata: folder\n.* --labels folders\?",
        ),
        ("check cats --frames al", r"--frames is first or all: al\n  fix: did you mean --frames all\?"),
        ("check cats --crop middle", r"--crop is center, squeeze or pad: middle\n  fix: for example --crop center"),
        ("check cats --crop centre", r"fix: did you mean --crop center\?"),
        (
            "check cats dogs clothing",
            r"\[WORDS\] this word is one too many .* one DATA and at most one INTO: clothing\n  fix: .*'dogs clothing'",
        ),
        (
            "check cats --budget 300",
            r"\[FLAG\] `sparring check` has no such flag: --budget\n  fix: --budget belongs",
        ),
        ("train cats --budget", r"\[FLAG-VALUE\] --budget needs a value"),
        ("train cats --out --seed 1", r"\[FLAG-VALUE\] --out needs a value"),
        ("train", r"\[WORDS\] `sparring train` needs DATA: sparring train\n"),
        ("pack cats", r"\[WORDS\] `sparring pack` needs OUT"),
        ("sample runs/x --label hat --label dress", r"\[FLAG-TWICE\] --label is given twice"),
        ("--seed 1 train cats", r"\[COMMAND\] the command comes first"),
        ("demo now", r"\[WORDS\]"),
    ],
)
def test_a_slip_is_answered_in_our_own_words(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert re.search(said, heard.err), heard.err
    assert "\n  fix: " in heard.err


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["sample", "x", "--truncation", "-1"], "truncation", -1.0),
        (["sample", "-n", "3", "x"], "n", 3),
        (["sample", "x", "--n=3"], "n", 3),
        (["train", "x", "--set", "a=1", "--set", "b=2"], "set", ["a=1", "b=2"]),
        (["train", "x", "--dry_run"], "dry_run", True),
        (["recipes"], "name", None),
        (["train", "cats", "--out=a=b", "--json"], "json", True),
    ],
)
def test_what_is_right_is_parsed_as_ever(words, name, value):
    assert getattr(cli.parse(words), name) == value


def test_every_field_of_every_command_is_known_to_the_check():
    for name, kind in cli.commands().items():
        flags, places = slots(kind)
        assert all(slot.kinds or slot.choices for slot in [*flags.values(), *places]), name
    flags, places = slots(cli.commands()["train"])
    assert flags["--channels"].choices == ("1", "3", "4") and [place.metavar for place in places] == ["DATA", "[INTO]"]
    assert flags["--size"].usual == "" and flags["--json"].kinds == {bool}
