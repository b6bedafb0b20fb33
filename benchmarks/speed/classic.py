"""The Pix2Pix training loop as the classic code has it, written out plainly: what most people run, and what we measure
ourselves against. Only the structure is the classic one (layers, order of passes, optimiser); the text is ours.

Contiguous NCHW tensors, U-Net-256 with batch normalisation over a batch of one image, PatchGAN-70, BCEWithLogitsLoss,
D's loss halved, λ = 100, D frozen while G moves, ``torch.optim.Adam(2e-4, betas=(0.5, 0.999))``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH, DEPTH = 64, 8


class Level(nn.Module):
    """One level of the U-Net with all that lies below it; its output is laid beside its input."""

    def __init__(self, outer: int, inner: int, below: Level | None, *, given: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.outermost = given is not None
        down = nn.Conv2d(given or outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(inner * (1 if below is None else 2), outer, 4, 2, 1, bias=self.outermost)
        if self.outermost:
            layers: list[nn.Module] = [down, *filter(None, [below]), nn.ReLU(True), up, nn.Tanh()]
        elif below is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, nn.BatchNorm2d(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, nn.BatchNorm2d(inner), below]
            layers += [nn.ReLU(True), up, nn.BatchNorm2d(outer)] + [nn.Dropout(dropout)] * (dropout > 0)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if self.outermost else torch.cat([x, self.layers(x)], 1)


def unet(given: int, made: int, dropout: float) -> Level:
    """(N, given, 256, 256) → (N, made, 256, 256) in [−1, 1]."""
    level = Level(WIDTH * 8, WIDTH * 8, None)
    for _ in range(DEPTH - 5):
        level = Level(WIDTH * 8, WIDTH * 8, level, dropout=dropout)
    for times in (4, 2, 1):
        level = Level(WIDTH * times, WIDTH * times * 2, level)
    return Level(made, WIDTH, level, given=given)


def discriminator(channels: int) -> nn.Sequential:
    """(N, channels, 256, 256) → logits (N, 1, 30, 30), each of a patch of 70 × 70."""
    layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for before, after, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        layers += [nn.Conv2d(WIDTH * before, WIDTH * after, 4, stride, 1, bias=False), nn.BatchNorm2d(WIDTH * after)]
        layers += [nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH * 8, 1, 4, 1, 1))


class Classic:
    """The loop's state; `step` is its body."""

    def __init__(self, given: int, made: int, dropout: float) -> None:
        self.netG, self.netD = unet(given, made, dropout), discriminator(given + made)
        self.criterionGAN, self.criterionL1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
        self.optimizerG = torch.optim.Adam(self.netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.optimizerD = torch.optim.Adam(self.netD.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One round on a (N, given, H, W) and b (N, made, H, W) in [−1, 1]; (D's loss, G's logit loss, L1)."""
        fake = self.netG(a)
        # D
        self.netD.requires_grad_(True)
        self.optimizerD.zero_grad()
        output = self.netD(torch.cat([a, fake.detach()], 1))
        errD_fake = self.criterionGAN(output, torch.zeros_like(output))
        output = self.netD(torch.cat([a, b], 1))
        errD_real = self.criterionGAN(output, torch.ones_like(output))
        errD = (errD_fake + errD_real) * 0.5
        errD.backward()
        self.optimizerD.step()
        # G
        self.netD.requires_grad_(False)
        self.optimizerG.zero_grad()
        output = self.netD(torch.cat([a, fake], 1))
        errG = self.criterionGAN(output, torch.ones_like(output))
        errL1 = self.criterionL1(fake, b)
        (errG + 100.0 * errL1).backward()
        self.optimizerG.step()
        return errD.detach(), errG.detach(), errL1.detach()
