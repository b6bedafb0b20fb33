"""r3gan-minutes: would D on cat([real, fake]) in one pass, or another layout, be faster than what the recipe does?

Its D has no normalisation, so samples do not influence each other: one pass over 2N images gives the same logits and
gradients as two passes over N. The whole step is timed, through `Match.step`; every variant plays on its own copy.
"""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.speed import machine
from torch import Tensor, nn

from sparring.data import open_data, stream_of
from sparring.losses.penalties import zero_centred
from sparring.losses.skill import skill
from sparring.recipes.r3gan import R3GAN
from sparring.runs import plan as plans
from sparring.runs.recipe import load
from sparring.train.game import Now
from sparring.train.match import Match
from sparring.types import Batch, Shared, Terms

SEED = 0


class OnePass(R3GAN):
    """The same game with D's two batches joined: same terms to rounding."""

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        real = self.augmented(batch.x, now, "real")
        if player == "G":
            s_real, s_fake = self.D(torch.cat([real, self.augmented(shared["fake"], now, "fake")])).chunk(2)
            return self.objective.generator(s_real, s_fake)
        penalised = now.every(self.config.penalty_every)
        x = torch.cat([batch.x.detach(), shared["fake"].detach()]).requires_grad_(penalised)
        a, b = x.chunk(2)
        s = self.D(torch.cat([self.augmented(a, now, "real"), self.augmented(b, now, "fake")]))
        s_real, s_fake = s.chunk(2)
        terms = self.objective.discriminator(s_real, s_fake) | skill(s_real, s_fake, relative=self.relative)
        if penalised:
            r1, r2 = zero_centred(s, x).chunk(2)
            terms |= {"r1": r1, "r2": r2}
        return terms
