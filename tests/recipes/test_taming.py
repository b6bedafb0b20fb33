"""Taming: what it pays is what its tokens cost, what it knows beforehand changes what it draws, its tokenizer stays."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages
from torch import Tensor, nn

import sparring
from sparring import api, cli
from sparring.chance import Dice
from sparring.data import Options, open_data, stream_of
from sparring.errors import CheckpointError, UsageError
from sparring.metrics.extractors import PixelFeatures
from sparring.recipes.taming import Taming, TamingByClass, TamingByText, TamingConfig, TamingOfImages, TamingPlain
from sparring.recipes.vqgan import VQGAN, VQGANConfig
from sparring.runs.observe import Observer
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, HasLikelihood, Samples, SamplesByClass, SamplesByText, Space, Translates

TOKENS: dict[str, Any] = {"factor": 4, "codes": 6, "dimensions": 4, "width": 4, "multipliers": [1, 2], "blocks": 1,
                          "patches": 0, "d_width": 4, "perceptual": 0}  # fmt: skip
SMALL: dict[str, Any] = {"width": 8, "heads": 2, "blocks": 2, "reader": "words"}
KINDS = {
    "none": (TamingPlain, {}), "class": (TamingByClass, {"classes": 5}),
    "caption": (TamingByText, {"captions": True, "texts": ("stripes number 1", "stripes number 2")}),
    "image": (TamingOfImages, {"condition": SHAPE}),
}  # fmt: skip


def tokenizer(shape: tuple[int, ...] = SHAPE, **settings: Any) -> VQGAN:
    """Codes are as far apart as what is compared with them, so that tokens differ."""
    game: VQGAN = seeded(0, lambda: VQGAN.build(VQGANConfig(**(TOKENS | settings)), Space(shape)))
    x = TinyImages().take(0, 40).x.float() / 127.5 - 1
    with torch.no_grad():
        z = game.G.vectors(x[..., : shape[1], : shape[2]]).permute(0, 2, 3, 1).flatten(0, 2)
        game.G.quantiser.code.copy_(z[:: len(z) // game.codes][: game.codes])
    return game


def space_of(kind: str, shape: tuple[int, ...] = SHAPE, **others: nn.Module) -> Space:
    return Space(shape, others={"tokens": tokenizer(shape)} | others, **KINDS[kind][1])


def game_of(kind: str = "none", shape: tuple[int, ...] = SHAPE, *, loud: float = 0.0, **settings: Any) -> Taming:
    """loud: with weights so large that what is known beforehand is heard."""
    config = TamingConfig(**(SMALL | {"conditioning": kind} | settings))
    game: Taming = seeded(1, lambda: Taming.build(config, space_of(kind, shape)))
    if isinstance(game, TamingByText):
        game.begin()
    for number, parameter in enumerate(game.T.parameters()):
        parameter.data += loud * Dice(2, f"weight {number}", range(1)).normal(*parameter.shape)[0]
    return game


def now(n: int = 40, round_: int = 0) -> Now:
    return Now(0, 0, 400, round_, 0, range(n))


def batch_of(n: int = 40) -> Batch:
    found = TinyImages().take(0, n)
    return Batch(found.x.float() / 127.5 - 1, found.label, found.condition.float() / 127.5 - 1, found.text)


# ── it is a game ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["class", "image"])
def test_it_is_a_game(kind: str) -> None:
    """By captions: tests/contract/test_extending. Nearly without heat: what an untrained network says is all alike."""
    noise = {"pkeep": 0.7, "dropout": 0.2, "temperature": 0.01}
    shape = (3, 8, 8)
    space = dataclasses.replace(space_of(kind, shape), condition=shape if kind == "image" else None)
    check_game(KINDS[kind][0], space, TinyImages(8), **SMALL, conditioning=kind, **noise)


def test_the_data_decide_what_is_known_beforehand() -> None:
    games = {kind: game_of(kind) for kind in KINDS}
    for kind, (cls, said) in KINDS.items():
        game = games[kind]
        assert type(game) is cls is Taming.kind(TamingConfig(), Space(SHAPE, **said))
        assert not isinstance(game, HasLikelihood)  # of tokens, not of pixels
    both = Space(SHAPE, classes=3, captions=True)
    assert Taming.kind(TamingConfig(), both) is TamingByText
    assert Taming.kind(TamingConfig(conditioning="none"), both) is TamingPlain
    can = {kind: [one for one in (Samples, SamplesByClass, SamplesByText, Translates) if isinstance(game, one)]
           for kind, game in games.items()}  # fmt: skip
    assert can == {"none": [Samples], "class": [Samples, SamplesByClass], "caption": [Samples, SamplesByText],
                   "image": [Translates]}  # fmt: skip


# ── what it pays ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_loss_is_what_a_token_costs() -> None:
    """By hand, token after token; perplexity is its exponential; a network that knows nothing pays log K."""
    game, batch = game_of("class", loud=0.3).double().requires_grad_(False), batch_of(6)
    terms = game.losses("T", Batch(batch.x.double(), batch.label), {}, now(6))
    tokens = game.tokens.encode(batch.x.double()).flatten(1)
    prefix = game.T.prefix(batch.label[:, None])
    cost = torch.zeros(6, dtype=torch.float64)
    for k in range(16):
        cost -= game.T.net(prefix, tokens[:, :k])[:, -1].log_softmax(1).gather(1, tokens[:, k : k + 1])[:, 0]
    torch.testing.assert_close(terms["loss"].double(), cost / 16, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(terms["perplexity"], terms["loss"].mean().exp().expand(6))
    game.T.net.head.weight.data.zero_()
    blank = game.losses("T", Batch(batch.x.double(), batch.label), {}, now(6))
    assert float(blank["loss"].mean()) == pytest.approx(math.log(6)) and float(blank["perplexity"][0]) == pytest.approx(
        6
    )


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_cost_of_held_out_tokens_is_the_loss_without_noise(kind: str) -> None:
    """What training adds against learning by heart is no part of what an image costs."""
    plain, noisy = (game_of(kind, loud=0.3, **noise) for noise in ({}, {"pkeep": 0.3, "dropout": 0.5}))
    batch, tokens = batch_of(8), math.prod(plain.grid)
    with torch.no_grad():
        loss = plain.losses("T", batch, {}, now(8))["loss"]
        torch.testing.assert_close(plain.token_cost(batch), tokens * loss, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(noisy.token_cost(batch), tokens * loss, rtol=1e-5, atol=1e-5)
    assert loss.std() > 1e-3


def test_probes_say_what_tokens_of_held_out_images_cost() -> None:
    data = open_data("emoji", Options(size=(8, 8), channels=3, labels="none", held_out=0.1))
    config = TamingConfig(**SMALL | {"conditioning": "caption"})
    space = dataclasses.replace(space_of("caption"), shape=(3, 8, 8), others={"tokens": tokenizer((3, 8, 8))})
    game = seeded(1, lambda: Taming.build(config, space))
    match = Match(game, stream_of(data, 0, False), Engine(torch.device("cpu")), config, seed=0, horizon=100)
    found = Observer(data, samples=16, judge=PixelFeatures()).signals(match)
    assert found["nll"] == pytest.approx(4 * math.log(6), rel=0.1)  # 4 tokens of 6 codes, and T knows nothing yet
    assert found["nll_train"] == pytest.approx(found["nll"], rel=0.1)
    assert "nll_gap" in found


def test_noise_changes_what_is_seen_and_never_what_is_said() -> None:
    """pkeep: each token seen is the true one with this probability, plus its share of the others; targets stay."""
    tokens = torch.arange(6).repeat(40, 20)
    assert torch.equal(game_of(pkeep=1.0).noisy(tokens, now()), tokens)
    seen = game_of(pkeep=0.4).noisy(tokens, now())
    assert float((seen == tokens).double().mean()) == pytest.approx(0.4 + 0.6 / 6, abs=0.02)
    assert set(seen.unique().tolist()) == set(range(6))
    assert not torch.equal(game_of(pkeep=0.4).noisy(tokens, now(round_=1)), seen)
    quiet, noisy = (game_of(pkeep=p, loud=0.3).losses("T", batch_of(), {}, now())["loss"] for p in (1.0, 0.5))
    assert not torch.equal(quiet, noisy)


def test_dropout_is_of_whole_sequences_and_not_of_samples() -> None:
    game = game_of(dropout=0.5)
    keep = game._keep(now())
    assert keep is not None and keep.shape == (40, 2, 2, 8) and set(keep.unique().tolist()) == {0.0, 2.0}
    assert game_of()._keep(now()) is None
    dice = Dice(0, "sample", range(3))
    assert torch.equal(game.sample(dice), game_of().sample(dice))  # type: ignore[attr-defined]


def test_training_teaches_the_transformer_and_leaves_the_tokenizer_as_it_was() -> None:
    """Bit for bit; and what tokens cost falls far below what they cost by their shares alone."""
    game = game_of("caption", lr=2e-2, batch=40, ema_images=0)
    before = {name: tensor.clone() for name, tensor in game.tokens.state_dict().items()}
    match = Match(game, TinyImages(), Engine(torch.device("cpu")), game.config, seed=0, horizon=4000)
    losses = [float(match.step()["T/loss"]) for _ in range(40)]
    after = game.tokens.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not any(p.requires_grad for p in game.tokens.parameters())
    assert losses[0] == pytest.approx(math.log(6), abs=0.1) and losses[-1] < 0.6 * losses[0]


# ── what it draws ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_samples_have_the_probabilities_that_it_says() -> None:
    """2 × 2 tokens of 3 codes: 81 images; of 2,000 samples each has its share."""
    config = TamingConfig(**SMALL, conditioning="none")
    tokens, n = tokenizer((3, 8, 8), codes=3), 2000
    game = seeded(1, lambda: Taming.build(config, Space((3, 8, 8), others={"tokens": tokens})))
    for number, parameter in enumerate(game.T.parameters()):
        parameter.data += 0.3 * Dice(2, f"weight {number}", range(1)).normal(*parameter.shape)[0]
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    with torch.no_grad():
        logits = game.T(torch.zeros(81, 1, dtype=torch.int64), every[:, :-1]).double()
        p = logits.log_softmax(2).gather(2, every[..., None])[..., 0].sum(1).exp()
        drawn: list[Tensor] = []
        game.tokens.decode = lambda made: drawn.append(made) or torch.zeros(len(made), 3, 8, 8)
        game.sample(Dice(0, "sample", range(n)))
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    shares = (drawn[0].flatten(1)[:, None] == every[None]).all(2).double().mean(0)
    assert float((shares - p).abs().max()) < 4 * 0.5 / n**0.5


def test_what_is_known_beforehand_changes_the_law() -> None:
    """What is said of the first token, and what is drawn, differ from class to class, text to text, image to image."""
    dice = Dice(0, "sample", range(12))
    by_class, by_text, of_images = (game_of(kind, loud=0.5) for kind in ("class", "caption", "image"))
    assert isinstance(by_class, TamingByClass) and isinstance(by_text, TamingByText)
    assert isinstance(of_images, TamingOfImages)
    made = [by_class.sample(dice, label=torch.full((12,), label)) for label in range(5)]
    made += [by_text.sample(dice, text=[words] * 12) for words in ("stripes", "a cat")]
    x = batch_of(2).condition
    made += [of_images.translate(image.expand(12, -1, -1, -1), dice) for image in x]
    for a, b in itertools.combinations(made, 2):
        assert not torch.equal(a, b)
    known = by_text.sample(Dice(0, "sample", range(1, 12, 2)))
    torch.testing.assert_close(known, by_text.sample(Dice(0, "sample", range(1, 12, 2)), text=["stripes number 2"] * 6))


def test_heat_and_the_likeliest_tokens() -> None:
    """Temperature near 0, or one token to choose from, draws the same image each time, and so does `truncation`."""
    dice = Dice(0, "sample", range(20))

    def different(truncation: float = 1.0, **settings: Any) -> int:
        game = game_of(loud=0.3, **settings)
        assert isinstance(game, TamingPlain)
        return len(game.sample(dice, truncation=truncation).flatten(1).unique(dim=0))

    assert different() > 10
    assert different(top_k=1) == different(top_p=1e-6) == different(temperature=1e-4) == different(1e-4) == 1


def test_larger_grids() -> None:
    game = game_of(loud=0.3)
    assert isinstance(game, TamingPlain)
    dice = Dice(0, "sample", range(3))
    plain = game.sample(dice)
    assert torch.equal(game.sample(dice, grid=game.grid), plain)
    assert game.sample(dice, grid=(4, 7)).shape == (3, 3, 16, 28)
    with pytest.raises(UsageError, match=r"TAMING-GRID.*4 × 4"):
        game.sample(dice, grid=(3, 9))


def test_an_image_is_translated_by_the_part_of_it_that_a_window_sees() -> None:
    """What lies out of the windows of a token does not change it; smaller images are continued and cut back."""
    game = game_of("image", loud=0.5)
    assert isinstance(game, TamingOfImages) and game.stride == 4
    x, dice = batch_of(1).condition.repeat(1, 1, 1, 3), Dice(0, "translate", range(1))
    drawn: list[Tensor] = []
    decode = game.tokens.decode
    game.tokens.decode = lambda made: drawn.append(made) or decode(made)
    wide = game.translate(x, dice)
    assert wide.shape == (1, 3, 16, 48)
    other = game._sayer.encode(x).clone()
    other[..., 8:] = (other[..., 8:] + 1) % 6  # what is said of the right third of the image
    game.tokens.encode = lambda image: other
    game.translate(x, dice)
    assert torch.equal(drawn[0][:, 0, :5], drawn[1][:, 0, :5]) and not torch.equal(*drawn)
    del game.tokens.encode
    assert game.translate(x[..., :8, :12], dice).shape == (1, 3, 8, 12)
    assert torch.equal(game.translate(x, None), game.translate(x, None))


def test_a_second_run_may_say_what_is_given() -> None:
    """Of other channels and with other codes, in as many tokens."""
    config = TamingConfig(**SMALL)

    def built(**settings: Any) -> Taming:
        grey = seeded(3, lambda: VQGAN.build(VQGANConfig(**(TOKENS | settings)), Space((1, 16, 16))))
        return Taming.build(
            config, Space(SHAPE, condition=(1, 16, 16), others={"tokens": tokenizer(), "condition_tokens": grey})
        )

    game = built(codes=9)
    assert isinstance(game, TamingOfImages) and len(game.T.vectors) == 9
    assert game.translate(torch.zeros(2, 1, 16, 16), Dice(0, "", range(2))).shape == (2, 3, 16, 16)
    with pytest.raises(UsageError, match=r"(?s)TAMING-GRID.*4 × 4.*8 × 8"):
        built(factor=2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)RECIPE-OTHER.*--recipe vqgan"):
        Taming.build(TamingConfig(), Space(SHAPE))
    with pytest.raises(UsageError, match=r"(?s)TAMING-HEADS.*heads=2"):
        game_of(heads=3)
    for space, what in ((Space((3, 16, 8)), "tokens"), (Space((1, 16, 16)), "tokens"),
                        (Space(SHAPE, condition=(1, 16, 16)), "condition_tokens")):  # fmt: skip
        with pytest.raises(UsageError, match=rf"(?s)TAMING-SHAPE.*{what}"):
            Taming.build(
                TamingConfig(**SMALL), Space(space.shape, condition=space.condition, others={"tokens": tokenizer()})
            )


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures in two folders, and a run with tokens of them."""
    root, rng = tmp_path_factory.mktemp("taming"), np.random.default_rng(0)
    for name in ("across", "standing"):
        (root / "photos" / name).mkdir(parents=True)
        for k in range(24):
            lines = rng.integers(0, 256, (1, 8, 3), dtype=np.uint8).repeat(8, 0)
            Image.fromarray(lines if name == "standing" else lines.transpose(1, 0, 2)).save(
                root / "photos" / name / f"{k}.png"
            )
    api.train(root / "photos", recipe="vqgan", size=8, set=TOKENS | {"batch": 8}, budget="64", out=root / "tokens",
              device="cpu")  # fmt: skip
    return root


