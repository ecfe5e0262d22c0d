"""What windows, pools, joins and converters say they cost, against yosys."""

from __future__ import annotations

import pytest

from hwc.compiler.graph import Add, ArgMax, GlobalSumPool, TopK, Type, Window, WindowReduce
from hwc.hw.core import Core
from hwc.hw.unit import Unit
from hwc.hw.units.add import AddUnit
from hwc.hw.units.control import control_resources
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.repack.unit import Repack
from hwc.hw.units.select import SelectUnit
from hwc.hw.units.window.unit import LineBuffer, WindowFold
from hwc.sim.synth import synthesize
from hwc.sim.toolchain import MissingTool

U4, SUM = Type((1,), 0, 15), Type((1,), -2000, 2000)
SAME = Window((3, 3), padding=(1, 1, 1, 1))
MAP = U4.with_shape((28, 28, 16))

UNITS = (
    LineBuffer(SAME, MAP, WindowFold(16, taps=9)),
    LineBuffer(SAME, MAP, WindowFold(16, taps=9, shift=True)),
    LineBuffer(SAME, MAP, WindowFold(4)),
    LineBuffer(SAME, U4.with_shape((32, 32, 64)), WindowFold(8, taps=3)),
    LineBuffer(SAME, U4.with_shape((28, 28, 8)), WindowFold(8, 2, 2, 3)),
    LineBuffer(Window((2, 2), (2, 2), groups=16), MAP, WindowFold(16, taps=4)),
    Reduce(WindowReduce("max"), U4.with_shape((14, 14, 16, 4, 1)), (1, 1, 16, 4, 1)),
    Reduce(WindowReduce("sum"), U4.with_shape((14, 14, 16, 4, 1)), (1, 1, 16, 1, 1)),
    GlobalPool(GlobalSumPool(), U4.with_shape((7, 7, 64)), 4),
    AddUnit(Add((3, 5)), (SUM.with_shape((8, 8, 16)),) * 2, (1, 1, 4)),
    SelectUnit(ArgMax(), SUM.with_shape((10,)), 10),
    SelectUnit(TopK(5), SUM.with_shape((1000,)), 2),
    Repack(MAP, (1, 1, 6), U4.with_shape((28 * 28 * 16,)), (4,)),
)


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=lambda u: type(u).__name__)
def test_estimates(unit: Unit) -> None:
    """Within 40 % and a few LUTs: yosys is no better a prophet of the vendor's tool."""
    try:
        found = synthesize(Core(unit)).resources()
    except MissingTool as error:
        pytest.skip(str(error))
    said = unit.resources()
    assert abs(said.lut - found.lut) <= 20 + 0.4 * found.lut, (said, found)
    assert abs(said.ff - found.ff) <= 20 + 0.4 * found.ff, (said, found)
    assert (said.dsp, said.bram18) == (found.dsp, found.bram18)


def test_control_is_counted_from_the_schedule() -> None:
    """More loops and waiting cost more; nothing of the size of a frame is looked at."""
    small = LineBuffer(SAME, U4.with_shape((28, 28, 1)), WindowFold(1, taps=9))
    large = LineBuffer(SAME, U4.with_shape((2000, 2000, 64)), WindowFold(1, taps=1))
    one, other = control_resources(small.schedule()), control_resources(large.schedule())
    assert 0 < one.lut < other.lut
    assert 0 < one.ff < other.ff
