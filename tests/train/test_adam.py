"""Our way to the fused kernel gives what torch.optim.Adam gives."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from sparring.train.adam import Adam
from sparring.train.optimiser import SGD, optimiser


def net(layout: torch.memory_format) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 1))
        return module.to(memory_format=layout)  # type: ignore[call-overload]


def images(step: int, layout: torch.memory_format) -> torch.Tensor:
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    return x.contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("beta1", "beta2"), [(0.0, 0.99), (0.5, 0.999), (0.9, 0.999)])
def test_equals_torch(layout: torch.memory_format, beta1: float, beta2: float) -> None:
    ours, theirs = net(layout), net(torch.contiguous_format)
    adam, reference = Adam(ours), torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(beta1, beta2), foreach=False)
    for step in range(20):
        adam.zero_grad()
        ours(images(step, layout)).square().mean().backward()
        adam.step(1e-2, beta1, beta2)
        reference.zero_grad()
        theirs(images(step, torch.contiguous_format)).square().mean().backward()
        reference.step()
        if step == 0:  # before rounding can be amplified by the network itself
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-6 if beta1 else 2e-4)
    assert float(adam.count) == 20


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_equals_torch_on_given_gradients(layout: torch.memory_format, beta1: float) -> None:
    """20 steps with moving learning rate and decays, on the same gradients: to 1e-6, whatever their layout."""
    ours, theirs = net(layout), net(torch.contiguous_format)
    adam, reference = Adam(ours), torch.optim.Adam(theirs.parameters(), lr=1.0, foreach=False)
    for step in range(20):
        lr, beta2 = 1e-3 * (1 + step / 7), 0.9 + 0.004 * step
        generator = torch.Generator().manual_seed(step)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            gradient = torch.randn(a.shape, generator=generator)
            a.grad = gradient.clone() if step % 2 else torch.empty_like(a).copy_(gradient)  # both layouts occur
            b.grad = gradient.clone()
        reference.param_groups[0].update(lr=lr, betas=(beta1, beta2))
        adam.step(lr, beta1, beta2)
        reference.step()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for name, p in theirs.named_parameters():
        torch.testing.assert_close(adam.tensors()[f"{name}.first"], reference.state[p]["exp_avg"], rtol=1e-5, atol=1e-6)
        second = reference.state[p]["exp_avg_sq"]
        torch.testing.assert_close(adam.tensors()[f"{name}.second"], second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_skip_leaves_everything(kind: str, bad: float) -> None:
    module = nn.Linear(3, 2)
    mover = optimiser(kind, module)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    mover.step(0.1, 0.5, 0.99, torch.zeros(()))
    before = {k: t.clone() for k, t in (mover.tensors() | dict(module.named_parameters())).items()}
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, bad)
    mover.step(0.1, 0.5, 0.99, torch.ones(()))
    after = mover.tensors() | dict(module.named_parameters())
    assert all(torch.equal(before[key], after[key]) for key in before)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    mover.step(0.1, 0.5, 0.99, torch.zeros(()))
    assert not torch.equal(before["weight"], module.weight)


def test_skip_of_none_is_no_skip() -> None:
    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    two.load_state_dict(one.state_dict())
    for module, skip in ((one, None), (two, torch.zeros(()))):
        adam = Adam(module)
        for _ in range(3):
            for parameter in module.parameters():
                parameter.grad = torch.full_like(parameter, 0.3)
            adam.step(0.1, 0.5, 0.99, skip)
    assert torch.equal(one.weight, two.weight)


def test_without_gradient_nothing_moves() -> None:
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    adam = Adam(module)
    adam.step(0.1, 0.5, 0.99)
    assert torch.equal(before, module.weight) and float(adam.count) == 0


def test_sgd_is_gradient_descent() -> None:
    module = nn.Linear(2, 1, bias=False)
    before = module.weight.detach().clone()
    module.weight.grad = torch.tensor([[1.0, -2.0]])
    SGD(module).step(0.25, 0.9, 0.9)
    torch.testing.assert_close(module.weight.detach(), before - 0.25 * torch.tensor([[1.0, -2.0]]))
    assert SGD(module).tensors() == {}


def test_training_does_not_import_the_compiler() -> None:
    """torch._dynamo costs as much start-up time as torch itself, and nothing here compiles."""
    code = (
        "import sys\n"
        "from tests.train.arena import match_of, NANO\n"
        "for name in NANO:\n"
        "    m = match_of(name); m.step(); m.step()\n"
        "assert 'torch' in sys.modules\n"
        "print([name for name in ('torch._dynamo', 'torch._inductor', 'sympy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
