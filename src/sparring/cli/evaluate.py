"""``sparring evaluate``: how good samples are, in numbers that say how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sparring.budget import parse_size
from sparring.cli.command import Command, Flag
from sparring.cli.talk import Talk


@dataclass
class Evaluate(Command):
    """Measure how near samples come to data: KID, Fréchet distance, precision, recall, copies; with intervals."""

    real: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="REAL")]
    """a folder or zip of images, shards, hf:owner/name, emoji, …; or a run, for the data that it was trained on"""
    fake: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="FAKE", help_behavior_hint="")] = None
    """the same; or a run or a checkpoint (RUN/checkpoints/000…), for its samples. Not needed where REAL is a run"""
    features: Annotated[str, tyro.conf.arg(metavar="NAME")] = "efficientnet-lite0"
    """the judge: efficientnet-lite0, inception (FID), dinov2, clip (CMMD), pixels, or classifier:RUN"""
    metrics: Annotated[str | None, tyro.conf.arg(metavar="NAMES", help_behavior_hint="(default: the usual ones)")] = (
        None
    )
    """what to measure: kid,fd,precision,recall,coverage,vendi_ratio,copies,…; of pairs l1,psnr,ssim,lpips; nll, of a
    run that has a likelihood; retrieval, of one that makes images of texts; or all"""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"], metavar="N", help_behavior_hint="(default: all; 5,000)")] = (
        None
    )
    """how many samples of a run are drawn (for retrieval of each caption, 8), and how many images of files are taken"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """of the samples, and of every random choice"""
    size: Annotated[str | None, tyro.conf.arg(metavar="W[xH]", help_behavior_hint="(default: as they are)")] = None
    """prepare both sides to this size, as for training; else each image goes to the judge at its own size"""
    crop: Literal["center", "squeeze", "pad"] = "center"
    """with --size: how images of another shape are fitted"""
    split: Literal["auto", "all", "held-out", "train"] = "auto"
    """which part of REAL; auto: what was held out where REAL is a run, else all"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint of a run: the best one, the last one, or the one of so many images"""
    weights: Literal["ema", "raw"] = "ema"
    """of a run: averaged, as samples use them; or as they were trained"""
    null: Flag = False
    """also measure real images against real ones: what nothing can beat at that n"""
    fcn: Annotated[str | None, tyro.conf.arg(metavar="FCN_RUN", help_behavior_hint="(default: nobody)")] = None
    """a run of fcn8s that segments the photos which RUN makes of label maps: per-pixel accuracy, class IoU"""
    fcn_against: Annotated[list[str], tyro.conf.arg(metavar="RUN2"), tyro.conf.UseAppendAction] = field(
        default_factory=list
    )
    """with --fcn or --segmenter: another run on the same label maps, judged beside it; may be repeated"""
    segmenter: Annotated[
        str | None, tyro.conf.arg(metavar="hf:OWNER/NAME[@REVISION]", help_behavior_hint="(default: nobody)")
    ] = None
    """instead of --fcn: a published segmentation network, or a folder with one; classes are matched by name"""
    importance: Annotated[int, tyro.conf.arg(metavar="N")] = 500
    """with --metrics nll, of a VAE: importance weights of each image"""
    scorer: Annotated[str | None, tyro.conf.arg(metavar="RUN|clip", help_behavior_hint="(default: nobody)")] = None
    """with --metrics retrieval: who says which text a picture is of, a run of dualencoder, clip, or clip:FOLDER"""
    processes: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """look at images with so many processes"""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(metavar="NAME")] = "auto"
    """where to compute"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: nowhere)")] = None
    """also write what --json prints to this file; of a run alone it always goes to RUN/evaluation.json"""
    json: Flag = False
    """one JSON object on stdout instead of the table"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        record = api.evaluate(
            self.real, self.fake, features=self.features, metrics=self.metrics, n=self.n, seed=self.seed,
            size=parse_size(self.size) if self.size is not None else None, crop=self.crop, split=self.split,
            which=self.which, weights=self.weights, null=self.null, fcn=self.fcn,
            fcn_against=tuple(self.fcn_against), segmenter=self.segmenter, importance=self.importance,
            scorer=self.scorer,
            processes=self.processes, device=self.device,
            out=self.out, progress=talk.progress,
        )  # fmt: skip
        if self.json:
            talk.record(record)
        else:
            talk.data("\n".join(api.evaluation_lines(record)))
        return 0
