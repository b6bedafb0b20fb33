"""``sparring edit``: pictures of a run moved by a sentence, and pictures brought into its latent space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sparring.cli.command import Command
from sparring.cli.talk import Talk


@dataclass
class Edit(Command):
    """Move a picture of a run by a sentence (StyleCLIP); or with --image alone, find it in the run's latent space."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """the run's directory, for example runs/emoji"""
    text: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = None
    """what the picture should be like, for example "a red heart\""""
    neutral: Annotated[str, tyro.conf.arg(name="from", metavar="TEXT", help_behavior_hint="")] = ""
    """what it is like now, for example "a heart": only the difference of the two texts then counts"""
    method: Literal["optimise", "mapper", "direction"] = "optimise"
    """optimise: this one picture; mapper: networks learn the text once, then any picture is instant; direction: the
    same few channels of any picture are turned"""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """the picture: the first sample of this seed"""
    image: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """the picture: this file, which is found in the latent space first"""
    label: Annotated[str | None, tyro.conf.arg(metavar="CLASS", help_behavior_hint="")] = None
    """its class, of a run that is told one, by name or number"""
    strength: Annotated[float, tyro.conf.arg(metavar="A")] = 1.0
    """how far to go: 0 stays, 1 is what the method finds, more goes on"""
    scorer: Annotated[str, tyro.conf.arg(metavar="RUN|clip")] = "clip"
    """who says how well text and picture agree: a run of dualencoder, clip, or clip:FOLDER"""
    beta: Annotated[float, tyro.conf.arg(metavar="B")] = 0.5
    """of a direction: channels less relevant than this share of the most relevant one stay as they are"""
    space: Literal["auto", "z", "w", "w+"] = "auto"
    """where codes move: z; of a generator with styles also w, or w+ (one w for each layer), which auto takes there"""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """of optimising (usually 100), rounds of training a mapper (150); without --text of inverting (300)"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: RUN/edits/…)")] = None
    """where to put the pictures, their strip and edit.json; outside of RUN no file is ever overwritten"""
    which: Annotated[str, tyro.conf.arg(metavar="best|last|N")] = "best"
    """the checkpoint: best by what was measured (else the newest), last, or the images that it has seen"""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """auto, cpu, cuda or mps"""

    def run(self, talk: Talk) -> int:
        from sparring import api

        api.check_edit(self.text, self.image)
        run = api.load(self.directory, which=self.which, device=self.device, progress=talk.progress)
        talk.remark(run.remarks)
        how: dict[str, Any] = {"space": self.space, "label": self.label, "steps": self.steps, "progress": talk.progress}
        if self.text is None:
            assert self.image is not None
            done = api.save_inversion(run, self.image, self.out, **how)
            told = f"LPIPS {done.record['distance']:.3f}, {done.record['start_distance']:.3f} where it began"
        else:
            done = api.save_edit(
                run, self.text, self.out, neutral=self.neutral, method=self.method, seed=self.seed, image=self.image,
                strength=self.strength, scorer=self.scorer, beta=self.beta, **how,
            )  # fmt: skip
            similar = done.record["similarity"]
            told = (
                f"similarity to the text {similar['before']:.3f} → {similar['after']:.3f}; "
                f"LPIPS from before {done.record['identity_distance']:.3f}"
            )
        talk.clear()
        talk.data("\n".join(str(path) for path in done.paths))
        talk.say(told)
        if self.text is not None and self.strength > 0 and similar["after"] <= similar["before"]:
            talk.say("it came no nearer to the text: the scorer may not know its words, or G cannot draw it")
        return 0
