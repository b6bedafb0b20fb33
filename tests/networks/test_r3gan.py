"""R3GAN's networks: sizes, identity at the start, scale without normalisation, penalties."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import UsageError
from sparring.losses.penalties import zero_centred
from sparring.networks import r3gan
from sparring.ops import smooth

SMALL = (32, 16, 16)


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((3, 64, 64), (32, 32, 16, 16, 8)),
        ((3, 96, 64), (32, 16, 16, 16, 8)),
        ((1, 100, 75), (32, 16, 16, 8)),
        ((4, 32, 32), (16, 16, 16, 16)),
        ((1, 28, 28), (16, 16, 8)),
    ],
)
def test_shapes(shape: tuple[int, ...], widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = r3gan.Generator(8, shape, widths, blocks=1)(torch.randn(2, 8))
    assert x.shape == (2, *shape)
    assert r3gan.Discriminator(shape, widths, blocks=1)(x).shape == (2,)


def test_four_taps_resample_between_the_samples() -> None:
    """[1, 3, 3, 1], zeros beyond the edge; three taps, [1, 2, 1], keep constants up to it."""
    x = torch.ones(1, 4, 8, 8)
    for up in (True, False):
        three, four = (r3gan.Transition(4, 4, up=up, taps=taps)(x) for taps in (3, 4))
        assert torch.equal(three, torch.ones_like(three)) and three.shape == four.shape
        assert torch.equal(four, smooth.double(x) if up else smooth.halve(x)) and four[0, 0, 0, 0] < 1
    seen = r3gan.Generator(8, (3, 16, 16), SMALL, blocks=1, taps=4)(torch.randn(2, 8))
    assert r3gan.Discriminator((3, 16, 16), SMALL, blocks=1, taps=4)(seen).shape == (2,)


def test_a_block_begins_as_the_identity() -> None:
    torch.manual_seed(0)
    block, x = r3gan.Block(16, expansion=2, group_width=16, gain=0.5), torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert (block.contract.weight.grad != 0).any()  # and yet it can learn at once
    block.contract.weight.data.normal_()
    assert not torch.allclose(block(x), x)


def test_initial_networks_are_those_without_blocks() -> None:
    """With every block the identity, blocks do not change the initial function."""
    torch.manual_seed(0)
    with_blocks = r3gan.Generator(8, (3, 16, 16), SMALL, blocks=2)
    without = r3gan.Generator(8, (3, 16, 16), SMALL, blocks=0)
    without.load_state_dict({k: v for k, v in with_blocks.state_dict().items() if "stages" not in k})
    same: list[bool] = []
    for stage in with_blocks.stages:
        stage.register_forward_hook(lambda stage, given, made: same.append(torch.equal(given[0], made)))
    z = torch.randn(2, 8)
    # after blocks numbers may lie in memory in another order, for which the next convolution may have another kernel
    assert torch.allclose(with_blocks(z), without(z), rtol=0, atol=1e-5)
    assert same == [True] * len(SMALL)


def test_scale_without_normalisation() -> None:
    torch.manual_seed(0)
    x = r3gan.Generator(64, (3, 32, 32), (128, 128, 64, 64))(torch.randn(16, 64))
    assert 0.3 < x.detach().std() < 2
    flat = torch.randn(64, 3, 1, 1).expand(64, 3, 32, 32)  # white noise would be averaged away by the resampling
    assert 0.3 < r3gan.Discriminator((3, 32, 32), (128, 128, 64, 64))(flat).detach().std() < 3


def test_hidden_signal_of_the_fixup_blocks() -> None:
    """`expand` and `grouped` are shrunk by L^(−1/4)."""
    torch.manual_seed(0)
    wide = r3gan.Block(64, 2, 16, gain=1.0).expand.weight.std()
    narrow = r3gan.Block(64, 2, 16, gain=16**-0.25).expand.weight.std()
    assert (narrow / wide).item() == pytest.approx(0.5, rel=0.05)


def test_biases_stand_only_in_front_of_activations() -> None:
    names = {name.split(".", 1)[1] if "." in name else name for name, _ in _named_biases()}
    assert names == {"0.0.expand.bias", "0.0.grouped.bias", "1.0.expand.bias", "1.0.grouped.bias"}


def _named_biases() -> list[tuple[str, torch.Tensor]]:
    g = r3gan.Generator(8, (3, 8, 8), (16, 8), blocks=1)
    d = r3gan.Discriminator((3, 8, 8), (16, 8), blocks=1)
    return [(n, p) for m in (g, d) for n, p in m.named_parameters() if n.endswith("bias")]


def test_parameter_count_of_a_block() -> None:
    """1×1 up C·eC + eC, grouped 9·eC·g + eC, 1×1 down eC·C, with e = 2, g = 16."""
    block = r3gan.Block(64, expansion=2, group_width=16)
    assert sum(p.numel() for p in block.parameters()) == 64 * 128 + 128 + 9 * 128 * 16 + 128 + 128 * 64


def test_penalty_reaches_all_weights() -> None:
    torch.manual_seed(0)
    d = r3gan.Discriminator((3, 16, 16), SMALL, blocks=1)
    for block in d.modules():
        if isinstance(block, r3gan.Block):
            block.contract.weight.data.normal_(0, 0.1)
    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    zero_centred(d(x), x).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for n, p in d.named_parameters() if n.endswith("weight"))


def test_a_padded_border_matches_the_crop() -> None:
    d = r3gan.Discriminator((1, 28, 27), (8, 8, 8, 8), blocks=0)  # 32 × 32 inside
    assert d.border == (2, 3, 2, 2)


def test_logits_are_float32_under_autocast() -> None:
    d, x = r3gan.Discriminator((3, 16, 16), SMALL, blocks=1), torch.randn(2, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert d(x).dtype == torch.float32
        assert r3gan.Generator(8, (3, 16, 16), SMALL, blocks=1)(torch.randn(2, 8)).dtype == torch.float32


def test_refusals() -> None:
    with pytest.raises(UsageError, match="NET-WIDTH"):
        r3gan.Generator(8, (3, 16, 16), (20, 20, 20))
    with pytest.raises(UsageError, match="NET-SHAPE"):
        r3gan.Discriminator((3, 16, 16), (16,) * 6)
