"""Channels that stand and fall together: what is removed changes nothing but what it did itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwc.models.copying import copy_of
from hwc.models.pruning.channels import (
    Budget,
    chosen,
    gamma,
    magnitude,
    makers_of,
    positions,
    taylor,
)
from hwc.models.pruning.dependencies import Channels, Labels
from hwc.models.pruning.dependency_walk import channels_of
from hwc.models.pruning.mask import PruningError
from hwc.models.pruning.remove import remove
from hwc.models.zoo.bottleneck import resnet_50
from tests.models.pruning.networks import Coupled, seeded

X = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))
READS = {nn.Linear: 1, nn.Conv2d: 1, nn.ConvTranspose2d: 0}


def coupled() -> Any:
    torch.manual_seed(0)
    return seeded(Coupled())


def makers(channels: Channels, group: Labels) -> set[str]:
    return set(makers_of(channels, group))


@torch.no_grad()
def unread(model: Any, channels: Channels, gone: Labels) -> Any:
    """A copy in which nobody reads the channels: all readers are linear."""
    made = copy_of(model)
    for use, labels in channels.uses.items():
        module = made.get_submodule(use.module)
        if use.tensor == "weight" and READS.get(type(module)) == use.axis and not use.makes:
            places = torch.from_numpy(np.isin(channels.roots(labels), gone))
            module.weight.movedim(use.axis, 0)[places] = 0
    return made


def test_groups_of_coupled_layers() -> None:
    channels = channels_of(coupled(), X)
    found = {frozenset(makers(channels, g)): len(g) for g in channels.groups()}
    # The concatenation of depthwise and side channels meets in the halves of the grouped
    # convolution, so that one of either goes with the other.
    assert found == {
        frozenset({"stem", "branch", "side"}): 3,
        frozenset({"grouped"}): 6,
        frozenset({"fc1"}): 14,
    }
    reasons = set(channels.fixed.values())
    assert reasons == {
        "an input of the network",
        "an output of the network",
        "split_with_sizes (in forward) mixes channels",
    }


@pytest.mark.parametrize("seed", range(6))
def test_removal_is_the_network_without_readers(seed: int) -> None:
    """Adds, concatenations, depthwise and grouped convolutions, flattening, per-channel slopes."""
    model = coupled()
    channels, rng = channels_of(model, X), np.random.default_rng(seed)
    gone = np.concatenate(
        [rng.permutation(g)[: rng.integers(0, len(g))] for g in channels.groups()]
    )
    wanted = unread(model, channels, gone)(X)
    sizes = sum(p.numel() for p in model.parameters())
    remove(model, channels, gone)
    torch.testing.assert_close(model(X), wanted, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) < sizes or not len(gone)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            fresh = {
                nn.Linear: lambda m: nn.Linear(m.in_features, m.out_features),
                nn.Conv2d: lambda m: nn.Conv2d(
                    m.in_channels, m.out_channels, m.kernel_size, groups=m.groups
                ),
            }[type(module)](module)
            assert fresh.weight.shape == module.weight.shape, name


@pytest.mark.parametrize("of", ["macs", "parameters"])
@pytest.mark.parametrize("round_to", [1, 4])
def test_a_budget_is_met_and_kept_counts_are_whole_multiples(of: str, round_to: int) -> None:
    torch.manual_seed(0)
    model = seeded(
        nn.Sequential(
            nn.Conv2d(2, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 18, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(72, 20), nn.ReLU(), nn.Linear(20, 5),
        )
    )  # fmt: skip
    channels = channels_of(model, X)
    budget = Budget(0.4, positions(model, X) if of == "macs" else None, round_to)
    before = budget.cost(model, channels, np.zeros(0, np.int64))
    by_hand = {"macs": 16 * 2 * 9 * 16 + 18 * 16 * 9 * 4 + 72 * 20 + 100,
               "parameters": 16 * 2 * 9 + 18 * 16 * 9 + 72 * 20 + 100}  # fmt: skip
    assert before == by_hand[of]
    gone = chosen(model, channels, channels.groups(), magnitude(model, channels), budget)
    expected = budget.cost(model, channels, gone)
    remove(model, channels, gone)
    after = channels_of(model, X)
    assert budget.cost(model, after, np.zeros(0, np.int64)) == expected <= 0.4 * before
    for layer, full in ((model[0], 16), (model[3], 18)):
        assert layer.out_channels % round_to == 0 or layer.out_channels == full
    assert model(X).shape == (3, 5)


def test_scores() -> None:
    torch.manual_seed(0)
    model = seeded(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 4))
    )
    channels = channels_of(model, X)
    (group,) = channels.groups()
    size = model[0].weight.detach().abs().sum((1, 2, 3))
    ranks = magnitude(model, channels)
    assert [ranks[r] for r in group] == ((size.argsort().argsort() + 0.5) / 4).tolist()
    np.testing.assert_allclose(
        [gamma(model, channels, [group])[r] for r in group], model[1].weight.detach().abs()
    )
    curved = {n: torch.rand_like(p) for n, p in model.named_parameters()}
    by_hand = sum(
        (curved[n] * p.detach().square()).movedim(axis, 0).flatten(1).sum(1)
        if p.ndim > 1
        else curved[n] * p.detach().square()
        for n, p, axis in (
            ("0.weight", model[0].weight, 0), ("0.bias", model[0].bias, 0),
            ("1.weight", model[1].weight, 0), ("1.bias", model[1].bias, 0),
            ("3.weight", model[3].weight, 1),
        )
    )  # fmt: skip
    found = taylor(model, channels, curved)
    np.testing.assert_allclose([found[r] for r in group], by_hand, rtol=1e-6)


class Batches(nn.Module):
    """Two ways for channels to meet another axis: an add that broadcasts, a cut of the batch."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.one, self.two, self.cut = nn.Conv2d(2, 6, 1), nn.Linear(6, 6), cut
        self.last = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.one(x)
        y = y[:1] if self.cut else torch.relu(y) + self.two(y.mean((2, 3)))
        return self.last(y.mean((2, 3)))


