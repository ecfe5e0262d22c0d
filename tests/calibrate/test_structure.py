"""Where quantizers go, what they share, and what stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwc.compiler.calibrate import Config, calibrate
from hwc.compiler.calibrate.place import place
from hwc.compiler.graph import ArgMax as GraphArgMax
from hwc.compiler.graph import Ratio, Requant
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    Concat,
    Flatten,
    Function,
    GlobalAvgPool,
    HardTanh,
    Linear,
    MaxPool,
    Multiply,
    Quant,
    Relu,
    Softmax,
    Source,
    evaluate,
)

Check = Callable[..., Any]
W8A8 = Config.of("w8a8", ranges="minmax")


def quantizers(source: Source) -> dict[str, tuple[int, int, float]]:
    """(lo, hi, scale) of each quantizer of an activation, by what it quantizes."""
    return {
        n.args[0]: (n.op.lo, n.op.hi, float(source.tensors[n.args[1]]))
        for n in source.nodes
        if isinstance(n.op, Quant) and n.name not in source.constants
    }


def test_raw_inputs_need_none_and_the_last_sums_stay(net: Any, check: Check) -> None:
    x = net.op(Relu(), net.linear(net.input(6), 8))
    out = net.linear(x, 3)
    calibrated, lowered = check(net, W8A8, out)
    found = quantizers(calibrated.source)
    assert list(found) == [x]
    assert found[x][:2] == (0, 255)
    (reading,) = lowered.outputs
    assert reading.node == out
    assert sum(isinstance(n.op, Requant) for n in lowered.graph.nodes) == 1


def test_signs_follow_what_was_seen(net: Any, check: Check) -> None:
    x = net.linear(net.input(6), 8)
    y = net.op(HardTanh(-0.5, 0.25), net.linear(x, 8))
    calibrated, _ = check(net, W8A8, net.linear(y, 3))
    found = quantizers(calibrated.source)
    assert found[x][:2] == (-128, 127)
    lo, hi, scale = found[y]
    assert lo == max(-128, round(-0.5 / scale))
    assert hi == round(0.25 / scale) < 127


@pytest.mark.parametrize(("bits", "most"), [("w8a8", 255), ("w4a4", 255), ("w4a6", 255)])
def test_float_inputs_are_quantized_at_once(net: Any, check: Check, bits: str, most: int) -> None:
    x = net.input(3, 6, 6, scale=None)
    y = net.op(Affine(), x, net.tensor([2.0]), net.tensor([0.1]))
    calibrated, _ = check(net, Config.of(bits), net.conv(y, 4))
    lo, hi, _ = quantizers(calibrated.source)[x]
    assert hi - lo == most
    readers = calibrated.source.consumers(x)
    assert [type(r.op) for r in readers] == [Quant]


def test_residuals_share_a_scale_through_chains_of_adds(net: Any, check: Check) -> None:
    x = net.op(Relu(), net.conv(net.input(2, 8, 8), 4))
    y, z = net.conv(x, 4), net.conv(x, 4, kernel=1)
    total = net.op(Add(), net.op(Add(), x, y), z)
    out = net.linear(net.op(GlobalAvgPool(), net.op(Relu(), total)), 3)
    calibrated, lowered = check(net, W8A8, out)
    found = quantizers(calibrated.source)
    assert found[x][2] == found[y][2] == found[z][2]
    assert (found[x][0], found[y][0]) == (0, -128)
    adds = [n.op for n in lowered.graph.nodes if type(n.op).__name__ == "Add"]
    assert all(set(op.multipliers) == {1} for op in adds)


def test_concats_share_a_scale_and_pools_stand_behind_quantizers(net: Any, check: Check) -> None:
    x = net.op(Relu(), net.conv(net.input(2, 8, 8), 4))
    y = net.op(Relu(), net.conv(x, 3))
    both = net.op(Concat(), net.op(MaxPool(), y), net.op(AvgPool(), x))
    out = net.linear(net.op(Flatten(), both), 3)
    calibrated, _ = check(net, W8A8, out)
    found = quantizers(calibrated.source)
    pooled = next(n.name for n in calibrated.source.nodes if isinstance(n.op, AvgPool))
    assert found[y][2] == found[pooled][2]
    assert set(found) == {x, y, pooled}


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_means_over_nine_and_over_thirty_six_have_no_ties(
    new_net: Callable[[int], Any], check: Check, bits: int
) -> None:
    for seed in range(12):
        net = new_net(seed)
        x = net.conv(net.input(2, 8, 8), 3)
        x = net.op(AvgPool((3, 3), (1, 1), (0, 0, 0, 0)), net.op(Relu(), x) if seed % 2 else x)
        x = net.op(GlobalAvgPool(), net.conv(x, 4))
        check(net, Config(6, bits), net.linear(x, 3))


def test_the_class_needs_one_scale_for_all_logits(net: Any, check: Check) -> None:
    x = net.op(Relu(), net.linear(net.input(6), 8))
    logits = net.linear(x, 4)
    calibrated, lowered = check(net, W8A8, logits, net.op(ArgMax(), logits))
    scales = calibrated.source.tensors[f"{logits}.weight_scale"]
    assert scales.shape == ()
    compare, last = lowered.graph.nodes[-2:]
    assert isinstance(last.op, GraphArgMax)
    assert isinstance(compare.op, Requant)
    assert set(compare.op.multiplier.values.tolist()) == {1}  # only biases are added
    layer = net.nodes[0].name
    assert calibrated.source.tensors[f"{layer}.weight_scale"].shape == (8,)


@pytest.mark.parametrize("compared", [False, True])
def test_a_softmax_reads_the_sums_as_they_are(net: Any, check: Check, compared: bool) -> None:
    """The host computes it, so that nothing in front of it has to be quantized; behind it a
    comparison sees the sums' order, for which the weight needs one scale."""
    sums = net.linear(net.input(6), 4)
    out = net.op(Softmax(), sums)
    if compared:
        out = net.op(ArgMax(), out)
    calibrated, _ = check(net, W8A8, out)
    assert quantizers(calibrated.source) == {}
    (weight,) = (n for n in calibrated.source.nodes if isinstance(n.op, Quant))
    assert (calibrated.source.tensors[weight.args[1]].size == 1) == compared


