"""Packing: D judges m samples at once (Lin et al. 2018, "PacGAN: the power of two samples in GANs")."""

from __future__ import annotations

from torch import Tensor

from sparring.errors import UsageError


def pack(x: Tensor, m: int) -> Tensor:
    """m samples as one: (N, C, H, W) → (N/m, mC, H, W), and (N, D) → (N/m, mD); m = 1 changes nothing.

    Lin et al. 2018, section 2: D then compares p^m with q^m, where a missing mode is m times as visible. The m samples
    of a pack follow each other in the batch, all real or all generated. D must be built for m times the channels, and
    gives one logit per pack. Conditional games pack samples of one label.

    >>> import torch
    >>> pack(torch.zeros(8, 3, 4, 4), 2).shape
    torch.Size([4, 6, 4, 4])
    """
    if m < 1 or len(x) % m:
        raise UsageError(
            "LOSS-PACKING",
            f"{len(x)} samples cannot be packed by {m}",
            where="losses.packing.pack",
            fix="let the (micro-)batch be a multiple of the pack",
        )
    return x if m == 1 else x.reshape(len(x) // m, m * x.shape[1], *x.shape[2:])


def packed_shape(shape: tuple[int, ...], m: int) -> tuple[int, ...]:
    """What a D that judges packs of m sees: (C, H, W) → (mC, H, W), (D,) → (mD,).

    >>> packed_shape((3, 32, 32), 2), packed_shape((2,), 4)
    ((6, 32, 32), (8,))
    """
    return (m * shape[0], *shape[1:])
