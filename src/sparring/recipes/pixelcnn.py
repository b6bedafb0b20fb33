"""PixelCNN: one player that says of each pixel what it will be, given those before it; an exact likelihood.

Networks: `networks/pixelcnn.py`. What is said of a pixel: `losses/logistic_mixture.py`. docs/systems/pixelcnn.md.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from sparring.errors import UsageError
from sparring.losses.logistic_mixture import Bernoulli, LogisticMixture, Pixel
from sparring.networks import pixelcnn
from sparring.networks.conditioning import one_hot
from sparring.networks.exact import exact
from sparring.networks.pixelcnn_sampling import sample
from sparring.priors import categorical
from sparring.train.game import Decay, Fraction, Game, Now, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import Batch, Dice, HasLikelihood, Outcome, Samples, SamplesByClass, Shared, Space, Terms, Weights

Count = Annotated[int, Field(ge=1, le=2**12)]

MOST_PIXELS = 128 * 128
"""Images with more are refused: drawing one takes a step of the network per pixel, one after the other."""


@dataclass(frozen=True, config=strict, kw_only=True)
class PixelCNNConfig(Training):
    """Settings of `PixelCNN`. Defaults: minutes on a CPU, images of 28 to 32 pixels."""

    outcome: Literal["levels", "binary"] = "levels"
    """What each value is: one of 256 levels (a mixture of discretised logistic laws, Salimans et al. 2017), or black
    or white (data made so by --binarise)."""
    mixtures: Count = 5
    """Logistic laws in the mixture of a pixel; with outcome = "binary" there are none."""
    width: Count = 32
    """Channels of both stacks."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 8
    """Gated residual layers; each sees (kernel − 1)/2 rows and columns further."""
    kernel: Literal[3, 5, 7] = 3
    """Side of the window of such a layer, of which what is before the pixel is seen; the first layer's is 7."""
    conditioning: Literal["auto", "none"] = "auto"
    """auto: p(x | y), where the data have classes y; none: p(x), whatever the data have."""
    play: str = "M:1"
    """Who moves when: there is only M."""
    batch: Count = 16
    lr: Fraction = Ramp(2e-3, 1e-4, "cosine")
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.999, 0.999)
    ema_images: Annotated[float, Field(ge=0)] = 20_000
    flip: bool = False
    """Mirror images left-right at random: the likelihood would be of data and mirrored data alike."""
    memory_format: Literal["contiguous", "channels_last"] = "channels_last"


class PixelCNN(Game, Samples, HasLikelihood):
    """min_M E_x[−log p(x)], p(x) = Π_i p(x_i | x_1 … x_{i−1}) over pixels in raster order, and R, G, B within a pixel.

    van den Oord et al. 2016 (arXiv:1601.06759, eq. 1 and 2), with the network of their "Conditional image generation
    with PixelCNN decoders" and, of 256 levels, the law of a pixel of PixelCNN++ (Salimans et al. 2017).

    >>> game = PixelCNN.build(PixelCNNConfig(width=4, blocks=1), Space((3, 8, 8)))
    >>> from sparring.chance import Dice
    >>> game.sample(Dice(0, "sample", range(2))).shape
    torch.Size([2, 3, 8, 8])
    """

    Config = PixelCNNConfig
    averaged = ("M",)
    exact = True

    def __init__(self, config: PixelCNNConfig, law: Pixel, M: pixelcnn.PixelCNN) -> None:
        super().__init__()
        self.config, self.law, self.M = config, law, M

    @classmethod
    def build(cls, config: PixelCNNConfig, space: Space) -> PixelCNN:
        """Of labelled data, unless conditioning is off, a `PixelCNNByClass`."""
        if len(space.shape) != 3 or math.prod(space.shape[1:]) > MOST_PIXELS:
            raise UsageError(
                "PIXELCNN-SIZE",
                f"pixelcnn is for images of at most {MOST_PIXELS:,} pixels, such as 128 × 128",
                where=" × ".join(map(str, space.shape)),
                why="a sample is drawn pixel after pixel, which takes minutes from there on",
                fix="--size 32" if len(space.shape) == 3 else "--recipe gan-points, or train on images",
            )
        channels = space.shape[0]
        law = Bernoulli(channels) if config.outcome == "binary" else LogisticMixture(channels, config.mixtures)
        classes = space.classes if config.conditioning == "auto" else 0
        M = pixelcnn.PixelCNN(
            space.shape, law.count, width=config.width, blocks=config.blocks, kernel=config.kernel, told=classes
        )
        return (PixelCNNByClass if classes else PixelCNN)(config, law, M)

    @property
    def players(self) -> dict[str, torch.nn.Module]:
        return {"M": self.M}

    @property
    def outcome(self) -> Outcome:
        outcome: Outcome = self.config.outcome
        return outcome

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """−log p(x), or −log p(x | y), per sample: in bits per value, which is paid, and in nats."""
        if self.outcome == "binary" and now.round == 0:
            _check_binary(batch.x)
        nats = -self._log_p(batch.x, self._told(batch.label))
        return {"loss": nats / (math.prod(batch.x.shape[1:]) * math.log(2)), "nats": nats.detach()}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
        return self._log_p(x, None)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        """truncation: the temperature of each pixel's law; below 1 likely values are likelier."""
        return self._drawn(dice, truncation, None)

    def _told(self, label: Tensor | None) -> Tensor | None:
        """What M is told of a label: nothing here."""
        return None

    def _log_p(self, x: Tensor, told: Tensor | None) -> Tensor:
        """log p(x), (N,) nats; the sums in float64: an image has thousands of terms."""
        parameters = self.M(x, told)
        of_pixels = self.law.log_prob(parameters, x.to(parameters.dtype))
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        return of_pixels.flatten(1).sum(1, dtype=wide).to(parameters.dtype)

    def _drawn(self, dice: Dice, temperature: float, told: Tensor | None) -> Tensor:
        net = exact(self.M)
        height, width = net.shape[1:]
        u = dice.uniform(height, width, self.law.draws).to(net.out.weight.dtype)
        made = sample(net, len(u), lambda said, i, j: self.law.draw(said, u[:, i, j], temperature), told)
        return made.to(self.M.out.weight.dtype)


class PixelCNNByClass(PixelCNN, SamplesByClass):
    """The same, told the class: p(x | y) (van den Oord et al. 2016, "Conditional image generation …", eq. 3 and 4).

    Its p(x) is the mean of p(x | y) over all classes, which is how `sample` draws: it takes a pass for each.
    """

    @property
    def classes(self) -> int:
        return self.M.told

    def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
        of_classes = [
            self._log_p(x, self._told(torch.full((len(x),), k, device=x.device))) for k in range(self.classes)
        ]
        return torch.logsumexp(torch.stack(of_classes), 0) - math.log(self.classes)

    def sample(self, dice: Dice, *, truncation: float = 1.0, label: Tensor | None = None) -> Tensor:
        label = categorical.in_turn(dice, self.classes) if label is None else label
        return self._drawn(dice, truncation, self._told(label))

    def _told(self, label: Tensor | None) -> Tensor | None:
        assert label is not None
        return one_hot(label, self.classes)


def _check_binary(x: Tensor) -> None:
    """`UsageError` unless x is black and white."""
    if not bool((x.abs() == 1).all()):
        raise UsageError(
            "PIXELCNN-BINARY",
            "outcome = binary says that every value is black or white, and these data have greys",
            fix="--binarise static, dynamic or threshold; or --set outcome=levels",
        )
