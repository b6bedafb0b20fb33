"""Both halves of CLIP (Radford et al. 2021): pictures and texts as directions in one space, differentiable in pixels.

The network is that of the library ``transformers``, the list of word pieces is read by ``tokenizers``; weights are
those of `published.CLIP_WITH_TEXT`, a pinned revision, or of a folder as ``save_pretrained`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import MachineError
from sparring.networks import published

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of red, green and blue in [0, 1], as CLIP was trained with
SPREAD = (0.26862954, 0.26130258, 0.27577711)
_MOST = 77
"""Word pieces that CLIP reads; what follows is cut off."""


@dataclass(frozen=True)
class Both:
    """network: a frozen CLIPModel.   tokenizer: a `tokenizers.Tokenizer`.   size: side that pictures are brought to.
    sha256: of the weights' file."""

    network: Any
    tokenizer: Any
    size: int
    sha256: str

    def images(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) in [-1, 1] → (n, d) of length 1."""
        x = F.interpolate(x.float(), (self.size, self.size), mode="bicubic", antialias=True).add(1).div(2).clamp(0, 1)
        x = (x - x.new_tensor(MEAN)[:, None, None]) / x.new_tensor(SPREAD)[:, None, None]
        seen = self.network.vision_model(pixel_values=x).pooler_output
        return F.normalize(self.network.visual_projection(seen), dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, d) of length 1, each read by itself."""
        found = []
        for text in texts:
            ids = torch.tensor([self.tokenizer.encode(text).ids], device=self.network.device)
            read = self.network.text_model(input_ids=ids, attention_mask=torch.ones_like(ids)).pooler_output
            found.append(F.normalize(self.network.text_projection(read), dim=1))
        return torch.cat(found)


def load(path: str | Path | None = None, device: str | torch.device = "cpu") -> Both:
    """CLIP with both halves. Errors: those of `published.load`."""
    loaded = published.load(published.CLIP_WITH_TEXT, path)
    file = loaded.folder / "tokenizer.json"
    if not file.is_file():
        raise MachineError(
            "FEATURES-ABSENT", "CLIP's list of word pieces is not there", where=str(file),
            fix=f"while connected: {published.CLIP_WITH_TEXT.command}",
        )  # fmt: skip
    from tokenizers import Tokenizer  # transformers has brought it

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_MOST)
    return Both(loaded.network.to(device), tokenizer, loaded.size, loaded.sha256)
