"""Texts as numbers, by an encoder that is never trained here: what captions become in a game.

Each text is read by itself, so that what it becomes depends on nothing but the text: not on who is in the batch with
it, which exact resume needs. What was read once is remembered, since a data set has few captions and many rounds.
"""

from __future__ import annotations

import hashlib
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.networks import clip, minilm

Reader = Literal["minilm", "words", "clip"]
"""Encoders by name."""
_MOST = 200_000  # texts that are remembered: 300 MB


class TextEncoder(ABC):
    """Texts → directions.   name, dimensions: of the encoder.   identity: which numbers exactly it gives."""

    name: str
    dimensions: int
    identity: str

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, dimensions) float32 on the CPU, each of length 1; of an empty text 0."""
        if not texts:
            return torch.zeros(0, self.dimensions)
        return torch.stack([self._of(text) for text in texts])

    @abstractmethod
    def read(self, text: str) -> Tensor:
        """A text that is not empty → (dimensions,) of length 1."""

    def whole(self, text: str) -> bool:
        """Whether all of the text is read, to its end."""
        return True

    def _of(self, text: str) -> Tensor:
        text = " ".join(text.split())
        with self._lock:
            if text not in self._known:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[text] = self.read(text) if text else torch.zeros(self.dimensions)
            return self._known[text]


class Sentences(TextEncoder):
    """all-MiniLM-L6-v2 (`networks.minilm`): it knows what sentences mean. Raises what `minilm.load` raises."""

    name, dimensions = "minilm", 384
    identity = f"minilm {minilm.FILES['model.safetensors'][:8]}"

    def __init__(self) -> None:
        super().__init__()
        self.network, self.tokenizer = minilm.load()

    @torch.no_grad()
    def read(self, text: str) -> Tensor:
        ids = torch.tensor([self.tokenizer.encode(text).ids])
        return self.network.sentence(ids, torch.ones_like(ids, dtype=torch.bool))[0]

    def whole(self, text: str) -> bool:
        return not self.tokenizer.encode(text).overflowing


class Words(TextEncoder):
    """Which words are there, and nothing of what they mean: each word has a direction of its own, made of its hash, and
    a text is their sum. Needs no weights; "cat" and "kitten" have nothing in common.

    >>> read = Words()(["a red apple", "an apple, red", "a blue car"])
    >>> bool(read[0] @ read[1] > 0.6), bool(read[0] @ read[2] < 0.5)
    (True, True)
    """

    name, dimensions, identity = "words", 128, "words 1"

    def read(self, text: str) -> Tensor:
        words = sorted(set(re.findall(r"\w+", text.casefold()))) or [text]
        return F.normalize(torch.stack([_direction(word, self.dimensions) for word in words]).sum(0), dim=0)


def _direction(word: str, dimensions: int) -> Tensor:
    """(dimensions,) of ±1: the bits of the word's hash."""
    bits = hashlib.shake_128(word.encode()).digest(dimensions // 8)
    return torch.tensor([1.0 if byte >> k & 1 else -1.0 for byte in bits for k in range(8)])


class Clip(TextEncoder):
    """The text half of CLIP (`networks.clip`), which has seen pictures of what texts say. Raises what `clip.load`
    raises."""

    name, dimensions = "clip", 768

    def __init__(self) -> None:
        super().__init__()
        self.network = clip.load()
        self.identity = f"clip {self.network.sha256[:8]}"

    @torch.no_grad()
    def read(self, text: str) -> Tensor:
        return self.network.texts([text])[0].float().cpu()

    def whole(self, text: str) -> bool:
        return not self.network.tokenizer.encode(text).overflowing


_MAKES: dict[str, type[TextEncoder]] = {"minilm": Sentences, "words": Words, "clip": Clip}


@cache
def load(name: Reader = "minilm") -> TextEncoder:
    """The encoder of that name; the same one for all that ask. Raises `MachineError`, TEXT-ABSENT or FEATURES-ABSENT,
    where its weights are not installed.

    >>> load("words").dimensions
    128
    """
    return _MAKES[name]()


def dimensions(name: Reader) -> int:
    """How many numbers the encoder of that name makes of a text; its weights are not needed.

    >>> dimensions("minilm")
    384
    """
    return _MAKES[name].dimensions


class Remembered(nn.Module):
    """An encoder, and what it made of some texts: a buffer of the game that has this module, so that it is saved,
    loaded and exported, and samples of these texts need no encoder. Without any text it is the empty one, whose numbers
    are 0.

    known: (texts, dimensions), 0 until `learn`.

    >>> read = Remembered("words", ["a cat", "a dog"])
    >>> read.learn()
    >>> bool((read.in_turn(range(1, 4)) == read(["a dog", "a cat", "a dog"])).all())
    True
    """

    def __init__(self, name: Reader, texts: Sequence[str] = ()) -> None:
        super().__init__()
        self.name, self.texts = name, tuple(texts) or ("",)
        self.known: Tensor
        self.register_buffer("known", torch.zeros(len(self.texts), dimensions(name)))

    @torch.no_grad()
    def learn(self) -> None:
        """Read the texts: where a game begins (`Game.begin`)."""
        self.known.copy_(load(self.name)(self.texts))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, dimensions), by the encoder, in the place and precision of the buffer."""
        return load(self.name)(texts).to(self.known)

    def whole(self, text: str) -> bool:
        """Whether the encoder reads all of a text."""
        return load(self.name).whole(text)

    def of(self, texts: Sequence[str]) -> Tensor:
        """As `forward`; but of texts all of which are known no encoder is asked."""
        if set(texts) <= set(self.texts):
            return self.known[[self.texts.index(text) for text in texts]]
        return self.forward(texts)

    def in_turn(self, numbers: Sequence[int]) -> Tensor:
        """(n, dimensions): number k is of text k mod theirs."""
        return self.known[[k % len(self.texts) for k in numbers]]
