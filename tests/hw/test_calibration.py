"""Units whose cost is stated to a tenth: a sweep over operations, widths and folds, against yosys.

The other units are measured more coarsely, in test_moving_cost.py and test_dot_synth.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.back import verilog

from hwc.compiler.graph import (
    Add,
    GlobalMaxPool,
    GlobalSumPool,
    MultiThreshold,
    Requant,
    Type,
    WindowReduce,
)
from hwc.hw.core import Core
from hwc.hw.unit import Unit
from hwc.hw.units.activation import Activation
from hwc.hw.units.add import AddUnit
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.reduce import Reduce
from hwc.sim.synth import synthesize

U2, U4, U8 = (Type((1,), 0, 2**n - 1) for n in (2, 4, 8))
S4, S8 = Type((1,), -8, 7), Type((1,), -128, 127)
PM = Type((1,), -1, 1, bipolar=True)
RISING = MultiThreshold(np.sort(np.random.default_rng(0).permutation(96)[None, :15] - 32))


def sweep() -> Iterator[Unit]:
    """Two to four folds of each operation."""
    for a, b in ((U4, U4), (S4, S4), (S8, S8), (S8, U8), (S4, U4)):
        for lanes in (1, 6, 24):
            shapes = (a.with_shape((4, 24)), b.with_shape((4, 24)))
            yield AddUnit(Add((1, 1)), shapes, (1, lanes))
    for kind in (U4, U8, PM):
        for tile in ((1, 4, 1), (3, 2, 1), (12, 4, 1)):
            shape = kind.with_shape((5, 5, 12, 4, 1))
            yield Reduce(WindowReduce("max"), shape, (1, 1, *tile))
    for op in (GlobalSumPool(), GlobalMaxPool()):
        for kind in (U4, U8):
            for lanes in (2, 8, 32):
                yield GlobalPool(op, kind.with_shape((6, 6, 32)), lanes)
    for lanes in (1, 8):
        yield Activation(RISING, Type((6, 32), -32, 63), (1, lanes))
        yield Activation(Requant((1,), (0,), 0, 0, 255), Type((6, 32), -128, 382), (1, lanes))


@pytest.mark.slow
@pytest.mark.parametrize("unit", list(sweep()), ids=lambda u: f"{type(u).__name__}-{u.describe()}")
def test_a_tenth(unit: Unit) -> None:
    found = synthesize(verilog.convert(Core(unit), name="top", emit_src=False)).resources()
    said = unit.resources()
    assert abs(said.lut - found.lut) <= max(8, 0.1 * found.lut), (said, found)
    assert abs(said.ff - found.ff) <= max(8, 0.1 * found.ff), (said, found)
    assert (said.dsp, said.bram18) == (found.dsp, found.bram18), (said, found)
