"""The same network in numbers wide enough that what is drawn does not depend on how many are drawn at once."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def exact(net: Network) -> Network:
    """A copy in float64, in float32 on a device that has nothing wider; in eval mode."""
    wide = torch.float32 if next(net.parameters()).device.type == "mps" else torch.float64
    return copy.deepcopy(net).to(wide).to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload, no-any-return]
