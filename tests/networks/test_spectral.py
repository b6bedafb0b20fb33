"""Spectral normalisation against the singular values themselves; clipping."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sparring.losses.penalties import zero_centred
from sparring.networks import dcgan
from sparring.networks.spectral import advance, clip, normalise

LAYERS = [
    lambda: nn.Linear(12, 7),
    lambda: nn.Conv2d(3, 8, 3),
    lambda: nn.Conv2d(4, 8, 3, groups=2),
    lambda: nn.ConvTranspose2d(6, 5, 4, stride=2),
]


def matrix(layer: nn.Module) -> Tensor:
    weight = layer.weight.detach()
    return (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


@pytest.mark.parametrize("build", LAYERS)
def test_largest_singular_value_is_one(build: object) -> None:
    torch.manual_seed(0)
    layer = build().double()
    before = matrix(layer)
    normalise(layer)
    advance(layer, 500)
    assert torch.linalg.matrix_norm(matrix(layer), 2).item() == pytest.approx(1.0, abs=1e-9)
    assert torch.allclose(matrix(layer), before / torch.linalg.matrix_norm(before, 2), atol=1e-9)


@pytest.mark.parametrize("build", LAYERS)
def test_near_from_the_start(build: object) -> None:
    torch.manual_seed(1)
    assert torch.linalg.matrix_norm(matrix(normalise(build())), 2).item() == pytest.approx(1.0, abs=0.03)


def test_every_linear_map_once_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    assert normalise(network) is network
    normalise(network)  # again: nothing more
    assert [name for name, _ in network.named_buffers() if name.endswith((".u", ".v"))] == [
        "0.parametrizations.weight.0.u", "0.parametrizations.weight.0.v",
        "3.parametrizations.weight.0.u", "3.parametrizations.weight.0.v",
    ]  # fmt: skip
    assert sum(p.numel() for p in network.parameters()) == 3 * 4 * 9 + 4 + 8 + 32 + 2


def test_a_linear_stack_is_lipschitz() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    for parameter in network.parameters():
        parameter.data.mul_(5.0)
    normalise(network)
    advance(network, 200)
    x = torch.randn(500, 5, requires_grad=True)
    assert zero_centred(network(x), x).max().item() <= 1 + 1e-4


@pytest.mark.parametrize("training", [True, False])
def test_a_forward_pass_changes_nothing(training: bool) -> None:
    torch.manual_seed(0)
    network = normalise(dcgan.Discriminator((3, 16, 16), 8, "none")).train(training)
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(x), network(x))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_advance_follows_the_weights() -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Linear(10, 10, bias=False))
    advance(layer, 100)
    with torch.no_grad():
        layer.parametrizations.weight.original.add_(0.3 * torch.randn(10, 10))
    stale = (torch.linalg.matrix_norm(layer.weight, 2) - 1).abs().item()
    errors = []
    for _ in range(60):
        advance(layer)
        errors.append((torch.linalg.matrix_norm(layer.weight, 2) - 1).abs().item())
    assert stale > 1e-3 and errors[-1] < 1e-4 and errors[-1] < errors[0] < stale


def test_the_gradient_is_that_of_the_quotient() -> None:
    """W/σ(W) with σ by a singular value decomposition: the same first and second derivatives."""
    torch.manual_seed(0)
    layer = normalise(nn.Linear(4, 3, bias=False).double())
    advance(layer, 500)
    raw, x = layer.parametrizations.weight.original, torch.randn(6, 4, dtype=torch.float64)
    (ours,) = torch.autograd.grad(torch.tanh(layer(x)).sum(), raw)
    copy_ = raw.detach().clone().requires_grad_()
    exact = copy_ / torch.linalg.svdvals(copy_)[0]
    (theirs,) = torch.autograd.grad(torch.tanh(x @ exact.T).sum(), copy_)
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_derivatives_through_a_penalty() -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Linear(4, 3, bias=False).double())
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    part = layer.parametrizations.weight[0]

    def penalty(raw: Tensor) -> Tensor:
        return zero_centred(torch.tanh(x @ part(raw).T).sum(1), x)

    raw = layer.parametrizations.weight.original.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(penalty, raw) and torch.autograd.gradgradcheck(lambda w: part(w), raw)


def test_advance_between_forward_and_backward() -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Linear(4, 1))
    loss = layer(torch.ones(2, 4)).sum()
    advance(layer)
    loss.backward()
    assert layer.parametrizations.weight.original.grad.isfinite().all()


def test_copies_and_state() -> None:
    torch.manual_seed(0)
    network = normalise(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    twin = copy.deepcopy(network)
    other = normalise(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    other.load_state_dict(network.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(network(x), twin(x)) and torch.equal(network(x), other(x))


def test_clipping() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.linspace(-1, 1, 32).view(8, 4))
    before = network[0].weight.detach().clone()
    clip(network, 0.25)
    assert torch.equal(network[0].weight, before.clamp(-0.25, 0.25))
    assert network[0].weight.requires_grad and all(p.abs().max() <= 0.25 for p in network.parameters())
