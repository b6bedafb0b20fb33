"""FCN-8s: a network that names the class of every pixel (Long, Shelhamer & Darrell 2015, "Fully convolutional networks
for semantic segmentation").

The convolutions of VGG-16, its two hidden layers made convolutions, and scores of the K classes at three places: after
the fifth pool (stride 32), at the fourth (16) and the third (8). The coarse scores are upsampled by 2 and the finer
ones added, twice; what there is then is upsampled by 8, to the size of the image. Upsampling is a transposed
convolution that begins as, and at the end is, bilinear interpolation (section 4.2).

    H × W    pool1 … pool3  H/8    pool4  H/16    pool5  H/32    fc6 (7×7), fc7 (1×1), K scores
             score ↓               score ↓                       ×2
                     + ←───── ×2 ────── + ←──────────────────────┘            then ×8, cropped to H × W

Any size goes, down to one pixel: images are padded with ImageNet's mean colour on the right and below, to a multiple of
32 (the paper's poolings round up, to the same end), and what was padded is cropped away. The paper pads by 100 pixels
besides, on all sides, so that fc6, which pads nothing, has something to see of small images; `border` "published" does
that. "same" pads fc6 by 3 instead, which at 128 px is a seventh of the work. Where things lie is computed, not written
down: what is added belongs to the same pixels (the paper's crops by 5, 9 and 31 follow from the same law).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.chance import Dice, Dices
from sparring.errors import UsageError
from sparring.networks import imagenet, initialise, vgg
from sparring.ops.dropout import dropout

Border = Literal["same", "published"]

MARGIN = 99
"""Pixels by which "published" pads an image on each side; with the one that conv1_1 pads, the paper's 100."""
_STRIDE = 32


def bilinear(factor: int) -> Tensor:
    """The kernel (2f, 2f) with which a transposed convolution of stride f interpolates bilinearly; f even. Float64.

    Each output is a mean of up to 2 × 2 inputs: for each of the f² phases the weights sum to 1.

    >>> bilinear(2)[0] * 16
    tensor([1., 3., 3., 1.], dtype=torch.float64)
    """
    offsets = torch.arange(2 * factor, dtype=torch.float64) - (factor - 0.5)
    along = 1 - offsets.abs() / factor
    return along[:, None] * along[None, :]


class Up(nn.Module):
    """(N, K, h, w) → (N, K, f h, f w): bilinear interpolation, as a transposed convolution of 2f × 2f.

    learnt: whether its weights move (then a full K × K convolution that begins with nothing between two classes); else
    they are no parameters. The map is continued by its last row and column, so that a constant stays that constant up
    to the border. The centre of input i lies at f i + (f − 1)/2, as it does for a pixel of a map of stride f.
    """

    def __init__(self, classes: int, factor: int, *, learnt: bool) -> None:
        super().__init__()
        self.factor, self.classes = factor, classes
        self.weight = nn.Parameter(self._fixed(torch.eye(classes))) if learnt else None

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            x = torch.cat([x.narrow(axis, 0, 1), x, x.narrow(axis, x.shape[axis] - 1, 1)], axis)
        f, groups = self.factor, 1
        weight: Tensor | None = self.weight
        if weight is None:
            weight, groups = self._fixed(x.new_ones(self.classes, 1)), self.classes
        return F.conv_transpose2d(x, weight, None, f, padding=f + f // 2, groups=groups)

    def _fixed(self, pairs: Tensor) -> Tensor:
        """`pairs` (K, …) of classes times the kernel: (K, …, 2f, 2f)."""
        return pairs[..., None, None] * bilinear(self.factor).to(pairs)


class FCN8s(nn.Module):
    """Images (N, C, H, W) in [−1, 1], C 1 or 3 → logits (N, K, H, W) of each pixel's class, float32 under autocast too.

    classes:  K, at least 2.
    width:    channels of fc6 and fc7; 4096 in the paper, whose two layers then hold nine tenths of all weights.
    trunk:    channels of the first block; 64 is VGG-16.
    border:   "same", or "published".
    dropout:  probability with which each value after fc6 and after fc7 is dropped; only where dice are given.

    Nothing couples the images of a batch. Scores begin at 0 (section 4.1), so every class is as likely at first.

    >>> net = FCN8s(3, 12, width=8, trunk=2)
    >>> net(torch.zeros(1, 3, 37, 50)).shape
    torch.Size([1, 12, 37, 50])
    """

    def __init__(
        self, channels: int, classes: int, width: int = 512, trunk: int = 64, border: Border = "same",
        dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        if channels not in (1, 3):
            raise UsageError("NET-SHAPE", f"FCN-8s sees grey or colour images, not {channels} channels",
                             fix="--channels 3")  # fmt: skip
        if classes < 2:
            raise UsageError("NET-CLASSES", f"pixels need at least 2 classes, and the label maps have {classes}")
        self.margin, self.dropout = (MARGIN if border == "published" else 0), dropout
        self.trunk = vgg.VGG16(width=trunk)
        self.fully = vgg.Fully(self.trunk.widths[4], width)
        if border == "published":
            self.fully.fc6.padding = (0, 0)
        self.score32 = nn.Conv2d(width, classes, 1)
        self.score16 = nn.Conv2d(self.trunk.widths[3], classes, 1)
        self.score8 = nn.Conv2d(self.trunk.widths[2], classes, 1)
        for layer in (self.score32, self.score16, self.score8):
            initialise.he(layer, 0.0)
        self.up32, self.up16 = Up(classes, 2, learnt=True), Up(classes, 2, learnt=True)
        self.up8 = Up(classes, 8, learnt=False)

    def lowest(self, blocks: int) -> list[nn.Parameter]:
        """The parameters of the trunk's first so many blocks, of five."""
        return list(self.trunk.convolutions[: sum(vgg.BLOCKS[:blocks])].parameters())

    def forward(self, x: Tensor, dice: Dice | Dices | None = None) -> Tensor:
        height, width = x.shape[2:]
        m = self.margin
        more = [-(2 * m + side) % _STRIDE for side in (width, height)]
        maps = self.trunk(F.pad(imagenet.standardised(x), (m, m + more[0], m, m + more[1])))
        names = iter(("fc6", "fc7"))
        seen = self.fully(vgg.pool(maps[4]), drop=lambda h: self._drop(h, dice, next(names)))
        with torch.autocast(x.device.type, enabled=False):
            first = 3 - int(self.fully.fc6.padding[0])  # the pixel of pool5 that fc6's first output is centred at
            scores = self.up32(self.score32(seen.float()))
            scores = self.up16(_added(scores, self.score16(vgg.pool(maps[3]).float()), 2 * first))
            scores = self.up8(_added(scores, self.score8(vgg.pool(maps[2]).float()), 4 * first))
            top = m - _STRIDE * first  # the row and column of the image's first pixel
            return scores[:, :, top : top + height, top : top + width].contiguous()  # type: ignore[no-any-return]

    def _drop(self, x: Tensor, dice: Dice | Dices | None, name: str) -> Tensor:
        if dice is None or self.dropout == 0:
            return x
        return dropout(x, self.dropout, dice.of(name).uniform(*x.shape[1:]).to(x.device))


def _added(coarse: Tensor, fine: Tensor, first: int) -> Tensor:
    """The two where both are: pixel 0 of `coarse` lies on pixel `first` of `fine`."""
    height, width = (min(coarse.shape[axis], fine.shape[axis] - first) for axis in (2, 3))
    return coarse[:, :, :height, :width] + fine[:, :, first : first + height, first : first + width]
