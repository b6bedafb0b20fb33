"""Whether pictures are of their texts: R-precision, and how similar the two are, by an encoder of both.

A picture made of a text is right where its own text is among the R nearest of a hundred: its own and others that are
drawn (Xu et al. 2018, "AttnGAN", section 4.1, with R = 1). By itself the number says little, since it depends on the
encoder and on the texts: beside it belong the ceiling, real pictures of the same texts, and the floor, pictures beside
texts that are not theirs; chance is R of a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.chance import permutation
from sparring.errors import UsageError
from sparring.metrics.uncertainty import Measured, bootstrap_mean

NEAREST, CANDIDATES = 10, 100


@dataclass(frozen=True)
class Retrieved:
    """precision: the share of pictures whose own text is among the nearest.   similarity: the mean cosine of pictures
    and their own texts. Both with intervals over texts.   by_text: (texts,) the share of each.   chance: of guessing.
    candidates: how many texts each picture was held against, with its own; nearest: how many of them count."""

    precision: Measured
    similarity: Measured
    by_text: Tensor
    chance: float
    candidates: int
    nearest: int


def retrieval(
    images: Tensor, texts: Tensor, *, nearest: int = NEAREST, candidates: int = CANDIDATES, seed: int = 0,
    said: Sequence[str] = (), times: int = 1000,
) -> Retrieved:  # fmt: skip
    """R-precision of (T, n, d) pictures, n of each text, and (T, d) texts; directions of any length.

    The other texts are drawn for each picture by `seed`, without those that say the same (`said`: the texts in words,
    where some are equal). Of few texts each is held against all. A tie is no hit. What chance acts on are the texts:
    the intervals come from resamples of them, with all of their pictures (a bootstrap clustered by text).

    >>> texts = torch.eye(200)
    >>> right = retrieval(texts[:, None].expand(-1, 3, -1), texts)
    >>> right.precision.value, right.similarity.value, right.chance
    (1.0, 1.0, 0.1)
    """
    if images.dim() != 3 or texts.shape != (images.shape[0], images.shape[2]) or len(said) not in (0, len(texts)):
        raise UsageError(
            "RETRIEVAL-SHAPE", "retrieval is of pictures (texts, n, d) and texts (texts, d)",
            where=f"{tuple(images.shape)}, {tuple(texts.shape)}, {len(said)} in words",
        )  # fmt: skip
    count, each, _ = images.shape
    names = {text: k for k, text in enumerate(dict.fromkeys(said))}
    same = torch.tensor([names[text] for text in said]) if said else torch.arange(count)
    fewest = min((int((same != one).sum()) for one in same.tolist()), default=0)
    others = min(candidates - 1, fewest)
    if others < nearest:
        raise UsageError(
            "RETRIEVAL-FEW", f"a text cannot be found among {others + 1}, of which {nearest} count", why="all would be "
            "right", fix=f"more texts, at least {nearest + 1} different ones",
        )  # fmt: skip
    similar = F.normalize(images.double(), dim=2) @ F.normalize(texts.double(), dim=1).t()  # (T, n, T)
    own = similar.gather(2, torch.arange(count)[:, None, None].expand(-1, each, 1))  # (T, n, 1)
    hits = torch.zeros(count, each, dtype=torch.float64)
    for k in range(count):
        rows = torch.nonzero(same != same[k]).flatten()
        for j in range(each):
            drawn = rows[torch.from_numpy(permutation(seed, "retrieval", k * each + j, len(rows))[:others])]
            hits[k, j] = float((similar[k, j, drawn] >= own[k, j]).sum() < nearest)
    by_text = hits.mean(1)
    found = (bootstrap_mean(by_text.numpy(), times), bootstrap_mean(own.mean((1, 2)).numpy(), times))
    precision, similarity = (replace(one, interval=f"bootstrap of {times}, by text") for one in found)
    return Retrieved(precision, similarity, by_text, nearest / (others + 1), others + 1, nearest)


def shuffled(images: Tensor, seed: int = 0) -> Tensor:
    """The same pictures (T, n, d), those of each text in the place of another one: the floor.

    >>> images = torch.arange(5.0)[:, None, None]
    >>> bool((shuffled(images) != images).all())
    True
    """
    order = torch.from_numpy(permutation(seed, "retrieval/shuffled", 0, len(images)))
    found = torch.empty_like(images)
    found[order] = images[order.roll(1)]
    return found
