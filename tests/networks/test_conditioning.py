"""How networks are told a class: closed forms, and what is left where the class says nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.networks import dcgan, mlp, r3gan
from sparring.networks.conditioning import (
    ConditionalBatchNorm,
    Discriminator,
    Generator,
    beside,
    one_hot,
    with_planes,
)
from sparring.train.game import seeded

K, N, SHAPE = 3, 8, (2, 16, 16)
NETWORKS = ("mlp", "mlp-fourier", "dcgan", "r3gan")
LABEL = torch.tensor([0, 1, 2, 2, 1, 0, 0, 1])


def judge(network: str, told: int = 0) -> nn.Module:
    match network:
        case "mlp":
            return mlp.Discriminator(SHAPE, 8, 2, told=told)
        case "mlp-fourier":
            return mlp.Discriminator(SHAPE, 8, 2, (4, 0.5, 4.0), told)
        case "dcgan":
            return dcgan.Discriminator(SHAPE, 4, "none", told)
        case _:
            return r3gan.Discriminator(SHAPE, (8, 4), 1, 2, 4, told)


def maker(network: str, told: int, norm: str = "batch") -> nn.Module:
    match network:
        case "mlp":
            return mlp.Generator(5, SHAPE, 8, 2, told=told)
        case "mlp-fourier":
            return mlp.Generator(5, SHAPE, 8, 2, (4, 0.5, 4.0), told)
        case "dcgan":
            return dcgan.Generator(5, SHAPE, 4, norm, told)  # type: ignore[arg-type]
        case _:
            return r3gan.Generator(5, SHAPE, (8, 4), 1, 2, 4, told)


def images(seed: int = 0) -> Tensor:
    return torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(seed))


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_class_beside_z_is_as_large_as_z() -> None:
    every = beside(torch.arange(K), K)
    torch.testing.assert_close(every.square().mean(0), torch.ones(K))  # over the classes, for each number
    assert torch.equal(every.argmax(1), torch.arange(K)) and torch.equal(one_hot(LABEL, K).argmax(1), LABEL)


def test_planes_are_constant_and_leave_the_image() -> None:
    x, told = images(), beside(LABEL, K)
    joined = with_planes(x, told)
    assert torch.equal(joined[:, :2], x)
    assert torch.equal(joined[:, 2:], told[:, :, None, None].expand(N, K, 16, 16))
    last = with_planes(x.contiguous(memory_format=torch.channels_last), told)
    assert last.is_contiguous(memory_format=torch.channels_last) and torch.equal(last, joined)


# ── D ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("network", NETWORKS)
def test_the_projection_is_its_closed_form(network: str) -> None:
    """s(x, y) = ψ(φ(x)) + ⟨e_y, φ(x)⟩, and what two classes differ by is ⟨e_y − e_y', φ(x)⟩."""
    D = seeded(0, lambda: Discriminator(judge(network), K, "projection")).double()
    x = images().double()
    s, guess = D(x, LABEL)
    assert guess is None
    features = D.net.features(x)
    e = D.embedding.weight.T  # (K, F)
    by_hand = [D.net(x)[i] + sum(e[int(y), f] * features[i, f] for f in range(e.shape[1])) for i, y in enumerate(LABEL)]
    torch.testing.assert_close(s, torch.stack(by_hand), rtol=1e-9, atol=1e-9)
    other = D(x, (LABEL + 1) % K)[0]
    torch.testing.assert_close(s - other, ((e[LABEL] - e[(LABEL + 1) % K]) * features).sum(1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("network", ["mlp", "mlp-fourier"])
def test_concatenation_is_a_bias_per_class_in_the_first_layer(network: str) -> None:
    """W [x; √K e_y] + b = W_x x + (b + √K W_y): in an MLP the class passes by the Fourier features."""
    D = seeded(0, lambda: Discriminator(judge(network, K), K, "concatenation")).double()
    x = images().double()
    first = D.net.net.hidden[0]
    inputs = x.flatten(1) if network == "mlp" else D.net.net.features(x.flatten(1))
    hidden = inputs @ first.weight[:, :-K].T + first.bias + K**0.5 * first.weight[:, -K:].T[LABEL]
    for layer in list(D.net.net.hidden)[1:]:
        hidden = layer(nn.functional.leaky_relu(hidden, 0.2))
    s = D.net.head(nn.functional.leaky_relu(hidden, 0.2)).squeeze(1)
    torch.testing.assert_close(D(x, LABEL)[0], s, rtol=1e-6, atol=1e-6)  # √K is a float32


def test_concatenation_of_planes_is_a_bias_per_class_of_the_first_map() -> None:
    """The first convolution of r3gan's D has one tap: there planes are a bias per class and channel, everywhere."""
    D = seeded(0, lambda: Discriminator(judge("r3gan", K), K, "concatenation")).double()
    x = images().double()
    first = D.net.from_image.weight[:, :, 0, 0]
    seen = []
    D.net.from_image.register_forward_hook(lambda module, inputs, output: seen.append(output))
    D(x, LABEL)
    expected = torch.einsum("oc,nchw->nohw", first[:, :2], x) + K**0.5 * first[:, 2:].T[LABEL][:, :, None, None]
    torch.testing.assert_close(seen[0], expected, rtol=1e-6, atol=1e-6)  # √K is a float32


@pytest.mark.parametrize("conditioning", ["projection", "concatenation", "auxiliary"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_class_that_says_nothing_leaves_the_unconditional_d(network: str, conditioning: str) -> None:
    """With the class's weights at 0 logits are those of the bare network, and so are their gradients."""
    D = seeded(0, lambda: Discriminator(judge(network, K * (conditioning == "concatenation")), K, conditioning))
    bare = judge(network)
    x = images()
    with torch.no_grad():
        if conditioning == "projection":
            D.embedding.weight.zero_()
        for (name, own), other in zip(D.net.named_parameters(), bare.parameters(), strict=True):
            other.copy_(own if own.shape == other.shape else _without_class(network, own, name))
            if own.shape != other.shape:
                _class_part(network, own).zero_()
        for own, other in zip(D.net.buffers(), bare.buffers(), strict=True):
            other.copy_(own)
    s, _ = D(x, LABEL)
    torch.testing.assert_close(s, bare(x), rtol=1e-5, atol=1e-6)
    s.square().sum().backward()
    bare(x).square().sum().backward()
    for (name, own), other in zip(D.net.named_parameters(), bare.parameters(), strict=True):
        assert own.grad is not None and other.grad is not None
        found = own.grad if own.shape == other.shape else _without_class(network, own.grad, name)
        torch.testing.assert_close(found, other.grad, rtol=1e-4, atol=1e-5, msg=name)


def _without_class(network: str, weight: Tensor, name: str) -> Tensor:
    """The part of a first layer that sees x: columns of an MLP (the class is last), channels of a convolution."""
    return weight[:, :-K] if network.startswith("mlp") else weight[:, : SHAPE[0]]


def _class_part(network: str, weight: Tensor) -> Tensor:
    return weight[:, -K:]


# ── G ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("training", [True, False])
def test_with_equal_rows_the_norm_is_batch_normalisation(training: bool) -> None:
    """γ_y = γ and β_y = β for all y: same values, same statistics, and gradients that add up over the classes."""
    told, usual = ConditionalBatchNorm(2, K), nn.BatchNorm2d(2)
    with torch.no_grad():
        usual.weight.copy_(torch.tensor([1.5, -0.5])), usual.bias.copy_(torch.tensor([0.25, 2.0]))
        told.scale.copy_(usual.weight.expand(K, 2)), told.shift.copy_(usual.bias.expand(K, 2))
    for x in (images(1), images(2)):
        told.train(), usual.train()
        told(x, one_hot(LABEL, K)), usual(x)  # both keep statistics
    told.train(training), usual.train(training)
    x = images(3)
    y, expected = told(x, one_hot(LABEL, K)), usual(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(told.norm.running_mean, usual.running_mean)
    torch.testing.assert_close(told.norm.running_var, usual.running_var)
    (y * images(4)).sum().backward(), (expected * images(4)).sum().backward()
    assert told.scale.grad is not None and told.shift.grad is not None
    torch.testing.assert_close(told.scale.grad.sum(0), usual.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(told.shift.grad.sum(0), usual.bias.grad, rtol=1e-4, atol=1e-4)


def test_every_class_has_its_scale_and_shift_after_common_statistics() -> None:
    told = ConditionalBatchNorm(2, K).double()
    with torch.no_grad():
        told.scale.copy_(torch.randn(K, 2)), told.shift.copy_(torch.randn(K, 2))
    x = images().double()
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    y = told(x, one_hot(LABEL, K))
    for i, label in enumerate(LABEL.tolist()):
        for c in range(2):
            flat = (x[i, c] - mean[c]) / (var[c] + 1e-5).sqrt()
            torch.testing.assert_close(
                y[i, c], told.scale[label, c] * flat + told.shift[label, c], rtol=1e-9, atol=1e-9
            )


@pytest.mark.parametrize("network", [*NETWORKS, "dcgan-conditional"])
def test_g_makes_what_the_class_says(network: str) -> None:
    """The class of one sample changes that sample alone (in eval mode), from the first step on."""
    inside = network == "dcgan-conditional"
    net = seeded(0, lambda: maker(network.split("-c")[0], K, "conditional" if inside else "batch"))
    G = Generator(net, K, scaled=not inside).eval()
    z = torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
    other = LABEL.clone()
    other[2] = 0
    with torch.no_grad():
        moved = (G(z, LABEL) - G(z, other)).abs().amax((1, 2, 3))
    assert float(moved[2]) > 1e-5
    assert float(moved[torch.arange(N) != 2].max()) < 1e-6
