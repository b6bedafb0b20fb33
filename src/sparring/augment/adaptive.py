"""Adaptive discriminator augmentation, ADA (Karras et al. 2020, "Training generative adversarial networks with limited
data").

D sees only T(x) and T(G(z)), T a chain of maps of place and colour, each of which happens with probability p. As long
as p is below about 0.8 what T did can be told from the images it leaves, so G does not learn to make augmented ones. p
is turned up while D is too sure of its training images, and down while it is not: `Adaptive`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sparring.augment.geometric import geometric
from sparring.chance import Dice, Dices
from sparring.errors import UsageError

POLICY = "bgc"
"""b: mirrored, turned by quarters, shifted by whole pixels. g: scaled, turned, stretched, shifted. c: colours."""


def augment(x: Tensor, dice: Dice | Dices, p: float | Tensor, policy: str = POLICY) -> Tensor:
    """T(x), (N, C, H, W) → the same shape; the result may leave [−1, 1].

    x: images in [−1, 1].   dice: of the N samples.   p: in [0, 1]; the number 0 returns x itself.
    policy: letters of `POLICY`.   Colours change in images of 1, 3 or 4 channels (the fourth is alpha, left alone).

    >>> x = torch.zeros(4, 3, 32, 32)
    >>> augment(x, Dice(0, "real", range(4)), 0.5).shape
    torch.Size([4, 3, 32, 32])
    """
    if not policy or set(policy) - set(POLICY):
        raise UsageError("AUGMENT", f"no such augmentation: {policy!r}", fix=f"any of the letters {', '.join(POLICY)}")
    if not isinstance(p, Tensor) and p == 0:
        return x
    if "b" in policy or "g" in policy:
        x = geometric(x, dice, p, whole="b" in policy, fractional="g" in policy)
    return colours(x, dice, p) if "c" in policy else x


def colours(x: Tensor, dice: Dice | Dices, p: float | Tensor) -> Tensor:
    """Brightness, contrast, luma mirrored, hue, saturation, each with probability p: an affine map of the colours of
    each image, (N, C, H, W) → the same shape. Strengths are the paper's: brightness ± 0.2, contrast 2^(± 0.5),
    saturation 2^(± 1) (standard deviations), any hue."""
    count = x.shape[1]
    if count == 4:
        return torch.cat([colours(x[:, :3], dice, p), x[:, 3:]], dim=1)
    if count not in (1, 3):
        return x
    maps = _colour_maps(x, dice, p)
    matrix, offset = maps[:, :3, :3], maps[:, :3, 3]
    if count == 1:  # a grey: what becomes of the mean of three equal ones
        return x * matrix.sum((1, 2)).view(-1, 1, 1, 1) / 3 + offset.mean(1).view(-1, 1, 1, 1)
    return torch.einsum("nij,njhw->nihw", matrix, x) + offset[:, :, None, None]


def _colour_maps(x: Tensor, dice: Dice | Dices, p: float | Tensor) -> Tensor:
    """(N, 4, 4) in homogeneous coordinates, in x's dtype."""
    axis = torch.full((3,), 1 / math.sqrt(3), device=x.device)  # of greys: luma
    grey, eye = torch.outer(axis, axis), torch.eye(3, device=x.device)
    happens = (dice.of("colours").uniform(5).to(x.device) < p).float()  # (N, 5)
    u = dice.of("angles").uniform(2).to(x.device)
    n = dice.of("strengths").normal(3).to(x.device)
    light = happens[:, 0] * 0.2 * n[:, 0]
    contrast = torch.exp2(happens[:, 1] * 0.5 * n[:, 1])
    flipped = happens[:, 2] * (u[:, 0] < 0.5)
    angle = happens[:, 3] * (2 * u[:, 1] - 1) * math.pi
    saturation = torch.exp2(happens[:, 4] * n[:, 2])
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=x.device) / math.sqrt(3)

    def of(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1)

    turn = of(angle.cos()) * eye + of(angle.sin()) * cross + of(1 - angle.cos()) * grey  # Rodrigues, about grey
    matrix = (grey + of(saturation) * (eye - grey)) @ turn @ (eye - 2 * of(flipped) * grey)
    whole = torch.zeros(len(u), 4, 4, device=x.device)
    whole[:, :3, :3] = matrix * of(contrast)
    whole[:, :3, 3] = (whole[:, :3, :3] @ (light[:, None] * torch.ones_like(axis))[:, :, None])[:, :, 0]
    whole[:, 3, 3] = 1
    return whole.to(x.dtype)


class Adaptive(nn.Module):
    """p, and what it is moved by: r = E[sign D(x)] of training images over `every` rounds.

    Each time p moves by ± batch · every / (kimg · 1000), up where r > target: from 0 to 1 it takes at least `kimg`
    thousand images. p: what it begins with. All of it is in buffers, so a run that is resumed goes on as if it had
    never stopped. r says nothing of a relativistic D, whose logits have no zero.

    >>> control = Adaptive(target=0.6, kimg=1, every=1)
    >>> control.hear(torch.tensor(0.9), batch=10), round(float(control.p), 4)
    (None, 0.01)
    """

    def __init__(self, target: float = 0.6, kimg: float = 500.0, every: int = 4, p: float = 0.0) -> None:
        super().__init__()
        self.target, self.kimg, self.every = target, kimg, every
        self.p: Tensor
        self.total: Tensor
        self.count: Tensor
        self.register_buffer("p", torch.tensor(p))
        self.register_buffer("total", torch.zeros(()))  # Σ of r over the rounds since p was moved
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def hear(self, sign: Tensor, batch: int) -> None:
        """sign: mean () of sign D(x) in one round, over pieces and processes.   batch: images in a round."""
        self.total += sign.to(self.total)
        self.count += 1
        due = (self.count >= self.every).to(self.p)  # arithmetic instead of a branch: a GPU need not be waited for
        step = batch * self.every / (self.kimg * 1000)
        self.p += due * step * torch.sign(self.total / self.count - self.target)
        self.p.clamp_(0, 1)
        self.total *= 1 - due
        self.count *= 1 - due
