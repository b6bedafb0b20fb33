"""Whether samples are copies of training data: nearest training images by their thumbnails.

Features of all training images would cost more than the probes of a run may; thumbnails of 16 × 16 pixels (bilinear,
antialiased: the mean colour of each cell) of all, or of a large part, are read once and compared in a moment. A copy of
an image has the thumbnail of that image, whatever a network makes of it; a copy that is shifted by several pixels may
be missed. Points are compared by their coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.metrics import neighbours

THUMBNAIL = 16
"""Side of a thumbnail, in pixels."""
PERCENTILE = 0.01
"""Of the distances of real samples to training samples: what is nearer counts as a copy."""
_ROWS = 4096  # of the reference at a time


def thumbnails(images: Tensor) -> Tensor:
    """(n, C, H, W) uint8 → (n, C · 16 · 16) uint8; points (n, D) as they are.

    >>> thumbnails(torch.full((2, 3, 64, 48), 7, dtype=torch.uint8)).unique().tolist()
    [7]
    """
    if images.dim() == 2:
        return images.float()
    small = F.interpolate(images.float(), (THUMBNAIL, THUMBNAIL), mode="bilinear", align_corners=False, antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8).flatten(1)


def mirrored(samples: Tensor) -> Tensor:
    """Images (n, C, H, W) with left and right exchanged; points as they are."""
    return samples.flip(3) if samples.dim() == 4 else samples


def nearest(samples: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row of (n, p) the distance to the nearest row of (m, p), root mean square over p; and which it is.

    (n,) float64 and (n,) int64. A few thousand rows of `reference` at a time, so that as bytes they stay bytes.
    """
    best, where = torch.full((len(samples),), math.inf, dtype=torch.float64), torch.zeros(len(samples)).long()
    for start in range(0, len(reference), _ROWS):
        distance, at = neighbours.nearest(samples.float(), reference[start : start + _ROWS].float())
        nearer = distance < best
        best, where = torch.where(nearer, distance, best), torch.where(nearer, at + start, where)
    return best / math.sqrt(reference.shape[1]), where


@dataclass(frozen=True)
class Copies:
    """What samples are held against.

    reference: (m, p) thumbnails of training images.   share: of all training images that these are.
    threshold: `PERCENTILE` of the distances of unseen real samples to the reference.
    mirrored: whether training shows images mirrored too; then a sample is held against both.
    """

    reference: Tensor
    share: float
    threshold: float
    mirrored: bool

    @classmethod
    def of(cls, reference: Tensor, share: float, unseen: Tensor, *, mirrored: bool) -> Copies:
        """unseen: real images (n, C, H, W) that are not among the reference, held out if possible; or points."""
        found = cls(reference, share, 0.0, mirrored)
        distances, _ = found.nearest(unseen)
        return cls(reference, share, float(torch.quantile(distances, PERCENTILE)), mirrored)

    def nearest(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (n,) of images (n, C, H, W) uint8 or points (n, D) to the reference, and the rows there."""
        distance, row = nearest(thumbnails(samples), self.reference)
        if not self.mirrored:
            return distance, row
        other, at = nearest(thumbnails(mirrored(samples)), self.reference)
        return torch.minimum(distance, other), torch.where(other < distance, at, row)

    def found(self, samples: Tensor) -> float:
        """The share of `samples` that are copies, in [0, 1]: what is nearer than the threshold beyond the 1 % of reals
        that are, over the part of the training data that was looked at."""
        distance, _ = self.nearest(samples)
        near = float((distance <= self.threshold).double().mean())
        return min(1.0, max(0.0, (near - PERCENTILE) / (1 - PERCENTILE)) / self.share)
