"""The DCGAN-64 training loop as tutorials teach it, written out plainly: what most people run, and what we measure
ourselves against. Only the structure is the tutorials' (layers, order of passes, optimiser, logging); the text is ours.

Contiguous NCHW tensors, D ending in a sigmoid, BCELoss, two backward passes in D's turn, D's weight gradients computed
(and thrown away) in G's turn, ``torch.optim.Adam(2e-4, betas=(0.5, 0.999))``, five numbers read with ``.item()``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Z, WIDTH, COLOURS = 100, 64, 3


def generator() -> nn.Sequential:
    """z (N, 100, 1, 1) → images (N, 3, 64, 64) in [−1, 1]."""
    return nn.Sequential(
        nn.ConvTranspose2d(Z, WIDTH * 8, 4, 1, 0, bias=False),  # (N, 512, 4, 4)
        nn.BatchNorm2d(WIDTH * 8),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH * 8, WIDTH * 4, 4, 2, 1, bias=False),  # (N, 256, 8, 8)
        nn.BatchNorm2d(WIDTH * 4),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH * 4, WIDTH * 2, 4, 2, 1, bias=False),  # (N, 128, 16, 16)
        nn.BatchNorm2d(WIDTH * 2),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH * 2, WIDTH, 4, 2, 1, bias=False),  # (N, 64, 32, 32)
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH, COLOURS, 4, 2, 1, bias=False),  # (N, 3, 64, 64)
        nn.Tanh(),
    )


def discriminator() -> nn.Sequential:
    """Images (N, 3, 64, 64) → the probability of being real, (N, 1, 1, 1)."""
    return nn.Sequential(
        nn.Conv2d(COLOURS, WIDTH, 4, 2, 1, bias=False),  # (N, 64, 32, 32)
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH, WIDTH * 2, 4, 2, 1, bias=False),  # (N, 128, 16, 16)
        nn.BatchNorm2d(WIDTH * 2),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH * 2, WIDTH * 4, 4, 2, 1, bias=False),  # (N, 256, 8, 8)
        nn.BatchNorm2d(WIDTH * 4),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH * 4, WIDTH * 8, 4, 2, 1, bias=False),  # (N, 512, 4, 4)
        nn.BatchNorm2d(WIDTH * 8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH * 8, 1, 4, 1, 0, bias=False),  # (N, 1, 1, 1)
        nn.Sigmoid(),
    )


class Textbook:
    """The loop's state; `step` is its body."""

    def __init__(self) -> None:
        self.netG, self.netD = generator(), discriminator()
        self.criterion = nn.BCELoss()
        self.optimizerD = torch.optim.Adam(self.netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.optimizerG = torch.optim.Adam(self.netG.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self, real: Tensor, z: Tensor | None = None) -> tuple[float, float]:
        """One round on floats (N, 3, 64, 64) in [−1, 1]; returns (errD, errG). z: (N, 100), drawn if not given."""
        n = len(real)
        # D: raise log D(x) + log(1 − D(G(z)))
        self.netD.zero_grad()
        label = torch.full((n,), 1.0)
        output = self.netD(real).view(-1)
        errD_real = self.criterion(output, label)
        errD_real.backward()
        D_x = output.mean().item()
        noise = torch.randn(n, Z, 1, 1) if z is None else z.view(n, Z, 1, 1)
        fake = self.netG(noise)
        label.fill_(0.0)
        output = self.netD(fake.detach()).view(-1)
        errD_fake = self.criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        self.optimizerD.step()
        # G: raise log D(G(z))
        self.netG.zero_grad()
        label.fill_(1.0)
        output = self.netD(fake).view(-1)
        errG = self.criterion(output, label)
        errG.backward()
        D_G_z2 = output.mean().item()
        self.optimizerG.step()
        assert 0 <= D_x <= 1 and 0 <= D_G_z1 <= 1 and 0 <= D_G_z2 <= 1
        return errD.item(), errG.item()
