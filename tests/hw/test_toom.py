"""Minimal filters against the sums that they stand for, as identities of polynomials."""

import math
from itertools import product

import numpy as np
import pytest

from hwc.hw.units.winograd.toom import POINTS, cook_toom

SIZES = [(m, r) for m, r in product(range(1, 8), repeat=2) if m + r <= 8]


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_a_filter_of_integers(m: int, r: int) -> None:
    """Both sides are linear in w and x, so that unit vectors prove it for all integers."""
    t, n = cook_toom(m, r), m + r - 1
    a, g, b = (np.array(part, dtype=object) for part in (t.a, t.g, t.b))
    assert (a.shape, g.shape, b.shape) == ((m, n), (n, r), (n, n))
    for k, i in np.ndindex(r, n):
        w, x = np.eye(r, dtype=int)[k].astype(object), np.eye(n, dtype=int)[i].astype(object)
        want = [t.divisor * int(i == j + k) for j in range(m)]
        assert (a @ ((g @ w) * (b @ x))).tolist() == want


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (2, 4), (3, 3)])
def test_in_two_dimensions(m: int, r: int) -> None:
    rng = np.random.default_rng(m)
    t, n = cook_toom(m, r), m + r - 1
    a, g, b = (np.array(part) for part in (t.a, t.g, t.b))
    w, x = rng.integers(-128, 128, (50, r, r)), rng.integers(-128, 128, (50, n, n))
    scaled = a @ ((g @ w @ g.T) * (b @ x @ b.T)) @ a.T
    assert not (scaled % t.divisor**2).any()
    for i, j in np.ndindex(m, m):
        direct = (w * x[:, i : i + r, j : j + r]).sum((1, 2))
        assert np.array_equal(scaled[:, i, j] // t.divisor**2, direct)


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_no_factor_is_left_where_it_widens_operands(m: int, r: int) -> None:
    t = cook_toom(m, r)
    assert all(math.gcd(*row) == 1 for row in (*t.g, *t.b))
    assert math.gcd(t.divisor, *(v for row in t.a for v in row)) == 1


def test_the_well_known_ones() -> None:
    """Lavin and Gray's growth of F(2, 3) and F(4, 3), less the factors moved to the outputs."""
    sums = {
        (m, r): tuple(max(sum(map(abs, row)) for row in part) for part in (t.b, t.g))
        for m, r in ((2, 3), (4, 3), (2, 4))
        for t in [cook_toom(m, r)]
    }
    assert sums == {(2, 3): (2, 3), (4, 3): (10, 7), (2, 4): (6, 15)}
    assert [cook_toom(*size).divisor for size in ((2, 3), (4, 3), (2, 4))] == [2, 24, 6]


def test_sizes_without_points() -> None:
    most = len(POINTS) + 2
    with pytest.raises(ValueError, match=rf"F\(8, 4\): m, r >= 1 and m \+ r <= {most}"):
        cook_toom(8, 4)
    with pytest.raises(ValueError, match=r"F\(0, 3\)"):
        cook_toom(0, 3)
