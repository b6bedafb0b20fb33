"""The benchmark of steps at 256 pixels, in a form that a CPU plays; what it says where there is no GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import steps256


def test_it_measures_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "stylegan2": ("stylegan2", ("batch=4", "base=32", "most=4", "z=4", "w=4", "mapping=1", "penalty_every=2",
                                    "path_every=2", "ada_every=2", "precision=bf16")),
        "r3gan": ("r3gan-hours", ("batch=4", "width=4", "d_width=4", "z=4", "group=4", "blocks=1")),
    }  # fmt: skip
    monkeypatch.setattr(steps256, "RECIPES", small)
    out = tmp_path / "steps.json"
    assert steps256.main(["--device", "cpu", "--size", "16", "--cycles", "1", "--matrix", "64", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert set(found["recipes"]) == set(steps256.RECIPES) and found["peak_tflops"] > 0
    for row in found["recipes"].values():
        assert row["images_per_s"] > 0 and row["gflop_per_image"] > 0 and row["share_of_peak"] > 0
    assert found["recipes"]["stylegan2"]["rounds_per_cycle"] == 2


def test_operations_are_those_of_the_networks() -> None:
    """A product and a convolution that are known, forward and backward."""
    layer, x = torch.nn.Linear(8, 4, bias=False), torch.zeros(3, 8, requires_grad=True)
    with steps256.Operations() as counter:
        layer(x).sum().backward()
    assert counter.total == 3 * 2 * 3 * 8 * 4
    with steps256.Operations() as counter:
        torch.nn.Conv2d(2, 4, 3, padding=1)(torch.zeros(1, 2, 5, 5, requires_grad=True)).sum().backward()
    assert counter.total == 3 * 2 * 25 * 9 * 2 * 4


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert steps256.main([]) == 3
    assert "unmeasured here" in capsys.readouterr().err
