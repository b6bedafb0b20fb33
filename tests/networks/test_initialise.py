"""Initialisation keeps the second moment of what passes through, and nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.forking import Forks
from torch import nn

from sparring.networks import initialise


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(400, 300), (500, 400)),
        (nn.Conv2d(64, 48, 3), (16, 64, 12, 12)),
        (nn.Conv2d(64, 64, 3, groups=4), (16, 64, 12, 12)),
        (nn.ConvTranspose2d(64, 48, 4, stride=2, padding=1), (16, 64, 12, 12)),
    ],
)
def test_leaky_relu_keeps_the_second_moment(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    initialise.he(layer, initialise.gain_of_leaky_relu())
    with torch.no_grad():
        y = nn.functional.leaky_relu(layer(torch.randn(shape)), initialise.LEAK)
    y = y[..., 2:-2, 2:-2] if y.dim() == 4 else y  # the border sums over fewer inputs
    assert y.square().mean().item() == pytest.approx(1.0, rel=0.1)
    assert (layer.bias == 0).all()


def test_dcgan() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(64, 64, 4), nn.BatchNorm2d(2000), nn.Linear(100, 100))
    initialise.dcgan(net)
    for layer in (net[0], net[2]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0.0, abs=1e-3)
        assert (layer.bias == 0).all()
    assert net[1].weight.mean().item() == pytest.approx(1.0, abs=2e-3)
    assert net[1].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert (net[1].bias == 0).all()


def test_fixup_gain() -> None:
    assert initialise.fixup_gain(1) == 1.0
    assert initialise.fixup_gain(16, layers=3) == pytest.approx(0.5)  # 16^(−1/4)
    assert initialise.fixup_gain(100, layers=2) == pytest.approx(0.1)  # 100^(−1/2)


def test_only_known_layers() -> None:
    with pytest.raises(TypeError, match="BatchNorm2d"):
        initialise.he(nn.BatchNorm2d(3))


def test_without_memory_there_are_shapes_alone(forked: Forks) -> None:
    """Of whatever begins as draws from a normal law, divided or not, without PyTorch's compiler, which takes seconds to
    load."""
    code = (
        "import sys, torch; from torch import nn; from sparring.networks import initialise\n"
        "from sparring.networks.equalised import Linear\n"
        "with initialise.without_memory():\n"
        "    net = nn.Sequential(nn.Linear(10**6, 10**6), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))\n"
        "    initialise.dcgan(net), initialise.he(net[0]), nn.init.normal_(tensor=net[1].weight)\n"
        "    nn.init.orthogonal_(net[1].weight)\n"
        "    net.append(nn.Embedding(10**9, 9)), net.append(Linear(10**6, 10**6, rate=0.01))\n"
        "assert all(p.is_meta for p in net.parameters()) and net[3].weight.shape == (10**9, 9)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "assert torch.zeros(9).normal_().std() > 0\n"
    )
    ended = forked.python("-c", code)
    assert ended.returncode == 0, ended.stderr
