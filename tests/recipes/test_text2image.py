"""Laws of images of a text: what is paid, what is mismatched, and that the text is heard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import TinyImages
from torch import Tensor

import sparring
from sparring import cli
from sparring.chance import Dice
from sparring.errors import SparringError, UsageError
from sparring.losses.matching import matching_aware, mismatched
from sparring.networks import text as texts
from sparring.networks.text2image import Discriminator
from sparring.recipes.text2image import Text2Image, Text2ImageConfig
from sparring.train.game import Now, seeded
from sparring.types import Batch, Criticises, SamplesByText, Space

NOW = Now(0, images=100, horizon=400, round=4, turn=0, samples=range(8))
SMALL: dict[str, Any] = {"reader": "words", "width": 4, "d_width": 4, "hidden": 8, "z": 4}
SPACE = Space((3, 16, 16), captions=True, texts=("a red apple", "a blue car", "a cat"))


def game_of(**settings: Any) -> Text2Image:
    config = Text2ImageConfig(**(SMALL | settings))
    game = seeded(0, lambda: Text2Image.build(config, SPACE))
    assert isinstance(game, Text2Image)
    game.begin()
    return awake(game)


def awake(game: Text2Image) -> Text2Image:
    """With no weight at 0, where the text would be heard by nobody."""
    dice = Dice(1, "awake", range(1))
    with torch.no_grad():
        for name, parameter in game.named_parameters():
            parameter += 0.2 * dice.of(name).normal(*parameter.shape)[0]
    return game


def batch_of(said: tuple[str, ...] | None = None) -> Batch:
    batch = TinyImages().take(0, 8)
    return replace(batch, x=batch.x.float() / 127.5 - 1, text=said or batch.text)


def test_the_relativistic_one_is_a_game_too() -> None:
    settings = {"objective": "relativistic", "penalty": "r1+r2"}
    check_game(Text2Image, SPACE, TinyImages(), coupled=True, **SMALL, **settings)
    game = game_of(**settings)
    assert isinstance(game, SamplesByText) and isinstance(game, Criticises) and len(game.remembered) == 3
    assert game.relative and not game_of().relative


# ── mismatched pairs ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [2, 3, 8, 32])
def test_a_rolled_caption_never_equals_its_own(n: int) -> None:
    for seed in range(20):
        numbers = Dice(seed, "captions", range(n)).integers(max(2, n // 3)).tolist()
        said = ["" if k == 1 else f"{'  ' * (i % 2)}text {k}" for i, k in enumerate(numbers)]
        places, there = mismatched(said)
        for k, (place, found) in enumerate(zip(places.tolist(), there.tolist(), strict=True)):
            own, other = said[k].strip(), said[place].strip()
            assert found == bool(own and {one.strip() for one in said} - {own, ""})
            assert not found or (other and other != own)


def test_all_different_captions_are_rolled_by_one_and_equal_ones_not_at_all() -> None:
    places, there = mismatched([f"text {k}" for k in range(5)])
    assert places.tolist() == [1, 2, 3, 4, 0] and bool(there.all())
    for alone in (["a cat"] * 4, ["a cat", " a  cat"], ["", "a cat"], ["x"], []):
        assert not mismatched(alone)[1].any()


def test_mismatched_pairs_are_paid_half_and_nothing_where_there_is_no_other_text() -> None:
    """Against the equation, by hand: each real picture beside the text of its neighbour."""
    batch, game = batch_of(), game_of()
    assert batch.text is not None
    shared = game.shared(batch, NOW)
    terms = game.losses("D", batch, shared, NOW)
    weights = game.weights("D", terms, NOW)
    assert weights == {"real": 1.0, "fake": 0.5, "mismatched": 0.5, "matching": 2.0}
    s = game.reading(batch.text) * 128**0.5
    torch.testing.assert_close(s.square().mean(1), torch.ones(8))
    torch.testing.assert_close(shared["fake"], game.G(NOW.chance("z").normal(4), s))
    torch.testing.assert_close(terms["real"], (1 - game.D(batch.x, s)).relu())
    torch.testing.assert_close(terms["fake"], (1 + game.D(shared["fake"], s)).relu())
    torch.testing.assert_close(terms["mismatched"], (1 + game.D(batch.x, s.roll(-1, 0))).relu())
    same = batch_of(("a cat",) * 8)
    assert not game.losses("D", same, game.shared(same, NOW), NOW)["mismatched"].any()
    half = batch_of(("a cat",) * 7 + ("",))
    assert not game.losses("D", half, game.shared(half, NOW), NOW)["mismatched"].any()
    assert game_of(mismatched=0.0).weights("D", {"real": s, "fake": s}, NOW) == {"real": 1.0, "fake": 1.0}
    assert game.losses("G", batch, shared, NOW)["fake"].equal(-game.D(shared["fake"], s))


def test_in_the_relativistic_game_pairs_are_compared() -> None:
    batch, game = batch_of(), game_of(objective="relativistic", penalty="r1+r2", gamma=3.0, penalty_every=2)
    shared = game.shared(batch, NOW)
    terms, s, fake = game.losses("D", batch, shared, NOW), shared["s"], shared["fake"].detach().requires_grad_()
    assert game.weights("D", terms, NOW) == {"pair": 0.5, "mismatched": 0.5, "r1": 3.0, "r2": 3.0}
    s_real, s_fake, s_wrong = (game.D(x, t) for x, t in ((batch.x, s), (fake, s), (batch.x, s.roll(-1, 0))))
    torch.testing.assert_close(terms["pair"], torch.nn.functional.softplus(s_fake - s_real))
    torch.testing.assert_close(terms["mismatched"], torch.nn.functional.softplus(s_wrong - s_real))
    leaf = s.detach().requires_grad_()
    by_x, by_s = torch.autograd.grad(game.D(fake, leaf).sum(), (fake, leaf))
    torch.testing.assert_close(terms["r2"], by_x.square().sum((1, 2, 3)) + by_s.square().sum(1))
    later = replace(NOW, round=5)
    assert not {"r1", "r2"} & set(game.losses("D", batch, shared, later))


# ── the penalty ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("power", [2.0, 6.0])
def test_the_matching_aware_penalty_is_the_double_backward_by_hand(power: float) -> None:
    """float64: its value from a gradient of pictures and texts, and its own gradient from finite differences."""
    D = seeded(0, lambda: Discriminator(5, (3, 8, 8), width=3)).double()
    dice = Dice(2, "penalty", range(4))
    with torch.no_grad():
        for name, parameter in D.named_parameters():
            parameter += 0.3 * dice.of(name).normal(*parameter.shape)[0]
    x, s = dice.normal(3, 8, 8).double().requires_grad_(), dice.of("s").normal(5).double().requires_grad_()

    def penalty() -> Tensor:
        return matching_aware(D(x, s), x, s, power)

    by_hand = []
    for k in range(4):  # each pair alone
        by_x, by_s = torch.autograd.grad(D(x[k : k + 1], s[k : k + 1]).sum(), (x, s))
        by_hand.append(float(torch.cat([by_x[k].flatten(), by_s[k]]).norm()) ** power)
    torch.testing.assert_close(penalty().detach(), torch.tensor(by_hand, dtype=torch.float64))
    assert float(penalty().detach().min()) > 0
    for parameter in (D.joint.weight, D.head.weight, D.blocks[0].gate):
        (gradient,) = torch.autograd.grad(penalty().mean(), parameter)
        way = dice.of("way").normal(*parameter.shape)[0].double()
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter += step * way
            values.append(float(penalty().detach().mean()))
            with torch.no_grad():
                parameter -= step * way
        assert float((gradient * way).sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_a_penalty_without_a_gradient_is_refused() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(SparringError, match="LOSS-PENALTY"):
        matching_aware(x.sum(1), x, torch.zeros(2, 1))


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_text_changes_the_image_and_the_logit() -> None:
    game = game_of().eval().requires_grad_(False)
    dice = Dice(0, "sample", range(3))
    one, other = (game.sample(dice, text=[said] * 3) for said in ("a red apple", "a blue car"))
    assert float((one - other).abs().amax((1, 2, 3)).min()) > 1e-3
    torch.testing.assert_close(one, game.sample(dice, text=["a  red apple"] * 3))
    every = game.sample(dice)  # captions in turn
    torch.testing.assert_close(every[0], one[0])
    torch.testing.assert_close(every[1], other[1])
    s = game.reading(["a red apple", "a blue car"])
    x = batch_of().x[:2]
    assert float((game.D(x, s) - game.D(x, s.flip(0))).abs().min()) > 1e-4


def test_untrained_it_hears_no_text_and_looks_once_at_each_picture() -> None:
    """As it begins every scale is 1 and every shift 0; and one look at a picture serves all of its texts."""
    game = seeded(0, lambda: Text2Image.build(Text2ImageConfig(**SMALL), SPACE))
    dice = Dice(0, "sample", range(2))
    assert game.sample(dice, text=["a", "b"]).equal(game.sample(dice, text=["c", "d"]))
    looks = []
    game.D.first.register_forward_hook(lambda *_: looks.append(1))
    batch = batch_of()
    game.losses("D", batch, game.shared(batch, NOW), NOW)
    assert len(looks) == 2  # reals and fakes


def test_from_captioned_pictures_to_pictures_of_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training, a folder for each text, an export; and all but a text of one's own without the encoder."""
    run = sparring.train("emoji", recipe="text2image", set={**SMALL, "batch": 8}, size=16, budget="32",
                         out=tmp_path / "run", threads=1, device="cpu")  # fmt: skip
    assert len(run.texts) == len(set(run.texts)) == 256 and all(run.texts)
    place = str(run.path)
    assert cli.main(["sample", place, "--text", " a red  apple!", "-n", "2"]) == 0
    paths = [Path(path) for path in capsys.readouterr().out.split()]
    assert [path.relative_to(run.path).as_posix() for path in paths] == [
        "generated/a_red_apple_-e3111f/000000.png", "generated/a_red_apple_-e3111f/000001.png",
    ]  # fmt: skip
    walks = [tmp_path / f"{name}.png" for name in ("apple", "car", "captions")]
    for path, asked in zip(walks, (["--text", "a  red apple!"], ["--text", "a blue car"], []), strict=True):
        assert cli.main(["interpolate", place, "--frames", "4", "--out", str(path), *asked]) == 0
    assert len({path.read_bytes() for path in walks}) == 3
    apple = run.interpolate(4, text="a red apple")
    assert apple.shape == (4, 3, 16, 16) and not torch.equal(apple, run.interpolate(4, text="a blue car"))
    capsys.readouterr()
    assert cli.main(["sample", place, "--text", " "]) == 2
    assert "SAMPLE-TEXT" in capsys.readouterr().err
    with pytest.raises(UsageError, match="SAMPLE-LABEL"):
        run.sample(2, label="1")
    exported = sparring.api.export(run, out=tmp_path / "export").path
    before = [run.sample(3, seed=1), run.sample(3, text="a red apple")]
    monkeypatch.setitem(texts._MAKES, "words", _Absent)
    texts.load.cache_clear()
    for again in (sparring.load(place), sparring.load(exported)):
        torch.testing.assert_close(again.sample(3, seed=1), before[0])
        assert again.texts == run.texts
        with pytest.raises(ZeroDivisionError):
            again.sample(3, text="a red apple")
    assert cli.main(["sample", place, "--grid", "-n", "16"]) == 0
    assert f"row by row: {run.texts[0]}, {run.texts[1]}" in capsys.readouterr().err
    texts.load.cache_clear()


