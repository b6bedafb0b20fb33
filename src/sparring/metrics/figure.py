"""A measured number, with all that is needed to compare it with another one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Better = Literal["lower", "higher", ""]


class HasInterval(Protocol):
    """What `kernel.Estimate` and `uncertainty.Measured` have in common."""

    @property
    def value(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def interval(self) -> str:
        """How low and high were obtained."""
        ...


@dataclass(frozen=True)
class Figure:
    """One measured number. Two of them compare only where name, features, n and the resizing agree.

    name:      "kid", "fid" (only of the inception network of 2015-12-05; "fd" of any other), "precision", …
    value:     None where it is refused; then `refused` says why.
    low, high: the 95 % interval, None where there is none.
    interval:  how it was obtained: "jackknife", "bootstrap of 1000", "subsets", "Wilson".
    better:    "lower", "higher", or "" where neither is.
    n_real, n_fake: samples on either side.
    features:  identity of the extractor, such as "efficientnet-lite0 2 at 112 px".
    warning:   what makes the number doubtful, and which one to read instead.
    bound:     where `value` is a bound: whether what it bounds is at most or at least that.

    >>> print(Figure("precision", 0.5, 0.41, 0.59, "Wilson", "higher", 100, 100))
    precision 0.5000 [0.4100, 0.5900]
    >>> print(Figure("inception_score", None, refused="the data has no classes"))
    inception_score refused: the data has no classes
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    better: Better = ""
    n_real: int = 0
    n_fake: int = 0
    features: str = ""
    warning: str = ""
    refused: str = ""
    bound: Literal["at most", "at least", ""] = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.refused):
            raise ValueError(f"{self.name} must have either a value or a reason for having none")

    @classmethod
    def of(
        cls,
        name: str,
        measured: HasInterval,
        better: Better = "",
        n_real: int = 0,
        n_fake: int = 0,
        features: str = "",
        warning: str = "",
    ) -> Figure:
        """What a function of this package returned, with what it was measured on. A number that is not finite is
        refused, never shown; a bound that is not finite is left out.

        >>> from sparring.metrics.kernel import Estimate
        >>> Figure.of("kid", Estimate(0.3, 0.05), "lower", n_real=500, n_fake=500).record()["interval"]
        [0.202, 0.398]
        """
        if not math.isfinite(measured.value):
            return cls(
                name,
                None,
                None,
                None,
                "",
                better,
                n_real,
                n_fake,
                features,
                warning,
                f"it came out as {measured.value}",
            )
        known = math.isfinite(measured.low) and math.isfinite(measured.high)
        low, high = (float(measured.low), float(measured.high)) if known else (None, None)
        how = measured.interval if known else ""
        return cls(name, float(measured.value), low, high, how, better, n_real, n_fake, features, warning)

    def record(self) -> dict[str, Any]:
        """As plain JSON values; bound, warning and refusal only where there is one.

        >>> Figure("kid", 0.3, 0.2, 0.4, "jackknife", "lower", 500, 400, "pixels").record()
        {'value': 0.3, 'interval': [0.2, 0.4], 'method': 'jackknife', 'better': 'lower', 'n_real': 500, 'n_fake': 400,
         'features': 'pixels'}
        """
        bounds = None if self.low is None or self.high is None else [_short(self.low), _short(self.high)]
        record: dict[str, Any] = {
            "value": None if self.value is None else _short(self.value),
            "interval": bounds,
            "method": self.interval,
            "better": self.better,
            "n_real": self.n_real,
            "n_fake": self.n_fake,
            "features": self.features,
        }
        record |= {"bound": self.bound} if self.bound and self.value is not None else {}
        record |= {"warning": self.warning} if self.warning else {}
        return record | ({"refused": self.refused} if self.refused else {})

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name} refused: {self.refused}"
        bounds = "" if self.low is None or self.high is None else f" [{self.low:.4f}, {self.high:.4f}]"
        return f"{self.name} {self.value:.4f}{bounds}"


def _short(value: float) -> float:
    """Ten significant digits: more than any of these numbers has."""
    return float(f"{value:.10g}")
