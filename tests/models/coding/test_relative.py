"""Relative indices: against the definition, and the width of least cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwc.models.coding import relative
from hwc.models.coding.errors import CodingError

FLAT = st.lists(st.sampled_from([0, 0, 0, 0, 0, 0, 2, -1]), min_size=1, max_size=300)


@given(FLAT, st.integers(1, 5))
def test_round_trip(values, bits):
    flat = np.array(values, np.int64)
    skipped, stored = relative.gaps(flat, bits)
    assert skipped.max(initial=0) < 2**bits
    np.testing.assert_array_equal(relative.ungap(skipped, stored, len(flat)), flat)


@given(FLAT, st.integers(1, 5))
def test_cost_counts_what_is_stored(values, bits):
    flat = np.array(values, np.int64)
    assert relative.cost(flat, bits, 3) == len(relative.gaps(flat, bits)[0]) * (bits + 3)


def test_example_of_the_paper():
    # Han et al. 2016, figure 2: a gap of 3 bits; beyond 8 a filler of value zero.
    flat = np.zeros(16, np.int64)
    flat[[1, 4, 15]] = [3, 9, 17]
    skipped, stored = relative.gaps(flat, 3)
    np.testing.assert_array_equal(skipped, [1, 2, 7, 2])
    np.testing.assert_array_equal(stored, [3, 9, 0, 17])


@pytest.mark.parametrize(("density", "bits"), [(0.1, 5), (0.04, 6), (0.02, 7), (0.01, 8)])
def test_best_width_for_a_density(density, bits):
    flat = (np.random.default_rng(3).random(200_000) < density).astype(np.int64)
    assert relative.best_width(flat, 5) == bits


def test_indices_beyond_the_end_are_refused():
    with pytest.raises(CodingError, match="reach 9, beyond 8 weights"):
        relative.ungap(np.array([3, 5]), np.array([1, 1]), 8)
