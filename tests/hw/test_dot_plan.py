"""Plans add up any heap: they take only bits that are there, and none is lost."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.hw.dot.heap import DIRECT, INVERTED, Block, Chain
from hwc.hw.dot.planner import STRATEGIES, plan
from hwc.hw.dot.search import best_chain, finishing_chain


@pytest.mark.parametrize("seed", range(12))
def test_any_heap_ends_with_a_bit_a_column(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        width = int(rng.integers(1, 9))
        heap = rng.integers(0, 5, (width, 8)) * rng.integers(0, 2, (1, 8))
        heap[:, 0] = rng.integers(0, 2, width)
        strategy = STRATEGIES[int(rng.integers(len(STRATEGIES)))]
        found = plan(heap.tolist(), int(rng.integers(3, 8)), strategy)
        bits = heap.copy()
        luts = 0
        for stage in found.stages:
            made = np.zeros_like(bits)
            for chain, copies in stage.chains:
                for column, kind in chain.needs():
                    bits[column, kind] -= copies
                for column in chain.gives(width):
                    made[column, DIRECT] += copies
                luts += chain.luts * copies
            assert bits.min() >= 0
            bits += made
        assert bits.sum(1).max() <= 1
        assert not bits[:, INVERTED:DIRECT].any()
        assert luts == found.luts


def test_the_best_counter_pays_at_the_lowest_price() -> None:
    """Five plain bits on three more and a carry: 9 bits to 4 in three LUTs."""
    heap = [[0] * 7 + [7], [0] * 7 + [1], [0] * 7 + [1], [0] * 8]
    chain = best_chain(heap, (0.3, 0.68, 1, 1, 1, 1, 9, 0.65))
    assert chain == Chain(0, DIRECT, (Block((DIRECT,) * 5, (), (DIRECT,) * 3),))
    assert chain is not None
    assert (chain.luts, chain.most, list(chain.gives(4))) == (3, 13, [0, 1, 2, 3])
    assert best_chain([[0] * 7 + [2], [0] * 8], (0.3, 0.65, 1, 1, 1, 1, 9, 0.62)) is None


def test_two_rows_finish_as_one_adder() -> None:
    chain = finishing_chain([[0] * 7 + [1], *([0] * 7 + [2] for _ in range(6)), [0] * 8])
    assert chain is not None
    assert (chain.start, chain.luts, chain.passes) == (1, 6, 0)
    assert finishing_chain([[0] * 7 + [9]] * 4) is None


def test_where_no_counter_pays_a_plain_adder_goes_on() -> None:
    """A column of two bits and a constant between columns of one and a constant."""
    heap = [[1, *[0] * 6, 1], [1, *[0] * 6, 2], *([1, *[0] * 6, 1] for _ in range(3)), [0] * 8]
    for strategy in STRATEGIES:
        assert len(plan(heap, 6, strategy).stages) <= 3