@pytest.mark.parametrize("cut", [False, True])
def test_channels_that_meet_another_axis_stay(cut: bool) -> None:
    x = torch.zeros(6, 2, 6, 6)
    assert channels_of(Batches(cut), x).groups() == []


def test_refusals() -> None:
    model = coupled()
    channels = channels_of(model, X)
    fixed = next(iter(channels.fixed))
    with pytest.raises(PruningError, match="cannot go"):
        remove(model, channels, np.array([fixed]))
    group = next(g for g in channels.groups() if makers(channels, g) == {"fc1"})
    with pytest.raises(PruningError, match="'fc1' would lose all"):
        remove(model, channels, group)
    with pytest.raises(PruningError, match="pass no batch-norm"):
        gamma(model, channels, [group])
    with pytest.raises(PruningError, match=r"are left, more than 1\.0%"):
        chosen(model, channels, [group], magnitude(model, channels), Budget(0.01, None))
    with pytest.raises(PruningError, match=r"above 0 and at most 1, got 0"):
        Budget(0.0, None)


def test_resnet_50_loses_three_quarters_of_its_parameters_and_half_of_its_macs() -> None:
    """Shapes only: bottlenecks with shortcuts, whose channels go together."""
    torch.manual_seed(0)
    model, example = resnet_50().eval(), torch.zeros(2, 3, 64, 64)
    total = sum(p.numel() for p in model.parameters())
    assert total == 25_557_032
    where = positions(model, torch.zeros(1, 3, 224, 224))
    channels = channels_of(model, example)
    whole = Budget(1.0, where).cost(model, channels, np.zeros(0, np.int64))
    assert whole == 4_089_184_256
    budget = Budget(0.24, None, round_to=8)
    gone = chosen(model, channels, channels.groups(), magnitude(model, channels), budget)
    left = Budget(1.0, where).cost(model, channels, gone)
    remove(model, channels, gone)
    assert sum(p.numel() for p in model.parameters()) < 0.25 * total
    assert left < 0.5 * whole
    assert model(example).shape == (2, 1000)
    assert all(m.out_channels % 8 == 0 for m in model.modules() if isinstance(m, nn.Conv2d))
