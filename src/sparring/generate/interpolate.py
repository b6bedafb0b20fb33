"""A walk through the latent space: always the same one for the same seed, closed, and smooth on the sphere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.grid import grid, scatter
from sparring.generate.instead import instead_of_samples
from sparring.generate.sample import Trained, checked, device_of
from sparring.priors.paths import slerp
from sparring.types import HasLatents, HasLatentsByClass, HasLatentsByText, HasTokens, Samples, Translates

FORMATS = (".gif", ".webp", ".png", ".apng")


@torch.no_grad()
def walk(
    run: Trained, frames: int = 60, *, seed: int = 0, keys: int = 4, walkers: int = 8, label: int | None = None,
    text: str | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """`frames` moments of a closed walk: each yields (walkers, C, H, W) in [-1, 1], or points (walkers, D), on the CPU.

    Every walker goes through `keys` latents of its own and back to the first, along great arcs (slerp): on a straight
    line between two normal latents of many dimensions |z| would shrink to 1/√2 of what the generator knows. The last
    frame is one step before the first, so that a repeated walk has no seam.

    A walker keeps its class: `label`, where the game is told one (`HasLatentsByClass`), or else walker i is of class
    i mod classes. So with texts (`HasLatentsByText`): `text`, or captions in turn.
    """
    checked(walkers, seed)
    game = run.game
    if not isinstance(game, HasLatents):
        raise UsageError(
            "WALK-CANNOT", f"{type(game).__name__} has no latents to walk through",
            fix=_instead(game),
        )  # fmt: skip
    if not 2 <= frames <= 10_000:
        raise UsageError("WALK-FRAMES", "a walk has 2 to 10,000 frames", where=str(frames), fix="--frames 60")
    keys = min(keys, frames)
    device = device_of(game)
    told: dict[str, Any] = {}
    if text is not None:
        if not isinstance(game, HasLatentsByText):
            raise UsageError("WALK-TEXT", f"the latents of {type(game).__name__} have no text", fix="leave --text out")
        told["text"] = [text] * walkers
    if label is not None:
        if not isinstance(game, HasLatentsByClass):
            raise UsageError(
                "WALK-LABEL", f"the latents of {type(game).__name__} have no class", fix="leave --label out"
            )
        told["label"] = torch.full((walkers,), label, device=device)
    z = [game.latents(Dice(seed, "walk", range(walkers), (key,), device)) for key in range(keys)]
    for frame in range(frames):
        leg, t = divmod(frame * keys / frames, 1.0)
        there = slerp(z[int(leg)], z[(int(leg) + 1) % keys], t)
        yield game.decode(there, **told).float().cpu()


def _instead(game: object) -> str:
    """What to do with a game that has no latents."""
    if isinstance(game, Translates | HasTokens):
        return instead_of_samples(game)
    if isinstance(game, Samples):
        return "draw samples instead: sparring sample RUN --grid; a GAN or a VAE has latents to walk through"
    return "choose a run of a GAN or a VAE"


def film(moments: Iterator[Tensor] | Sequence[Tensor], *, smallest: int = 128) -> list[Image.Image]:
    """The moments of a walk as pictures of one size: grids of images, twice as wide as high where possible, enlarged in
    whole steps until the tiles have `smallest` pixels together; or clouds of points within one fixed frame."""
    tensors = list(moments)
    if tensors and tensors[0].dim() == 2:
        finite = torch.cat(tensors)
        finite = finite[finite.isfinite().all(1)]
        extent = 1.2 * float(finite.abs().flatten().quantile(0.998)) if 0 < finite.numel() <= 2**24 else 1.0
        return [scatter(points, extent=extent) for points in tensors]
    pictures = []
    for images in tensors:
        sheet = grid(images, columns=max(1, -(-len(images) // 2)) if len(images) > 3 else None)
        factor = max(1, -(-smallest // min(sheet.size)))
        pictures.append(sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST))
    return pictures


def save_film(pictures: Sequence[Image.Image], path: Path, *, fps: float = 20.0) -> Path:
    """An endless animation by the suffix of `path`: .gif (256 colours, chosen for each picture), .webp or .png/.apng
    (all colours, lossless). Other suffixes are a `UsageError`."""
    suffix = check_format(path)
    if not pictures:
        raise UsageError("WALK-FRAMES", "an animation needs at least one picture", where=str(path),
                         fix="give it the pictures of `film`")  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    milliseconds = round(1000 / fps)
    first, *rest = [
        _paletted(p) if suffix == ".gif" else p.convert("RGBA" if p.mode == "RGBA" else "RGB") for p in pictures
    ]
    if suffix == ".gif":
        first.save(
            path, "GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0, optimize=False, disposal=1
        )
    elif suffix == ".webp":
        first.save(
            path, "WEBP", save_all=True, append_images=rest, duration=milliseconds, loop=0, lossless=True, method=4
        )
    else:
        first.save(path, "PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return path


def check_format(path: Path) -> str:
    """The suffix of `path` in small letters; `UsageError` if no animation can be written with it."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            "WALK-FORMAT",
            "an animation is written as .gif, .webp, .png or .apng",
            where=str(path),
            fix="--out walk.gif",
        )
    return path.suffix.lower()


def _paletted(picture: Image.Image) -> Image.Image:
    """The 256 colours that suit this picture best, dithered; transparency is laid on white (GIF has no soft edges)."""
    if picture.mode == "L":
        return picture
    if picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        paper.alpha_composite(picture)
        picture = paper
    best = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    return picture.convert("RGB").quantize(palette=best, dither=Image.Dither.FLOYDSTEINBERG)
