"""Brain damage and the surgeon on whole networks, against closed forms; merging of like units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwc.models import load_data
from hwc.models.compress import compress, parse
from hwc.models.compress.method import Work
from hwc.models.curvature import curvature
from hwc.models.pruning.brain_damage import (
    inverse_hessian,
    jacobian,
    operate_all,
    saliency,
)
from hwc.models.pruning.mask import PruningError
from hwc.models.pruning.merging import merged

G = torch.Generator().manual_seed(0)
ROWS = torch.randn(30, 8, generator=G, dtype=torch.float64)
HESSIAN = ROWS.T @ ROWS / 30 + 1e-3 * torch.eye(8, dtype=torch.float64)


def work_on(model: nn.Module, x: np.ndarray) -> Work:
    data: Any = type("D", (), {"first": lambda _, count: torch.from_numpy(x[:count])})()
    nothing: Any = None
    return Work(model, {}, data, 3, nothing, nothing, nothing, model)


def test_curvature_of_a_linear_network_is_that_of_its_inputs() -> None:
    """Logits W x: the diagonal of J^T J is x**2 for every output, averaged."""
    x = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)
    layer = nn.Linear(6, 4)
    weight, bias = curvature(work_on(layer, x), [layer.weight, layer.bias])
    wanted = np.broadcast_to((x.astype(np.float64) ** 2).mean(0), (4, 6))
    np.testing.assert_allclose(weight.numpy(), wanted, rtol=0.75)  # 40 draws: 22 % each
    np.testing.assert_allclose(weight.mean(0).numpy(), wanted[0], rtol=0.35)
    np.testing.assert_allclose(bias.numpy(), 1, rtol=0.75)


def test_curvature_is_exact_where_sums_do_not_mix() -> None:
    """One image, one output: the sign's square is 1."""
    x = np.ones((1, 3), np.float32) * [[1, 2, -3]]
    layer = nn.Linear(3, 1)
    (found,) = curvature(work_on(layer, x.astype(np.float32)), [layer.weight])
    assert found.tolist() == [[1, 4, 9]]
    assert saliency(torch.tensor([2.0, -3.0]), torch.tensor([1.0, 4.0])).tolist() == [2, 18]


def test_the_recursion_gives_the_inverse() -> None:
    made = inverse_hessian(ROWS, 1e-3)
    torch.testing.assert_close(made, torch.linalg.inv(HESSIAN))
    with pytest.raises(PruningError, match="damping"):
        inverse_hessian(ROWS, 0.0)


def rise(w: torch.Tensor, v: torch.Tensor) -> float:
    return float((w - v) @ HESSIAN @ (w - v) / 2)


def test_one_weight_less_is_the_best_constrained_minimum() -> None:
    """For a quadratic loss with its minimum at w: the best point with any one weight at 0."""
    w = torch.randn(8, generator=G, dtype=torch.float64)
    inverse = torch.linalg.inv(HESSIAN)
    rises = []
    for q in range(8):
        rest = [i for i in range(8) if i != q]
        best = torch.zeros(8, dtype=torch.float64)
        best[rest] = torch.linalg.solve(HESSIAN[rest][:, rest], HESSIAN[rest] @ w)
        rises.append((rise(w, best), best))
        torch.testing.assert_close(
            torch.tensor(rises[-1][0], dtype=torch.float64), w[q] ** 2 / (2 * inverse[q, q])
        )
    wanted = min(rises, key=lambda r: r[0])[1]
    torch.testing.assert_close(operate_all(w, inverse, 1), wanted)


def test_the_weight_that_goes_is_the_cheapest_not_the_smallest_nor_the_stiffest() -> None:
    """Of 30 weights, by the minimum that is left when each goes, worked out anew."""
    stretch = torch.logspace(-1, 1, 8, dtype=torch.float64)
    hessian = stretch[:, None] * HESSIAN * stretch
    inverse, others = torch.linalg.inv(hessian), 0
    for _ in range(30):
        w = torch.randn(8, generator=G, dtype=torch.float64)
        costs = []
        for q in range(8):
            rest = [i for i in range(8) if i != q]
            best = torch.zeros(8, dtype=torch.float64)
            best[rest] = torch.linalg.solve(hessian[rest][:, rest], hessian[rest] @ w)
            costs.append(float((w - best) @ hessian @ (w - best)))
        cheapest = int(np.argmin(costs))
        assert torch.nonzero(operate_all(w, inverse, 1) == 0).flatten().tolist() == [cheapest]
        others += cheapest not in (int(w.abs().argmin()), int(inverse.diagonal().argmax()))
    assert others > 3


