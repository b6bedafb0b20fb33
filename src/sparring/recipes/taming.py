"""Taming transformers: one player that says which token follows, given those before it, in the tokens of another run.

Network: `networks/transformer.py`. docs/systems/taming.md.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.errors import UsageError
from sparring.networks import text
from sparring.networks.exact import exact
from sparring.networks.transformer import SPREAD, Transformer
from sparring.networks.transformer_sampling import Draw, Grid, sample, slide
from sparring.ops.dropout import dropout
from sparring.priors import categorical
from sparring.train.game import Decay, Fraction, Game, Now, Training, strict
from sparring.train.schedule import Ramp
from sparring.types import (
    Batch,
    Dice,
    HasTokenLikelihood,
    HasTokens,
    Samples,
    SamplesByClass,
    SamplesByText,
    Shared,
    Space,
    Terms,
    Translates,
    Weights,
)

Count = Annotated[int, Field(ge=1, le=2**12)]
Part = Callable[[int, int], Tensor]
"""(row, column) at which a window begins → what is known beforehand of what is in it."""


@dataclass(frozen=True, config=strict, kw_only=True)
class TamingConfig(Training):
    """Settings of `Taming`. Defaults: a network as GPT-2's smallest is, two thirds as wide; for a GPU and hours."""

    tokens: str = ""
    """The run whose tokens are learned: of a recipe with tokens (vqgan), on images of this size. It is copied in."""
    condition_tokens: str = ""
    """The run that says images that are given in tokens, of as many per image; "": the same one."""
    conditioning: Literal["auto", "none", "class", "caption", "image"] = "auto"
    """What is known beforehand. auto: the image that is given, where the data are pairs; else the caption, else the
    class, where there are any; else nothing."""
    reader: text.Reader = "minilm"
    """What reads captions: the sentence encoder all-MiniLM-L6-v2; "clip", the text half of CLIP; or "words", which
    needs no weights and knows no synonyms."""
    width: Count = 512
    """Numbers at each position."""
    heads: Count = 8
    """Into which attention divides them."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 12
    """Blocks of attention and an MLP."""
    pkeep: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability with which a token that is seen is the true one, and not any of all: the published setting of this
    name. Below 1 the network learns to go on after mistakes, and knows images less by heart."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which each of the numbers that a layer adds is dropped, at all positions of a sequence alike
    (Gal & Ghahramani 2016)."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Of samples: logits are divided by it."""
    top_k: Annotated[int, Field(ge=0, le=2**16)] = 0
    """Of samples: only so many likeliest tokens may follow; 0: all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of samples: only the fewest tokens that together have this probability may follow; 1: all."""
    play: str = "T:1"
    """Who moves when: there is only T."""
    batch: Count = 32
    lr: Fraction = Ramp(3e-4, 3e-5, "cosine")
    beta1: Decay = Ramp(0.9, 0.9)
    beta2: Decay = Ramp(0.95, 0.95)
    ema_images: Annotated[float, Field(ge=0)] = 20_000


