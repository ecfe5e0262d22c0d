"""Sums of products: exact, and there in the promised cycle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module, Signal

from hwc.compiler.graph import Type
from hwc.hw.dot import ConstantDotSpec, DotError, DotSpec, Number, SumSpec

from .dotbench import all_values, simulate, some_values

BIPOLAR = Number(-1, 1, bipolar=True)
TERNARY = Number(-1, 1)
U = Number.unsigned
S = Number.two_complement


def check(specs: list, cycles: int = 24, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    simulate(specs, [some_values(spec, rng, cycles) for spec in specs])


def test_tiny_exhaustive() -> None:
    specs = [DotSpec(BIPOLAR, BIPOLAR, n, popcount=p) for n in (1, 2, 3) for p in (True, False)]
    specs += [DotSpec(BIPOLAR, BIPOLAR, 2, popcount=p, masked=2) for p in (True, False)]
    small = (BIPOLAR, TERNARY, U(1), U(2), S(2))
    specs += [DotSpec(x, w, 1) for x, w in itertools.product(small, small)]
    specs += [DotSpec(U(3), S(3), 1), DotSpec(S(3), S(3), 1), DotSpec(S(4), S(4), 1)]
    specs += [DotSpec(TERNARY, S(2), 2), DotSpec(U(1), U(2), 2, masked=1)]
    simulate(specs, [all_values(spec) for spec in specs])


KINDS = (BIPOLAR, TERNARY, U(1), S(2), U(2), S(3), U(4), Number(3, 5), S(5))


def test_every_pair_of_kinds() -> None:
    specs = []
    for i, (x, w) in enumerate(itertools.product(KINDS, KINDS)):
        specs.append(DotSpec(x, w, 1 + i % 3, "lut", levels=(3, 4, 6)[i % 3], masked=i % 5 == 0))
    check(specs, cycles=10)


@pytest.mark.parametrize("levels", [3, 6, 12])
def test_many_lanes(levels: int) -> None:
    check(
        [
            DotSpec(BIPOLAR, BIPOLAR, 37, levels=levels),
            DotSpec(BIPOLAR, BIPOLAR, 64, levels=levels, popcount=True, masked=5),
            DotSpec(U(2), TERNARY, 19, levels=levels),
            DotSpec(U(4), S(4), 9, levels=levels),
            DotSpec(U(8), BIPOLAR, 6, levels=levels),
        ]
    )


def test_wide_lut_products() -> None:
    check([DotSpec(S(8), S(8), 3, "lut"), DotSpec(U(8), U(7), 2, "lut"), DotSpec(S(12), U(9), 1)])


def test_dsp_groups_and_masks() -> None:
    specs = [DotSpec(S(8), S(8), n, "dsp", masked=n // 2) for n in (1, 2, 3, 5, 9)]
    check([*specs, DotSpec(U(8), S(8), 6), DotSpec(S(25), S(18), 2), DotSpec(U(17), U(17), 1)])


def test_sums_and_wired_weights() -> None:
    weights = tuple(int(w) for w in np.random.default_rng(1).integers(-128, 128, 12))
    signs = (1, -1, -1, 1, 1, -1, 1, 1, 1)
    check(
        [
            SumSpec(((S(8), 1),) * 9),
            SumSpec(((U(3), 1), (S(5), -3), (BIPOLAR, 7), (U(1), 0)), offset=-11),
            SumSpec(((U(4), 4),)),
            ConstantDotSpec(U(4), weights),
            ConstantDotSpec(S(4), weights),
            ConstantDotSpec(BIPOLAR, weights),
            ConstantDotSpec(BIPOLAR, signs, popcount=True),
            ConstantDotSpec(U(2), (0, 0, 1, 0, -1)),
            ConstantDotSpec(U(2), (0, 0, 0)),
            ConstantDotSpec(U(2), (-1,) * 20),
        ]
    )


def test_sums_that_wrap() -> None:
    weights = ((S(9), 1), (U(7), -3), (BIPOLAR, 7), (S(3), 24), (S(12), 2))
    specs = [SumSpec(weights, offset=5, bits=n) for n in (2, 3, 7, 10, 13, 20)]
    specs += [SumSpec(((S(n), pow(9, -1, 1 << n)),), bits=n) for n in (4, 9, 22)]
    specs += [SumSpec(((U(5), -1),), bits=3), SumSpec(((S(3), 1),), bits=8)]
    check(specs, cycles=99)
    assert SumSpec(weights, bits=7).result == S(7)
    assert SumSpec(weights, bits=7).resources().lut < SumSpec(weights).resources().lut


def test_plain_wires_take_no_cycle() -> None:
    for spec in (SumSpec(((U(4), 4),)), ConstantDotSpec(S(3), (0, 1)), ConstantDotSpec(U(2), (0,))):
        assert (spec.latency, spec.resources().lut, spec.resources().ff) == (0, 0, 0)


def test_result_interval() -> None:
    assert DotSpec(U(2), S(2), 3).result == Number(-18, 9)
    assert DotSpec(BIPOLAR, BIPOLAR, 3).result == Number(-3, 3)
    assert DotSpec(BIPOLAR, BIPOLAR, 3, popcount=True).result == Number(0, 3)
    assert DotSpec(Number(2, 3), U(1), 3, masked=1).result == Number(0, 9)
    assert DotSpec(Number(2, 3), Number(5, 5), 3, masked=1).result == Number(20, 45)
    assert ConstantDotSpec(U(2), (3, -2, 0)).result == Number(-6, 9)
    assert SumSpec(((S(4), 1), (U(1), -1)), offset=2).result == Number(-7, 9)


def test_number_of_a_type() -> None:
    assert Number.of(Type((3,), -8, 7)) == S(4)
    assert Number.of(Type((3,), -1, 1, bipolar=True)) == BIPOLAR
    assert (BIPOLAR.width, TERNARY.width, U(4).width, S(4).width, Number(0, 0).width) == (
        1,
        2,
        4,
        4,
        1,
    )
    assert (BIPOLAR.signed, TERNARY.signed, U(4).signed) == (False, True, False)


def test_levels_hold_and_trade_cycles() -> None:
    for spec in (DotSpec(BIPOLAR, BIPOLAR, 64), DotSpec(U(4), S(4), 16)):
        deep = DotSpec(spec.x, spec.w, spec.lanes, levels=12)
        shallow = DotSpec(spec.x, spec.w, spec.lanes, levels=3)
        assert deep.latency < shallow.latency
        assert deep.worst_levels <= 12
        assert shallow.worst_levels <= 3


def test_lut_per_product_stays_low() -> None:
    """The figures of the design: previously generated 1.7, 13, 39 and 148 LUTs a product."""

    def per(spec: DotSpec) -> float:
        return spec.resources().lut / spec.lanes

    assert per(DotSpec(BIPOLAR, BIPOLAR, 64)) < 1.05
    assert per(DotSpec(U(3), S(3), 64, "lut")) < 9
    assert per(DotSpec(U(8), S(3), 64, "lut")) < 23
    assert per(DotSpec(S(8), S(8), 64, "lut")) < 50
    assert DotSpec(S(8), S(8), 64, "dsp").resources().dsp == 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Number(3, 2), "lo <= hi"),
        (lambda: Number(0, 1, bipolar=True), "bipolar number has lo=-1"),
        (lambda: DotSpec(U(2), U(2), 0), "lanes >= 1 is needed, got 0"),
        (lambda: DotSpec(U(2), U(2), 2, masked=3), "masked is 0 to lanes=2, got 3"),
        (lambda: DotSpec(U(2), U(2), 2, popcount=True), "popcount needs bipolar"),
        (lambda: DotSpec(U(2), U(2), 2, levels=2), "takes 3 levels .* got levels=2"),
        (lambda: DotSpec(U(2), U(2), 2, "dsp"), "together 9 or more.*use style 'lut'"),
        (lambda: DotSpec(U(20), U(18), 2, "dsp"), "25 x 18"),
        (lambda: SumSpec(()), "one term or more"),
        (lambda: ConstantDotSpec(BIPOLAR, (1, 2), popcount=True), r"weights \[1, 2\]"),
    ],
)
def test_refusals(make, message: str) -> None:
    with pytest.raises(DotError, match=message):
        make()


def test_refuses_operands_that_do_not_fit() -> None:
    spec = DotSpec(U(2), S(3), 2, masked=1)
    x, w = [Signal(2), Signal(2)], [Signal(3), Signal(3)]
    for a, b, mask, message in (
        (x[:1], w, Signal(), "x needs 2 values of 2 bits, got 1 of"),
        (x, x, Signal(), r"w needs 2 values of 3 bits, got 2 of \[2\]"),
        (x, w, None, "mask needs 1 bits, got none"),
    ):
        with pytest.raises(DotError, match=message):
            spec.build(used(), a, b, mask)
    with pytest.raises(DotError, match=r"values of \[2, 2\] bits are needed, got \[2\]"):
        SumSpec(((U(2), 1), (U(2), 1))).build(used(), [Signal(2)])


def used() -> Module:
    """A module that Amaranth does not warn about when it is dropped."""
    m = Module()
    Fragment.get(m, None)
    return m
