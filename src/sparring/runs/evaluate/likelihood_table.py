"""Likelihoods of a record as lines for people, with what each number is of."""

from __future__ import annotations

from typing import Any

from sparring.data.report import shown

NAMES = ("nll", "elbo", "reconstruction", "kl", "bits_per_dim")
"""Figures that have a table of their own."""


def head(record: dict[str, Any]) -> list[str]:
    """What was measured on what, where nothing but likelihoods was asked for."""
    real, model = record["real"], record["fake"]
    split = f", {real['split']}" if real["split"] != "all" else ""
    many = "points" if real["kind"] == "points" else "images"
    prepared = real["prepared"].replace(", then resized by the judge", "")
    return [
        f"real   {shown(str(real['what']))} ({real['kind']}{split}): {real['n']:,} {many}, {prepared}",
        f"model  {shown(str(model['what']))} ({model['weights']} weights, {model['images']:,} {many} seen)",
        "",
    ]


def lines(record: dict[str, Any]) -> list[str]:
    """The table; nothing where there is none."""
    said = record.get("likelihood") or {}
    metrics = {
        name: record["metrics"][name] for name in NAMES if record["metrics"].get(name, {}).get("value") is not None
    }
    found = []
    if said and metrics:
        how = "log p(x) itself" if said["exact"] else "bounds of log p(x)"
        if "importance" in said:
            count = f"{said['effective']:.3g} count in the median {said.get('unit', 'image')}"
            how += f"; nll is at most that, by {said['importance']:,} importance weights, of which {count}"
        one_of = said.get("unit", "image")
        found += [f"likelihood of {said['n']:,} {one_of}s of {said['dimensions']:,} values: {said['of']}", f"{how}", ""]
        wide = max(map(len, metrics))
        found.append(f"{'':{wide}}  {'value':>9}  {'95 % interval':<20}  {'better':<6}  in")
        for name, one in metrics.items():
            unit = "bits a value" if name == "bits_per_dim" else f"nats {'an' if one_of == 'image' else 'a'} {one_of}"
            found.append(f"{name:{wide}}  {_number(one['value']):>9}  {_bounds(one):<20}  {one['better']:<6}  {unit}")
        found.append("")
    kernel = record["metrics"].get("parzen", {})
    if kernel.get("value") is not None:
        found += [f"parzen  {_number(kernel['value'])} nats an image ({_bounds(kernel)}): {kernel['features']}", ""]
    return found


def _bounds(one: dict[str, Any]) -> str:
    return f"{_number(one['interval'][0])} to {_number(one['interval'][1])}" if one["interval"] else ""


def _number(value: float) -> str:
    """Two digits of nats, four of bits.

    >>> _number(86.1234), _number(1234.567), _number(0.15432)
    ('86.12', '1234.57', '0.1543')
    """
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
