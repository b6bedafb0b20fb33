"""How numbers are said to people."""

from __future__ import annotations

import re

NORMAL = 1.96
"""Standard errors on either side of a value that a 95 % interval reaches."""


def count(images: float) -> str:
    """A number of images, short.

    >>> count(950), count(96_000), count(1_250_000), count(12_345)
    ('950', '96k', '1.25M', '12.3k')
    """
    if images >= 1_000_000:
        return f"{images / 1e6:.3g}M"
    return f"{images / 1e3:.3g}k" if images >= 1000 else f"{round(images)}"


def percent(share: float) -> str:
    """A share in percent, with a digit more where it is near 0 or 100.

    >>> percent(0.41), percent(0.994), percent(0.004), percent(1.0)
    ('41 %', '99.4 %', '0.4 %', '100 %')
    """
    value = max(-1e9, min(1e9, 100 * share))
    near = min(abs(value), abs(100 - value))
    return f"{value:.1f} %" if 0.05 <= near < 3 and abs(value - round(value)) > 0.05 else f"{value:.0f} %"


def number(value: float) -> str:
    """A measured number with three significant digits, never as a power of ten where people would not write one.

    >>> number(0.04213), number(0.42), number(1234.5), number(0.0000123), number(0.0)
    ('0.0421', '0.42', '1,230', '0.0000123', '0')
    """
    if value == 0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 1e-6:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        digits = len(str(int(abs(value)))) - 3
        return f"{int(round(value, -digits)):,}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.9f}".rstrip("0").rstrip(".")


def plus_minus(value: float, error: float | None) -> str:
    """A value with half of its 95 % interval, if its standard error is known.

    >>> plus_minus(0.042, 0.0021), plus_minus(3.0, None)
    ('0.042 ± 0.00412 (95 %)', '3')
    """
    return f"{number(value)} ± {number(NORMAL * error)} (95 %)" if error else number(value)


def times(factor: float) -> str:
    """A factor.

    >>> times(52.4), times(3.21)
    ('52 times', '3.2 times')
    """
    return f"{factor:.0f} times" if factor >= 10 else f"{factor:.2g} times"


def part(share: float) -> str:
    """A small share as a fraction.

    >>> part(0.002), part(1e-36)
    ('1/500', 'less than 1/1,000,000')
    """
    return f"1/{1 / share:,.0f}" if share >= 1e-6 else "less than 1/1,000,000"


def of_points(text: str) -> str:
    """What is said of a run on images, said of one on points.

    >>> of_points("judged from image 96k on; the newest, of image 19,968, and the images")
    'judged from point 96k on; the newest, of point 19,968, and the images'
    """
    return re.sub(r"\b([Ii]mage)(?= \d)", lambda found: "Point" if found[1][0] == "I" else "point", text)


def without_g(text: str) -> str:
    """What is said of a generator, said of a model that is nobody's opponent.

    >>> without_g("G covers 40 % of the data, the averaged G more; G's samples are few. G is a young G")
    'The model covers 40 % of the data, the averaged model more; the samples are few. The model is a young model'
    """
    text = re.sub(r"\bG's samples\b", "the samples", text)
    text = re.sub(r"\bG's\b", "the model's", text)
    text = re.sub(r"\b((?:[Tt]he averaged|an?|an? \w+) )G\b", r"\1model", text)
    text = re.sub(r"(^|[.!?] )G\b", r"\1The model", text)
    return re.sub(r"\bG\b", "the model", text)
