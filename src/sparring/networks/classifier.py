"""A small convolutional classifier: the judge for data that ImageNet knows nothing of, such as digits.

Pairs of 3×3 convolutions with batch normalisation, the second of each pair keeping the size (Simonyan & Zisserman 2015,
with strides for pools), global average pooling, one linear layer. What is pooled are the features.

    28 × 28, width 32     C×28×28 → 32×28×28 → 64×14×14 → 128×7×7 → 128 features → K logits
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.errors import UsageError
from sparring.networks import initialise

_SMALLEST = 16
_WIDEST = 4  # the number of channels doubles per stage up to 4 × width


def stages(height: int, width: int) -> int:
    """Number of factors of 2 between an image and its smallest map, whose shorter side is 4 to 7.

    >>> stages(28, 28), stages(32, 32), stages(16, 40), stages(64, 64)
    (2, 3, 2, 4)
    """
    return max(1, int(math.log2(min(height, width) / 4)))


class Classifier(nn.Module):
    """Images (N, C, H, W) in [−1, 1] → logits (N, K), float32 even under bf16 autocast.

    shape:    (C, H, W), at least 16 × 16.    classes: K, at least 2.
    width:    channels of the finest map.

    Batch normalisation lets the images of a batch influence each other while training; not in `eval()`.

    >>> net = Classifier((1, 28, 28), 10, width=8)
    >>> net(torch.zeros(2, 1, 28, 28)).shape, net.features(torch.zeros(2, 1, 28, 28)).shape
    (torch.Size([2, 10]), torch.Size([2, 32]))
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int = 32) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < _SMALLEST:
            raise UsageError(
                "NET-SHAPE", f"the classifier needs images (C, H, W) of at least {_SMALLEST}×{_SMALLEST}, not {shape}",
                fix=f"--size {_SMALLEST} or more" if len(shape) == 3 else "train it on images",
            )  # fmt: skip
        if classes < 2:
            raise UsageError("NET-CLASSES", f"a classifier needs at least 2 classes, and the data has {classes}")
        widths = [width * min(2**k, _WIDEST) for k in range(stages(*shape[1:]) + 1)]
        layers = [*_layer(shape[0], widths[0])]
        for inputs, outputs in pairwise(widths):
            layers += [*_layer(inputs, outputs, stride=2), *_layer(outputs, outputs)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                initialise.he(layer, initialise.gain_of_leaky_relu(0.0))
        initialise.he(self.head)

    def features(self, x: Tensor) -> Tensor:
        """What is pooled, (N, F), in the precision of `head`: from 0 on, what the logits are a linear function of."""
        return self.body(x).mean((2, 3), dtype=self.head.weight.dtype)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(features)  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