def test_retrieval_of_a_run_by_a_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All held-out captions, beside the real pictures and other texts; and what cannot be asked."""
    how: dict[str, Any] = {"size": 16, "budget": "32", "threads": 1, "device": "cpu"}
    run = sparring.train("emoji", recipe="text2image", set={**SMALL, "batch": 8}, out=tmp_path / "run", **how)
    judge = sparring.train("emoji", recipe="dualencoder", set={"reader": "words", "width": 4, "batch": 8},
                           out=tmp_path / "judge", **how)  # fmt: skip
    asks = ["evaluate", str(run.path), "--metrics", "retrieval"]
    assert cli.main([*asks, "--scorer", str(judge.path), "-n", "2", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "81 held-out captions, 2 samples of each" in said and "by chance" in said and "12.3 %" in said
    found = json.loads((run.path / "evaluation.json").read_text())
    assert found["metrics"]["retrieval"]["n_fake"] == 162 and found["retrieval"]["candidates"] == 81
    assert set(found["retrieval"]["by_text"].values()) <= {0.0, 0.5, 1.0} and len(found["retrieval"]["by_text"]) == 81
    assert found["metrics"]["retrieval_real"]["n_fake"] == 81 and found["metrics"]["similarity"]["value"] is not None
    for more, code in (
        ([], "EVALUATE-SCORER"), (["--scorer", str(run.path)], "SCORER-CANNOT"),
        (["--scorer", str(judge.path), "--metrics", "retrieval,kid"], "EVALUATE-METRIC"),
    ):  # fmt: skip
        assert cli.main([*asks, *more]) == 2
        assert code in capsys.readouterr().err
    assert cli.main(["evaluate", str(judge.path), "--metrics", "retrieval", "--scorer", str(judge.path)]) == 2
    assert "EVALUATE-RETRIEVAL" in capsys.readouterr().err
    assert cli.main(["evaluate", str(run.path), "--scorer", str(judge.path)]) == 2
    assert "--metrics retrieval" in capsys.readouterr().err


class _Absent(texts.Words):
    """An encoder whose weights are not there."""

    def __init__(self) -> None:
        raise ZeroDivisionError