def test_a_softmax_inside_has_quantizers_on_both_sides(net: Any, check: Check) -> None:
    """Before it as before a table; what only an output reads of another stays a sum."""
    x = net.linear(net.input(6), 5)
    gates, last = net.op(Softmax(), x), net.op(Softmax(), x)
    y = net.linear(net.op(Relu(), gates), 3)
    assert place(net.source(y), Config.of("w4a4")).bits[x] == 8
    calibrated, lowered = check(net, W8A8, y, last)
    assert {x} < set(quantizers(calibrated.source))
    inside, outside = (calibrated.source.node(n).args[0] for n in (gates, last))
    assert isinstance(calibrated.source.node(inside).op, Quant)
    assert outside == x
    assert sum(isinstance(n.op, Ratio) for n in lowered.graph.nodes) == 1
    assert calibrated.losses[-1].sqnr_db > 30


def test_both_factors_of_a_product_are_quantized(net: Any, check: Check) -> None:
    """Each with a scale of its own; and what is made of the product."""
    x = net.linear(net.input(6), 5)
    y = net.op(Multiply(), x, net.op(Function("sigmoid"), net.linear(x, 5)))
    calibrated, _ = check(net, W8A8, net.linear(y, 3))
    factors = [calibrated.source.node(name) for name in calibrated.source.node(y).args]
    assert all(isinstance(node.op, Quant) for node in factors)
    assert len({node.args[1] for node in factors}) == 2
    assert y in quantizers(calibrated.source)
    assert calibrated.losses[-1].sqnr_db > 30


def test_tables_get_eight_to_ten_bits(net: Any) -> None:
    x = net.linear(net.input(6), 8)
    y = net.op(Function("sigmoid"), x)
    source = net.source(net.linear(y, 3))
    for bits, before in (("w4a4", 8), ("w8a8", 8)):
        plan = place(source, Config.of(bits))
        assert plan.bits == {x: before, y: int(bits[-1])}
    calibrated = calibrate(source, net.frames(50), W8A8)
    assert calibrated.losses[-1].sqnr_db > 35


def test_quantizers_that_are_there_stay(net: Any, check: Check) -> None:
    x = net.input(6, scale=1 / 16, hi=15)
    weight = net.op(Quant(-3, 3), net.tensor(net.rng.normal(size=(8, 6))), net.tensor(0.5))
    scale = net.tensor(0.25)
    y = net.op(Quant(0, 15), net.op(Relu(), net.op(Linear(), x, weight)), scale)
    calibrated, _ = check(net, W8A8, net.linear(y, 3))
    assert list(quantizers(calibrated.source)) == [net.nodes[2].name]
    kept = [n for n in calibrated.source.nodes if n in net.nodes]
    assert len(kept) == 4
    assert calibrated.source.node(weight).args == net.nodes[0].args


def test_bias_correction_restores_the_means(net: Any) -> None:
    x = net.op(Relu(), net.norm(net.conv(net.input(2, 8, 8), 6)))
    y = net.op(Relu(), net.conv(x, 5, stride=2))
    out = net.linear(net.op(Flatten(), y), 4, bias=False)
    source, frames = net.source(out), net.frames(40)
    off = []
    for corrected in (False, True):
        config = Config.of("w3a4", bias_correction=corrected, equalize=False)
        quantized = calibrate(source, frames, config).source
        names = tuple(n.name for n in quantized.nodes if type(n.op).__name__ in ("Conv", "Linear"))
        got = evaluate(quantized, frames, np.float64, names)
        norm = next(n.name for n in source.nodes if type(n.op).__name__ == "BatchNorm")
        same = {names[0]: norm}
        exact = evaluate(source, frames, np.float64, tuple(same.get(n, n) for n in names))
        worst = 0.0
        for name in names:
            a, b = exact[same.get(name, name)], got[name]
            axes = (0, *range(2, a.ndim))
            worst = max(worst, float(abs(a.mean(axes) - b.mean(axes)).max() / a.std()))
        off.append(worst)
    assert off[0] > 0.02
    assert off[1] < 1e-3  # what remains is the grid on which biases lie


def test_the_table_names_every_quantizer(net: Any) -> None:
    x = net.op(Relu(), net.linear(net.input(6), 8))
    out = net.linear(x, 3)
    calibrated = calibrate(net.source(out), net.frames(30), Config.of("w4a6", ranges="minmax"))
    kinds = [(loss.name, loss.kind, loss.bits) for loss in calibrated.losses]
    layer = net.nodes[0].name
    assert kinds == [
        (layer, "weight", 4), (x, "activation", 6), (out, "weight", 4), (out, "output", 0)
    ]  # fmt: skip
    text = calibrated.table()
    assert len(text.splitlines()) == 5
    assert all(name in text for name in (layer, x, out))
    weight, act, _, output = calibrated.losses
    assert weight.high == -weight.low > 0 == act.low
    assert 10 < output.sqnr_db < min(weight.sqnr_db, act.sqnr_db) + 10
