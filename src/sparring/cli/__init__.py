"""The command ``sparring``. One file per command; nothing here imports torch or numpy, so ``--help`` answers at once.

Exit codes: 0 done · 2 usage · 3 data · 4 checkpoint · 5 environment · 6 diverged · 75 stopped and resumable · 1 a bug.
"""

from __future__ import annotations

import difflib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from sparring.errors import SparringError, UsageError

if TYPE_CHECKING:
    from sparring.cli.command import Command

SUMMARY = (
    "Train, judge and use adversarial generative models: from a folder of images to a generator one can trust.\n\n"
    "Begin with `sparring demo`, or with `sparring train FOLDER`."
)


def commands() -> dict[str, type[Command]]:
    """Every command by name, in the order of the help."""
    from sparring.cli.app import App
    from sparring.cli.check import Check
    from sparring.cli.compare import Compare
    from sparring.cli.convert import Convert
    from sparring.cli.demo import Demo
    from sparring.cli.doctor import Doctor
    from sparring.cli.edit import Edit
    from sparring.cli.evaluate import Evaluate
    from sparring.cli.export import Export
    from sparring.cli.figures import Figures
    from sparring.cli.info import Info
    from sparring.cli.interpolate import Interpolate
    from sparring.cli.pack import Pack
    from sparring.cli.push import Push
    from sparring.cli.recipes import Recipes
    from sparring.cli.reconstruct import Reconstruct
    from sparring.cli.resume import Resume
    from sparring.cli.sample import Sample
    from sparring.cli.study import Study
    from sparring.cli.train import Train
    from sparring.cli.translate import Translate

    return {
        "check": Check,
        "train": Train,
        "resume": Resume,
        "sample": Sample,
        "interpolate": Interpolate,
        "translate": Translate,
        "reconstruct": Reconstruct,
        "edit": Edit,
        "evaluate": Evaluate,
        "compare": Compare,
        "export": Export,
        "push": Push,
        "convert": Convert,
        "pack": Pack,
        "recipes": Recipes,
        "figures": Figures,
        "info": Info,
        "doctor": Doctor,
        "demo": Demo,
        "app": App,
        "study": Study,
    }


def parse(arguments: Sequence[str]) -> Command:
    """The command line as a command with its fields; `UsageError`, with the nearest flag or word, when it is wrong."""
    import tyro

    from sparring.cli.words import check

    known = commands()
    if arguments and arguments[0] not in known and not arguments[0].startswith(("-h", "--help", "--tyro-")):
        if arguments[0].startswith("-"):
            raise UsageError(
                "COMMAND", "the command comes first, then its flags", where=arguments[0],
                fix=f"write sparring COMMAND {arguments[0]} …; the commands are {', '.join(known)}",
            )  # fmt: skip
        near = difflib.get_close_matches(arguments[0], known, n=1, cutoff=0.5)
        fix = f"did you mean `sparring {near[0]}`?" if near else f"there are {', '.join(known)}"
        raise UsageError("COMMAND", "there is no such command", where=arguments[0], fix=fix)
    choice: Any = None
    for name, kind in known.items():
        one = Annotated[kind, tyro.conf.subcommand(name)]  # type: ignore[valid-type]
        choice = one if choice is None else choice | one
    configured = tyro.conf.configure(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes)(choice)
    words = [word for argument in arguments for word in _split(argument)]
    if words and words[0] in known and not {"-h", "--help"} & set(words):
        check(words[0], words[1:], known)
    command: Command = tyro.cli(configured, prog="sparring", description=SUMMARY, args=words)
    return command


def _split(argument: str) -> list[str]:
    """``--name=value`` as two words, so that a misspelt name finds its nearest one."""
    return argument.split("=", 1) if argument.startswith("--") and "=" in argument else [argument]


def _fill_streams() -> None:
    """Something harmless in place of standard streams that were closed (``>&-``): else the next file that is opened
    would take their number, and what libraries print would land in it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: the program's own); returns the exit code."""
    from sparring.cli.launch import leave, said_by_rank_0
    from sparring.cli.stopping import interruptible
    from sparring.cli.talk import Talk
    from sparring.cli.trouble import bug, explained, notes, record

    _fill_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show × or γ shows ? and goes on
    given = list(sys.argv[1:] if arguments is None else arguments)
    talk = Talk(quiet=os.environ.get("RANK", "0") != "0")  # of several processes, rank 0 talks
    if given == ["--version"]:
        from sparring import __version__

        talk.data(f"sparring {__version__}")
        return 0
    command: Command | None = None
    try:
        with interruptible():
            command = parse(given or ["--help"])
            code = command.run(talk)
    except SparringError as error:
        code = error.exit_code
        if "--json" in given and not (command is not None and given[0] == "check"):  # which says it with its report
            talk.record(record(error))
        if error.code == "PEER" or not said_by_rank_0(code):  # whoever lost another process cannot wait for it
            talk.trouble(str(error) + notes(error))
    except KeyboardInterrupt as stop:
        said = "; ".join(getattr(stop, "__notes__", [])) or "nothing was begun that is not finished"
        talk.say(f"\nstopped; {said}")
        code = 130
    except Exception as error:
        known = explained(error)
        if "--json" in given:
            talk.record(record(known or SparringError("BUG", "this is a bug in sparring", why=repr(error))))
        if known is not None:
            talk.trouble(str(known) + notes(error))
        code = bug(error, given, talk) if known is None else known.exit_code
    return leave(code)
