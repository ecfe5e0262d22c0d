"""Structured weights: the same integers, bits counted by hand, and structure found again."""

import pickle

import numpy as np
import pytest

from hwc.compiler.graph import (
    Binary,
    Codebook,
    Dense,
    GraphError,
    NMSparse,
    PowerOfTwo,
    Sparse,
    Ternary,
    Weights,
    recognize,
    recognize_values,
)


@pytest.mark.parametrize(
    ("weights", "bits"),
    [
        (PowerOfTwo([1, -1]), 2),  # a sign alone
        (PowerOfTwo([0, 1, -4]), 3 * 3),  # 2**0..2**2 and zero: four codes
        (PowerOfTwo([0, 0]), 2),
        (PowerOfTwo([16, 64]), 2 * 3),
        (Codebook([5, 5, 5]), 3),  # the table alone: nothing has to be told apart
        (Codebook([-100, 0, 3, 100, 0]), 5 * 2 + 4 * 8),
        # Two entries with gaps 0 and 1; a count up to 4 in 3 bits; values of four bits.
        (Sparse([[7, 0, -8, 0]]), 2 * (1 + 4) + 3),
        (Sparse([[0, 0, 0, 0]]), 3),
        (NMSparse([[1, 0, 0, -1, 0, 0, 0, 0]], n=2, m=4), 2 * 2 * (2 + 2)),
        (NMSparse([[0, 9]], n=1, m=2), 4 + 1),
    ],
)
def test_bits_by_hand(weights: Weights, bits: int) -> None:
    assert weights.bits() == bits


@pytest.mark.parametrize(("zeros", "gap_bits"), [(0, 1), (1, 1), (3, 2), (7, 3), (255, 8)])
def test_a_gap_is_as_wide_as_the_runs_are_long(zeros: int, gap_bits: int) -> None:
    row = np.zeros((1, 64 * (zeros + 1)), np.int64)
    row[:, zeros :: zeros + 1] = 9
    weights = Sparse(row)
    assert (weights.gap_bits, weights.entries) == (gap_bits, 64)


def test_long_runs_store_zeros() -> None:
    values = np.zeros((1, 41), np.int64)
    values[0, ::2] = 3  # gaps of one zero, so that one bit is best
    values[0, 3:40] = 0
    values[0, 40] = 3
    weights = Sparse(values)
    runs = [0, 1, 37]  # entries at 0, 2 and 40
    assert weights.nonzeros == 3
    costs = {g: sum(1 + (r >> g) for r in runs) * (g + 2) for g in range(1, 17)}
    assert weights.gap_bits == min(costs, key=lambda g: costs[g])
    assert weights.entries == sum(1 + (r >> weights.gap_bits) for r in runs)
    assert weights.bits() == costs[weights.gap_bits] + 6


@pytest.mark.parametrize("seed", range(20))
def test_sparse_entries_rebuild_the_rows(seed: int) -> None:
    """Decoding what is counted: gaps and values, zeros stored where a gap would not do."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 90)))
    values = rng.integers(-7, 8, shape) * (rng.random(shape) < rng.choice([0.02, 0.1, 0.5]))
    weights = Sparse(values)
    most, entries = (1 << weights.gap_bits) - 1, 0
    for row in values:
        stored: list[tuple[int, int]] = []
        gap = 0
        for value in row[: np.flatnonzero(row)[-1] + 1] if row.any() else ():
            if value or gap == most:
                stored.append((gap, int(value)))
                gap = 0
            else:
                gap += 1
        entries += len(stored)
    assert weights.entries == entries


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (PowerOfTwo, [[0, 4, -8], [1, 1, 0]]),
        (Codebook, [[9, -9, 40], [40, 40, 9]]),
        (Sparse, [[0, 4, 0], [0, 0, 0]]),
        (NMSparse, [[0, 4, 0, 0], [0, 0, 5, 6]]),
    ],
)
def test_every_form_is_its_integers(form: type[Weights], values: list[list[int]]) -> None:
    weights = form(values)  # type: ignore[call-arg]
    assert weights.dense().tolist() == values
    assert pickle.loads(pickle.dumps(weights)) == weights
    assert weights != Dense(values)
    wide = weights.reshape((1, *weights.shape))
    assert type(wide) is form
    assert wide.dense().tolist() == [values]
    assert wide.bits() == weights.bits(), "rows stay rows"
    tall = weights.reshape((weights.size, 1))
    assert tall.reshape(weights.shape) == weights


def test_indices_point_at_the_table() -> None:
    weights = Codebook([[7, -3], [7, 0]])
    assert weights.table.tolist() == [-3, 0, 7]
    assert np.array_equal(weights.table[weights.indices()], weights.dense())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PowerOfTwo([1, 6]), r"must be 0 or \+-2\*\*e, got 6"),
        (lambda: Sparse([1, 2, 3], rows=2), "3 weights do not make 2 equal rows"),
        (lambda: NMSparse([[1, 1, 1, 0]]), "a group of 4 has 3 weights other than 0, 2 are"),
        (lambda: NMSparse([[1, 0, 0]]), "rows whose length m divides, got rows of 3"),
        (lambda: NMSparse([[1, 0]], n=2, m=2), "needs 0 < n < m"),
    ],
)
def test_wrong_weights_are_refused(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


def random(shape: tuple[int, ...], values: list[int], p: list[float] | None = None) -> np.ndarray:
    return np.random.default_rng(1).choice(values, shape, p=p)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (random((40, 50), [-1, 1]), Binary),
        (random((40, 50), [-1, 0, 1]), Ternary),
        (random((40, 50), [0, *(s << e for s in (-1, 1) for e in range(7))]), PowerOfTwo),
        (random((40, 50), [-100, -31, 0, 17]), Codebook),
        (random((40, 50), [0, -100, 99], [0.96, 0.02, 0.02]), Sparse),
        (np.random.default_rng(2).integers(-127, 128, (40, 50)), Dense),
        (np.random.default_rng(2).integers(1, 128, (40, 50, 1)) * [0, 1, 0, 0], NMSparse),
    ],
)
def test_structure_is_recognized(values: np.ndarray, form: type[Weights]) -> None:
    found = recognize(values)
    assert type(found) is form
    assert np.array_equal(found.dense(), values)
    assert found.bits() <= Dense(values).bits()


def test_one_weight_of_any_kind() -> None:
    for value in (-128, -1, 0, 1, 2, 3, 2**40):
        assert recognize([value]).dense().tolist() == [value]


def test_zeros_do_not_hide_which_values_occur() -> None:
    mostly = np.zeros((4, 64), np.int64)
    mostly[0, :4] = (1, -1, 1, -1)
    assert isinstance(recognize(mostly), Sparse)
    assert isinstance(recognize_values(mostly), Ternary)
    assert isinstance(recognize_values(np.sign(mostly) * 2 + 1), Codebook)
