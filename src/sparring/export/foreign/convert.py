"""A run made of what another program trained: the file is read without executing it, the network found by its content.

What is in recipe.yaml and in the checkpoint is as if the run had been trained here, for one image; ``run.converted``
says where it came from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sparring.errors import UsageError
from sparring.export.foreign import classic, r3gan, stylegan2
from sparring.export.foreign.plan import Converted, Plan, Unlike, make
from sparring.export.foreign.sandbox import Found, read, wrong
from sparring.runs.directory import RunDirectory, free_directory

Method = Literal["stylegan2", "r3gan", "pix2pix", "cyclegan"]
Dropout = classic.Dropout
_OTHERS = (
    ("synthesis.input.freqs", "StyleGAN3, which has no game here; of its program, StyleGAN2 (stylegan2-*.pkl) is read"),
    ("mapping.embed_proj.weight", "StyleGAN-XL, which has no game here"),
    ("backbone.synthesis.b4.const", "EG3D, which makes scenes, not images"),
    ("conv1.conv.modulation.weight", "StyleGAN2 as rosinality's program writes it, whose weights are named otherwise"),
    ("Model.BasisLayer.Basis", "a draft of R3GAN2, whose network is another one"),
    ("Model.Head.Basis", "a draft of R3GAN2, whose network is another one"),
)
"""A tensor that only they have, and what they are."""


def convert(
    source: Path,
    method: Method | None = None,
    *,
    back: Path | None = None,
    out: Path | None = None,
    size: int | None = None,
    dropout: Dropout = "auto",
) -> Converted:
    """Make a run of the network in `source`: a snapshot of StyleGAN2(-ADA) or R3GAN (.pkl), or a generator of
    pytorch-CycleGAN-and-pix2pix (``latest_net_G.pth``, of a cyclegan ``latest_net_G_A.pth``).

    method: what it is; None: what the file says, where it does.   out: a new directory.   Of classic ones:
    back: the generator of the other way, ``latest_net_G_B.pth``.   size: side of the images that it was trained on.
    dropout: whether it was trained with any: "auto" is what the classic options have where the file does not say (on
    for pix2pix, off for cyclegan).

    Raises `CheckpointError` for files that hold no such network, `UsageError` for what does not go together.
    """
    if back is not None and method not in ("cyclegan", None):
        raise UsageError("CONVERT-BACK", "only cyclegan has a way back", where=str(back), fix="--as cyclegan")
    directory = RunDirectory(out or free_directory(source.name))
    if directory.is_run:
        raise UsageError("RUN-EXISTS", "there is a run in this directory already", where=str(directory.path),
                         fix="choose another --out; nothing was changed")  # fmt: skip
    directory.check_free()
    found = read(source)
    try:
        kind = _kind(found)
        if kind is None:
            files = [(source, found)] if back is None else [(source, found), (back, read(back))]
            return classic.convert(files, method, out=directory, size=size, dropout=dropout)
        _check(kind, method, back, size, dropout, source)
        plan = stylegan2.plan(found) if kind == "stylegan2" else r3gan.plan(found)
        make(plan, {_player(plan): plan.tensors}, [source], directory)
    except Unlike as unlike:
        raise wrong(source, str(unlike)) from None
    return Converted(directory.path, tuple(plan.lines), plan.recipe)


def _kind(found: Found) -> Literal["stylegan2", "r3gan"] | None:
    """What the names of its tensors say; None: a generator of the classic repository, or nothing. `Unlike`."""
    for name, what in _OTHERS:
        if name in found.tensors:
            raise Unlike(f"it is {what}")
    if r3gan.is_one(found.tensors):
        return "r3gan"
    if stylegan2.is_one(found.tensors):
        return "stylegan2"
    if found.layers:
        kind = found.layers.get("", {}).get("class", "")
        raise Unlike(f"it holds a network of a kind that is not known here ({kind})")
    return None


def _check(kind: str, method: str | None, back: Path | None, size: int | None, dropout: str, source: Path) -> None:
    """`UsageError` for what was asked of a network that has no such thing."""
    if method not in (kind, None):
        raise UsageError("CONVERT-AS", f"this is a generator of {kind}", where=str(source),
                         why=f"and --as says {method}", fix=f"--as {kind}, or without --as")  # fmt: skip
    if back is not None:
        raise UsageError("CONVERT-BACK", "only cyclegan has a way back", where=str(back), fix="leave --back out")
    if size is not None or dropout != "auto":
        raise UsageError("CONVERT-SIZE", f"{kind} has one size and no dropout: its file says all", where=str(source),
                         fix="leave --size and --dropout out")  # fmt: skip


def _player(plan: Plan) -> str:
    return "G.net" if plan.recipe == "cgan" else "G"
