"""Laws of the conditional game: what it becomes with one class, under renamed classes, in pairs, and on the ring."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import SHAPE, TinyImages
from torch import Tensor, nn

from sparring.chance import Dice
from sparring.data import open_data, stream_of
from sparring.errors import UsageError
from sparring.generate.sample import draw
from sparring.losses.adversarial import OBJECTIVES
from sparring.recipes.cgan import CGAN, CGANConfig, Objectives
from sparring.recipes.r3gan import R3GAN, R3GANConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import Game, Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, Space

KINDS = ("projection", "concatenation", "auxiliary")
SMALL: dict[str, Any] = {"width": 4, "d_width": 4, "z": 4, "depth": 1, "group": 4, "batch": 8, "flip": False,
                         "memory_format": "contiguous", "penalty_every": 1, "gamma": 1.0}  # fmt: skip
CPU = Engine(torch.device("cpu"))


def game_of(classes: int = 3, **settings: Any) -> CGAN:
    game = seeded(0, lambda: CGAN.build(CGANConfig(**(SMALL | settings)), Space(SHAPE, classes)))
    assert isinstance(game, CGAN)
    return game


def batch_of(classes: int) -> tuple[Batch, Now]:
    batch = CPU.place(TinyImages().take(0, 8))
    now = Now(0, images=100, horizon=400, round=4, turn=0, samples=range(8))
    return Batch(batch.x, label=torch.arange(8) * 5 % classes), now


# ── one class ─────────────────────────────────────────────────────────────────────────────────────────────────────


def unconditional(network: str, objective: str) -> R3GAN:
    own = {"generator": "dcgan", "discriminator": "dcgan", "generator_norm": "batch"} if network == "conv" else {}
    settings = {name: value for name, value in SMALL.items() if name != "depth"}
    config = R3GANConfig(**(settings | own | {"blocks": 1, "augment": 0.5, "objective": objective}))
    game = seeded(1, lambda: R3GAN.build(config, Space(SHAPE)))
    assert isinstance(game, R3GAN)
    return game


def shared_weights(game: CGAN, bare: R3GAN) -> list[tuple[str, Tensor, Tensor, slice]]:
    """(name, weight of the conditional game, of the bare one, the part of the first that is the second), by player."""
    pairs = []
    told = {name.replace("net.", "", 1).replace("norm.", ""): p for name, p in game.G.named_parameters()}
    for name, p in bare.G.named_parameters():
        own = told.get(name)
        if own is None:  # a norm's weight is row 0 of Γ, its bias row 0 of B
            own = told[name.replace("weight", "scale").replace("bias", "shift")]
            pairs.append((f"G/{name}", own, p, slice(0, 1)))
        else:
            pairs.append((f"G/{name}", own, p, slice(None)))
    pairs += [
        (f"D/{name}", own, p, slice(None))
        for (name, own), (_, p) in zip(game.D.net.named_parameters(), bare.D.named_parameters(), strict=True)
    ]
    return pairs


def seen_part(own: Tensor, bare: Tensor) -> Tensor:
    """What of a conditional weight the unconditional one has: all but the columns of the class, which are the last."""
    return own.reshape(bare.shape) if own.numel() == bare.numel() else own[:, : bare.shape[1]]


@pytest.mark.parametrize("objective", ["relativistic", "nonsaturating"])
@pytest.mark.parametrize(("network", "norm"), [("conv", "conditional"), ("conv", "batch"), ("residual", "none")])
@pytest.mark.parametrize("kind", KINDS)
def test_with_one_class_it_is_the_unconditional_game(kind: str, network: str, norm: str, objective: str) -> None:
    """Same terms (the auxiliary one is 0) and same gradients, for both players, with penalties and augmentation."""
    kinds = {"conditioning": kind, "network": network, "generator_norm": norm, "objective": objective}
    game = game_of(1, **kinds, augment=0.5, classify=7.0)
    bare = unconditional(network, objective)
    with torch.no_grad():
        for _, own, p, _ in shared_weights(game, bare):
            if own.numel() != p.numel():
                own[:, p.shape[1] :] = 0  # the class beside z or x
            p.copy_(seen_part(own, p))
        if kind == "projection":
            game.D.embedding.weight.zero_()
    batch, now = batch_of(1)
    found = {}
    for player in ("D", "G"):
        found[player] = []
        for one in (game, bare):
            terms = one.losses(player, batch, one.shared(batch, now), now)
            weights = one.weights(player, terms, now)
            found[player].append(terms)
            sum(weights[name] * terms[name].mean() for name in weights).backward()  # type: ignore[union-attr]
        for name, values in found[player][1].items():
            torch.testing.assert_close(found[player][0][name], values, rtol=1e-4, atol=1e-5, msg=f"{player}/{name}")
        extra = set(found[player][0]) - set(found[player][1])
        assert all(bool((found[player][0][name] == 0).all()) for name in extra if name.startswith("class"))
    for name, own, p, _ in shared_weights(game, bare):
        assert own.grad is not None and p.grad is not None, name
        scale = float(p.grad.abs().max()) + 1e-6
        torch.testing.assert_close(seen_part(own.grad, p), p.grad, rtol=1e-3, atol=1e-4 * scale, msg=name)
    if kind == "projection":  # s = (ψ + e)·φ: the embedding is taught what the head is taught
        torch.testing.assert_close(game.D.embedding.weight.grad[:, 0], game.D.net.head.weight.grad[0])


# ── names of classes ──────────────────────────────────────────────────────────────────────────────────────────────


def renamed(game: CGAN, order: Tensor) -> CGAN:
    """The game in which class y is called order[y]: its weights of y are those of order[y]."""
    other = game_of(len(order), **dataclasses.asdict(game.config))
    other.load_state_dict(game.state_dict())
    back = order.argsort()  # new name → old name
    D, G = other.D, other.G
    with torch.no_grad():
        if game.config.conditioning == "projection":
            D.embedding.weight.copy_(D.embedding.weight[:, back])
        if game.config.conditioning == "auxiliary":
            D.classify.weight.copy_(D.classify.weight[back]), D.classify.bias.copy_(D.classify.bias[back])
        if game.config.conditioning == "concatenation":
            first = _first(D.net)
            first[:, -len(order) :] = first[:, -len(order) :][:, back]
        if G.scaled:
            first = _first(G.net)
            first[:, -len(order) :] = first[:, -len(order) :][:, back]
        else:
            for norm in G.net.norms:
                norm.scale.copy_(norm.scale[back]), norm.shift.copy_(norm.shift[back])
    return other


def _first(net: nn.Module) -> Tensor:
    """The weight that sees what is told, last."""
    names = ("project", "modulate", "from_image", "downs.0", "net.hidden.0")
    modules = dict(net.named_modules())
    return next(modules[name].weight for name in names if name in modules)


@pytest.mark.parametrize("norm", ["conditional", "batch"])
@pytest.mark.parametrize("network", ["conv", "residual", "mlp"])
@pytest.mark.parametrize("kind", KINDS)
def test_classes_can_be_renamed(kind: str, network: str, norm: str) -> None:
    """Labels permuted with the weights of the classes: the same samples, the same terms."""
    game = game_of(5, conditioning=kind, network=network, generator_norm=norm)
    order = torch.tensor([3, 0, 4, 1, 2])
    other = renamed(game, order)
    batch, now = batch_of(5)
    assert batch.label is not None
    new = Batch(batch.x, label=order[batch.label])
    for player in ("D", "G"):
        said = game.losses(player, batch, game.shared(batch, now), now)
        again = other.losses(player, new, other.shared(new, now), now)
        for name in said:
            torch.testing.assert_close(again[name], said[name], rtol=1e-4, atol=1e-5, msg=f"{player}/{name}")
    game.eval(), other.eval()
    label = torch.arange(10) % 5
    with torch.no_grad():
        dice = Dice(0, "sample", range(10))
        torch.testing.assert_close(other.sample(dice, label=order[label]), game.sample(dice, label=label))


# ── pairs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Told(nn.Module):
    """Shows every label it is told, in front of another network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.labels: list[Tensor] = []

    def forward(self, x: Tensor, label: Tensor) -> Any:
        self.labels.append(label)
        return self.net(x, label)


