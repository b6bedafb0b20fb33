"""The extractors that are networks of other people: each with the preprocessing its published numbers were made with.

All three resize with antialiased bicubic, in float, straight to a square. For `InceptionFeatures` that is the rule of
clean-fid (Parmar et al. 2022), to within rounding; the FID of 2017 and pytorch-fid resize without antialiasing, which
alone moves it by several points. DINOv2 and CLIP are usually fed 8-bit images that were resized so; here nothing is
rounded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import MachineError
from sparring.metrics.features import prepare
from sparring.networks import clip, inception, published

# Means and standard deviations of the training data, by channel, in [0, 1]
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = (clip.MEAN, clip.SPREAD)
_RESIZE = "uint8, bicubic antialiased resize in float, clipped"


@dataclass(frozen=True)
class InceptionFeatures:
    """The 2048 pooled features of the network behind FID (`networks.inception`); a number of them may be called FID."""

    network: inception.Inception

    name = "inception"
    version = "2015-12-05"
    size = inception.SIZE
    preprocessing = f"{_RESIZE}, (x − 128) / 128"
    dimensions = inception.FEATURES

    @property
    def weights_sha256(self) -> str:
        return self.network.sha256

    @property
    def device(self) -> torch.device:
        return self.network.Conv2d_1a_3x3.weight.device

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            x = prepare(images, self.size, "bicubic").contiguous(memory_format=torch.channels_last)
            features: Tensor = self.network(x)
            return features

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, 1008) probabilities of ImageNet's classes, as the Inception Score takes them
        (without the last bias). `MachineError` where the weights came without their classifier, as the package's do."""
        if self.network.fc is None:
            raise MachineError(
                "FEATURES-CLASSES", "these weights of Inception name no classes",
                why="the file of the pip package ends with the pooled features",
                fix=f"fetch {inception.URL} and take --features inception:PATH",
            )  # fmt: skip
        logits: Tensor = self.network.fc(self(images))
        return logits.softmax(1)


class _Transformer:
    """A published vision transformer on its device."""

    def __init__(self, loaded: published.Loaded, device: torch.device) -> None:
        self.network = loaded.network.to(device)
        self.device = device
        self.weights_sha256 = loaded.sha256
        self.version = loaded.sha256[:8]  # of the file: a smaller or a newer model is another extractor
        self.dimensions = loaded.dimensions

    def _seen(self, images: Tensor, size: int, scaling: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
        mean, deviation = (torch.tensor(values, device=images.device)[:, None, None] for values in scaling)
        return self.network(pixel_values=(prepare(images, size, "bicubic") / 255.0 - mean) / deviation)


class DINOv2Features(_Transformer):
    """The class token of DINOv2 after its last norm: nearer to what people see than Inception (Stein et al. 2023)."""

    name = "dinov2"
    size = 224
    preprocessing = f"{_RESIZE}, mean and deviation of ImageNet; class token"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            features: Tensor = self._seen(images, self.size, _IMAGENET).pooler_output
            return features


class CLIPFeatures(_Transformer):
    """CLIP's embedding of an image, of length 1, as CMMD takes it (Jayasumana et al. 2024)."""

    name = "clip"
    preprocessing = f"{_RESIZE}, mean and deviation of CLIP; embedding of length 1"

    def __init__(self, loaded: published.Loaded, device: torch.device) -> None:
        super().__init__(loaded, device)
        self.size = loaded.size

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize(self._seen(images, self.size, _CLIP).image_embeds, dim=1)
