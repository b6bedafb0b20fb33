"""Every setting of a contest does what its equation says, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages, stream
from torch import Tensor

from sparring.chance import Dice
from sparring.contest import Contest
from sparring.errors import UsageError
from sparring.losses.adversarial import OBJECTIVES
from sparring.losses.penalties import PENALTIES
from sparring.networks.spectral import advance
from sparring.recipes.cgan import CGAN, CGANConfig
from sparring.recipes.dcgan import DCGAN, DCGANConfig
from sparring.recipes.gan import GAN, GANConfig
from sparring.recipes.r3gan import R3GAN, R3GANConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.ensemble import together
from sparring.train.game import Game, Now, seeded
from sparring.train.match import Match
from sparring.train.turn import only
from sparring.types import Batch, Landscape, Space

N = 8
CPU = Engine(torch.device("cpu"))


class Precise(GAN):
    """With latents in double precision, so that equations hold to the last digits."""

    def latents(self, dice: Dice) -> Tensor:
        return super().latents(dice).double()


def points(**settings: Any) -> GAN:
    """A small game on the plane, in double precision."""
    config = GANConfig(**({"width": 16, "depth": 2, "z": 3, "batch": N, "penalty": "none"} | settings))
    game = seeded(0, lambda: Precise.build(config, Space((2,))))
    assert isinstance(game, Precise)
    return game.double()


def images(cls: type[Contest], **settings: Any) -> Contest:
    small = {DCGAN: {"width": 4}, R3GAN: {"generator": "dcgan", "discriminator": "dcgan", "width": 4, "d_width": 4},
             CGAN: {"width": 4, "d_width": 4, "generator_norm": "none"}}[cls]  # fmt: skip
    config = cls.Config(**({"batch": N, "z": 4} | small | settings))
    game = seeded(0, lambda: cls.build(config, Space(SHAPE, 5)))
    assert isinstance(game, Contest)
    return game


def here(round_: int = 0, turn: int = 0, seed: int | tuple[int, ...] = 0, images: int = 0) -> Now:
    return Now(seed, images, 100, round_, turn, range(N))


def plane(count: int = N) -> Batch:
    return Batch(Dice(5, "real", range(count)).normal(2).double() * 0.7 + 0.3)


def pixels() -> Batch:
    batch = TinyImages().take(0, N)
    return Batch(batch.x.float() / 127.5 - 1, batch.label)


def objective(game: Contest, player: str, batch: Batch, now: Now) -> Tensor:
    """What a player lowers: Σ weight · mean."""
    with only(game, game.players[player]):
        terms = game.losses(player, batch, game.shared(batch, now), now)
        weights = game.weights(player, terms, now)
        return torch.stack([weight * terms[name].mean() for name, weight in weights.items()]).sum()


def fakes(game: GAN, now: Now, purpose: str = "z") -> Tensor:
    return game.G(now.chance(purpose).normal(game.config.z).double()).detach()


def slopes(game: GAN, x: Tensor) -> Tensor:
    """‖∇s(x)‖ of each sample, (N,)."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(game.D(x).sum(), x)
    return gradient.norm(dim=1)


