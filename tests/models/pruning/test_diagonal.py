"""The second-order backward pass against second derivatives by autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from hwc.models import load_data
from hwc.models.compress import compress, parse
from hwc.models.pruning.diagonal import Outputs, second_diagonal
from hwc.models.pruning.mask import PruningError, set_mask


def drawn(*layers: nn.Module) -> nn.Sequential:
    """A chain in float64 with seeded weights."""
    net, g = nn.Sequential(*layers).double().eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
    return net


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def brute(net: nn.Sequential, layer: str, x: Tensor, outputs: Outputs) -> Tensor:
    """The diagonal of the whole Hessian of the mean loss."""
    name = f"{layer}.weight"
    weight = net.get_parameter(name).detach()

    def loss(w: Tensor) -> Tensor:
        logits = functional_call(net, {name: w.reshape(weight.shape)}, x)
        if outputs == "square":  # half the squared distance to anything, here to 3
            return (logits - 3).square().sum() / 2 / len(x)
        return F.cross_entropy(logits, torch.arange(len(x)) % logits.shape[1])

    whole: Any = hessian(loss, weight.flatten())
    return whole.diagonal().reshape(weight.shape)


@pytest.mark.parametrize("outputs", ["square", "softmax"])
def test_one_layer_is_exact(outputs: Outputs) -> None:
    net, x = drawn(nn.Flatten(), nn.Linear(6, 4)), images(130, 2, 3)
    (found,) = second_diagonal(net, [net[1]], x, outputs)
    torch.testing.assert_close(found, brute(net, "1", x, outputs))


@pytest.mark.parametrize("act", [nn.ReLU(), nn.Hardtanh(), nn.Identity()])
def test_two_layers_are_exact_for_squares(act: nn.Module) -> None:
    net, x = drawn(nn.Linear(5, 7), nn.Sequential(act, nn.Linear(7, 3))), images(40, 5)
    first, last = second_diagonal(net, [net[0], net[1][1]], x)  # pyright: ignore
    torch.testing.assert_close(first, brute(net, "0", x, "square"))
    torch.testing.assert_close(last, brute(net, "1.1", x, "square"))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 1), nn.Identity()])
def test_convolutions_whose_weights_are_used_once_are_exact(pool: nn.Module) -> None:
    """A convolution as large as its image gives one value a channel; a mean of its like is not
    shared either."""
    conv = nn.Conv2d(2, 3, 4 if isinstance(pool, nn.Identity) else (2, 2), bias=False)
    if isinstance(pool, nn.Identity):
        net = drawn(conv, nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
        x = images(30, 2, 4, 4)
        (found,) = second_diagonal(net, [net[0]], x)
        torch.testing.assert_close(found, brute(net, "0", x, "square"))
        return
    net = drawn(pool, nn.Conv2d(2, 3, 2), nn.Flatten())
    side = 4
    x = images(30, 2, side, side)
    (found,) = second_diagonal(net, [net[1]], x)
    torch.testing.assert_close(found, brute(net, "1", x, "square"))


def test_shared_weights_sum_their_uses() -> None:
    """One filter of one channel, places added up by hand: of the paper's formula, not the Hessian's
    (which has cross terms between the uses)."""
    net = drawn(nn.Conv1d(1, 1, 2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2))
    x = images(1, 1, 4)
    w, out = net[0].weight.detach().flatten(), net[3].weight.detach()  # pyright: ignore
    wanted = torch.zeros(2, dtype=torch.float64)
    for place in range(3):
        window = x[0, 0, place : place + 2]
        if float(w @ window) > 0:
            wanted += window.square() * out[:, place].square().sum()
    (found,) = second_diagonal(net, [net[0]], x)
    torch.testing.assert_close(found.flatten(), wanted)


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.AvgPool2d((1, 4))])
def test_means_share_out(pool: nn.Module) -> None:
    """Against the formula with the pool as a matrix."""
    net = drawn(nn.Conv2d(1, 1, 1, bias=False), pool, nn.Flatten())
    x = images(1, 1, 4, 4)
    basis = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    matrix = pool(basis).flatten(1).T  # (outputs, 16)
    wanted = (matrix.square().sum(0) * x.flatten().square()).sum()
    (found,) = second_diagonal(net, [net[0]], x)
    torch.testing.assert_close(found.sum(), wanted)


def test_three_layers_follow_the_papers_recursion() -> None:
    net = drawn(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2))
    x = images(20, 4) / 4
    b, c = (net[i].weight.detach() for i in (2, 4))  # pyright: ignore
    first = net[0](x).detach()
    second = net[2](first.tanh()).detach()
    h2 = (second > 0) * c.square().sum(0)
    h1 = (1 - first.tanh().square()).square() * (h2 @ b.square())
    found = second_diagonal(net, [net[0], net[2]], x)
    torch.testing.assert_close(found[0], h1.T @ x.square() / 20)
    torch.testing.assert_close(found[1], h2.T @ first.tanh().square() / 20)
    assert bool((found[0] > 0).all())


def test_masked_weights_pass_nothing_on() -> None:
    net, x = drawn(nn.Linear(3, 2), nn.Linear(2, 1)), images(9, 3)
    set_mask(net[1], torch.tensor([[True, False]]))
    (found,) = second_diagonal(net, [net[0]], x)
    assert bool((found[0] > 0).all())
    assert not found[1].any()


def test_a_network_that_is_no_chain_is_refused() -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    net = drawn(nn.Linear(3, 2), Own())
    with pytest.raises(PruningError, match="Own has no second-order backward pass"):
        second_diagonal(net, [net[0]], images(2, 3))


@pytest.mark.parametrize("outputs", ["square", "softmax"])
def test_obd_by_recipe(outputs: str) -> None:
    data = load_data("digits").fewer(600)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    text = '[[step]]\nmethod = "finetune"\nlr = 1e-2\n[[step]]\nmethod = "obd"\nby = "backward"\n'
    text += f'outputs = "{outputs}"\ndensity = 0.3\nepochs = 2\nlr = 5e-3'
    made = compress(net, parse(text), data, progress=False)
    assert made.report.nonzero_ratio == pytest.approx(1 / 0.3, rel=0.02)
    assert made.report.accuracy["fake_quant"] > 0.85
