"""Selection of the largest elements."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.compiler.graph import ArgMax, GraphError, TopK, Type, run
from hwc.hw.layout import LayoutError
from hwc.hw.units.select import SelectUnit

from .solo import check, firings, interval

KINDS = (Type((1,), -32, 31), Type((1,), 0, 3), Type((1,), -1, 1, bipolar=True))


@pytest.mark.parametrize("seed", range(24))
def test_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 14))
    head = tuple(int(n) for n in rng.integers(1, 4, seed % 4 and seed % 3))
    x = KINDS[int(rng.integers(len(KINDS)))].with_shape((*head, size))
    op = TopK(int(rng.integers(1, min(size, 6) + 1))) if seed % 3 else ArgMax()
    unit = SelectUnit(op, x, int(rng.integers(1, size + 1)))
    check(unit, seed, batch=9, stall=0.3 * (seed % 2))
    assert interval(unit) == firings(unit) == unit.inputs()["x"].beats


def test_stimulus_has_ties() -> None:
    """Equal largest values, or a wrong comparison would go unseen."""
    unit = SelectUnit(ArgMax(), Type((10,), -32, 31), 3)
    x = unit.stimulus(np.random.default_rng(0), 12)["x"]
    assert ((x == x.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum() >= 5


def test_lowest_index_of_equals() -> None:
    unit = SelectUnit(TopK(4), Type((7,), 0, 3), 3)
    y = run(unit.graph(), {"x": np.array([[1, 3, 1, 3, 0, 1, 3]])})["y"]
    assert y.tolist() == [[1, 3, 6, 0]]


def test_candidates_and_refusals() -> None:
    found = SelectUnit.candidates(ArgMax(), Type((10,), 0, 3))
    assert [unit.lanes for unit in found] == [1, 2, 3, 4, 5, 10]
    with pytest.raises(GraphError, match="at most the 3 channels"):
        SelectUnit(TopK(4), Type((3,), 0, 3), 1)
    with pytest.raises(LayoutError, match=r"takes 1\.\.3, not 4"):
        SelectUnit(ArgMax(), Type((3,), 0, 3), 4)