# ── what each setting means ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_its_equation(name: str) -> None:
    game = points(objective="wasserstein", penalty=name, gamma=3.0, slope=7.0, near=0.2)
    now, batch = here(), plane()
    x, fake = batch.x, fakes(game, now)
    dice = now.chance(f"penalty/{name}")
    share = dice.uniform(1).double()
    between, near = share * x + (1 - share) * fake, x + 0.2 * dice.normal(2).double()
    penalty = {
        "r1": lambda: 1.5 * slopes(game, x) ** 2,
        "r2": lambda: 1.5 * slopes(game, fake) ** 2,
        "gp": lambda: 7 * (slopes(game, between) - 1) ** 2,
        "gp-one-sided": lambda: 7 * (slopes(game, between) - 1).clamp(min=0) ** 2,
        "gp-zero": lambda: 1.5 * slopes(game, between) ** 2,
        "dragan": lambda: 7 * (slopes(game, near) - 1) ** 2,
    }[name]()
    expected = -game.D(x).mean() + game.D(fake).mean() + penalty.mean()
    torch.testing.assert_close(objective(game, "D", batch, now), expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(objective(game, "G", batch, now), -game.D(fake).mean(), rtol=1e-9, atol=1e-12)


def test_penalties_add_up_and_their_gradient_reaches_d() -> None:
    one, other, both = (points(penalty=name, gamma=2.0) for name in ("r1", "gp", "r1+gp"))
    plain, batch, now = points(), plane(), here()

    def gradient(game: GAN) -> Tensor:
        found = torch.autograd.grad(objective(game, "D", batch, now), list(game.D.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    torch.testing.assert_close(
        gradient(both) - gradient(plain), gradient(one) + gradient(other) - 2 * gradient(plain), rtol=1e-9, atol=1e-9
    )
    assert float((gradient(one) - gradient(plain)).norm()) > 1e-3


def test_nothing_is_computed_that_is_not_paid() -> None:
    batch = plane()
    assert set(PENALTIES) & set(points(penalty="r1+r2", gamma=0.0).losses("D", batch, {}, here())) == set()
    assert set(PENALTIES) & set(points(penalty="gp", slope=0.0).losses("D", batch, {}, here())) == set()
    game = points(penalty="r1+dragan", gamma="1 -> 0 linear 0..0.5")
    assert set(PENALTIES) & set(game.losses("D", batch, {}, here(images=0))) == {"r1", "dragan"}
    assert set(PENALTIES) & set(game.losses("D", batch, {}, here(images=60))) == {"dragan"}


@pytest.mark.parametrize("penalty", ["r1+r2", "gp"])
def test_lazy_penalties_have_the_same_mean(penalty: str) -> None:
    always, lazy = points(penalty=penalty, gamma=1.0), points(penalty=penalty, gamma=1.0, penalty_every=4)
    batch = plane()

    def paid(game: GAN) -> list[float]:
        rounds = []
        for round_ in range(8):
            terms = game.losses("D", batch, {}, here(round_))
            weights = game.weights("D", terms, here(round_))
            rounds.append(sum(float(weights[name]) for name in PENALTIES if name in weights))
        return rounds

    assert sum(paid(lazy)) == pytest.approx(sum(paid(always)))
    assert [weight > 0 for weight in paid(lazy)] == [True, False, False, False] * 2


@pytest.mark.parametrize("name", ["r1", "r2", "gp-zero"])
def test_finite_differences_estimate_the_penalty(name: str) -> None:
    """((s(x + σe) − s(x)) / σ)², whose mean over e is ‖∇s‖²."""
    exact, near = points(penalty=name, gamma=1.0), points(penalty=name, gamma=1.0, finite_difference=1e-3)
    now, batch = here(), plane()
    said = near.losses("D", batch, {}, now)[name]
    if name == "r1":
        e = now.chance("direction/r1").normal(2).double()
        by_hand = ((near.D(batch.x + 1e-3 * e) - near.D(batch.x)) / 1e-3) ** 2
        torch.testing.assert_close(said, by_hand, rtol=1e-9, atol=1e-12)
    many = plane(1).map(lambda x: x.expand(4000, 2))
    wide = Now(0, 0, 100, 0, 0, range(4000))
    truth = float(exact.losses("D", many, {}, wide)[name].detach().mean())
    estimate = float(near.losses("D", many, {}, wide)[name].detach().mean())
    assert estimate == pytest.approx(truth, rel=0.12) and estimate != truth


@pytest.mark.parametrize("name", ["nonsaturating", "least_squares"])
def test_smoothing_moves_the_label_of_reals_alone(name: str) -> None:
    soft, hard, batch, now = points(objective=name, smoothing=0.9), points(objective=name), plane(), here()
    a, b = soft.losses("D", batch, {}, now), hard.losses("D", batch, {}, now)
    assert torch.equal(a["fake"], b["fake"]) and not torch.equal(a["real"], b["real"])
    assert torch.equal(soft.losses("G", batch, {}, now)["fake"], hard.losses("G", batch, {}, now)["fake"])
    if name == "nonsaturating":
        d = torch.sigmoid(soft.D(batch.x))
        torch.testing.assert_close(a["real"], -0.9 * d.log() - 0.1 * (1 - d).log(), rtol=1e-9, atol=1e-12)


def test_noise_is_on_everything_that_d_sees_in_every_turn() -> None:
    game, batch = points(objective="wasserstein", noise="0.5 -> 0 linear 0..1"), plane()
    for turn in (0, 1):
        now = here(turn=turn, images=20)  # a fifth of the way: σ = 0.4
        x = batch.x + 0.4 * now.chance("noise/real").normal(2).double()
        fake = fakes(game, now) + 0.4 * now.chance("noise/fake").normal(2).double()
        expected = game.D(fake).mean() - game.D(x).mean()
        torch.testing.assert_close(objective(game, "D", batch, now), expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(objective(game, "G", batch, now), -game.D(fake).mean(), rtol=1e-9, atol=1e-12)
    first, second = (game.losses("D", batch, {}, here(turn=turn))["real"] for turn in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(game.logits(batch, here().chance("z"))[0], game.D(batch.x))  # not where skill is measured


def test_packs_are_judged_as_one() -> None:
    """s(x₁, x₂), and R1 with respect to both: the squares of the samples' gradients add up."""
    game, batch, now = points(objective="wasserstein", packing=2, penalty="r1", gamma=1.0), plane(), here()
    x = batch.x.clone().requires_grad_()
    s = game.D(torch.cat([x[0::2], x[1::2]], dim=1))  # neighbours make a pack
    terms = game.losses("D", batch, {}, now)
    torch.testing.assert_close(terms["real"], -s, rtol=1e-9, atol=1e-12)
    (gradient,) = torch.autograd.grad(s.sum(), x)
    torch.testing.assert_close(terms["r1"], (gradient**2).sum(1).view(N // 2, 2).sum(1), rtol=1e-9, atol=1e-12)
    assert terms["fake"].shape == game.losses("G", batch, {}, now)["fake"].shape == (N // 2,)
    assert game.logits(batch, now.chance("z"))[1].shape == (N // 2,)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("settings", [{}, {"joined": True}, {"noise": 0.1}])
def test_every_penalty_works_on_packs(name: str, settings: dict[str, Any]) -> None:
    game = points(penalty=name, packing=4, gamma=1.0, **settings)
    terms = game.losses("D", plane(), {}, here())
    assert terms[name].shape == (N // 4,) and terms[name].requires_grad
    if name in ("gp", "gp-zero"):  # the pack is on the line between a pack of reals and a pack of fakes
        assert len(set(here().chance("x").uniform(1)[:: N // 2].flatten().tolist())) == 2


def test_packing_one_is_the_plain_game() -> None:
    plain, packed = points(penalty="r1+gp", gamma=1.0), points(penalty="r1+gp", gamma=1.0, packing=1)
    assert torch.equal(objective(plain, "D", plane(), here()), objective(packed, "D", plane(), here()))


def test_packs_of_images_go_through_augmentation_one_by_one() -> None:
    game = images(R3GAN, packing=2, augment=0.9, gamma=1.0)
    batch, now = pixels(), here()
    shown = game.view(batch.x, now, "real")
    with torch.no_grad():
        expected = game.D(shown.reshape(N // 2, 2 * SHAPE[0], *SHAPE[1:]))
    real, _ = game._verdicts(game._packs(batch.x), game._packs(batch.x), None, now)
    torch.testing.assert_close(real.logits, expected)


# ── what is done after a move ─────────────────────────────────────────────────────────────────────────────────────


def played(rounds: int, **settings: Any) -> Match:
    config = GANConfig(**({"width": 16, "depth": 2, "z": 3, "batch": N, "penalty": "none", "lr": 0.01} | settings))
    game = seeded(0, lambda: GAN.build(config, Space((2,))))
    match = Match(game, stream((2,)), CPU, config, seed=0, horizon=100)
    for _ in range(rounds):
        match.step()
    return match


def test_clipping_bounds_the_weights_of_d_alone() -> None:
    game = played(3, clip=0.02, objective="wasserstein").game
    assert max(float(p.detach().abs().max()) for p in game.D.parameters()) <= 0.02
    assert max(float(p.detach().abs().max()) for p in game.G.parameters()) > 0.02


def test_spectral_normalisation_follows_the_weights() -> None:
    game = played(30, spectral=True, objective="hinge").game
    weights = [m.weight for m in game.D.modules() if isinstance(m, torch.nn.Linear)]
    for weight in weights:
        assert float(torch.linalg.matrix_norm(weight.detach(), 2)) == pytest.approx(1.0, abs=0.1)
    assert not any(hasattr(m, "parametrizations") for m in game.G.modules())


def test_spectral_normalisation_advances_once_per_move() -> None:
    """However many pieces a batch has; and only when D has moved."""
    whole, parts = played(3, spectral=True), played(3, spectral=True, micro_batches=4)
    for (name, a), (_, b) in zip(whole.game.named_buffers(), parts.game.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)
    game = played(0, spectral=True).game
    with torch.no_grad():
        next(p for n, p in game.D.named_parameters() if n.endswith("original")).mul_(torch.linspace(0, 1, 2))
    before = {name: b.clone() for name, b in game.named_buffers()}
    game.after("G", plane(), {}, here())
    assert all(torch.equal(before[name], b) for name, b in game.named_buffers())
    twin = played(0, spectral=True).game
    twin.load_state_dict(game.state_dict())
    game.after("D", plane(), {}, here())
    advance(twin.D)
    assert all(torch.equal(b, dict(twin.named_buffers())[name]) for name, b in game.named_buffers())
    assert any(not torch.equal(before[name], b) for name, b in game.named_buffers())


# ── one forward pass for both ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [{}, {"objective": "relativistic_average"}, {"penalty": "r1+gp", "gamma": 1.0}])
@pytest.mark.parametrize("player", ["D", "G"])
def test_without_batch_norm_joined_is_separate(settings: dict[str, Any], player: str) -> None:
    apart, joined = points(**settings), points(joined=True, **settings)
    found = []
    for game in (apart, joined):
        total = objective(game, player, plane(), here())
        gradients = torch.autograd.grad(total, list(game.players[player].parameters()), allow_unused=True)
        found.append([total, *(g for g in gradients if g is not None)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_joined_classes_keep_their_labels() -> None:
    for kind in ("projection", "auxiliary"):
        apart, joined = (images(CGAN, conditioning=kind, joined=j, gamma=1.0) for j in (False, True))
        a, b = (game.losses("D", pixels(), game.shared(pixels(), here()), here()) for game in (apart, joined))
        assert list(a) == list(b)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)


def test_with_batch_norm_joined_takes_the_statistics_of_the_mixture() -> None:
    """The running mean moves a tenth of the way to the mixture's; separate batches move it to reals, then to fakes."""
    batch, now = pixels(), here()
    statistics, logits = {}, {}
    for joined in (False, True):
        game = images(DCGAN, joined=joined).train()
        fake = game.shared(batch, now)["fake"].detach()
        with torch.no_grad():
            first = game.D.act(game.D.downs[0](torch.cat([batch.x, fake])))
            real_mean, fake_mean = (game.D.downs[1](part).mean((0, 2, 3)) for part in first.chunk(2))
        with torch.no_grad():
            real, _ = game._verdicts(batch.x, fake, None, now)
        statistics[joined] = game.D.norms[1].running_mean.clone()
        expected = 0.1 * (real_mean + fake_mean) / 2 if joined else 0.09 * real_mean + 0.1 * fake_mean
        torch.testing.assert_close(statistics[joined], expected, rtol=1e-4, atol=1e-6)
        other = images(DCGAN, joined=joined).train()
        with torch.no_grad():
            again, _ = other._verdicts(batch.x, -3 * fake + 1, None, now)
        logits[joined] = float((real.logits - again.logits).abs().max())
    assert logits[False] == 0.0  # what D says of reals does not depend on the fakes
    assert logits[True] > 1e-3  # but does where they are normalised together
    assert not torch.allclose(statistics[False], statistics[True])


# ── several members ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("settings", [{}, {"joined": True, "packing": 2}, {"penalty": "r1+gp+dragan", "gamma": 1.0}])
def test_members_play_among_themselves(name: str, settings: dict[str, Any]) -> None:
    """Each member's terms are those of its solo game, also where an objective compares samples with each other."""
    config = GANConfig(**({"objective": name, "width": 8, "depth": 1, "z": 2, "penalty": "none"} | settings))
    solos = [seeded(seed, lambda: GAN.build(config, Space((2,)))) for seed in (3, 4)]
    batches = [Batch(Dice(seed, "real", range(N)).normal(2)) for seed in (3, 4)]
    both = together(solos)
    assert isinstance(both, GAN) and both.members == 2
    for player in ("D", "G"):
        terms = both.losses(player, Batch(torch.cat([b.x for b in batches])), {}, here(seed=(3, 4)))
        alone = [g.losses(player, b, {}, here(seed=s)) for g, b, s in zip(solos, batches, (3, 4), strict=True)]
        assert set(terms) == set(alone[0])
        for term, values in terms.items():
            torch.testing.assert_close(values, torch.cat([a[term] for a in alone]), rtol=1e-4, atol=1e-5, msg=term)


def test_members_advance_and_are_clipped() -> None:
    config = GANConfig(spectral=True, clip=0.5, width=8, depth=1, z=2)
    solos = [seeded(seed, lambda: GAN.build(config, Space((2,)))) for seed in (3, 4)]
    both = together(solos)
    both.after("D", plane(), {}, here(seed=(3, 4)))
    for solo in solos:
        solo.after("D", plane(), {}, here())
    stacked = dict(both.D.body.state_dict())
    for name in stacked:
        expected = torch.stack([solo.D.state_dict()[name] for solo in solos])
        torch.testing.assert_close(stacked[name], expected, rtol=1e-5, atol=1e-6)


# ── all players at once ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", [{}, {"penalty": "r2", "gamma": 1.0}, {"penalty": "gp"}, {"packing": 2}])
def test_what_d_pays_depends_on_g_where_g_is_not_frozen(settings: dict[str, Any]) -> None:
    """Consensus needs ∂L_D/∂θ_G: by difference, in one weight of G."""
    game, batch, now = points(**settings), plane(), here()
    weight = game.G.net.last.bias

    def total() -> Tensor:
        terms = game.losses("D", batch, {}, now)
        return torch.stack([w * terms[name].mean() for name, w in game.weights("D", terms, now).items()]).sum()

    (gradient,) = torch.autograd.grad(total(), weight)
    values = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0] += step
        values.append(float(total().detach()))
    assert float(gradient[0]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)
    assert abs(float(gradient[0])) > 1e-6


# ── from above ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_score_is_the_logit_and_pull_leads_up() -> None:
    for name in OBJECTIVES:
        game, x = points(objective=name), plane().x
        assert isinstance(game, Landscape)
        torch.testing.assert_close(game.score(x), game.D(x))
        with torch.no_grad():
            pull = game.pull(x, plane().x)
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(game.D(leaf).sum(), leaf)
        if name != "relativistic_average":  # every G wants a higher logit: pull is a positive multiple of ∇s
            share = (pull * gradient).sum(1) / (gradient**2).sum(1)
            torch.testing.assert_close(pull, share[:, None] * gradient, rtol=1e-6, atol=1e-9)
            assert bool((share > 0).all()), name
        assert pull.shape == (N, 2) and not pull.requires_grad
        assert all(p.grad is None for p in game.parameters())


def test_pull_is_what_g_follows() -> None:
    """−n ∇ of the mean of what G pays, with respect to its samples."""
    game, now, batch = points(objective="relativistic_average"), here(), plane()
    fake = fakes(game, now).requires_grad_()
    terms = game.objective.generator(game.D(batch.x), game.D(fake))
    (gradient,) = torch.autograd.grad(sum(term.mean() for term in terms.values()), fake)
    torch.testing.assert_close(game.pull(fake, batch.x), -N * gradient, rtol=1e-6, atol=1e-9)


def test_a_pack_is_looked_at_with_copies() -> None:
    game, x = points(packing=3, batch=9), plane().x
    torch.testing.assert_close(game.score(x), game.D(torch.cat([x, x, x], dim=1)))
    assert game.pull(x, x).shape == (N, 2)


def test_a_conditional_game_is_scored_by_its_best_class() -> None:
    config = CGANConfig(network="mlp", width=8, d_width=8)
    game = seeded(0, lambda: CGAN.build(config, Space((2,), 4)))
    x = plane().x.float()
    every = torch.stack([game.D(x, torch.full((N,), k))[0] for k in range(4)])
    torch.testing.assert_close(game.score(x), every.max(0).values)
    assert game.pull(x, x).shape == (N, 2)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("config", "settings", "said"),
    [
        (GANConfig, {"penalty": "r3"}, "did you mean r"),
        (GANConfig, {"penalty": "dragn+r1"}, "did you mean dragan"),
        (GANConfig, {"penalty": "r1+none"}, "none alone"),
        (GANConfig, {"penalty": "r1+r1"}, "twice"),
        (GANConfig, {"packing": 3}, "packing = 3 does not divide batch = 64"),
        (GANConfig, {"packing": 4, "micro_batches": 32}, "does not divide batch = 64 / 32 micro_batches"),
        (GANConfig, {"finite_difference": 0.1, "penalty": "r1+gp"}, "gp is not one"),
        (GANConfig, {"network": "pacgan", "d_fourier": (4, 1.0, 2.0)}, "no Fourier features"),
        (GANConfig, {"network": "pacgan", "width": 64}, "sizes of the paper"),
        (DCGANConfig, {"gamma": 1.0}, "couples the samples"),
        (DCGANConfig, {"penalty": "gp"}, "couples the samples"),
        (DCGANConfig, {"gamma": "0 -> 1", "finite_difference": 0.1}, "couples the samples"),
        (CGANConfig, {"packing": 2}, "one label"),
        *((GANConfig, {"smoothing": 0.9, "objective": name}, "predicts no label")
          for name, game in OBJECTIVES.items() if game.smoothed is None),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(config: type, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config(**settings)


def test_refusals_name_the_flag() -> None:
    with pytest.raises(UsageError, match=r"--set penalty=gpp") as caught:
        load("gan", ["penalty=gpp"])
    assert caught.value.code == "CONFIG-VALUE" and "did you mean gp" in str(caught.value)


def test_what_is_possible_is_not_refused() -> None:
    for settings in ({}, {"penalty": "none", "gamma": 1.0}, {"d_norm": "none", "gamma": 1.0}, {"gamma": 0.0},
                     {"penalty": "gp", "slope": 0.0}, {"objective": "hinge", "spectral": True}):  # fmt: skip
        DCGANConfig(**settings)
    assert GANConfig(penalty=" r2 + r1 ").penalty == "r1+r2"
    assert R3GANConfig(objective="hinge", penalty="gp").penalised and not R3GANConfig(penalty="none").penalised


# ── every one is a game ───────────────────────────────────────────────────────────────────────────────────────────

POINTS = [
    {"objective": "wasserstein", "penalty": "gp"},
    {"objective": "wasserstein", "clip": 0.05, "penalty": "none"},
    {"packing": 2, "penalty": "r1+r2", "gamma": 0.5},
    {"packing": 2, "penalty": "gp", "joined": True},
    {"objective": "hinge", "spectral": True, "penalty": "none"},
    {"penalty": "dragan", "noise": "0.3 -> 0", "smoothing": 0.9},
    {"penalty": "r1+r2", "gamma": 0.5, "finite_difference": 0.05, "penalty_every": 2},
    {"objective": "relativistic", "penalty": "gp-zero+gp-one-sided", "gamma": 0.5, "joined": True},
]


@pytest.mark.parametrize("settings", POINTS, ids=lambda s: "+".join(f"{k}={v}" for k, v in s.items()))
def test_every_setting_is_a_game_on_points(settings: dict[str, Any]) -> None:
    check_game(GAN, (2,), stream((2,)), width=8, depth=1, z=2, **settings)


IMAGES: list[tuple[type[Game], dict[str, Any], bool]] = [
    (DCGAN, {"width": 4, "z": 4, "d_norm": "none", "gamma": 1.0, "packing": 2}, True),
    (DCGAN, {"width": 4, "z": 4, "d_norm": "none", "objective": "hinge", "spectral": True}, True),
    (DCGAN, {"width": 4, "z": 4, "joined": True, "smoothing": 0.9}, True),
    (R3GAN, {"generator": "dcgan", "discriminator": "dcgan", "width": 4, "d_width": 4, "z": 4, "packing": 2,
             "penalty": "r1+gp", "objective": "hinge", "augment": 0.5}, False),
    (CGAN, {"width": 4, "d_width": 4, "z": 4, "penalty": "gp", "objective": "wasserstein", "joined": True}, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "settings", "coupled"), IMAGES, ids=lambda v: v.__name__ if isinstance(v, type) else ""
)
def test_every_setting_is_a_game_on_images(cls: type[Game], settings: dict[str, Any], coupled: bool) -> None:
    check_game(cls, Space(SHAPE, 5), TinyImages(), coupled=coupled, **settings)


@pytest.mark.parametrize("cls", [DCGAN, R3GAN])
def test_every_objective_can_be_played_on_images(cls: type[Contest]) -> None:
    for name in OBJECTIVES:
        game = images(cls, objective=name)
        for player in ("D", "G"):
            assert bool(objective(game, player, pixels(), here()).isfinite()), name
