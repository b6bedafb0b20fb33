"""The generators of the classic repository, said again as plainly as possible: which layer stands at which number, so
that a state dict of these has exactly the keys of its checkpoints. Small widths; nothing here is used but by tests.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn


def normalisation(name: str, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels) if name == "instance" else nn.Identity()


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, norm: str, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), normalisation(norm, channels)]
        rest = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), normalisation(norm, channels)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *([nn.Dropout(0.5)] if dropout else []), *rest)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Resnet(nn.Module):
    def __init__(self, given: int, made: int, width: int, norm: str, dropout: bool, blocks: int) -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(given, width, 7, bias=bias)]
        layers += [normalisation(norm, width), nn.ReLU()]
        for k in (1, 2):
            layers += [nn.Conv2d(width * k, width * k * 2, 3, stride=2, padding=1, bias=bias)]
            layers += [normalisation(norm, width * k * 2), nn.ReLU()]
        layers += [ResnetBlock(width * 4, norm, dropout) for _ in range(blocks)]
        for k in (4, 2):
            layers += [nn.ConvTranspose2d(width * k, width * k // 2, 3, 2, padding=1, output_padding=1, bias=bias)]
            layers += [normalisation(norm, width * k // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, made, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)  # type: ignore[no-any-return]


class Level(nn.Module):
    """One level of the U-Net around the one below: it returns what came in beside what it made of it."""

    def __init__(
        self, outer: int, inner: int, norm: str, below: nn.Module | None, given: int | None, dropout: bool = False
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        self.outermost = given is not None
        down = nn.Conv2d(outer if given is None else given, inner, 4, 2, 1, bias=bias)
        if self.outermost:
            assert below is not None
            layers = [down, below, nn.ReLU(), nn.ConvTranspose2d(inner * 2, outer, 4, 2, 1), nn.Tanh()]
        elif below is None:
            up = nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=bias)
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, normalisation(norm, outer)]
        else:
            up = nn.ConvTranspose2d(inner * 2, outer, 4, 2, 1, bias=bias)
            layers = [nn.LeakyReLU(0.2), down, normalisation(norm, inner), below]
            layers += [nn.ReLU(), up, normalisation(norm, outer), *([nn.Dropout(0.5)] if dropout else [])]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.model(x)
        return made if self.outermost else torch.cat([x, made], 1)


class Unet(nn.Module):
    def __init__(self, given: int, made: int, width: int, norm: str, dropout: bool, halvings: int) -> None:
        super().__init__()
        level = Level(width * 8, width * 8, norm, None, None)
        for _ in range(halvings - 5):
            level = Level(width * 8, width * 8, norm, level, None, dropout)
        for k in (4, 2, 1):
            level = Level(width * k, width * k * 2, norm, level, None)
        self.model = Level(made, width, norm, level, given)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)  # type: ignore[no-any-return]


def generator(
    backbone: str, norm: str, *, given: int = 3, made: int = 3, dropout: bool = False, **size: Any
) -> nn.Module:
    """With weights that make a difference everywhere: scales and shifts of normalisation, biases."""
    torch.manual_seed(5)
    if backbone == "unet":
        net: nn.Module = Unet(given, made, size.get("width", 3), norm, dropout, size.get("halvings", 6))
    else:
        net = Resnet(given, made, size.get("width", 4), norm, dropout, size.get("blocks", 2))
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() == 1 else (2.0 / p[0].numel()) ** 0.5))
            if p.dim() == 1 and name.endswith("weight"):
                p.add_(1.0)
    return net


def alone(net: nn.Module, x: Tensor) -> Tensor:
    """What the classic test.py makes of each image: statistics of a batch of one, no dropout."""
    net.train()
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    with torch.no_grad():
        return torch.cat([net(one[None]) for one in x])


def checkpoint(net: nn.Module) -> OrderedDict[str, Tensor]:
    return OrderedDict((name, tensor.clone()) for name, tensor in net.state_dict().items())
