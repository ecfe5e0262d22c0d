"""Masks and what chooses them: magnitudes, schedules, patterns, surgery, sensitivity."""

from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from torch import nn

from hwc.models.compress.method import Work
from hwc.models.pruning.gradual import density_at
from hwc.models.pruning.magnitude import keep_best, keep_best_of_all
from hwc.models.pruning.mask import PruningError, density, latent_of, mask_of, set_mask
from hwc.models.pruning.patterns import keep_pattern
from hwc.models.pruning.sensitivity import Curve, densities, scan
from hwc.models.pruning.steps import Surgery
from hwc.models.pruning.surgery import DenseMask, Thresholds, operate, settle
from hwc.models.quantize.snap import snap
from hwc.models.quantize.weight import (
    IntWeight,
    clip_weights,
    quantize_weight,
    weight_quantizers,
)


def layer(inputs: int = 8, outputs: int = 4, seed: int = 0) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    with torch.no_grad():
        made.weight.copy_(
            torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))
        )
    return made


def test_masked_weights_are_zero_keep_their_latent_and_get_no_gradient() -> None:
    fc = layer()
    before = fc.weight.detach().clone()
    keep = torch.rand(4, 8, generator=torch.Generator().manual_seed(1)) < 0.5
    set_mask(fc, keep)
    assert torch.equal(fc.weight, torch.where(keep, before, torch.tensor(0.0)))
    assert not torch.signbit(fc.weight[~keep]).any(), "no -0"
    assert torch.equal(latent_of(fc), before)
    fc(torch.ones(1, 8)).sum().backward()
    grad = latent_of(fc).grad
    assert grad is not None
    assert torch.equal(grad != 0, keep)
    set_mask(fc, ~keep)
    assert torch.equal(fc.weight != 0, ~keep)
    assert density(fc) == float((~keep).float().mean())


def test_a_quantizer_behind_a_mask_keeps_its_zeros() -> None:
    fc = layer()
    set_mask(fc, keep_best(fc.weight.abs(), 0.25))
    quantize_weight(fc, IntWeight(4))
    mask = mask_of(fc)
    assert mask is not None
    assert not fc.weight[~mask.keep].any()
    ((latent, quantizer),) = weight_quantizers(fc)
    assert latent is latent_of(fc)
    before = fc.eval().weight.detach()
    assert torch.equal(snap(fc).weight, before)  # pyright: ignore
    with torch.no_grad():
        latent.mul_(100)
    clip_weights(fc)
    assert float(latent.detach().abs().max()) <= float(quantizer.bound())
    set_mask(fc, torch.ones(4, 8, dtype=torch.bool))  # still the mask of before, changed
    with pytest.raises(PruningError, match="quantized already; prune first, then quantize"):
        set_mask(quantize_weight(layer(), IntWeight(4)), torch.ones(4, 8, dtype=torch.bool))
    with pytest.raises(PruningError, match=r"mask of \(2, 2\) for a weight of \(4, 8\)"):
        set_mask(layer(), torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.parametrize("share", [0, 0.1, 0.3333, 1])
def test_keep_best_counts_exactly_and_prefers_the_first_of_equals(share: float) -> None:
    scores = torch.tensor([[3.0, 1, 2], [2, 2, 5]])
    keep = keep_best(scores, share)
    assert int(keep.sum()) == round(share * 6)
    if keep.any() and not keep.all():
        assert scores[keep].min() >= scores[~keep].max()
    assert keep_best(torch.ones(5), 0.4).tolist() == [True, True, False, False, False]
    with pytest.raises(PruningError, match=r"share 0\.\.1, got 1\.5"):
        keep_best(scores, 1.5)


def test_one_threshold_for_all_layers() -> None:
    scores = {"a": torch.tensor([1.0, 9, 8]), "b": torch.tensor([[7.0, 2]])}
    masks = keep_best_of_all(scores, 0.6)
    assert masks["a"].tolist() == [False, True, True]
    assert masks["b"].tolist() == [[True, False]]


def test_the_schedule_is_cubic_and_holds_its_end() -> None:
    assert density_at(0, 100, 0.1) == 1
    assert density_at(50, 100, 0.2, 1.0) == pytest.approx(0.2 + 0.8 / 8)
    assert density_at(100, 100, 0.1) == density_at(400, 100, 0.1) == 0.1
    falls = [density_at(s, 100, 0.05) for s in range(101)]
    assert all(a > b for a, b in pairwise(falls))
    with pytest.raises(PruningError, match="0 <= final <= start <= 1"):
        density_at(0, 10, 0.5, 0.2)


@pytest.mark.parametrize("shape", [(6, 16), (5, 8, 3), (5, 8, 3, 3)])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (3, 8)])
def test_patterns_keep_the_n_best_of_every_m_inputs(shape: tuple[int, ...], n: int, m: int) -> None:
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(3))
    keep = keep_pattern(scores, n, m)
    assert keep.shape == scores.shape
    groups = keep.movedim(1, -1).reshape(-1, m)
    assert (groups.sum(1) == n).all()
    values = scores.movedim(1, -1).reshape(-1, m)
    worst_kept = torch.where(groups, values, torch.inf).min(1).values
    best_gone = torch.where(groups, -torch.inf, values).max(1).values
    assert (worst_kept >= best_gone).all()


