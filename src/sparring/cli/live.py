"""What is shown while a run goes on: a live line on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from sparring.budget import duration
from sparring.cli.talk import Talk
from sparring.types import Alarm, Event, Probed, Sampled, Saved, Turn, paid

EVERY = 10.0
"""Seconds between plain lines."""
IN_FULL = 3
"""Images lost during a run that are each named on the screen; the log names more."""
_SKILL = {"D(x)": "D(x)", "D(G(z))": "D(G(z))", "true_positive": "TPR", "true_negative": "TNR",
          "right": "right", "cycle_A": "cycle", "cycle_B": "cycle"}  # fmt: skip
_MEASURED = (
    "modes", "high_quality", "reverse_kl", "smallest_share", "energy_distance", "accuracy", "accuracy_train",
    "pixel_accuracy", "pixel_accuracy_train", "retrieval", "retrieval_train", "nll", "nll_train",
    "pair_distance", "l1", "kid", "coverage", "diversity", "auc",
)  # fmt: skip
"""What is shown of a probe where any of it was measured; the rest is for the log, the page and the doctor."""
_SHARES = ("high_quality", "accuracy", "accuracy_train", "coverage", "pixel_accuracy", "pixel_accuracy_train",
           "retrieval", "retrieval_train")  # fmt: skip


def numbers(values: Mapping[str, float]) -> str:
    """Losses by player, then how D sees things.

    >>> numbers({"D/real": 0.5, "D/fake": 0.25, "G/fake": 1.0, "D/D(x)": 0.61, "D/gradient": 3.0})
    'D 0.750  G 1.000  D(x) 0.61'
    >>> numbers({"D_A/real": 0.5, "D_A/D(x)": 0.61, "D_B/real": 0.25, "D_B/D(x)": 0.5})  # two that see
    'D_A 0.500  D_B 0.250  D(x) 0.61/0.50'
    """
    seen: dict[str, list[str]] = {}
    for term, name in _SKILL.items():
        seen.setdefault(name, []).extend(f"{v:.2f}" for key, v in values.items() if key.rpartition("/")[2] == term)
    told = [f"{name} {'/'.join(found)}" for name, found in seen.items() if found]
    return "  ".join([f"{player} {loss:.3f}" for player, loss in paid(values).items()] + told)


def measures(values: Mapping[str, float]) -> str:
    """What was measured, in words.

    >>> measures({"modes": 8.0, "high_quality": 0.7416, "reverse_kl": 0.01234})
    'modes 8  high quality 74.2 %  reverse kl 0.0123'
    >>> measures({"kid": 0.0213, "kid_se": 0.0012, "saturated": 0.0, "coverage": 0.81})
    'kid 0.0213 ± 0.0024 (95 %)  coverage 81.0 %'
    """
    names = [name for name in values if name in _MEASURED] or [
        name for name in values if name not in ("spent", "share")
    ]
    told = []
    for name in names:
        value = f"{100 * values[name]:.1f} %" if name in _SHARES else f"{values[name]:.3g}"
        around = f" ± {1.96 * values[f'{name}_se']:.2g} (95 %)" if f"{name}_se" in values else ""
        told.append(f"{name.replace('_', ' ')} {value}{around}")
    return "  ".join(told)


class Live:
    """Shows events. Use as a context; `show` each event.

    total: gives the images at the end of the run (known once it goes).   as_json: JSON lines on stdout.
    """

    def __init__(self, talk: Talk, total: Callable[[], int], *, as_json: bool = False) -> None:
        self.talk, self.total, self.as_json = talk, total, as_json
        self.rate: float | None = None
        self._screen: Any = None
        self._spoke = -EVERY
        self._told = -EVERY  # when it last said what was measured
        self._turned: Any = None  # the last live line
        self._known = ""  # what was measured last
        self._broken, self._counted = 0, 0.0  # images lost, and when their number was last said
        self._began = time.monotonic()

    def __enter__(self) -> Live:
        if self.talk.terminal:
            from rich.console import Console
            from rich.live import Live as Screen

            self._screen = Screen(console=Console(stderr=True, highlight=False), auto_refresh=False)
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._screen.stop()

    def show(self, event: Event) -> None:
        if self.as_json:
            self.talk.record(event.record())
        match event:
            case Turn():
                self._turn(event)
            case Alarm():
                said = self._alarm(event)
                if not said:
                    return
                if event.code.startswith("DATA-") and self.talk.quiet:
                    self.talk.trouble(said)  # of several processes, only the one that met it knows
                else:
                    self._line(said)
            case Probed() if event.values:
                self._measured(event)
            case Saved() if event.seconds > 5:
                self._line(f"saved in {duration(event.seconds)}: {event.path}")
            case Sampled() | Saved() | _:
                pass

    # ── ways to say it ───────────────────────────────────────────────────────────────────────────────────────────

    def _alarm(self, alarm: Alarm) -> str:
        """A warning in full. Of images that are lost the first `IN_FULL` are; then how many there are, now and then."""
        where = f"[{alarm.code}, at {alarm.images:,} images]"
        if alarm.code == "DATA-BROKEN":
            self._broken += 1
            if self._broken > IN_FULL:
                count = re.search(r"[0-9,]+ of [0-9,]+", alarm.message)
                if time.monotonic() - self._counted < EVERY or count is None:
                    return ""
                self._counted = time.monotonic()
                return f"! {count[0]} images are lost by now; log.jsonl names more of them  {where}"
            if self._broken == IN_FULL:
                self._counted = time.monotonic()
        return f"! {alarm.message}  {where}"

    def _turn(self, turn: Turn) -> None:
        if turn.rate:
            self.rate = turn.rate if self.rate is None else 0.8 * self.rate + 0.2 * turn.rate
        total = max(self.total(), turn.images)
        left = duration((total - turn.images) / self.rate) if self.rate else "?"
        share = turn.images / total if total else 1.0
        where = f"{turn.images:,} / {total:,} images"
        speed = f"{self.rate:,.0f}/s" if self.rate else ""
        if self._screen is not None:
            from rich.text import Text

            done = round(28 * share)
            bar = Text("━" * done, style="green") + Text("━" * (28 - done), style="bright_black")
            line = bar + Text(f" {share:4.0%}  {where}  {speed}  {left} left\n", style="default")
            self._turned = line + Text(numbers(turn.values), style="cyan")
            self._refresh()
        elif not self.as_json and (time.monotonic() - self._spoke >= EVERY or turn.images >= total):
            self._spoke = time.monotonic()
            self.talk.say(f"{share:4.0%}  {where}  {speed}  {left} left  {numbers(turn.values)}")

    def _measured(self, event: Probed) -> None:
        """Below the live line; as a plain line now and then, and at the end."""
        self._known = measures(event.values)
        if self._screen is not None:
            self._refresh()
        elif time.monotonic() - self._told >= EVERY or event.images >= self.total():
            self._told = time.monotonic()
            self._line(f"      measured at {event.images:,} images: {self._known}")

    def _refresh(self) -> None:
        if self._turned is not None:
            self._screen.update(self._turned + (f"\n{self._known}" if self._known else ""), refresh=True)

    def _line(self, text: str) -> None:
        if self._screen is not None:
            self._screen.console.print(text, markup=False)
        elif not self.as_json:
            self.talk.say(text)

    @property
    def seconds(self) -> float:
        """Since this was made."""
        return time.monotonic() - self._began
