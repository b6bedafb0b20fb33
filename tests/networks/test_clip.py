"""CLIP with both halves, on a tiny random model in a folder: directions of length 1, differentiable in pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.errors import MachineError
from sparring.networks import clip
from sparring.runs.scorer import open_scorer


@pytest.fixture(scope="module")
def transformers() -> Any:
    """Imported by who needs it, not by all who collect tests."""
    return pytest.importorskip("transformers", reason="the extra [features] is not installed")


@pytest.fixture(scope="module")
def folder(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with 12 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    path = tmp_path_factory.mktemp("clip")
    words = {word: k for k, word in enumerate(["[begin]", "[end]", "?", "a", "red", "heart", "cat"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[begin] $A [end]", special_tokens=[("[begin]", 0), ("[end]", 1)]
    )
    tokenizer.enable_padding(length=9)  # as published files do
    tokenizer.save(str(path / "tokenizer.json"))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.CLIPConfig(
            text_config={**sizes, "vocab_size": 12, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2},
            vision_config={**sizes, "image_size": 16, "patch_size": 8}, projection_dim=8,
        )  # fmt: skip
        transformers.CLIPModel(config).save_pretrained(path)
    return path


def test_both_halves_are_those_of_the_library(transformers: Any, folder: Path) -> None:
    scorer = open_scorer(f"clip:{folder}")
    x = torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    texts = ["a red heart", "a cat"]
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        similar = scorer.similarity(x, texts)
        seen = torch.nn.functional.interpolate(x, (16, 16), mode="bicubic", antialias=True)
        mean, spread = torch.tensor(clip.MEAN)[:, None, None], torch.tensor(clip.SPREAD)[:, None, None]
        for row, ids in enumerate(([0, 3, 4, 5, 1], [0, 3, 6, 1])):
            told = model(input_ids=torch.tensor([ids]), pixel_values=((seen / 2 + 0.5).clamp(0, 1) - mean) / spread)
            torch.testing.assert_close(similar[:, row], (told.image_embeds @ told.text_embeds.t())[:, 0])
    torch.testing.assert_close(scorer.texts(texts).norm(dim=1), torch.ones(2))
    x.requires_grad_()
    (slope,) = torch.autograd.grad(scorer.similarity(x, texts[:1]).sum(), x)
    assert bool((slope.flatten(1).abs().sum(1) > 0).all())
    assert scorer.identity.startswith("clip ")


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="FEATURES-ABSENT"):
        open_scorer(f"clip:{tmp_path}")
    for file in folder.iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(MachineError, match="word pieces"):
        open_scorer(f"clip:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(MachineError, match="FEATURES-WEIGHTS"):
        open_scorer(f"clip:{tmp_path}")