def test_patterns_refuse_what_does_not_divide() -> None:
    with pytest.raises(PruningError, match="4 does not divide the 6 inputs"):
        keep_pattern(torch.rand(2, 6), 2, 4)
    with pytest.raises(PruningError, match=r"4:4: n must be 1\.\.3"):
        keep_pattern(torch.rand(2, 8), 4, 4)


def test_surgery_masks_splices_and_leaves_the_band_alone() -> None:
    limits = Thresholds(0.9, 1.1)
    weight = torch.tensor([0.9, -0.9, 1.0, -1.0, 1.2, -1.2, 0.0])
    kept = torch.tensor([True, False, True, False, True, False, True])
    assert limits.update(weight, kept).tolist() == [False, False, True, False, True, True, False]
    made = Thresholds.of(torch.tensor([1.0, -3.0]), 0.5)  # mean 2, deviation 1
    assert (made.low, made.high) == (pytest.approx(0.9 * 2.5), pytest.approx(1.1 * 2.5))


def test_surgery_lets_a_masked_weight_learn_and_come_back() -> None:
    fc = layer(2, 1)
    with torch.no_grad():
        fc.weight.copy_(torch.tensor([[0.1, 1.0]]))
    limits = Thresholds(0.45, 0.55)
    operate(fc.train(), limits)
    assert fc.weight.tolist() == [[0, 1]]
    optimizer = torch.optim.SGD([latent_of(fc)], lr=1.0)
    (-fc(torch.tensor([[1.0, 0.0]]))).sum().backward()  # wants the first weight larger
    optimizer.step()
    assert fc.weight[0, 0] == 0, "masked until the next look"
    operate(fc, limits)
    assert float(fc.weight[0, 0].detach()) == pytest.approx(1.1)
    operate(fc, Thresholds(1.5, 2.0))
    settle(fc)
    assert not any(isinstance(m, DenseMask) for m in fc.modules())
    latent_of(fc).grad = None
    fc(torch.ones(1, 2)).sum().backward()
    assert latent_of(fc).grad.tolist() == [[0, 0]], "what is masked learns no more"  # pyright: ignore


def test_sensitivity_gives_the_layer_that_matters_more() -> None:
    curves = {"a": Curve(100, (0.5, 0.1), (0.0, 0.01)), "b": Curve(100, (0.5, 0.1), (0.1, 0.4))}
    shares = densities(curves, 0.4)
    assert shares["b"] > shares["a"]
    assert sum(shares.values()) / 2 == pytest.approx(0.4)
    assert curves["b"].density(0.05) == pytest.approx(0.75)
    tiny = densities(curves, 0.01)
    assert sum(tiny.values()) / 2 == pytest.approx(0.01)


def test_a_scan_changes_nothing_and_sees_the_loss() -> None:
    fc = layer()
    before = fc.weight.detach().clone()
    x = torch.rand(200, 8, generator=torch.Generator().manual_seed(5)) - 0.5
    with torch.no_grad():
        labels = fc(x).argmax(1)

    def evaluate() -> float:
        return float((fc(x).argmax(1) == labels).float().mean())

    curve = scan({"fc": fc}, evaluate)["fc"]
    assert torch.equal(fc.weight, before)
    assert all(a <= b for a, b in pairwise(curve.drops))
    assert curve.drops[-1] > 0.2


@pytest.mark.parametrize(
    ("options", "least", "most"),
    [
        ({"gamma": 0.0, "stop": 0.5}, 51, 51),  # at the start, then at all of the first 50 steps
        ({"gamma": 0.0, "stop": 1.0}, 101, 101),
        ({"gamma": 1.0, "power": 1.0, "stop": 1.0}, 2, 20),  # about ln 100 more
        ({"gamma": 1.0, "power": 0.5, "stop": 1.0}, 12, 30),  # about 2 * 10
    ],
)
def test_surgery_looks_less_and_less_and_stops(options, least, most, monkeypatch) -> None:
    """With probability (1 + gamma * step)**-power, before `stop` of the training."""
    looks = []
    monkeypatch.setattr("hwc.models.pruning.steps.operate", lambda *_: looks.append(1))

    def train(epochs, lr, *, after_step) -> None:
        for step in range(100):
            after_step(step, 100)

    nothing: Any = None
    net, trainer = layer(), cast("Any", train)
    work = Work(net, {"0": net}, nothing, 3, trainer, nothing, nothing, net)
    Surgery(**options).apply(work)
    assert least <= len(looks) <= most
