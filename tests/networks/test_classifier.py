"""The classifier's network: shapes, parameters, precision, and a loss that falls."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import UsageError
from sparring.networks.classifier import Classifier, stages


@pytest.mark.parametrize(
    ("shape", "maps"), [((1, 28, 28), 7), ((3, 32, 32), 4), ((4, 16, 40), 4), ((3, 64, 64), 4), ((1, 17, 23), 5)]
)
def test_shapes(shape: tuple[int, int, int], maps: int) -> None:
    """Any size from 16 px, any channels; the smallest map has a shorter side of 4 to 7."""
    net = Classifier(shape, 7, width=4).eval()
    x = torch.rand(3, *shape) * 2 - 1
    assert net(x).shape == (3, 7) and net(x).dtype == torch.float32
    assert min(net.body(x).shape[2:]) == maps and 4 <= maps <= 7
    count = stages(*shape[1:])
    assert net.features(x).shape == (3, 4 * min(2**count, 4)) and float(net.features(x).detach().min()) >= 0
    torch.testing.assert_close(net.head(net.features(x)), net(x))


def test_parameters() -> None:
    """Two stages at 28 px and width 32, counted by hand: 9 (c·32 + 32·64 + 64² + 64·128 + 128²), scales, the head."""
    net = Classifier((1, 28, 28), 10, width=32)
    convolutions = 9 * (1 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    norms = 2 * (32 + 64 + 64 + 128 + 128)
    assert sum(p.numel() for p in net.parameters()) == convolutions + norms + 128 * 10 + 10


def test_signals_begin_at_their_size() -> None:
    """He et al. 2015: logits of normal images have a variance of about 1, at any depth."""
    torch.manual_seed(0)
    for shape in ((1, 28, 28), (3, 64, 64)):
        logits = torch.stack([Classifier(shape, 10, width=16)(torch.randn(16, *shape)).detach() for _ in range(4)])
        assert 0.05 < float(logits.std()) < 2.0


def test_bf16_decides_in_full_precision() -> None:
    net = Classifier((3, 16, 16), 5, width=8).eval()
    x = torch.rand(2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        logits, features = net(x), net.features(x)
    assert logits.dtype == features.dtype == torch.float32
    torch.testing.assert_close(logits, net(x), rtol=0.05, atol=0.05)


def test_an_image_is_alone_in_eval_mode() -> None:
    torch.manual_seed(0)
    net = Classifier((1, 16, 16), 3, width=4).eval()
    x = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(net(x)[:1], net(torch.cat([x[:1], 9 * x[1:]]))[:1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("shape", "classes"), [((2,), 3), ((3, 15, 64), 3), ((3, 16, 16), 1), ((3, 16, 16), 0)])
def test_what_it_cannot_be_made_for(shape: tuple[int, ...], classes: int) -> None:
    with pytest.raises(UsageError, match="NET-SHAPE|NET-CLASSES"):
        Classifier(shape, classes)
