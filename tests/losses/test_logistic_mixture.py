"""Laws of a pixel: they sum to one, nothing cancels in the tails, and what is drawn has the law that is claimed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.losses.logistic_mixture import Bernoulli, LogisticMixture, log_of_bin

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def numbers(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.from_numpy(Dice(0, "numbers", range(1)).normal(*shape).double().numpy())[0]


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_a_mixture_sums_to_one_over_256_levels(scale: float) -> None:
    """Narrow laws, wide ones, and those whose mean is far outside."""
    law = LogisticMixture(1, 4)
    said = numbers(20, law.count, scale=scale)
    every = law.log_prob(said[:, :, None].expand(-1, -1, 256), LEVELS.expand(20, 1, 256))  # (20, 256)
    torch.testing.assert_close(every.exp().sum(1), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_mixture_sums_to_one_channel_after_channel() -> None:
    """Σ_b p(r, g, b) = p(r, g) and Σ_g p(r, g) = p(r), each that of the mixture without the channels left out."""
    law, few = LogisticMixture(3, 3), 5
    said = numbers(few, law.count)
    weights, means, log_s = said[:, :3], *(said[:, 3:].view(few, 3, 9)[:, :, 3 * i : 3 * i + 3] for i in range(2))
    among = said[:, 3:].view(few, 3, 9)[:, :, 6:]
    for channels, known in ((3, [0.2, -1.0]), (2, [1.0]), (1, [])):
        kept = [means[:, :, :channels], log_s[:, :, :channels], among[:, :, : channels * (channels - 1) // 2]]
        part = LogisticMixture(channels, 3)
        marginal = torch.cat([weights, torch.cat(kept, 2).flatten(1)], 1)
        x = torch.cat([torch.tensor(known).double()[:, None].expand(-1, 256), LEVELS[None]])
        total = part.log_prob(marginal[:, :, None].expand(-1, -1, 256), x.expand(few, -1, -1)).exp().sum(1)
        if channels == 1:
            truth = torch.ones(few, dtype=torch.float64)
        else:
            fewer = LogisticMixture(channels - 1, 3)
            kept = [means[:, :, : channels - 1], log_s[:, :, : channels - 1],
                    among[:, :, : (channels - 1) * (channels - 2) // 2]]  # fmt: skip
            said_less = torch.cat([weights, torch.cat(kept, 2).flatten(1)], 1)
            truth = fewer.log_prob(said_less, torch.tensor(known).double().expand(few, -1)).exp()
        torch.testing.assert_close(total, truth, rtol=1e-9, atol=1e-12)


def test_a_mixture_is_that_of_the_paper() -> None:
    """Salimans et al. 2017, eq. 2 and 3, written down again for one pixel."""
    law, x = LogisticMixture(3, 2), torch.tensor([0.2, -0.6, 1.0], dtype=torch.float64)
    x = ((x + 1) * 127.5).round() / 127.5 - 1
    said = numbers(law.count)
    total = 0.0
    for k in range(2):
        share = float(torch.softmax(said[:2], 0)[k])
        m, log_s, a = said[2 + 9 * k : 11 + 9 * k].view(3, 3)
        alpha, beta, gamma = torch.tanh(a)
        means = m[0], m[1] + alpha * x[0], m[2] + beta * x[0] + gamma * x[1]
        product = 1.0
        for c in range(3):
            up, down = ((x[c] + sign / 255 - means[c]) / log_s[c].exp() for sign in (1, -1))
            high = 1.0 if x[c] == 1 else float(torch.sigmoid(up))
            product *= high - float(torch.sigmoid(down))
        total += share * product
    assert float(law.log_prob(said[None], x[None])) == pytest.approx(math.log(total), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_cancels_in_the_tails(dtype: torch.dtype) -> None:
    """Far from the mean log P of a level falls by (bin) / s per level; slopes stay finite and have the right sign."""
    mean = torch.tensor([-30.0, 30.0, 0.0], dtype=dtype, requires_grad=True)
    for log_s in (-7.0, -3.0, 2.0, 8.0):
        value = log_of_bin(torch.tensor(0.0, dtype=dtype), mean, torch.tensor(log_s, dtype=dtype))
        (slope,) = torch.autograd.grad(value.sum(), mean)
        assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
        assert float(slope[0]) > 0 > float(slope[1]) and abs(float(slope[2])) < 1e-6 * math.exp(-log_s)
    levels, mean, log_s = (torch.tensor(values, dtype=torch.float64) for values in ([100, 101], -9.0, -3.0))
    near, far = log_of_bin(levels / 127.5 - 1, mean, log_s)
    assert float(far - near) == pytest.approx(-math.exp(3) * 2 / 255, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_what_is_drawn_has_the_law(temperature: float) -> None:
    """Shares of 20,000 draws beside the probabilities; below a temperature of 1 the law is narrower."""
    law, n = LogisticMixture(2, 2), 20_000
    said = numbers(law.count, scale=0.5)
    said[[3, 8]] = 0.2  # means
    u = Dice(0, "draw", range(n)).uniform(law.draws).double()
    drawn = law.draw(said.expand(n, -1), u, temperature)
    levels = ((drawn + 1) * 127.5).round().long()
    torch.testing.assert_close(levels.double() / 127.5 - 1, drawn, rtol=0, atol=1e-12)
    if temperature == 1.0:
        single = LogisticMixture(1, 2)
        first = torch.cat([said[:2], said[[2, 4]], said[[7, 9]]])
        p = single.log_prob(first[None, :, None].expand(1, -1, 256), LEVELS[None, None]).exp()[0]
        bins = lambda v: v.view(16, 16).sum(1)  # noqa: E731
        shares = bins(torch.bincount(levels[:, 0], minlength=256).double() / n)
        assert float((shares - bins(p)).abs().max()) < 4 * 0.5 / math.sqrt(n)
    else:
        assert float(drawn.std(0).mean()) < float(law.draw(said.expand(n, -1), u).std(0).mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_bernoulli_sums_to_one_and_is_drawn(channels: int) -> None:
    law, n = Bernoulli(channels), 20_000
    said = numbers(law.count)
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=channels))).double()
    p = law.log_prob(said.expand(len(every), -1), every).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-12)
    drawn = law.draw(said.expand(n, -1), Dice(0, "draw", range(n)).uniform(law.draws).double())
    for values, chance in zip(every, p, strict=True):
        share = float((drawn == values).all(1).double().mean())
        assert abs(share - float(chance)) < 4 * 0.5 / math.sqrt(n)