def test_from_a_run_with_tokens_to_samples_without_it(place: Path, tmp_path: Path, capsys: Any) -> None:
    """Size and channels are those of the other run; which is then no longer needed, nor by an export."""
    settings = SMALL | {"batch": 8, "tokens": place / "tokens"}
    tokens = place / "tokens"
    asked = {"recipe": "taming", "set": settings, "budget": "64", "out": tmp_path / "run", "labels": "folders"}
    lines = api.plan(place / "photos", **asked).lines()
    assert any(line.startswith("built on") and str(tokens) in line for line in lines)
    run = api.train(place / "photos", **asked, device="cpu")
    assert isinstance(run.game, TamingByClass)
    assert run.document["others"]["tokens"]["run"] == str(tokens) == run.document["config"]["tokens"]
    there, here = sparring.load(tokens).game, run.game.tokens
    assert all(torch.equal(there.G.state_dict()[name], tensor) for name, tensor in here.G.state_dict().items())
    made = run.sample(4, label="across")
    cut = api.export(run.path, out=tmp_path / "export").path
    said = (cut / "config.json").read_text() + (cut / "README.md").read_text()
    assert str(place) not in said
    away = tokens.rename(place / "moved")
    try:
        assert torch.equal(sparring.load(tmp_path / "run").sample(4, label="across"), made)
        assert torch.equal(sparring.load(cut).sample(4, label="across"), made)
        assert cli.main(["resume", str(tmp_path / "run"), "--budget", "+16"]) == 0
        capsys.readouterr()
        assert cli.main(["sample", str(tmp_path / "run"), "-n", "2", "--label", "standing", "--grid"]) == 0
    finally:
        away.rename(tokens)


def test_a_run_that_is_named_must_be_there_and_have_tokens(place: Path, tmp_path: Path) -> None:
    def plan(**settings: Any) -> None:
        api.plan(place / "photos", recipe="taming", set=SMALL | settings, budget="64", out=tmp_path / "run")

    with pytest.raises(UsageError, match=r"(?s)RECIPE-OTHER.*none is named.*--set tokens=RUN"):
        plan()
    with pytest.raises(CheckpointError, match="RUN"):
        plan(tokens=tmp_path / "nowhere")
    api.train(place / "photos", recipe="vae", size=8, set={"width": 4, "z": 2, "batch": 8}, budget="16",
              out=tmp_path / "other", device="cpu")  # fmt: skip
    with pytest.raises(UsageError, match=r"(?s)RECIPE-OTHER.*vae.*a game that .*tokens"):
        plan(tokens=tmp_path / "other")


def test_the_preset_is_a_recipe() -> None:
    assert load("taming-minutes").config.width % load("taming-minutes").config.heads == 0  # type: ignore[attr-defined]
