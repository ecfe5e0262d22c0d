"""The context-mixing range coder: exact, near the entropy, better where there is structure."""

import math

import numpy as np
import pytest

from hwc.models.coding import mixing
from hwc.models.coding.errors import CodingError


def grid(seed: int, shape: tuple[int, int], density: float, levels: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.integers(0, levels, shape), -1)


CASES = [
    (0, (30, 40), 0.1, 2, 1),
    (1, (30, 40), 1.0, 3, 8),
    (2, (1, 500), 0.5, 17, 1),
    (3, (500, 1), 0.02, 1, 1),
    (4, (13, 77), 0.3, 255, 7),
    (5, (3, 3), 0.0, 0, 1),
    (6, (1, 1), 1.0, 1, 1),
]


@pytest.mark.parametrize(("seed", "shape", "density", "levels", "period"), CASES)
def test_round_trip(seed, shape, density, levels, period):
    values = grid(seed, shape, density, max(levels, 1)) if levels else np.full(shape, -1)
    data = mixing.encode(values, levels, period)
    zeros = bool((values < 0).any())
    np.testing.assert_array_equal(mixing.decode(data, shape, zeros, levels, period), values)


def test_near_the_entropy_of_independent_weights():
    values = grid(1, (300, 400), 0.05, 2)
    share = (values >= 0).mean()
    flags = -(share * math.log2(share) + (1 - share) * math.log2(1 - share)) * values.size
    entropy = (flags + (values >= 0).sum()) / 8
    assert entropy * 0.98 < len(mixing.encode(values, 2, 1)) < entropy * 1.07


def test_full_columns_and_neighbours_are_learned():
    rng = np.random.default_rng(2)
    share = np.repeat(rng.random(40) ** 8, 10)  # neighbours alike
    values = np.where(rng.random((200, 400)) < share, 0, -1)
    flat = rng.permutation(values.ravel()).reshape(values.shape)
    assert len(mixing.encode(values, 1, 1)) < 0.75 * len(mixing.encode(flat, 1, 1))


def test_period_helps_where_rows_of_an_image_lie_over_one_another():
    rng = np.random.default_rng(3)
    image = np.kron(rng.random((50, 7, 7)) < 0.2, np.ones((1, 4, 4))) > 0
    values = np.where(image.reshape(50, 784), 0, -1)
    assert len(mixing.encode(values, 1, 28)) < 0.8 * len(mixing.encode(values, 1, 1))


def test_all_zero_costs_next_to_nothing():
    assert len(mixing.encode(np.full((500, 500), -1), 1, 1)) < 30


def test_tables_are_monotone_and_each_others_inverse():
    stretch, squash = mixing.tables()
    assert (np.diff(squash) >= 0).all()
    assert (np.diff(stretch) >= 0).all()
    np.testing.assert_array_equal(stretch, -stretch[::-1])
    np.testing.assert_array_equal(squash + squash[::-1], 65536)
    for index in (0, 100, 2048, 4000):
        p = (index + 0.5) / 4096
        assert abs(stretch[index] - 256 * math.log(p / (1 - p))) < 1
        assert abs(squash[stretch[index] + mixing.SPAN] / 65536 - p) < 0.002


@pytest.mark.parametrize("seed", range(5))
def test_any_bytes_decode_to_something_legal(seed):
    data = np.random.default_rng(seed).bytes(40)
    values = mixing.decode(data, (20, 30), True, 4, 3)
    assert values.min() >= -1
    assert values.max() < 4


def test_a_level_that_does_not_exist_is_refused():
    data = mixing.encode(np.full((4, 4), 3), 4, 1)
    with pytest.raises(CodingError, match="level that does not exist"):
        mixing.decode(data, (4, 4), False, 3, 1)


def test_values_outside_the_levels_are_refused():
    with pytest.raises(CodingError, match=r"a matrix of -1\.\.1 is needed"):
        mixing.encode(np.full((2, 2), 2), 2, 1)
