"""Devices, precision and layout."""

from __future__ import annotations

import pytest
import torch
from tests.train.arena import NANO, match_of

from sparring.errors import MachineError, UsageError
from sparring.train.engine import Engine, choose_device, join, local_rank, world
from sparring.types import Batch

CPU = torch.device("cpu")


def test_images_come_in_range_and_layout() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16).contiguous()
    for layout in (torch.contiguous_format, torch.channels_last):
        x = Engine(CPU, memory_format=layout).place(Batch(levels)).x
        assert x.dtype == torch.float32 and x.is_contiguous(memory_format=layout)
        assert float(x.min()) == -1.0 and float(x.max()) == 1.0
        torch.testing.assert_close(x[0, 0].flatten(), torch.linspace(-1, 1, 256), rtol=0, atol=1e-6)


def test_points_and_labels_come_as_they_are() -> None:
    batch = Engine(CPU).place(Batch(torch.randn(4, 2), label=torch.arange(4)))
    assert batch.x.dtype == torch.float32 and batch.label is not None and batch.label.dtype == torch.int64


def test_gradient_norm_is_the_global_one() -> None:
    module = torch.nn.Linear(3, 2)
    assert float(Engine(CPU).gradient_norm(module)) == 0.0
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    assert float(Engine(CPU).gradient_norm(module)) == pytest.approx((8 * 4) ** 0.5)
    for bad in (float("nan"), float("inf"), -float("inf")):
        module.bias.grad = torch.tensor([0.0, bad])
        assert not bool(Engine(CPU).gradient_norm(module).isfinite())


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="DEVICE-UNKNOWN"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(MachineError, match="DEVICE-ABSENT"):
            choose_device("cuda")


def test_alone_there_is_nothing_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert world() == join(CPU) == (0, 1) and local_rank() == 0


@pytest.mark.parametrize("name", NANO)
def test_bf16_keeps_penalties_and_logits_in_full_precision(name: str) -> None:
    """bf16 autocast: every term that is weighed is float32, and what it gives is near fp32's."""
    means = {}
    for precision in ("fp32", "bf16"):
        match = match_of(name)
        match.engine = Engine(CPU, precision=precision, memory_format=match.engine.memory_format)
        seen: list[torch.dtype] = []
        inner = match.game.losses

        def losses(*arguments: object, inner: object = inner, seen: list[torch.dtype] = seen) -> object:
            terms = inner(*arguments)
            seen.extend(term.dtype for term in terms.values())
            return terms

        match.game.losses = losses
        means[precision] = match.step()
        assert set(seen) == {torch.float32}
    for key, value in means["fp32"].items():
        if "true" not in key:
            torch.testing.assert_close(means["bf16"][key], value, rtol=0.2, atol=0.1)
