"""Encoders and decoders of any size, none of which couples the samples of a batch."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import UsageError
from sparring.networks.encoder_decoder import ConvolutionalDecoder, ConvolutionalEncoder, Decoder, Encoder, Scale
from sparring.train.game import seeded


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (3, 27, 41), (2, 7, 5), (3, 64, 64), (4, 8, 33)])
def test_any_size_fits(shape: tuple[int, int, int]) -> None:
    encoder, decoder = ConvolutionalEncoder(shape, 5, width=2), ConvolutionalDecoder(3, shape, width=2)
    assert encoder(torch.zeros(2, *shape)).shape == (2, 5)
    raw, log_scale = decoder(torch.randn(2, 3))
    assert raw.shape == (2, *shape) and log_scale.shape == (2, 1, 1, 1)
    assert float(log_scale.detach().abs().max()) == 0.0


@pytest.mark.parametrize("shape", [(1, 13, 9), (3, 16, 16), (1, 28, 28)])
def test_every_pixel_is_seen_and_made(shape: tuple[int, int, int]) -> None:
    """A change of any pixel changes what is said of z, and a change of z every pixel."""
    encoder = seeded(0, lambda: ConvolutionalEncoder(shape, 5, width=4)).double()
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(encoder(x).square().sum(), x)
    assert bool((slope.abs().sum(1) > 0).all())
    decoder = seeded(0, lambda: ConvolutionalDecoder(3, shape, width=4)).double()
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert bool(((decoder(z)[0] - decoder(-z)[0]) != 0).all())


def test_samples_do_not_influence_each_other() -> None:
    x, z = torch.randn(4, 3, 16, 16), torch.randn(4, 3)
    nets = (ConvolutionalEncoder((3, 16, 16), 5, 4), Encoder((3, 16, 16), 5, (8, 8)))
    for net in nets:
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-5)
    for decoder in (ConvolutionalDecoder(3, (3, 16, 16), 4), Decoder(3, (3, 16, 16), (8,))):
        torch.testing.assert_close(decoder(z)[0][1:2], decoder(z[1:2])[0], rtol=1e-4, atol=1e-5)


def test_what_goes_in_comes_out_at_its_size() -> None:
    """He initialisation: no layer grows or shrinks what passes."""
    encoder = seeded(1, lambda: ConvolutionalEncoder((3, 64, 64), 32, 16))
    decoder = seeded(1, lambda: ConvolutionalDecoder(32, (3, 64, 64), 16))
    with torch.no_grad():
        said = encoder(torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        raw = decoder(torch.randn(16, 32, generator=torch.Generator().manual_seed(1)))[0]
    assert 0.03 < float(said.std()) < 0.3 and 0.3 < float(raw.std()) < 3  # an encoder begins by saying little


def test_the_protocol_of_the_hyperspherical_vae_can_be_set() -> None:
    """784-256-128, the decoder the other way round: systems.md, #4."""
    encoder, decoder = Encoder((1, 28, 28), 4, (256, 128)), Decoder(2, (1, 28, 28), (128, 256))
    sizes = [tuple(p.shape) for p in (*encoder.parameters(), *decoder.parameters()) if p.dim() == 2]
    assert sizes == [(256, 784), (128, 256), (4, 128), (128, 2), (256, 128), (784, 256)]


def test_a_scale_is_fixed_or_learned() -> None:
    assert not list(Scale(0.3).parameters()) and len(list(Scale(None).parameters())) == 1
    assert float(Scale(0.3)(torch.zeros(1, 2)).exp()) == pytest.approx(0.3)


def test_points_are_refused() -> None:
    for build in (lambda: ConvolutionalEncoder((2,), 4, 4), lambda: ConvolutionalDecoder(4, (1, 3, 3), 4)):
        with pytest.raises(UsageError, match="NET-SHAPE"):
            build()
