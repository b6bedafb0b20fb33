"""``sparring pack``: a folder, a zip or a data set of the hub as a few large files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sparring.cli.command import Command, Flag
from sparring.cli.data_flags import DataFlags
from sparring.cli.talk import Talk
from sparring.errors import UsageError

_NAMED = 10  # files left out that are listed


@dataclass
class Pack(Command):
    """Pack images, labels and captions into parquet shards, which are quick to read and easy to copy."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """a folder or zip of images, parquet files, an idx file, hf:owner/name, emoji or fashion"""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """directory of the shards, new or empty"""
    labels: Literal["auto", "none", "folders", "metadata"] = "auto"
    """where classes come from: what the data say of themselves, nowhere, the top folders, or metadata.jsonl / .csv"""
    columns: Annotated[list[str], tyro.conf.arg(metavar="IMAGE|LABEL|TEXT=NAME"), tyro.conf.UseAppendAction] = field(
        default_factory=list
    )
    """which column of metadata or parquet files holds what: label=breed"""
    min_side: Annotated[int, tyro.conf.arg(metavar="PIXELS")] = 8
    """images with a shorter side are left out"""
    max_aspect: Annotated[float, tyro.conf.arg(metavar="X")] = 4.0
    """images whose sides differ more are left out"""
    max_megapixels: Annotated[float, tyro.conf.arg(metavar="MP")] = 134.0
    """larger images are left out"""
    on_bad: Literal["quarantine", "stop"] = "quarantine"
    """images that cannot be used are left out and named, or stop everything"""
    shard_size: Annotated[int, tyro.conf.arg(metavar="MIB")] = 256
    """about how large a file becomes"""
    json: Flag = False
    """what was packed, as one JSON line on stdout"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        if not 1 <= self.shard_size <= 1 << 20:
            raise UsageError("PACK-SIZE", f"shards of {self.shard_size} MiB", fix="--shard-size from 1 to 1048576")
        flags = DataFlags(
            labels=self.labels, columns=self.columns, min_side=self.min_side, max_aspect=self.max_aspect,
            max_megapixels=self.max_megapixels, on_bad=self.on_bad,
        )  # fmt: skip
        told = api.pack(self.data, self.out, shard_mib=self.shard_size, progress=talk.progress, **flags.settings())
        size = sum(path.stat().st_size for path in self.out.iterdir())
        files = len(told["shards"])
        talk.say(
            f"packed {told['images']:,} image{'s' if told['images'] != 1 else ''} into {files:,} "
            f"file{'s' if files != 1 else ''} of {size / 2**20:,.1f} MiB together: {self.out}"
        )
        if told["classes"]:
            counts = ", ".join(f"{name} {count:,}" for name, count in list(told["classes"].items())[:_NAMED])
            more = len(told["classes"]) - _NAMED
            talk.say(f"classes: {counts}" + (f" and {more:,} more" if more > 0 else ""))
        if told["captions"]:
            talk.say(f"captions: of {told['captions']:,} images")
        left_out = told["excluded"]
        if left_out:
            talk.say(f"left out {len(left_out):,}:")
            for name, reason in left_out[:_NAMED]:
                talk.say(f"  {name}: {reason}")
            if len(left_out) > _NAMED:
                talk.say(f"  and {len(left_out) - _NAMED:,} more, listed in {self.out / 'sparring.json'}")
        talk.say(f"\ntrain on it with:\n  sparring train {shlex.quote(str(self.out))}")
        if self.json:
            talk.record({"event": "packed", "out": self.out, **told})
        return 0
