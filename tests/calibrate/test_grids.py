"""Scales of classes that depend on each other; what is observed; ratios in decibels."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate import Config
from hwc.compiler.calibrate import observe as observing
from hwc.compiler.calibrate.grids import solve
from hwc.compiler.calibrate.losses import sqnr_db
from hwc.compiler.calibrate.observe import Observed, observe
from hwc.compiler.calibrate.place import place
from hwc.compiler.calibrate.plan import Layer, Plan, Rescale
from hwc.compiler.calibrate.scales import mantissa_bits
from hwc.compiler.source import Affine, Relu, evaluate

IDEAL = {"a": 0.0731, "b": 0.0519, "c": 0.0117}


def error(name: str, scale: float) -> float:
    return math.log(scale / IDEAL[name]) ** 2


def solved(plan: Plan, **options: Any) -> dict[str, float]:
    return solve(
        plan, {k: v for k, v in IDEAL.items() if k not in plan.fixed}, error, Config(**options)
    )


def test_a_chain_has_ratios_of_four_bits() -> None:
    found = solved(Plan(rescales=[Rescale("a", "b", "b"), Rescale("b", "c", "c")]))
    assert mantissa_bits(found["c"]) <= 8
    for up, down in (("a", "b"), ("b", "c")):
        assert mantissa_bits(found[up] / found[down]) <= 4
        assert found[up] / found[down] * found[down] == found[up]
    assert all(abs(found[k] / IDEAL[k] - 1) <= 2.0**-4 for k in IDEAL)


def test_behind_an_odd_mean_ratios_have_two_bits() -> None:
    found = solved(Plan(rescales=[Rescale("a", "b", "b", 49)]))
    assert mantissa_bits(found["a"] / found["b"]) <= 2
    assert mantissa_bits(solved(Plan(rescales=[Rescale("a", "b", "b", 16)]))["a"]) > 2


@pytest.mark.parametrize(
    "plan",
    [
        Plan(rescales=[Rescale("a", "b", "b"), Rescale("a", "c", "c")]),
        Plan(rescales=[Rescale("a", "b", "b"), Rescale("b", "a", "a"), Rescale("b", "c", "c")]),
        Plan(layers={"l": Layer("l", "a", ["b", "c"])}, rescales=[Rescale("a", "b", "b")]),
        Plan(fixed={"b": 1 / 255}, rescales=[Rescale("a", "b", "b"), Rescale("c", "b", "b")]),
    ],
    ids=["fork", "circle", "siblings", "given"],
)
def test_elsewhere_ratios_are_powers_of_two(plan: Plan) -> None:
    found = solved(plan)
    assert found | plan.fixed == found
    assert all(mantissa_bits(found[k] / found["b"]) == 1 for k in found)
    free = [k for k in found if k not in plan.fixed]
    assert all(abs(math.log2(found[k] / IDEAL[k])) <= 0.51 for k in free)


def test_nothing_is_clipped_where_that_is_the_rule_and_thresholds_need_no_ratio() -> None:
    plan = Plan(rescales=[Rescale("a", "b", "b"), Rescale("a", "c", "c")])
    assert all(solved(plan, ranges="minmax")[k] >= IDEAL[k] for k in IDEAL)
    found = solved(plan, act_bits=4)
    assert all(abs(found[k] / IDEAL[k] - 1) <= 2.0**-8 for k in IDEAL)


def test_long_chains_stay_exact_in_float64() -> None:
    names = [f"n{i}" for i in range(40)]
    edges = [Rescale(a, b, b) for a, b in pairwise(names)]
    ideal = dict(zip(names, np.random.default_rng(0).lognormal(-3, 1, 40), strict=True))
    found = solve(Plan(rescales=edges), ideal, lambda n, s: abs(s - ideal[n]), Config())
    assert max(map(mantissa_bits, found.values())) <= 34
    assert all(0.6 < found[n] / ideal[n] < 1.6 for n in names)


def test_normalized_images_keep_their_eight_bits(net: Any) -> None:
    x = net.op(Affine(), net.input(2, 6, 6), net.tensor([2.0, 3.0]), net.tensor([-1.0, -1.0]))
    y = net.op(Relu(), net.conv(x, 4))
    assert place(net.source(net.conv(y, 3)), Config.of("w4a4")).bits == {x: 8, y: 4}


def test_observation_takes_all_batches(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    y = net.conv(net.input(2, 6, 6), 4)
    source, frames = net.source(y), net.frames(9)
    whole = evaluate(source, frames)[y]
    for size in (1 << 30, 1):
        monkeypatch.setattr(observing, "BATCH_BYTES", size)
        seen = observe(source, frames, [y])[y]
        assert (seen.low, seen.high) == (whole.min(), whole.max())
        np.testing.assert_array_equal(np.sort(seen.sample), np.sort(whole.ravel()))


def test_large_activations_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "SAMPLE", 1000)
    seen = Observed(40_000, 0)
    for start in (3, 0, 1, 2):
        seen.add(np.arange(start * 10_000, (start + 1) * 10_000).reshape(100, 100))
    assert (seen.low, seen.high) == (0, 39_999)
    assert seen.sample.size == 1000
    np.testing.assert_allclose(np.percentile(seen.sample, [25, 50, 75]), [1e4, 2e4, 3e4], rtol=0.1)


def test_decibels() -> None:
    x = np.array([3.0, 4.0])
    assert sqnr_db(x, x) == math.inf
    assert sqnr_db(0 * x, x) == -math.inf
    assert sqnr_db(x, 1.1 * x) == pytest.approx(20)
