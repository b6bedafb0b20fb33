"""What D's logits say about its skill: observed while it plays, never part of an objective."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def skill(s_real: Tensor, s_fake: Tensor, *, relative: bool) -> dict[str, Tensor]:
    """D(x), D(G(z)) and D's true-positive and true-negative rate, per logit: (N, …) and (M, …) → four such tensors.

    At equilibrium all four are 0.5. In a relativistic game only differences of logits mean something, so each logit
    is measured against the mean of the other side (the relativistic average D of Jolicoeur-Martineau 2018, eq. 5).

    >>> seen = skill(torch.tensor([2.0]), torch.tensor([1.0]), relative=False)
    >>> float(seen["true_positive"]), float(seen["true_negative"])
    (1.0, 0.0)
    """
    real, fake = s_real.detach().float(), s_fake.detach().float()
    if relative:
        real, fake = real - fake.mean(), fake - real.mean()
    return {
        "D(x)": torch.sigmoid(real),
        "D(G(z))": torch.sigmoid(fake),
        "true_positive": (real > 0).float(),
        "true_negative": (fake < 0).float(),
    }
