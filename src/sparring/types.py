"""What the packages say to each other: batches, terms, events, and the small interfaces a trained game may implement.

This module imports neither torch nor numpy at run time, so that the command line can use it and still answer at once.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Terms = Mapping[str, "Tensor"]
"""What a player pays, term by term, unreduced: ``{"real": (N, …), "fake": (N, …), "r1": (N,)}``.
A term that `Game.weights` does not name is not part of the objective; it is only observed (logits, for the log)."""


@dataclass(frozen=True, eq=False)
class Balanced:
    """A weight that follows from two gradients of the whole batch, over its pieces and all processes.

    It is ``rule(∇ Σ w · mean(against), ∇ Σ mean(these))``, both with respect to `at`; `these` are the terms that are
    given this very object.   against: terms of the same player, whose weights w are numbers.
    at: a parameter of that player.   rule: two tensors like `at` → a weight, ().
    """

    against: tuple[str, ...]
    at: Tensor
    rule: Callable[[Tensor, Tensor], Tensor]


Weights = Mapping[str, "float | Tensor | Balanced"]
"""The weight of each term in the objective."""

Shared = Mapping[str, "Tensor"]
"""What is computed once per batch and used by several players, for example ``{"fake": G(z)}``."""


@dataclass(frozen=True)
class Space:
    """What the data of a run is made of; all that a game needs to know to build its networks.

    shape:     (C, H, W) of an image, or (D,) of a point.
    classes:   how many classes the labels name, 0 … classes − 1; 0 where there are no labels.
    captions:  whether each sample comes with a text.
    condition: (C', H, W) of the image that is given with each sample (image to image), or None.
    paired:    whether the two belong together; else they are drawn independently of each other.
    legend, condition_legend: where that image is a label map, what each of its channels (one-hot) stands for.
    texts:     some captions of the training data, all different: what a game that is told texts is asked for where
               nobody asks for one (`SamplesByText`).
    others:    the games of other runs that this one is built upon, by the settings that name them (`Game.others`).
    """

    shape: tuple[int, ...]
    classes: int = 0
    captions: bool = False
    condition: tuple[int, ...] | None = None
    paired: bool = True
    legend: tuple[str, ...] = ()
    condition_legend: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    others: Mapping[str, nn.Module] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Batch:
    """N samples with what is known about them.

    x:         (N, C, H, W), uint8 in [0, 255] from a stream and float in [-1, 1] in a game; or points (N, D), float.
    label:     (N,) int64 class of each sample, or None.
    condition: (N, C', H, W) what each sample is to be made from (image to image), or None. A label map, here and in x,
               has a channel for each class, of which one is white (one-hot).
    text:      N captions, or None.
    """

    x: Tensor
    label: Tensor | None = None
    condition: Tensor | None = None
    text: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with `change` applied to each tensor it holds; captions stay as they are."""

        def changed(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        return Batch(change(self.x), changed(self.label), changed(self.condition), self.text)


@dataclass(frozen=True)
class News:
    """Something that happened to the data while it was read: a file that broke and was replaced, for example.

    code: such as ``DATA-BROKEN``.   fatal: too much has happened; the run should save and end.
    """

    code: str
    message: str
    fatal: bool = False


@runtime_checkable
class Stream(Protocol):
    """Endless data, addressed by position: sample k is a pure function of (seed, k)."""

    @property
    def fingerprint(self) -> str:
        """A hash of what is delivered (content and preprocessing); stops a resume on other data."""
        ...

    def __len__(self) -> int:
        """Samples in one pass."""
        ...

    def take(self, start: int, count: int) -> Batch:
        """Samples ``start … start + count − 1``, on the CPU; images as uint8 (N, C, H, W) in channels_last strides."""
        ...

    def news(self) -> Sequence[News]:
        """What happened to the data since this was last asked; everything is told once."""
        ...


# ── what the loop says ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Event:
    """Something that happened. `images` is the number of images seen so far: the clock of every run."""

    images: int

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()

    def record(self) -> dict[str, Any]:
        """The event as plain JSON values (tensors and absent fields left out)."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain = {k: v for k, v in fields.items() if v is not None and not hasattr(v, "detach")}
        return {"event": self.kind, **plain}


@dataclass(frozen=True)
class Turn(Event):
    """Means of every term since the last `Turn`: ``{"D/real": …, "G/fake": …}``; `rate` in images per second.

    Of an ensemble each value is a list, one number for each member (NaN where it is retired), and the rate is of one.
    """

    round: int
    values: Mapping[str, float]
    rate: float | None = None


PAID = ("real", "fake", "pair", "loss", "reconstruction", "kl")
"""The terms of a `Turn` that add up to what a player pays; the others are penalties, or only observed. The last two are
in nats for each sample, −log p(x | z) and KL(q ‖ p): together minus the ELBO, whatever weight the second one has."""


def paid(values: Mapping[str, Any]) -> dict[str, float]:
    """What each player pays, in the order in which they come; values that are no numbers are left out.

    >>> paid({"D/real": 0.5, "D/fake": 0.25, "G/fake": 1.0, "D/r1": 7.0, "D/D(x)": 0.61, "skill": 0.5})
    {'D': 0.75, 'G': 1.0}
    """
    sums: dict[str, float] = {}
    for key, value in values.items():
        player, _, term = key.rpartition("/")
        if term in PAID and isinstance(value, (int, float)):
            sums[player] = sums.get(player, 0.0) + value
    return sums


@dataclass(frozen=True)
class Sampled(Event):
    """Samples from the same latents as ever: `samples` (N, C, H, W) in [-1, 1], or points (N, D), on the CPU.

    Of an ensemble (members, N, …)."""

    samples: torch.Tensor


@dataclass(frozen=True)
class Probed(Event):
    """What a watch measured."""

    values: Mapping[str, float]


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint was written, read back and verified."""

    path: str
    seconds: float


@dataclass(frozen=True)
class Alarm(Event):
    """Something a person should know; the run goes on unless a `Done` follows.

    After "ROLLBACK" the run goes on from `images`: what was said of later images before that is undone
    (`sparring.train.log.read` leaves it out)."""

    code: str
    message: str


@dataclass(frozen=True)
class Done(Event):
    """The last event. `reason`: "budget" (all images seen), "stopped" (asked to stop), "watch" (a watch decided that it
    is enough, or the run went back in vain: `Loop.trouble`), or "data" (too much of the data broke). Everything is
    saved."""

    reason: str


# ── what a watch says ─────────────────────────────────────────────────────────────────────────────────────────────


class Decision(Enum):
    """What a watch asks of the loop."""

    NOTE = "note"  # go on
    HOLD = "hold"  # go on, but replace no checkpoint marked healthy
    ROLLBACK = "rollback"  # go back to the last healthy checkpoint, and on from there with other chance; where the run
    # is not to be rescued, or nothing is healthy yet: HOLD
    STOP = "stop"  # save and end: it is enough


@dataclass(frozen=True)
class Opinion:
    """What a watch found when it looked.

    values: what it measured.   decision: what should be done about it.
    alarms: (code, message in plain words), most serious first.
    score: what the best checkpoint is chosen by, lower is better; None where there is nothing to choose by.
    measure: what the score is called where people read it.
    slack: how much higher than the lowest score so far this one may be and still be chosen: the later of two that
    cannot be told apart.
    why: (code, message) of what the decision is about, said before or not; default: the first alarm.
    judged: whether it looked at the health of the run at all; else it neither objects nor is content.
    """

    values: Mapping[str, float]
    decision: Decision = Decision.NOTE
    alarms: tuple[tuple[str, str], ...] = ()
    score: float | None = None
    measure: str = "KID"
    why: tuple[str, str] | None = None
    judged: bool = True
    slack: float = 0.0


class Watch(Protocol):
    """The only object injected into the loop: sees the game at its probes, measures, decides; its state is saved.

    Of several processes only the first has one: what it decides is then done by all."""

    def due(self, images: int) -> bool:
        """Whether to look now. Where not every round is decided on, it is asked only in some: a moment that has come
        since the last look is due until then."""
        ...

    def hear(self, turn: Turn) -> None:
        """What was paid since the last `Turn`: costs, gradient norms, penalties."""
        ...

    def look(self, view: Any) -> Opinion:
        """Measure, and judge. Changes nothing that is trained."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


# ── what a trained game can do ────────────────────────────────────────────────────────────────────────────────────


class Dice(Protocol):
    """Random numbers for n samples, each a pure function of (seed, purpose, time, index of the sample)."""

    @property
    def samples(self) -> range:
        """The n indices."""
        ...

    @property
    def device(self) -> str | torch.device: ...

    def normal(self, *shape: int) -> Tensor: ...

    def uniform(self, *shape: int) -> Tensor: ...

    def integers(self, high: int, *shape: int) -> Tensor: ...


class HasLatents(ABC):
    """A game whose samples are a function of a latent z.

    prior: the law of z: "normal", each number by itself N(0, 1); or "sphere", uniform on the unit sphere."""

    prior: ClassVar[Literal["normal", "sphere"]] = "normal"

    @abstractmethod
    def latents(self, dice: Dice) -> Tensor:
        """(n, z) latents from the prior, one per sample of `dice`."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """(n, z) → images (n, C, H, W) in [-1, 1], or points (n, D)."""


class HasLatentsByClass(HasLatents):
    """A game whose samples are a function of a latent z and of a class."""

    @abstractmethod
    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """As of `HasLatents`. label: (n,) int64 class of each row; None: row i is of class i mod classes."""


class HasLatentsByText(HasLatents):
    """A game whose samples are a function of a latent z and of a text."""

    @abstractmethod
    def decode(self, z: Tensor, text: Sequence[str] | None = None) -> Tensor:
        """As of `HasLatents`. text: of each row; None: row i is of caption i mod those that the game remembers."""


class HasStyles(HasLatents):
    """A game whose generator is steered layer by layer (StyleGAN2, Karras et al. 2020): z → w, one w per layer (W+),
    and of each w the factors of the channels of its layer (StyleSpace S, Wu et al. 2021).

    `decode(z)` is `from_w(to_w(z))`, and `from_w(w)` is `from_styles(to_styles(w))`. The noise inputs are fixed: the
    same w makes the same image."""

    @property
    @abstractmethod
    def mean_w(self) -> Tensor:
        """(w,) the mean of W, which truncation draws towards."""

    @abstractmethod
    def to_w(self, z: Tensor, *, truncation: float = 1.0) -> Tensor:
        """(n, z) → (n, layers, w): the same w in every layer."""

    @abstractmethod
    def to_styles(self, w: Tensor) -> tuple[Tensor, ...]:
        """(n, layers, w) → for each layer the (n, channels) factors that its input is multiplied by."""

    @abstractmethod
    def from_w(self, w: Tensor) -> Tensor:
        """(n, layers, w) → images (n, C, H, W) in about [-1, 1]."""

    @abstractmethod
    def from_styles(self, styles: Sequence[Tensor]) -> Tensor:
        """What `to_styles` gives, changed or not → images (n, C, H, W) in about [-1, 1]."""


class Samples(ABC):
    """A game that makes new samples."""

    @abstractmethod
    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        """Images (n, C, H, W) in [-1, 1], or points (n, D), one per sample of `dice`."""


class SamplesByClass(Samples):
    """A game that makes new samples of a class that is asked for."""

    @abstractmethod
    def sample(self, dice: Dice, *, truncation: float = 1.0, label: Tensor | None = None) -> Tensor:
        """As of `Samples`. label: (n,) int64 class of each sample; None: sample k is of class k mod classes
        (`priors.categorical.in_turn`), so that each has its share, a picture can show one class per row, and a sample
        does not depend on how many are drawn with it."""


class SamplesByText(Samples):
    """A game that makes new samples of a text that is asked for. It remembers what its encoder made of a few captions
    of the training data (`Space.texts`), so that without a text it samples where the encoder is not installed."""

    @property
    @abstractmethod
    def remembered(self) -> tuple[str, ...]:
        """Those captions, at least one; samples of these texts need no encoder."""

    @abstractmethod
    def sample(self, dice: Dice, *, truncation: float = 1.0, text: Sequence[str] | None = None) -> Tensor:
        """As of `Samples`. text: of each sample; None: sample k is of caption k of `remembered`, in turn, so that it
        does not depend on how many are drawn with it."""

    def hears(self, text: str) -> bool:
        """Whether all of a text is read, to its end: encoders read only so much."""
        return True


def pictured(game: object, count: int, piece: int = 64) -> list[range]:
    """The numbers of the samples that a picture of `count` shows, at most `piece` in a range: 0 … count − 1; of a game
    that is told texts, as many of each of its first captions as fill rows (`TEXT_ROWS`), row after row in turn.

    >>> pictured(object(), 100)
    [range(0, 64), range(64, 100)]
    """
    if not isinstance(game, SamplesByText):
        return [range(start, min(start + piece, count)) for start in range(0, count, piece)]
    every = len(game.remembered)
    rows = min(TEXT_ROWS, every)
    return [range(k * every, k * every + min(rows, count - k * rows)) for k in range(-(-count // rows))]


TEXT_ROWS = 8
"""Captions that a picture of samples shows, a row for each."""


class Translates(ABC):
    """A game that maps an image to another image."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """The sides of what is translated are multiples of this."""

    @abstractmethod
    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        """(n, C', H, W) in [-1, 1] → (n, C, H, W) in [-1, 1], each image as if it were alone.

        dice: of the noise, one per image; None: without noise."""


class TranslatesBack(Translates):
    """A game that also knows the way back."""

    @abstractmethod
    def translate_back(self, image: Tensor, dice: Dice | None) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, C', H, W) in [-1, 1], as `translate`."""


class Reconstructs(ABC):
    """A game that encodes and decodes."""

    @abstractmethod
    def reconstruct(self, x: Tensor, dice: Dice) -> Tensor:
        """(n, C, H, W) in [-1, 1] → the same shape."""


class HasTokens(Reconstructs):
    """A game that says an image in whole numbers, its tokens, and makes an image of tokens: what a model of sequences
    can learn in place of pixels."""

    @property
    @abstractmethod
    def codes(self) -> int:
        """How many different tokens there are: each is one of 0 … codes − 1."""

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """(h, w) of the tokens of an image of the size of the data."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, h, w) int64, each image as if it were alone. Larger images, of sides that are
        multiples of those of a token, have more tokens."""

    @abstractmethod
    def decode(self, tokens: Tensor) -> Tensor:
        """(n, h, w) int64 → images (n, C, H, W) in [-1, 1]."""


def of_exhibits(game: object) -> bool:
    """Whether a game is shown by what it makes of images of the data: it draws none of its own."""
    return isinstance(game, Translates) or (isinstance(game, HasTokens) and not isinstance(game, Samples))


Outcome = Literal["binary", "levels", "continuous"]
"""What a likelihood is of: values that are 0 or 1 (x is −1 or 1), one of 256 levels (x = k / 127.5 − 1), or a density
of x itself, in [-1, 1]. Likelihoods of different outcomes cannot be compared."""


class HasLikelihood(ABC):
    """A game that assigns a log-likelihood, or a bound on it, to data."""

    @property
    @abstractmethod
    def outcome(self) -> Outcome:
        """What the likelihood is of."""

    @property
    @abstractmethod
    def exact(self) -> bool:
        """Whether `log_likelihood` is log p(x) itself; else its mean over the dice is a lower bound (ELBO)."""

    @abstractmethod
    def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n,) nats. No side effects."""


class HasTokenLikelihood(ABC):
    """A game that says how likely the tokens of data are: comparable with itself, and no likelihood of the data."""

    @abstractmethod
    def token_cost(self, batch: Batch) -> Tensor:
        """(n,) nats: −log p of all tokens of each sample, given what the game knows of it. No side effects."""


class HasPosterior(HasLikelihood):
    """A game with latents z of which it knows, for each x, a posterior q(z | x)."""

    @abstractmethod
    def elbo(self, x: Tensor, dice: Dice) -> Mapping[str, Tensor]:
        """{"reconstruction": log p(x | z), "kl": KL(q(z | x) ‖ p(z))}, (n,) nats each; their difference is
        `log_likelihood`. One z for each x, from `dice`."""

    @abstractmethod
    def log_weight(self, x: Tensor, dice: Dice) -> Tensor:
        """log p(x | z) + log p(z) − log q(z | x), (n,) nats: the log of one importance weight, z ~ q(z | x) by `dice`.
        The mean of exp of it over many z is p(x) (Burda et al. 2016, eq. 8)."""


class Criticises(ABC):
    """A game with a discriminator whose skill can be measured."""

    @abstractmethod
    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        """D's logits on the batch and on as many samples of G: (n, …), (n, …). No side effects."""

    @property
    @abstractmethod
    def relative(self) -> bool:
        """Whether only differences of logits mean something (relativistic games)."""


class Layered(ABC):
    """A network whose layers can be held still, from the one that sees the sample upwards."""

    @property
    @abstractmethod
    def layers(self) -> tuple[tuple[nn.Module, ...], ...]:
        """What belongs to each layer, in the order of the forward pass, without what makes the logit."""


class Classifies(ABC):
    """A game that says what is in an image; what it looks at before it decides are features to measure with."""

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, classes) logits, float32. No side effects."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, d) features, float32: what the logits are a linear function of."""


class MatchesText(ABC):
    """A game that says how well a text describes an image: by the cosine of two directions."""

    @abstractmethod
    def embed_images(self, x: Tensor) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, d) of length 1, float32, differentiable in x. No side effects."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, d) of length 1, float32, on the device of the game. No side effects."""


class Segments(ABC):
    """A game that says of every pixel of an image which class it is of."""

    ignored: tuple[int, ...] = ()
    """Classes of the label maps that say nothing of their pixels, which do not count."""

    @abstractmethod
    def segment(self, x: Tensor) -> Tensor:
        """(n, C', H, W) in [-1, 1], of any size → (n, K, H, W) logits, float32. No side effects."""


class Landscape(ABC):
    """A game on points whose discriminator can be looked at from above."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """(n, D) points → (n,): D's logit of each; where D judges packs, of the pack that repeats it."""

    @abstractmethod
    def pull(self, x: Tensor, real: Tensor) -> Tensor:
        """(n, D) points, (n, D) real ones to compare them with → (n, D): where G's samples are drawn, −∇ₓ of what G
        pays at each. No side effects."""