@pytest.mark.parametrize("objective", ["relativistic", "relativistic_average", "hinge"])
def test_a_pair_shares_its_label(objective: str) -> None:
    """Fake i is of the class of real i, and D is told so for both, in both turns."""
    game = game_of(3, objective=objective, generator_norm="none")
    batch, now = batch_of(3)
    D = Told(game.D)
    game.D = D  # type: ignore[assignment]
    shared = game.shared(batch, now)
    for i in range(8):
        alone = game.decode(game.latents(now.chance("z"))[i : i + 1], batch.label[i : i + 1])  # type: ignore[index]
        torch.testing.assert_close(shared["fake"][i : i + 1], alone, rtol=1e-4, atol=1e-5)
    for player, least in (("D", 2), ("G", 2 if game.relative else 1)):
        D.labels.clear()
        terms = game.losses(player, batch, shared, now)
        assert len(D.labels) == least and all(torch.equal(label, batch.label) for label in D.labels)  # type: ignore[arg-type]
        if objective == "relativistic":
            s_real, s_fake = D.net(batch.x, batch.label)[0], D.net(shared["fake"], batch.label)[0]
            sign = 1 if player == "D" else -1
            torch.testing.assert_close(terms["pair"], nn.functional.softplus(sign * (s_fake - s_real)))


# ── the auxiliary classifier ──────────────────────────────────────────────────────────────────────────────────────


