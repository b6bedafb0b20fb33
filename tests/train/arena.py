"""Nano games on tiny data, with which the tests of the engine play: milliseconds a round, every feature switched on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.data import open_data, stream_of
from sparring.recipes.gan import GAN, GANConfig
from sparring.runs.recipe import game_class
from sparring.train.engine import Engine
from sparring.train.game import Game, Training, seeded
from sparring.train.match import Match
from sparring.types import Batch, News, Space, Stream

SHAPE = (3, 16, 16)
COMMON: dict[str, Any] = {"batch": 8, "beta1": 0.5, "lr": "2e-3 -> 1e-3", "ema_images": 50, "ema_share": 0.5}

NANO: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "gan": ("gan", (2,), {"width": 8, "depth": 2, "z": 2, "gamma": "0.3 -> 0.1", "d_fourier": (4, 0.5, 4.0)}),
    "gan-ahead": ("gan", (2,), {"width": 8, "depth": 1, "z": 2, "play": "extragradient"}),
    "gan-consensus": ("gan", (2,), {"width": 8, "depth": 1, "z": 2, "play": "consensus(0.1)", "gamma": 0.1,
                                    "optimiser": "optimistic-adam"}),
    "gan-optimistic": ("gan", (2,), {"width": 8, "depth": 1, "z": 2, "optimiser": "optimistic-sgd", "lr": 0.02}),
    "gan-images": ("gan", SHAPE, {"width": 8, "depth": 1, "z": 4, "play": "D:2,G:1", "objective": "minimax"}),
    "dcgan": ("dcgan", SHAPE, {"width": 4, "z": 4}),
    "r3gan": ("r3gan", SHAPE, {"generator": "dcgan", "generator_norm": "batch", "discriminator": "dcgan", "width": 4,
                               "d_width": 4, "z": 4, "penalty_every": 2, "augment": "0.2 -> 0.8", "gamma": "1 -> 0.5"}),
    "r3gan-paper": ("r3gan", SHAPE, {"width": 4, "d_width": 4, "group": 4, "blocks": 1, "z": 4,
                                     "augment": "0.2 -> 0.8", "gamma": "1 -> 0.5", "play": "simultaneous"}),
    "cgan": ("cgan", SHAPE, {"generator_norm": "conditional", "width": 4, "d_width": 4, "z": 4, "penalty_every": 2,
                             "augment": "0.2 -> 0.8", "gamma": "1 -> 0.5"}),
    "cgan-2014": ("cgan", SHAPE, {"network": "mlp", "conditioning": "concatenation", "objective": "minimax", "gamma": 0,
                                  "width": 8, "d_width": 8, "depth": 1, "z": 4}),
    "cgan-guess": ("cgan", SHAPE, {"network": "residual", "conditioning": "auxiliary", "objective": "hinge", "width": 4,
                                   "d_width": 4, "group": 4, "z": 4, "penalty_every": 1, "play": "simultaneous"}),
    "stylegan2": ("stylegan2", SHAPE, {"z": 4, "w": 4, "mapping": 1, "mapping_rate": 0.1, "base": 32, "most": 4,
                                       "penalty_every": 2, "path_every": 2, "ada_kimg": 0.2, "ada_every": 1,
                                       "gamma": "1 -> 0.5", "clamp": 30}),
}  # fmt: skip
"""Every recipe (and tier) with D and G in small: (recipe, shape of the data, settings)."""

ALONE: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "classifier": ("classifier", SHAPE, {"width": 4, "augment": 0.5, "smoothing": 0.1, "beta1": 0.9}),
    "vae": ("vae", SHAPE, {"width": 4, "z": 4, "beta": "0 -> 1 linear 0..0.1", "free_bits": 0.1, "beta1": 0.9}),
    "vae-points": ("vae", (2,), {"network": "mlp", "hidden": (8, 4), "z": 2, "beta1": 0.9, "noise": True}),
    "svae": ("svae", SHAPE, {"width": 4, "sphere": 4, "beta": "0 -> 1 linear 0..0.1", "beta1": 0.9}),
    "svae-points": ("svae", (2,), {"network": "mlp", "hidden": (8, 4), "sphere": 2, "beta1": 0.9, "noise": True}),
    "pixelcnn": ("pixelcnn", (3, 8, 8), {"width": 4, "blocks": 1, "mixtures": 2, "beta1": 0.9}),
    "dualencoder": ("dualencoder", SHAPE, {"reader": "words", "width": 4, "d": 4, "augment": 0.5, "beta1": 0.9}),
    "fcn8s": ("fcn8s", SHAPE, {"width": 4, "trunk": "random", "trunk_width": 2, "frozen": 0, "beta1": 0.9}),
}
"""Every recipe with one player in small."""
LIKELY = {"vae", "vae-points", "svae", "svae-points", "pixelcnn"}
"""Those of them that make samples, and say how likely data are."""
TRANSLATING: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "cyclegan": ("cyclegan", SHAPE, {"width": 4, "d_width": 4, "blocks": 1, "d_layers": 1, "pool": 20,
                                     "ema_images": 0}),
    "cyclegan-modern": ("cyclegan", SHAPE, {"generator": "unet", "depth": 2, "norm": "affine", "dropout": 0.2,
                                            "gamma": 0.1, "objective": "relativistic", "width": 4, "d_width": 4,
                                            "d_layers": 1, "pool": 8, "identity": 0, "play": "D_A:1,D_B:1,G:1"}),
    "pix2pix": ("pix2pix", SHAPE, {"width": 2, "d_width": 4, "patches": 1, "ema_images": 0}),
    "pix2pix-modern": ("pix2pix", SHAPE, {"width": 2, "d_width": 4, "patches": "full", "objective": "relativistic",
                                          "penalty": "r1+r2", "gamma": "1 -> 0.5", "penalty_every": 2, "d_weight": 1.0,
                                          "augment": "0.2 -> 0.8", "reconstruction": "l2"}),
}  # fmt: skip
"""Every recipe that makes an image of an image in small."""
_TOKENS: dict[str, Any] = {"factor": 4, "codes": 12, "dimensions": 4, "width": 4, "multipliers": (1, 2), "blocks": 1,
                           "patches": 1, "d_width": 4, "perceptual": 0, "start": 0.03, "revive": 2}  # fmt: skip
CODING: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "vqgan": ("vqgan", SHAPE, _TOKENS),
    "vqgan-ema": ("vqgan", SHAPE, _TOKENS | {"codebook": "ema", "normalised": True, "objective": "relativistic",
                                             "attention": False, "start": 0, "l2": 0.5, "decay": 0.8,
                                             "optimiser": "sgd", "lr": 0.02}),
}  # fmt: skip
"""Every recipe with tokens in small: the game begins in the third round, codes begin anew after two."""
SAYING: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "text2image": ("text2image", SHAPE, {"reader": "words", "width": 4, "d_width": 4, "hidden": 8, "z": 4,
                                         "penalty_every": 2, "augment": "0.2 -> 0.8"}),
}  # fmt: skip
"""Every recipe that makes images of a text in small."""
BUILT: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "taming": ("taming", SHAPE, {"conditioning": "class", "width": 8, "heads": 2, "blocks": 2, "pkeep": 0.8,
                                 "dropout": 0.2, "beta1": 0.9, "top_k": 5, "temperature": 0.1}),
}  # fmt: skip
"""Every recipe that is built upon another run in small: upon `tokenizer`."""
EVERY = NANO | SAYING | ALONE | TRANSLATING | CODING | BUILT

PURE = {"gan", "gan-ahead", "gan-consensus", "gan-optimistic", "gan-images", "r3gan-paper", "cgan-2014", "cgan-guess"}
"""Those without batch statistics: there a sample's gradient does not depend on its neighbours."""


