"""What games with tokens make of images: what of them the tokens keep, and how many codes say them."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.metrics.features import quantise
from sparring.metrics.paired import mse, psnr
from sparring.networks.quantise import perplexity
from sparring.train.match import Match
from sparring.types import Batch, HasTokens

PIECE = 16
"""Images that are encoded at once."""


@torch.no_grad()
def coded(match: Match, game: HasTokens, images: Tensor) -> tuple[Tensor, Tensor]:
    """(n, C, H, W) uint8 → their reconstructions, uint8, and how often each code says them, (K,); on the CPU."""
    made, counts = [], torch.zeros(game.codes, dtype=torch.int64)
    for start in range(0, len(images), PIECE):
        tokens = game.encode(match.engine.place(Batch(images[start : start + PIECE])).x)
        made.append(quantise(game.decode(tokens)).cpu())
        counts += torch.bincount(tokens.flatten().cpu(), minlength=game.codes)
    return torch.cat(made), counts


def signals(images: Tensor, made: Tensor, counts: Tensor) -> dict[str, float]:
    """`psnr` of images and their reconstructions, in dB, and what `of_codes` says."""
    return {"psnr": psnr(mse(made, images)).value} | of_codes(counts)


def of_codes(counts: Tensor) -> dict[str, float]:
    """Of how often each code says some images, (K,). `usage`: the share of the codes that say any of them, of ten
    tokens a code or more: of fewer, codes are missing by chance. `perplexity`: how many codes would say as much, if all
    were used equally."""
    values = {"perplexity": float(perplexity(counts.double()))}
    if int(counts.sum()) >= 10 * len(counts):
        values["usage"] = float((counts > 0).double().mean())
    return values
