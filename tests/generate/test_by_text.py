"""Samples of a text that is asked for: the same ones however they are asked for."""

from types import SimpleNamespace

import pytest
import torch
from tests.generate.games import Toy as Plain
from torch import nn

from sparring.errors import UsageError
from sparring.generate.interpolate import walk
from sparring.generate.latents import Spot, latents, plane, powers, show
from sparring.generate.sample import draw, rows_of, shown, wording
from sparring.networks.text import Remembered
from sparring.runs.texts import MOST, chosen
from sparring.types import HasLatentsByText, SamplesByText, pictured

TEXTS = tuple(f"picture {k}" for k in range(11))


class Toy(nn.Module, SamplesByText):
    """A sample is noise, and a pixel that says what it is of."""

    def __init__(self, texts=TEXTS):
        super().__init__()
        self.reading = Remembered("words", texts)
        self.reading.learn()

    @property
    def remembered(self):
        return self.reading.texts

    def sample(self, dice, *, truncation=1.0, text=None):
        s = self.reading.in_turn(dice.samples) if text is None else self.reading(text)
        images = truncation * dice.normal(1, 4, 4)
        images[:, 0, 0, 0] = s[:, :24].mean(1)
        return images


class OfLatents(Toy, HasLatentsByText):
    """A sample is its latent, and a number that says what it is of."""

    def latents(self, dice):
        return dice.normal(4)

    def decode(self, z, text=None):
        s = self.reading.in_turn(range(len(z))) if text is None else self.reading.of(text)
        return torch.cat([z, s[:, :24].mean(1, keepdim=True)], 1)[:, :, None, None]

    def sample(self, dice, *, truncation=1.0, text=None):
        text = [TEXTS[k % len(TEXTS)] for k in dice.samples] if text is None else text
        return self.decode(truncation * self.latents(dice), text)


RUN = SimpleNamespace(game=Toy())
MARKS = RUN.game.reading.known[:, :24].mean(1)


def test_sample_k_depends_on_the_seed_on_k_and_on_the_text_alone():
    whole = draw(RUN, 40, seed=3)
    torch.testing.assert_close(whole, draw(RUN, 40, seed=3, at_once=7), rtol=0, atol=0)
    torch.testing.assert_close(whole[4:9], draw(RUN, 5, seed=3, first=4), rtol=0, atol=0)
    torch.testing.assert_close(whole[:, 0, 0, 0], MARKS[torch.arange(40) % 11])  # caption k mod 11
    of_one = draw(RUN, 6, seed=3, text="picture 5")
    torch.testing.assert_close(of_one[:, 0, 0, 0], MARKS[5].expand(6))
    torch.testing.assert_close(of_one[:, 0, 1:], whole[:6, 0, 1:])  # the noise is of the number, not of the text


def test_a_picture_has_a_row_for_each_of_the_first_captions():
    assert rows_of(RUN.game, 0) == 8 and shown(8) == 64
    samples, whole = draw(RUN, 64, rows=True), draw(RUN, 96)
    torch.testing.assert_close(samples[:, 0, 0, 0], MARKS[torch.arange(64) % 8])  # number k stands in row k mod 8
    torch.testing.assert_close(samples[8:16], whole[11:19], rtol=0, atol=0)  # they are samples as any other
    for count in (1, 8, 13, 64):
        assert sum(len(numbers) for numbers in pictured(RUN.game, count)) == count
    few = SimpleNamespace(game=Toy(TEXTS[:3]))
    assert rows_of(few.game, 0) == 3
    torch.testing.assert_close(draw(few, 7, rows=True), draw(few, 7), rtol=0, atol=0)


def test_a_text_is_asked_for_in_words():
    assert wording(RUN, None) is None and wording(RUN, " a  red\tapple ") == "a red apple"
    for text, label, said in (
        ("  ", None, "says nothing"),
        ("\u200b\0", None, "says nothing"),
        ("caf\udce9", None, "not in UTF-8"),
        ("x", "cat", "not by both"),
        (["a", "b"], None, "of one text"),
    ):
        with pytest.raises(UsageError, match=rf"SAMPLE-TEXT.*{said}"):
            wording(RUN, text, label)
    with pytest.raises(UsageError, match=r"SAMPLE-TEXT.*not told texts"):
        wording(SimpleNamespace(game=nn.Identity()), "a red apple")


def test_a_plane_is_of_one_text_that_of_its_first_corner_or_the_one_that_is_asked_for():
    run, spots, places = SimpleNamespace(game=OfLatents()), [Spot(2, 13), Spot(2, 4), Spot(5, 0)], [(0.2, 0.5), (1, 0)]
    able = powers(run)
    assert able.texts and able.latents == 4 and not powers(SimpleNamespace(game=Toy())).latents
    for text, number in ((None, 13 % 11), ("picture 6", 6)):
        made = show(run, spots, places, text=text)[:, :, 0, 0]
        torch.testing.assert_close(made[:, :4], plane(latents(run, spots), places), rtol=0, atol=0)
        torch.testing.assert_close(made[:, 4], MARKS[number].expand(2), rtol=0, atol=0)
        torch.testing.assert_close(
            show(run, spots[:1], text=text), draw(run, 1, seed=2, first=13, text=text), rtol=0, atol=0
        )
    with pytest.raises(UsageError, match="PLAY-TEXT"):
        show(SimpleNamespace(game=Plain()), spots, places, text="picture 6")


def test_a_walker_keeps_its_text():
    run = SimpleNamespace(game=OfLatents())
    free = torch.stack(list(walk(run, 6, walkers=13)))[..., 0, 0]
    asked = torch.stack(list(walk(run, 6, walkers=13, text="picture 6")))[..., 0, 0]
    torch.testing.assert_close(free[..., :4], asked[..., :4], rtol=0, atol=0)
    torch.testing.assert_close(free[..., 4], MARKS[torch.arange(13) % 11].expand(6, 13), rtol=0, atol=0)
    torch.testing.assert_close(asked[..., 4], MARKS[6].expand(6, 13), rtol=0, atol=0)
    with pytest.raises(UsageError, match="WALK-TEXT"):
        next(walk(SimpleNamespace(game=Plain()), 6, text="picture 6"))


def test_captions_are_chosen_once_for_all_and_from_everywhere():
    rows = [(f"row {k}", f"also {k}") for k in range(5000)]
    some = chosen(rows)
    assert len(some) == len(set(some)) == MOST and some == chosen(list(rows))
    numbers = torch.tensor([int(text.split()[1]) for text in some], dtype=torch.float64)
    assert all(text.startswith("row ") for text in some)
    assert abs(float(numbers.mean()) - 2500) < 400 and float(numbers.min()) < 200 and float(numbers.max()) > 4800
    assert chosen([("one",), (), ("one ",)]) == ("one",) and chosen([]) == chosen(None) == chosen([()]) == ()


def test_what_was_read_is_state_and_needs_no_encoder(monkeypatch):
    ours, other = Toy(), Toy()
    other.reading.known.zero_()
    monkeypatch.setattr("sparring.networks.text.load", lambda name: pytest.fail("the encoder was loaded"))
    empty = Remembered("minilm", ("a cat",))  # is built without weights
    assert empty.known.shape == (1, 384) and Remembered("minilm").texts == ("",)
    other.load_state_dict(ours.state_dict())
    torch.testing.assert_close(draw(SimpleNamespace(game=other), 9), draw(SimpleNamespace(game=ours), 9))
