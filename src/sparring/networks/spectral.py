"""Spectral normalisation: every linear map of a network divided by its largest singular value (Miyato et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_START = 20  # power iterations at the beginning, where u and v know nothing


class _Normalised(nn.Module):
    """W → W / σ(W), with σ(W) = uᵀ W v; u and v are buffers: saved with the network, moved by `advance` alone."""

    def __init__(self, weight: Tensor, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs  # the dimension of `weight` that counts outputs
        rows, columns = self.matrix(weight).shape
        self.u: Tensor
        self.v: Tensor
        self.register_buffer("u", nn.functional.normalize(torch.randn(rows).to(weight), dim=0))
        self.register_buffer("v", nn.functional.normalize(torch.randn(columns).to(weight), dim=0))
        self.iterate(weight, _START)

    def matrix(self, weight: Tensor) -> Tensor:
        """(outputs, everything else): for a convolution the reshaped kernel, as in the paper, section 3."""
        return weight.movedim(self.outputs, 0).flatten(1)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int) -> None:
        """Power iteration (algorithm 1): v ← Wᵀu / |Wᵀu|, u ← Wv / |Wv|, in place."""
        matrix = self.matrix(weight)
        for _ in range(times):
            self.v.copy_(nn.functional.normalize(matrix.mT @ self.u, dim=0))
            self.u.copy_(nn.functional.normalize(matrix @ self.v, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        u, v = self.u.clone(), self.v.clone()  # `advance` may move the buffers before the backward pass
        return weight / (u @ self.matrix(weight) @ v)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def normalise(network: nn.Module) -> nn.Module:
    """Divide the weight of every linear and convolutional layer by its spectral norm; in place, returns `network`.

    After initialisation: `layer.weight` is then computed, from `layer.parametrizations.weight.original`, which moves.

    Miyato et al. 2018, "Spectral normalization for GANs", eq. 8 and algorithm 1. With 1-Lipschitz activations a fully
    connected network is then 1-Lipschitz; a convolution's kernel is normalised as the matrix (outputs, inputs · taps),
    which is not its norm as an operator. σ's gradient is part of the weight's gradient, twice differentiable, so
    gradient penalties may be added.

    Unlike `torch.nn.utils.parametrizations.spectral_norm`, a forward pass changes nothing: losses have no side effects,
    real, fake and penalty see the same D, and micro-batches change nothing. The power iteration is moved by `advance`
    instead: call it in `Game.after` when D has moved.

    >>> layer = nn.Linear(8, 4, bias=False)
    >>> _ = nn.init.orthogonal_(layer.weight, gain=3.0), normalise(layer)
    >>> bool((torch.linalg.matrix_norm(layer.weight, 2) - 1).abs() < 0.05)
    True
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and not parametrize.is_parametrized(layer):
            outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            parametrize.register_parametrization(layer, "weight", _Normalised(layer.weight, outputs))
    return network


def advance(network: nn.Module, times: int = 1) -> None:
    """Let u and v follow the weights: `times` power iterations in every normalised layer, in place, without gradients.

    Once per step of D (Miyato et al. 2018, algorithm 1); nothing in a network without normalised layers.
    """
    for layer in network.modules():
        if isinstance(layer, parametrize.ParametrizationList):
            for part in layer:
                if isinstance(part, _Normalised):
                    part.iterate(layer.original, times)


@torch.no_grad()
def clip(network: nn.Module, bound: float) -> None:
    """Every parameter into [−bound, bound], in place: how the first WGAN kept its critic Lipschitz.

    Arjovsky et al. 2017, algorithm 1, line 7, after each step of D; they use 0.01, and call it a terrible way: D's
    capacity suffers, and its gradients grow or vanish with the depth (Gulrajani et al. 2017, section 3).

    >>> layer = nn.Linear(2, 2)
    >>> clip(layer, 0.01)
    >>> bool(layer.weight.abs().max() <= 0.01)
    True
    """
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)
