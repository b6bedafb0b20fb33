"""The network sees what is before a pixel, all of it and nothing else; cached sampling is naive sampling."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.losses.logistic_mixture import Bernoulli, LogisticMixture
from sparring.networks.exact import exact
from sparring.networks.pixelcnn import FIRST, PixelCNN
from sparring.networks.pixelcnn_sampling import sample, sample_naively
from sparring.train.game import seeded


def net_of(shape: tuple[int, ...], parameters: int, **settings: int) -> PixelCNN:
    """In float64, with weights so large that every dependence shows, biases too."""
    small = {"width": 4, "blocks": 2} | settings
    net: PixelCNN = exact(seeded(0, lambda: PixelCNN(shape, parameters, **small)))
    for number, parameter in enumerate(net.parameters()):
        noise = Dice(1, f"weight {number}", range(1)).normal(*parameter.shape)[0].double()
        parameter.data.add_(0.1 * noise)
    return net.requires_grad_(False)


def seen_from(net: PixelCNN, row: int, column: int) -> Tensor:
    """(H, W) bool: the pixels on which what is said of this one depends."""
    x = Dice(0, "x", range(1)).normal(*net.shape).double().requires_grad_()
    (slope,) = torch.autograd.grad(net(x)[0, :, row, column].square().sum(), x)
    return slope[0].abs().sum(0) > 0


@pytest.mark.parametrize("kernel", [3, 5])
def test_there_is_no_blind_spot(kernel: int) -> None:
    """The window of the rows above is whole, to the last corner; of the row, all that is to the left in it."""
    net, far = net_of((1, 14, 15), 1, kernel=kernel), FIRST // 2 + 2 * (kernel // 2)
    row, column = 10, 7
    truth = torch.zeros(14, 15, dtype=torch.bool)
    truth[row - far : row, max(0, column - far) : column + far + 1] = True
    truth[row, max(0, column - far) : column] = True
    assert torch.equal(seen_from(net, row, column), truth)


@pytest.mark.parametrize("law", [Bernoulli(3), LogisticMixture(3, 2)], ids=["binary", "levels"])
def test_the_jacobian_is_strictly_triangular(law: Bernoulli | LogisticMixture) -> None:
    """In raster order and R, G, B within a pixel: what is said of value i depends on values before it, on each of the
    neighbours among them, and on no other."""
    net = net_of((3, 4, 5), law.count)

    def image(values: Tensor) -> Tensor:
        """From the order of the factors, H, W, C."""
        return values.view(4, 5, 3).permute(2, 0, 1)[None]

    def said(values: Tensor) -> Tensor:
        """The logit, or the sum of the means, of each value, in that order."""
        x = image(values)
        found = law.logits(net(x), x) if isinstance(law, Bernoulli) else law.parts(net(x), x)[1].sum(1)
        return found[0].permute(1, 2, 0).flatten()

    def summed(of: Callable[[Tensor], Tensor]) -> Tensor:
        """|Jacobian|, summed over some images: a ReLU may be silent at one."""
        every = Dice(0, "x", range(4)).uniform(60).double() * 2 - 1
        return torch.stack(
            [torch.autograd.functional.jacobian(of, values, vectorize=True).abs() for values in every]
        ).sum(0)

    jacobian = summed(said)
    assert float(jacobian.triu().max()) == 0.0
    assert bool((jacobian.diagonal(-1) > 0).all())  # each value depends on the one before it
    if isinstance(law, LogisticMixture):  # which of the laws it is, is decided for the pixel as a whole
        shares = summed(lambda values: law.parts(net(image(values)), image(values))[0].flatten(2).sum(1)[0])
        own = torch.arange(60)[None] // 3 >= torch.arange(20)[:, None]
        assert float(shares[own].max()) == 0.0 < float(shares[~own].max())


CASES = {
    "binary": (Bernoulli(1), (1, 4, 5), {}),
    "grey": (LogisticMixture(1, 2), (1, 3, 5), {"kernel": 5, "blocks": 1}),
    "colour, by class": (LogisticMixture(3, 2), (3, 4, 3), {"told": 3, "blocks": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_cached_sampling_is_naive_sampling(case: str) -> None:
    """1,000 seeds: what is said of every pixel to 1e-10, and the same integers."""
    law, shape, settings = CASES[case]
    net = net_of(shape, law.count, **settings)
    u = torch.cat([Dice(seed, "u", range(1)).uniform(*shape[1:], law.draws) for seed in range(1000)]).double()
    told = torch.eye(3).double()[torch.arange(1000) % 3] if settings.get("told") else None
    said: dict[str, list[Tensor]] = {"cached": [], "naive": []}

    def drawn(way: str) -> Tensor:
        def draw(parameters: Tensor, row: int, column: int) -> Tensor:
            said[way].append(parameters.clone())
            return law.draw(parameters, u[:, row, column])

        return (sample if way == "cached" else sample_naively)(net, 1000, draw, told)

    cached, naive = drawn("cached"), drawn("naive")
    assert len(said["cached"]) == len(said["naive"]) == shape[1] * shape[2]
    for a, b in zip(said["cached"], said["naive"], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    integers = [((x + 1) * 127.5).round().long() for x in (cached, naive)]
    assert torch.equal(*integers) and len(integers[0].flatten(1).unique(dim=0)) > 900


def test_a_sample_does_not_depend_on_its_batch() -> None:
    law = LogisticMixture(3, 2)
    net = net_of((3, 6, 5), law.count)

    def drawn(samples: range) -> Tensor:
        u = Dice(3, "u", samples).uniform(6, 5, law.draws).double()
        return sample(net, len(u), lambda said, i, j: law.draw(said, u[:, i, j]))

    many = drawn(range(20))
    for few in (range(7, 8), range(3, 16)):
        torch.testing.assert_close(drawn(few), many[few.start : few.stop], rtol=0, atol=1e-12)


def test_what_is_likely_is_drawn_often() -> None:
    """Shares of 4,000 binary 2×2 images beside exp of their log p."""
    law, n = Bernoulli(1), 4000
    net = net_of((1, 2, 2), law.count)
    u = Dice(0, "u", range(n)).uniform(2, 2, 1).double()
    made = sample(net, n, lambda said, i, j: law.draw(said, u[:, i, j]))
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4))).double().view(-1, 1, 2, 2)
    p = law.log_prob(net(every), every).flatten(1).sum(1).exp()
    shares = (made[:, None] == every[None]).flatten(2).all(2).double().mean(0)
    assert float((shares - p).abs().max()) < 4 * 0.5 / n**0.5