@pytest.mark.parametrize("count", [2, 4, 6])
def test_several_weights_less_are_a_minimum_on_those_left(count: int) -> None:
    w = torch.randn(8, generator=G, dtype=torch.float64)
    w[2] = 0
    made = operate_all(w, torch.linalg.inv(HESSIAN), count)
    left = made != 0
    assert int(left.sum()) == 7 - count
    assert not left[2]
    gradient = HESSIAN @ (made - w)
    torch.testing.assert_close(gradient[left], torch.zeros_like(gradient[left]), atol=1e-9, rtol=0)
    with pytest.raises(PruningError, match="8 of 7 weights cannot go"):
        operate_all(w, torch.linalg.inv(HESSIAN), 8)


def test_the_jacobian_is_that_of_torch() -> None:
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x = torch.randn(2, 4)
    found = jacobian(net, [net[0].weight, net[2].bias], x)
    for image in range(2):
        whole = torch.autograd.functional.jacobian(
            lambda w, i=image: torch.func.functional_call(net, {"0.weight": w}, (x[i : i + 1],))[0],  # pyright: ignore
            net[0].weight.detach(),
        )
        torch.testing.assert_close(found[3 * image : 3 * image + 3, :20], whole.reshape(3, 20))
    torch.testing.assert_close(found[:3, 20:], torch.eye(3))


def test_equal_units_merge_without_any_change() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(5, 6), nn.Linear(6, 4)
    with torch.no_grad():
        first.weight[4], first.bias[4] = first.weight[1], first.bias[1]
        first.weight[5], first.bias[5] = first.weight[1], first.bias[1]
    x = torch.randn(50, 5)
    before = second(torch.sigmoid(first(x)))
    incoming = torch.cat([first.weight, first.bias[:, None]], 1).detach()
    left, outgoing, steps = merged(incoming, second.weight.detach(), 2)
    assert steps == [0, 0]
    assert int(left.sum()) == 4
    hidden = torch.sigmoid(first(x))[:, left]
    torch.testing.assert_close(hidden @ outgoing[:, left].T + second.bias, before)
    _, _, more = merged(incoming, second.weight.detach(), 3)
    assert more[2] > 0


def test_the_least_saliency_goes() -> None:
    w = torch.tensor([[0.0], [1.0], [3.0]])
    a = torch.tensor([[1.0, 10.0, 1.0]])
    left, outgoing, steps = merged(w, a, 1)
    # Unit 0 into 1 costs 1 * 1; 1 into 0 would cost 100, 2 into 1 costs 4.
    assert steps == [1]
    assert left.tolist() == [False, True, True]
    assert outgoing[0, 1:].tolist() == [11, 1]


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_data("digits")


def test_merging_by_recipe_flattens_and_refuses(digits: Any) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 6, 3)
    with torch.no_grad():
        conv.weight[3:], conv.bias[3:] = conv.weight[:3], conv.bias[:3]  # pyright: ignore
    net = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10))
    text = "validation = 0\nactivations = false\nbiases = false\n"
    text += '[[step]]\nmethod = "merging"\nexcept = ["4"]\n'
    made = compress(net, parse(text + "keep = 0.5"), digits, progress=False)
    x = torch.from_numpy(digits.x_test[:50]).float() * digits.scale
    torch.testing.assert_close(made.model(x), net(x), rtol=1e-4, atol=1e-5)
    assert [layer.weights for layer in made.report.layers] == [27, 270]
    normed = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10))
    with pytest.raises(PruningError, match="'0' do not go straight to one"):
        compress(normed, parse(text), digits, progress=False)


def test_the_whole_surgeon_says_what_it_can_hold(digits: Any) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 10))
    with pytest.raises(PruningError, match="14,800 weights takes 2 GiB"):
        compress(net, parse('[[step]]\nmethod = "obs_global"'), digits, progress=False)
