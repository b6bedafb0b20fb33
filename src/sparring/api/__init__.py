"""What people use from Python: the same as the command line, with the same defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparring.api.comparing import compare, comparison, comparison_lines, play, refuse_comparison, save_comparison
from sparring.api.drawing import figure_names, figures
from sparring.api.edit import check_edit, edit, invert, save_edit, save_inversion
from sparring.api.judging import doctor, evaluate, evaluation_lines, report
from sparring.api.latents import (
    given_example,
    mix_picture,
    powers,
    sample_sheet,
    spot_film,
    spot_picture,
    translates,
    uses,
)
from sparring.api.pictures import clean_picture
from sparring.api.playground import open_playground, playground_about, playground_frame
from sparring.api.preparing import check, options, pack, refuse_check, save_check
from sparring.api.shelf import (
    begin_check,
    begin_demo,
    begin_run,
    built_in_data,
    check_page,
    check_result,
    data_offer,
    forget_run,
    go_on,
    open_shelf,
    pending_runs,
    plain,
    run_page,
    run_verdicts,
    shelf_glance,
    shelf_picture,
    shelf_story,
    stop_run,
)
from sparring.api.study import new_study, open_study, study_lines, study_result
from sparring.api.training import (
    finish,
    free_directory,
    plan,
    polite,
    recipes,
    request,
    resume,
    resume_steps,
    settings,
    start,
    steps,
    train,
)
from sparring.api.using import (
    convert,
    export,
    info,
    load,
    push,
    save_reconstructions,
    save_samples,
    save_translations,
    save_walk,
    translated,
    trust,
)

if TYPE_CHECKING:
    from sparring.runs.run import Run

__all__ = [
    "options",
    "check",
    "refuse_check",
    "save_check",
    "pack",
    "request",
    "plan",
    "steps",
    "start",
    "train",
    "resume",
    "resume_steps",
    "finish",
    "polite",
    "free_directory",
    "recipes",
    "settings",
    "load",
    "trust",
    "info",
    "save_samples",
    "save_walk",
    "save_translations",
    "translated",
    "save_reconstructions",
    "edit",
    "invert",
    "save_edit",
    "save_inversion",
    "check_edit",
    "convert",
    "export",
    "push",
    "uses",
    "powers",
    "sample_sheet",
    "spot_picture",
    "spot_film",
    "mix_picture",
    "translates",
    "given_example",
    "doctor",
    "evaluate",
    "evaluation_lines",
    "report",
    "comparison",
    "refuse_comparison",
    "play",
    "save_comparison",
    "comparison_lines",
    "compare",
    "clean_picture",
    "figures",
    "figure_names",
    "open_playground",
    "playground_about",
    "playground_frame",
    "open_shelf",
    "shelf_glance",
    "shelf_story",
    "shelf_picture",
    "pending_runs",
    "run_verdicts",
    "run_page",
    "begin_run",
    "begin_demo",
    "stop_run",
    "go_on",
    "forget_run",
    "built_in_data",
    "data_offer",
    "begin_check",
    "check_result",
    "check_page",
    "plain",
    "new_study",
    "open_study",
    "study_result",
    "study_lines",
    "Run",
]


def __getattr__(name: str) -> Any:
    """`Run` brings torch with it, so it waits until it is asked for (PEP 562)."""
    if name == "Run":
        from sparring.runs.run import Run

        return Run
    raise AttributeError(f"module 'sparring.api' has no attribute {name!r}")
