"""What measures of pairs say of changed truths: of blurred, recoloured and exchanged pictures, and of what was given.

python -m benchmarks.truths          (make bench-truths)  fills the table of docs/evaluate.md
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.anchors import blurred
from benchmarks.speed.machine import record
from sparring.data import batch_of, open_data
from sparring.metrics import features, kernel, paired
from sparring.networks import lpips

OUT = Path(__file__).parent / "results" / "truths.json"
PAGE = Path(__file__).parents[1] / "docs" / "evaluate.md"
BEGIN, END = "<!-- table: python -m benchmarks.truths -->\n\n", "\n<!-- end of the table -->"


def changed(truth: Tensor, given: Tensor) -> dict[str, Tensor]:
    """Pictures to compare with the truth, each (n, 3, H, W) uint8."""

    def blur(side: int) -> Tensor:
        return blurred(truth.float(), side).round().clamp(0, 255).to(torch.uint8)

    grey = truth.float().mean(1, keepdim=True).round().to(torch.uint8)
    return {
        "blurred to 32 px": blur(32),
        "blurred to 16 px": blur(16),
        "red, green and blue exchanged": truth.roll(1, 1),
        "grey": grey.expand_as(truth),
        "the outline that was given": given.expand_as(truth),
        "the truth of another outline": truth.roll(1, 0),
    }


def measured(made: Tensor, truth: Tensor, network: lpips.LPIPS, judge: features.Extractor) -> dict[str, float]:
    """kid_half: half of the 95 % interval."""
    x, y = (features.embed(judge, images) for images in (made, truth))
    kid = kernel.kid_of_pairs(x, y)
    found = {
        "l1": paired.l1(made, truth).mean(),
        "ssim": paired.ssim(made, truth).mean(),
        "lpips": paired.lpips(network, made, truth).mean(),
        "pair_distance": 1 - F.cosine_similarity(x.double(), y.double()).mean(),
        "kid": kid.value,
        "kid_half": kid.high - kid.value,
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown.

    >>> row = {"l1": 0.065, "ssim": 0.75, "lpips": 0.226, "pair_distance": 0.155, "kid": 0.27, "kid_half": 0.06}
    >>> print(table({"grey": row}).splitlines()[-1])
    | grey | 0.065 | 0.75 | 0.23 | 0.155 | 0.27 ± 0.06 |
    """
    lines = ["| | l1 | ssim | lpips | `pair_distance` | kid |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        same = "another" in name
        kid = f"{row['kid']:.2f} (it is the same set)" if same else f"{row['kid']:.2f} ± {row['kid_half']:.2f}"
        numbers = f"{row['l1']:.3f} | {row['ssim']:.2f} | {row['lpips']:.2f} | {row['pair_distance']:.3f}"
        lines.append(f"| {name} | {numbers} | {kid.replace('-', '−')} |")
    return "\n".join(lines)


def main() -> None:
    dataset = open_data("emoji", needs={"pair"}, size=(64, 64))
    batch = batch_of(dataset, torch.arange(len(dataset.held_out)).numpy(), held_out=True)
    assert batch.condition is not None
    network, judge = lpips.load(), features.default()
    rows = {name: measured(made, batch.x, network, judge) for name, made in changed(batch.x, batch.condition).items()}
    record(OUT, pairs=len(batch), rows=rows, command="python -m benchmarks.truths")
    text = PAGE.read_text("utf-8")
    before, after = text.split(BEGIN)[0], text.split(BEGIN)[1].split(END)[1]
    PAGE.write_text(before + BEGIN + table(rows) + "\n" + END + after, "utf-8")
    print(len(batch), table(rows), sep="\n")


if __name__ == "__main__":
    main()
