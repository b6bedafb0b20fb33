"""A game that is told labels and captions and notices when they are not those of its samples."""

from __future__ import annotations

from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from sparring.chance import Dice
from sparring.networks import mlp
from sparring.priors import categorical, gaussian
from sparring.train.engine import Engine
from sparring.train.game import Game, Now, Positive, Training, seeded, strict
from sparring.train.match import Match
from sparring.types import Batch, Criticises, News, SamplesByClass, Shared, Space, Terms, Weights
from sparring.types import Dice as DiceLike

CLASSES = 5
SPACE = Space((1, 4, 4), CLASSES, captions=True)


class Labelled:
    """40 images; the first pixel of each says which one it is, and so what its label and its caption must be."""

    fingerprint = "labelled"

    def __len__(self) -> int:
        return 40

    def take(self, start: int, count: int) -> Batch:
        rows = torch.arange(start, start + count) * 7 % 40
        pixels = Dice(7, "labelled", range(40)).uniform(1, 4, 4).mul(255).to(torch.uint8)
        pixels[:, 0, 0, 0] = torch.arange(40, dtype=torch.uint8)
        return Batch(pixels[rows], label=class_of(rows), text=captions_of(rows))

    def news(self) -> tuple[News, ...]:
        return ()


def class_of(rows: Tensor) -> Tensor:
    return (3 * rows + 1) % CLASSES


def captions_of(rows: Tensor) -> tuple[str, ...]:
    return tuple(f"picture {'with a long name ' * (row % 3)}{row}" for row in rows.tolist())


@dataclass(frozen=True, config=strict, kw_only=True)
class ToldConfig(Training):
    z: Positive = 3
    width: Positive = 8


class Told(Game, SamplesByClass, Criticises):
    """A small conditional GAN. Wherever it meets a batch it checks that image, label and caption belong together.

    What each player pays depends on both: labels enter the networks, the length of a caption is a weight per sample.
    seen: how often `after` has met each class.
    """

    Config = ToldConfig
    averaged = ("G",)
    owner = "G"
    needs = frozenset({"label", "text"})

    def __init__(self, config: ToldConfig, space: Space) -> None:
        super().__init__()
        self.config, self.space = config, space
        self.D = mlp.Discriminator((16 + space.classes,), config.width, 1)
        self.G = mlp.Generator(config.z + space.classes, space.shape, config.width, 1)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(space.classes))
        self.met: list[str] = []

    @classmethod
    def build(cls, config: ToldConfig, space: Space) -> Told:
        return cls(config, space)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"D": self.D, "G": self.G}

    def check(self, batch: Batch, where: str) -> tuple[Tensor, Tensor]:
        """Labels (N,) and lengths of captions (N,), once they are known to be those of the images."""
        rows = ((batch.x[:, 0, 0, 0] + 1) * 127.5).round().long()
        assert batch.label is not None and batch.text is not None
        assert batch.label.dtype == torch.int64 and batch.label.device == batch.x.device
        assert torch.equal(batch.label, class_of(rows)), where
        assert batch.text == captions_of(rows), where
        self.met.append(where)
        return batch.label, torch.tensor([len(text) / 20 for text in batch.text], device=batch.x.device)

    def told(self, x: Tensor, label: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), one_hot(label, self.space.classes).to(x.dtype)], dim=1)

    def shared(self, batch: Batch, now: Now) -> Shared:
        label, _ = self.check(batch, "shared")
        return {"fake": self.G(self.told(gaussian.draw(now.chance("z"), self.config.z), label))}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        label, length = self.check(batch, player)
        s_fake = self.D(self.told(shared["fake"], label))
        if player == "G":
            return {"fake": length * softplus(-s_fake)}
        s_real = self.D(self.told(batch.x, label))
        return {"real": length * softplus(-s_real), "fake": length * softplus(s_fake), "label": label.float()}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {name: 1.0 for name in terms if name != "label"}

    def after(self, player: str, batch: Batch, shared: Shared, now: Now) -> None:
        label, _ = self.check(batch, "after")
        self.seen += one_hot(label, self.space.classes).sum(0)

    def sample(self, dice: DiceLike, *, truncation: float = 1.0, label: Tensor | None = None) -> Tensor:
        label = categorical.in_turn(dice, self.space.classes) if label is None else label
        return self.G(self.told(truncation * gaussian.draw(dice, self.config.z), label))

    @property
    def relative(self) -> bool:
        return False

    def logits(self, batch: Batch, dice: DiceLike) -> tuple[Tensor, Tensor]:
        label, _ = self.check(batch, "logits")
        fake = self.G(self.told(gaussian.draw(dice, self.config.z), label))
        return self.D(self.told(batch.x, label)), self.D(self.told(fake, label))


def told_match(seed: int = 0, *, init: int = 0, engine: Engine | None = None, **changes: Any) -> Match:
    """A match of `Told` on `Labelled`."""
    config = ToldConfig(**({"batch": 8, "lr": 2e-3, "ema_images": 50, "ema_share": 0.5} | changes))
    game = seeded(init, lambda: Told.build(config, SPACE))
    return Match(game, Labelled(), engine or Engine(torch.device("cpu")), config, seed=seed, horizon=400)