CLASSES = 5


class TinyImages:
    """40 images of coloured stripes, drawn at random, in `CLASSES` classes, each with a caption; in the order of their
    positions. What each is to be made from has its stripes in the other direction. side: in pixels, at most 16."""

    fingerprint = "tiny"

    def __init__(self, side: int = 16) -> None:
        self.side = side

    def __len__(self) -> int:
        return 40

    def take(self, start: int, count: int) -> Batch:
        rows = torch.arange(start, start + count) % 40
        every = Dice(7, "tiny", range(40)).uniform(3, 16).mul(255).to(torch.uint8)[:, :, None].expand(-1, -1, 16, -1)
        cut = every[rows, :, : self.side, : self.side]
        pixels = cut.permute(0, 2, 3, 1).contiguous()  # NHWC in memory, as streams give them
        x = pixels.permute(0, 3, 1, 2)
        text = tuple(f"stripes number {row % 13}" for row in rows.tolist())
        return Batch(x, label=(3 * rows + 1) % CLASSES, condition=x.transpose(2, 3), text=text)

    def news(self) -> tuple[News, ...]:
        return ()


def stream(shape: tuple[int, ...]) -> Stream:
    """Tiny images, or the ring."""
    return TinyImages(shape[1]) if len(shape) == 3 else stream_of(open_data("ring", size=None), 0)


def config_of(name: str, **changes: Any) -> Training:
    recipe, _, settings = EVERY[name]
    return game_class(recipe).Config(**(COMMON | settings | changes))


def game_of(name: str, seed: int = 0, **changes: Any) -> Game:
    recipe, shape, _ = EVERY[name]
    config = config_of(name, **changes)
    condition = shape if len(shape) == 3 else None
    others = {"tokens": tokenizer()} if name in BUILT else {}
    space = Space(shape, CLASSES, captions=True, condition=condition, others=others)
    game = seeded(seed, lambda: game_class(recipe).build(config, space))
    assert isinstance(game, Game)
    return game


def tokenizer() -> Game:
    """A game with tokens that was not trained, but whose codes are as what is compared with them."""
    found = game_of("vqgan-ema", normalised=False, codebook="gradient", codes=6)
    with torch.no_grad():
        z = found.G.vectors(TinyImages().take(0, 40).x.float() / 127.5 - 1).permute(0, 2, 3, 1).flatten(0, 2)
        found.G.quantiser.code.copy_(z[:: len(z) // 6][:6])
    return found


def match_of(name: str, seed: int = 0, *, init: int | None = None, horizon: int = 400, **changes: Any) -> Match:
    """A match of a nano game. `init` seeds its weights (default: `seed`)."""
    game = game_of(name, seed if init is None else init, **changes)
    engine = Engine(torch.device("cpu"), memory_format=LAYOUTS[game.config.memory_format])
    match = Match(game, stream(EVERY[name][1]), engine, game.config, seed=seed, horizon=horizon)
    if name in TRANSLATING:
        match.exhibits = match.stream.take(0, 4)
    return match


LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def point_game(seed: int = 0, **changes: Any) -> GAN:
    config = GANConfig(**(COMMON | NANO["gan"][2] | changes))
    game = seeded(seed, lambda: GAN.build(config, Space((2,))))
    assert isinstance(game, GAN)
    return game


def digest(files: Mapping[str, Mapping[str, Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all tensors."""
    found = hashlib.sha256()
    for stem in sorted(files):
        for name in sorted(files[stem]):
            tensor = files[stem][name].detach().contiguous()
            found.update(f"{stem}/{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.cpu().numpy().tobytes())
    return found.hexdigest()


def copied(files: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    return {stem: {name: tensor.detach().clone() for name, tensor in named.items()} for stem, named in files.items()}


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.named_parameters()}


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