def test_both_players_pay_for_the_class_as_written() -> None:
    """λ (CE(x) + CE(G(z))) for D and λ CE(G(z)) for G; the classifier's bias gets λ Σ (softmax − e_y) / N by hand."""
    game = game_of(3, conditioning="auxiliary", objective="hinge", gamma=0.0, classify=0.5)
    batch, now = batch_of(3)
    shared = {"fake": game.shared(batch, now)["fake"].detach().requires_grad_()}
    terms = game.losses("D", batch, shared, now)
    weights = game.weights("D", terms, now)
    assert weights["class(x)"] == weights["class(G(z))"] == 0.5
    sum(weights[name] * terms[name].mean() for name in weights).backward()  # type: ignore[union-attr]
    expected = torch.zeros(3)
    with torch.no_grad():
        for x in (batch.x, shared["fake"]):
            guess = game.D(x, batch.label)[1]
            expected += 0.5 * (guess.softmax(1) - torch.eye(3)[batch.label]).mean(0)
    torch.testing.assert_close(game.D.classify.bias.grad, expected, rtol=1e-4, atol=1e-6)

    terms = game.losses("G", batch, shared, now)
    weights = game.weights("G", terms, now)
    assert set(weights) == {"fake", "class(G(z))"}
    (found,) = torch.autograd.grad(0.5 * terms["class(G(z))"].sum(), shared["fake"])
    features = game.D.net.features(shared["fake"])
    guess = game.D.classify(features)
    by_hand = 0.5 * (guess.softmax(1) - torch.eye(3)[batch.label]) @ game.D.classify.weight
    (expected,) = torch.autograd.grad(features, shared["fake"], by_hand.detach())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_d_is_not_told_what_it_has_to_guess() -> None:
    game = game_of(3, conditioning="auxiliary")
    batch, _ = batch_of(3)
    s, guess = game.D(batch.x, batch.label)
    other, again = game.D(batch.x, (batch.label + 1) % 3)  # type: ignore[operator]
    assert torch.equal(s, other) and torch.equal(guess, again)


# ── every kind is a game ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("network", "norm"),
    [("conv", "batch"), ("conv", "conditional"), ("conv", "pixel"), ("residual", "batch"), ("mlp", "batch")],
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_game(kind: str, network: str, norm: str) -> None:
    settings = SMALL | {"conditioning": kind, "network": network, "generator_norm": norm, "augment": 0.5}
    coupled = network == "conv" and norm != "pixel"
    check_game(CGAN, Space(SHAPE, 5), TinyImages(), coupled=coupled, **settings)


def test_every_objective_can_be_played() -> None:
    assert set(get_args(Objectives)) == set(OBJECTIVES)
    for objective in OBJECTIVES:
        game = game_of(5, objective=objective, network="mlp")
        match = Match(game, TinyImages(), CPU, game.config, seed=0, horizon=100)
        means = match.step() | match.step()
        assert all(bool(value.isfinite()) for value in means.values()), objective


def test_points_need_points_networks() -> None:
    with pytest.raises(UsageError, match="CGAN-NETWORK") as caught:
        CGAN.build(CGANConfig(), Space((2,), 8))
    assert "cgan-points" in caught.value.fix
    with pytest.raises(UsageError, match="CGAN-AUGMENT"):
        CGAN.build(CGANConfig(network="mlp", augment=0.5), Space((2,), 8))
    with pytest.raises(UsageError, match="DATA-UNLABELLED"):
        CGAN.build(CGANConfig(), Space(SHAPE))


PLAIN = ["g_fourier=null", "d_fourier=null", "gamma=0.1", "lr=2e-3", "play=D:1,G:1", "batch=64"]


@pytest.mark.parametrize(("kind", "least"), [("projection", 0.97), ("concatenation", 0.97), ("auxiliary", 0.7)])
def test_a_class_of_the_ring_is_its_mode(kind: str, least: float) -> None:
    """Told the mode of each point and asked for class k, G makes points at mode k.

    With the auxiliary classifier some class may lie beside the mode of another: D's guess is trained on fakes too, and
    tells the two apart where no real point is (docs/systems/cgan.md).
    """
    ring = open_data("ring")
    assert ring.modes is not None
    modes = torch.from_numpy(ring.modes / ring.scale).float()
    nearest = torch.cdist(torch.from_numpy(np.asarray(ring.train)), modes).argmin(1).numpy()
    stream = stream_of(dataclasses.replace(ring, labels=nearest), 0)
    config = load("cgan-points", [f"conditioning={kind}", *PLAIN]).config
    game: Game = seeded(0, lambda: CGAN.build(config, Space((2,), 8)))
    match = Match(game, stream, CPU, config, seed=0, horizon=160 * 64)
    for _ in range(160):
        match.step()
    game.eval()
    with match.averages.applied():
        asked = torch.arange(8).repeat_interleave(50)
        points = torch.cat([draw(SimpleNamespace(game=game), 50, label=k) for k in range(8)])
        assert float((torch.cdist(points, modes).argmin(1) == asked).float().mean()) > least
        if kind != "auxiliary":
            assert float((points.view(8, 50, 2).mean(1) - modes).norm(dim=1).max()) < 0.1
        every = torch.cdist(draw(SimpleNamespace(game=game), 400), modes).argmin(1)
    assert float((every == torch.arange(400) % 8).float().mean()) > least
