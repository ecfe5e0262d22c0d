"""The bench of distortions, and training with few multiplications."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.models import BinaryWeight, quantize_weight
from hwc.models.binary.distortion import KINDS, Kind, distort, robustness
from hwc.models.binary.few_multiplications import (
    StochasticTernary,
    draw_ternary,
    plain_gradients,
    shift_gradients,
    to_power,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


W = torch.tensor([-2.0, -0.5, 0.0, 1.0, 2.0])


def test_distortions_are_what_they_say() -> None:
    many = torch.ones(4000)
    assert 0.79 < float(distort(many, "add", 0.2, generator()).min()) < 0.81
    assert float(distort(many, "multiply", 0.5, generator()).std()) == pytest.approx(
        0.289, abs=0.01
    )
    assert distort(W, "sign", 1.0, generator()).tolist() == pytest.approx([-1.1, -1.1, 0, 1.1, 1.1])
    assert distort(W, "round", 0.5, generator()).tolist() == [-2, 0, 0, 1, 2]
    assert distort(W, "power", 1.0, generator()).tolist() == [-2, -0.125, 0, 0.5, 2]
    flipped = distort(many, "flip", 0.25, generator())
    assert set(flipped.tolist()) == {-1, 1}
    assert float((flipped < 0).float().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_no_amount_is_no_distortion(kind: Kind) -> None:
    torch.testing.assert_close(distort(W, kind, 0.0, generator()), W, rtol=0, atol=0)
    with pytest.raises(HwcError, match="must not be negative, got -1"):
        distort(W, kind, -1, generator())


def test_the_bench_distorts_what_layers_see_and_leaves_the_network_alone() -> None:
    net = nn.Sequential(quantize_weight(nn.Linear(40, 30), BinaryWeight(0.5)), nn.Linear(30, 2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    seen: list[set[float]] = []

    def evaluate(model: nn.Module) -> float:
        seen.append(set(model[0].weight.abs().unique().tolist()))  # pyright: ignore
        return float(model(torch.ones(1, 40))[0, 0].detach())

    points = robustness(net, evaluate, ("flip", "add"), (0.0, 0.3), draws=4)
    assert [(p.kind, p.amount) for p in points] == [
        ("flip", 0.0), ("flip", 0.3), ("add", 0.0), ("add", 0.3),
    ]  # fmt: skip
    assert points[0].deviation == 0 < points[1].deviation
    assert seen[4] == {0.5}
    assert len(seen[-1]) > 100
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_ternary_draws_are_unbiased() -> None:
    w = torch.tensor([-1.0, -0.3, 0.0, 0.6]).repeat(4000, 1)
    drawn = draw_ternary(w, generator())
    assert set(drawn.unique().tolist()) == {-1, 0, 1}
    torch.testing.assert_close(drawn.mean(0), w[0], atol=0.03, rtol=0)


def test_stochastic_ternary_draws_while_training_and_rounds_afterwards() -> None:
    quantizer = StochasticTernary(generator(), torch.tensor(0.25))
    fc = quantize_weight(nn.Linear(3, 4000, bias=False), quantizer)
    latent = torch.tensor([-0.25, 0.05, 0.2]).repeat(4000, 1)
    with torch.no_grad():
        fc.parametrizations["weight"].original.copy_(latent)  # pyright: ignore
    drawn = fc.train().weight
    assert set(drawn.unique().tolist()) == {-0.25, 0.0, 0.25}
    torch.testing.assert_close(drawn.mean(0), latent[0], atol=0.01, rtol=0)
    drawn.sum().backward()
    assert (fc.parametrizations["weight"].original.grad == 1).all()  # pyright: ignore
    assert fc.eval().weight[0].tolist() == [-0.25, 0.0, 0.25]
    assert float(quantizer.bound()) == 0.25


def test_powers_round_at_the_square_root_of_two() -> None:
    x = torch.tensor([1.0, 0.7072, 0.7070, 0.5, 0.36, 0.35, 0.0, -0.25, 1 / 128, 0.005])
    assert to_power(x).tolist() == [1, 1, 0.5, 0.5, 0.5, 0.25, 0, -0.25, 1 / 128, 0]
    assert to_power(torch.zeros(3)).tolist() == [0, 0, 0]


def test_only_the_weight_gradient_uses_powers() -> None:
    torch.manual_seed(0)
    plain, shifted = nn.Linear(6, 4), nn.Linear(6, 4)
    shifted.load_state_dict(plain.state_dict())
    shift_gradients(shifted)
    x = torch.rand(5, 6)
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    g = torch.randn(5, 4)
    torch.testing.assert_close(plain(one), shifted(two))
    (plain(one) * g).sum().backward()
    (shifted(two) * g).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)
    torch.testing.assert_close(plain.bias.grad, shifted.bias.grad)
    torch.testing.assert_close(shifted.weight.grad, g.T @ to_power(x))
    assert not torch.allclose(shifted.weight.grad, plain.weight.grad)  # pyright: ignore
    angle = F.cosine_similarity(shifted.weight.grad.flatten(), plain.weight.grad.flatten(), dim=0)  # pyright: ignore
    assert float(angle) > 0.98
    plain_gradients(shifted)
    shifted.weight.grad = None
    (shifted(x) * g).sum().backward()
    torch.testing.assert_close(shifted.weight.grad, plain.weight.grad)