class Told(nn.Module):
    """The player: a transformer, and what makes the beginning of a sequence of what is known beforehand.

    known: (N, P) numbers of vectors that are looked up, or (N, P, D) vectors that are projected, each to `width`.
    """

    def __init__(self, net: Transformer, *, choices: int = 0, dimensions: int = 0) -> None:
        super().__init__()
        self.net = net
        self.vectors = nn.Parameter(SPREAD * torch.randn(choices or dimensions, net.width))
        self.bias = nn.Parameter(torch.zeros(net.width)) if dimensions else None

    def prefix(self, known: Tensor) -> Tensor:
        """(N, P) int64 or (N, P, D) → (N, P, width)."""
        if self.bias is None:
            return F.embedding(known, self.vectors)
        return known.to(self.vectors.dtype) @ self.vectors + self.bias

    def forward(self, known: Tensor, tokens: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits (N, L + 1, K), as of `Transformer`."""
        logits: Tensor = self.net(self.prefix(known), tokens, keep)
        return logits


class Taming(Game, HasTokenLikelihood):
    """min_T E_x[−log p(t)], p(t) = Π_l p(t_l | t_1 … t_{l−1}, c) over the tokens t of image x, row by row.

    Esser et al. 2021, "Taming transformers for high-resolution image synthesis", section 3.2, eq. 8 and 9. c is what is
    known beforehand: nothing, a class, a caption, or the tokens of an image that is given; each stands before the first
    token. What is said is a likelihood of tokens, not of pixels. The run that says images in tokens is part of the
    game, and does not learn. `kind` is the class of a game that knows one of these.

    >>> from sparring.chance import Dice
    >>> from sparring.recipes.vqgan import VQGAN, VQGANConfig
    >>> tokens = VQGAN.build(VQGANConfig(factor=4, width=4, patches=0, perceptual=0), Space((3, 8, 8)))
    >>> config = TamingConfig(width=4, heads=1, blocks=1)
    >>> game = Taming.build(config, Space((3, 8, 8), others={"tokens": tokens}))
    >>> game.sample(Dice(0, "sample", range(2))).shape, game.sample(Dice(0, "sample", range(2)), grid=(2, 5)).shape
    (torch.Size([2, 3, 8, 8]), torch.Size([2, 3, 8, 20]))
    """

    Config = TamingConfig
    averaged = ("T",)
    others = {"tokens": HasTokens, "condition_tokens": HasTokens}

    def __init__(self, config: TamingConfig, space: Space) -> None:
        super().__init__()
        self.config = config
        self.tokens = _taken(space, "tokens", space.shape)
        self.grid: Grid = self.tokens.grid
        self.side = space.shape[1] // self.grid[0], space.shape[2] // self.grid[1]  # pixels of a token
        self.T = self._player(space)

    @classmethod
    def build(cls, config: TamingConfig, space: Space) -> Taming:
        return cls.kind(config, space)(config, space)

    @classmethod
    def kind(cls, config: TamingConfig, space: Space) -> type[Taming]:
        known = config.conditioning
        if known == "auto":
            known = "class" if space.classes else "none"
            known = "caption" if space.captions else known
            known = "image" if space.condition is not None else known
        return {"none": TamingPlain, "class": TamingByClass, "caption": TamingByText, "image": TamingOfImages}[known]

    @abstractmethod
    def _player(self, space: Space) -> Told:
        """T."""

    def _network(self, positions: int) -> Transformer:
        """For so many positions of what is known beforehand; the last token is never seen."""
        config = self.config
        length = positions + self.grid[0] * self.grid[1] - 1
        if config.width % config.heads:
            raise UsageError(
                "TAMING-HEADS", f"width = {config.width} is not divided by heads = {config.heads}",
                fix=f"--set heads={max(h for h in range(1, config.heads) if config.width % h == 0)}",
            )  # fmt: skip
        return Transformer(self.tokens.codes, length, width=config.width, heads=config.heads, blocks=config.blocks)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"T": self.T}

    # ── what T pays ──────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _known(self, batch: Batch) -> Tensor:
        """What is known beforehand of each sample, as `Told` takes it."""

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        """loss: −log p of a token, the mean over those of each image, nats; right: the share of tokens that are
        likeliest where they stand; perplexity: exp of the mean loss of this piece, the same for every sample."""
        with torch.no_grad():
            tokens, known = self.tokens.encode(batch.x).flatten(1), self._known(batch)
        logits = self.T(known, self.noisy(tokens, now)[:, :-1], self._keep(now)).float()  # (N, L, K)
        loss = _costs(logits, tokens).mean(1)
        with torch.no_grad():
            right = (logits.argmax(2) == tokens).float().mean(1)
            perplexity = loss.mean().exp().expand(len(loss))
        return {"loss": loss, "right": right, "perplexity": perplexity}

    def noisy(self, tokens: Tensor, now: Now) -> Tensor:
        """(N, L) → the same, each token by chance any of all."""
        if self.config.pkeep == 1.0:
            return tokens
        keep = now.chance("keep").uniform(tokens.shape[1]) < self.config.pkeep
        return torch.where(keep, tokens, now.chance("token").integers(self.tokens.codes, tokens.shape[1]))

    def _keep(self, now: Now) -> Tensor | None:
        """What the layers of each block say is multiplied by, (N, blocks, 2, width)."""
        p = self.config.dropout
        if p == 0.0:
            return None
        u = now.chance("dropout").uniform(self.config.blocks, 2, self.config.width)
        return dropout(torch.ones_like(u), p, u)

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    # ── what the trained game can do ─────────────────────────────────────────────────────────────────────────────

    def token_cost(self, batch: Batch) -> Tensor:
        tokens = self.tokens.encode(batch.x).flatten(1)
        return _costs(self.T(self._known(batch), tokens[:, :-1]).float(), tokens).sum(1)

    def _drawn(
        self, known: Tensor, dice: Dice, temperature: float, grid: Grid | None, part: Part | None = None
    ) -> Tensor:
        """Images of tokens that the dice draw, (n, C, H, W).   known: beforehand; where the grid is larger than the one
        that was learned, `part` says it of the window that begins in a row and column; None: it is the same."""
        grid = self._checked(grid or self.grid)
        draw = Draw(self.config.temperature * temperature, self.config.top_k, self.config.top_p)
        return self._decoded(known, dice.uniform(*grid), draw, part)

    def _decoded(self, known: Tensor, u: Tensor, draw: Draw, part: Part | None = None) -> Tensor:
        """u: (n, h, w) uniform in [0, 1)."""
        T, grid = exact(self.T), (u.shape[1], u.shape[2])
        if grid == self.grid:
            tokens = sample(T.net, T.prefix(known), u.flatten(1), draw).view(len(u), *grid)
        else:
            same = T.prefix(known) if part is None else None

            def prefix(top: int, left: int) -> Tensor:
                return same if part is None else T.prefix(part(top, left))  # type: ignore[return-value]

            tokens = slide(T.net, prefix, u, self.grid, draw)
        return self.tokens.decode(tokens)

    def _checked(self, grid: Grid) -> Grid:
        if grid[0] < self.grid[0] or grid[1] < self.grid[1]:
            raise UsageError(
                "TAMING-GRID", f"a grid has at least the {self.grid[0]} × {self.grid[1]} tokens that were learned",
                where=f"{grid[0]} × {grid[1]}", fix="leave grid out",
            )  # fmt: skip
        return grid


class TamingPlain(Taming, Samples):
    """Nothing is known beforehand: p(t)."""

    def _player(self, space: Space) -> Told:
        return Told(self._network(1), choices=1)

    def _known(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch), 1, dtype=torch.int64, device=batch.x.device)

    def sample(self, dice: Dice, *, truncation: float = 1.0, grid: Grid | None = None) -> Tensor:
        """truncation: times `temperature`.   grid: rows and columns of tokens, at least those that were learned."""
        known = torch.zeros(len(dice.samples), 1, dtype=torch.int64, device=dice.device)
        return self._drawn(known, dice, truncation, grid)


class TamingByClass(Taming, SamplesByClass):
    """The class is known beforehand: p(t | y)."""

    needs = frozenset({"label"})

    def _player(self, space: Space) -> Told:
        return Told(self._network(1), choices=max(1, space.classes))

    @property
    def classes(self) -> int:
        return len(self.T.vectors)

    def _known(self, batch: Batch) -> Tensor:
        assert batch.label is not None  # `needs`
        return batch.label[:, None]

    def sample(
        self, dice: Dice, *, truncation: float = 1.0, label: Tensor | None = None, grid: Grid | None = None
    ) -> Tensor:
        """As of `TamingPlain`, of the class of each sample."""
        label = categorical.in_turn(dice, self.classes) if label is None else label
        return self._drawn(label[:, None], dice, truncation, grid)


class TamingByText(Taming, SamplesByText):
    """A caption is known beforehand, as a vector that a frozen encoder makes of it: p(t | text)."""

    needs = frozenset({"text"})

    def __init__(self, config: TamingConfig, space: Space) -> None:
        super().__init__(config, space)
        self.reading = text.Remembered(config.reader, space.texts)

    def begin(self) -> None:
        self.reading.learn()

    def _player(self, space: Space) -> Told:
        return Told(self._network(1), dimensions=text.dimensions(self.config.reader))

    @property
    def remembered(self) -> tuple[str, ...]:
        return self.reading.texts

    def hears(self, text: str) -> bool:
        return self.reading.whole(text)

    def _known(self, batch: Batch) -> Tensor:
        assert batch.text is not None  # `needs`
        return self._read(self.reading(batch.text))

    def _read(self, vectors: Tensor) -> Tensor:
        """(n, D) of length 1 → (n, 1, D) of mean square 1, with which weights learn as fast as others."""
        return vectors[:, None] * vectors.shape[1] ** 0.5

    def sample(
        self, dice: Dice, *, truncation: float = 1.0, text: Sequence[str] | None = None, grid: Grid | None = None
    ) -> Tensor:
        """As of `TamingPlain`, of the text of each sample."""
        vectors = self.reading.in_turn(dice.samples) if text is None else self.reading.of(text)
        return self._drawn(self._read(vectors), dice, truncation, grid)


class TamingOfImages(Taming, Translates):
    """An image is known beforehand, in tokens: p(t | c). What is translated may be larger than what was learned from:
    tokens are then drawn through a window, which sees the part of the given image that lies in it."""

    needs = frozenset({"pair"})

    def __init__(self, config: TamingConfig, space: Space) -> None:
        super().__init__(config, space)
        named = "condition_tokens" in space.others
        self.condition_tokens = _taken(space, "condition_tokens", space.condition) if named else None
        if not named and space.condition not in (None, space.shape):
            raise _unfit("condition_tokens", space.shape, space.condition)

    @property
    def _sayer(self) -> HasTokens:
        return self.tokens if self.condition_tokens is None else self.condition_tokens

    def _player(self, space: Space) -> Told:
        sayer = space.others.get("condition_tokens", self.tokens)
        assert isinstance(sayer, HasTokens)
        if sayer.grid != self.grid:
            raise UsageError(
                "TAMING-GRID", "both runs say an image in as many tokens", where="condition_tokens",
                why=f"one has {self.grid[0]} × {self.grid[1]}, the other {sayer.grid[0]} × {sayer.grid[1]}",
                fix="train one of them with the factor of the other",
            )  # fmt: skip
        return Told(self._network(self.grid[0] * self.grid[1]), choices=sayer.codes)

    def _known(self, batch: Batch) -> Tensor:
        assert batch.condition is not None  # `needs`
        return self._sayer.encode(batch.condition).flatten(1)

    @property
    def stride(self) -> int:
        return max(self.side)

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        """As of `Translates`. Without dice the likeliest token follows each time. An image that is smaller than those
        that were learned from is continued at its lower and right border, and cut back."""
        height, width = image.shape[2:]
        least = self.grid[0] * self.side[0], self.grid[1] * self.side[1]
        image = F.pad(image, (0, max(0, least[1] - width), 0, max(0, least[0] - height)), mode="replicate")
        given = self._sayer.encode(image)
        h, w = given.shape[1:]

        def part(top: int, left: int) -> Tensor:
            return given[:, top : top + self.grid[0], left : left + self.grid[1]].flatten(1)

        if dice is None:
            made = self._decoded(given.flatten(1), torch.zeros(given.shape, device=image.device), Draw(top_k=1), part)
        else:
            made = self._drawn(given.flatten(1), dice, 1.0, (h, w), part)
        return made[:, :, :height, :width]


def _costs(logits: Tensor, tokens: Tensor) -> Tensor:
    """−log p of each token in nats: (N, L, K), (N, L) → (N, L)."""
    return F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")


def _taken(space: Space, name: str, shape: tuple[int, ...] | None) -> HasTokens:
    """A copy of the game of another run, which does not learn; a module, which its type does not say.   shape: (C, H,
    W) of the images that it is to say in tokens."""
    found = space.others.get(name)
    if not isinstance(found, HasTokens):
        raise UsageError(
            "RECIPE-OTHER", "this recipe learns the tokens of another run, and none is named", where=name,
            fix="train one first: sparring train DATA --recipe vqgan-minutes --out runs/tokens; then --set "
            f"{name}=runs/tokens",
        )  # fmt: skip
    with torch.no_grad():
        its = tuple(found.decode(torch.zeros(1, *found.grid, dtype=torch.int64)).shape[1:])
    if its != shape:
        raise _unfit(name, its, shape)
    assert isinstance(found, nn.Module)
    taken = copy.deepcopy(found).eval().requires_grad_(False)
    assert isinstance(taken, HasTokens)
    return taken


def _unfit(name: str, its: tuple[int, ...], shape: tuple[int, ...] | None) -> UsageError:
    wanted, found = (" × ".join(map(str, sides or ())) for sides in (shape, its))
    return UsageError(
        "TAMING-SHAPE", f"{name} is a run of images of {found}, and here they are of {wanted}", where=name,
        fix=f"train the tokens of these images: --set {name}=RUN; --size brings images to the size of a run",
    )  # fmt: skip
