"""Weights and constant arrays: content decides equality, nothing is writable, bits are honest."""

import pickle

import numpy as np
import pytest

from hwc.compiler.graph import Binary, Dense, GraphError, IntArray, Ternary


def test_weights_are_equal_by_form_and_content() -> None:
    values = np.array([[1, -1], [-1, 1]])
    assert Dense(values) == Dense(values.astype(np.int8))
    assert hash(Dense(values)) == hash(Dense(values.tolist()))
    assert Dense(values) != Dense(-values)
    assert Dense(values) != Dense(values.reshape(4))
    assert Dense(values) != Binary(values)
    assert Binary(values) != Ternary(values)
    assert Dense(values) != 5
    assert Dense(values.T) == Dense(np.ascontiguousarray(values.T))


def test_weights_cannot_be_written_and_do_not_follow_their_source() -> None:
    values = np.array([3, -4])
    weights = Dense(values)
    values[0] = 9
    assert weights.dense().tolist() == [3, -4]
    assert weights.dense().dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        weights.dense()[0] = 1
    copy = pickle.loads(pickle.dumps(weights))
    assert copy == weights
    with pytest.raises(ValueError, match="read-only"):
        copy._stored[0] = 1


@pytest.mark.parametrize(
    ("weights", "bits"),
    [
        (Dense([0, 1]), 2),
        (Dense([-1, 1]), 4),
        (Dense([-8, 7, 0]), 12),
        (Dense([-8, 8, 0]), 15),
        (Dense([15, 0]), 8),
        (Dense([0, 0, 0]), 3),
        (Binary([[1, -1, 1]]), 3),
        (Ternary([0, 1, -1, 0]), 8),
    ],
)
def test_bits(weights: Dense, bits: int) -> None:
    assert weights.bits() == bits


def test_storage_is_one_byte_for_small_weights() -> None:
    weights = Dense(np.ones((1000, 1000), np.int64))
    assert weights._stored.nbytes == 1_000_000
    assert len(repr(weights)) < 60
    assert repr(weights).startswith("Dense(1000x1000, 1..1, ")


@pytest.mark.parametrize("value", [127, 128, -128, -129, 32767, 32768, 2**31, 2**63 - 1, -(2**63)])
def test_every_width_is_stored_exactly(value: int) -> None:
    weights = Dense([value, 0])
    assert weights.dense().tolist() == [value, 0]
    assert (weights.lo, weights.hi) == (min(value, 0), max(value, 0))


@pytest.mark.parametrize("form", [Dense, Binary, Ternary])
def test_reshape_keeps_form_and_order(form: type[Dense]) -> None:
    values = np.random.default_rng(0).choice([-1, 1], (2, 6))
    weights = form(values).reshape((3, 4))
    assert type(weights) is form
    assert np.array_equal(weights.dense(), values.reshape(3, 4))
    with pytest.raises(GraphError, match=r"cannot be reshaped to \(5,\)"):
        weights.reshape((5,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Binary([1, 0, -1]), r"Binary: weights must be among \(-1, 1\), got 0 \(1 of 3\)"),
        (lambda: Ternary([1, 2, 2]), r"among \(-1, 0, 1\), got 2 \(2 of 3\); use Dense"),
        (lambda: Dense([0.5]), "Dense: integers are needed, got dtype float64"),
        (lambda: Dense([True]), "got dtype bool"),
        (lambda: Dense([]), "Dense: "),
        (lambda: Dense(np.int64(3)), r"at least one weight is needed, got shape \(\)"),
        (lambda: Dense([2**63]), "must fit in int64, got 9223372036854775808"),
        (lambda: Dense([2**70]), "must fit in int64"),
        (lambda: Dense([[1], [1, 2]]), "rectangular"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


def test_int_array_is_a_value() -> None:
    source = np.arange(6).reshape(2, 3)
    array = IntArray(source)
    source[0, 0] = 7
    assert array.values[0, 0] == 0
    assert array == IntArray([[0, 1, 2], [3, 4, 5]])
    assert array != IntArray(np.arange(6))
    assert len({array, IntArray(array)}) == 1
    assert array[1, 2] == 5
    assert len(array) == 2
    assert np.asarray(array).sum() == 15
    assert repr(IntArray([1, 2])) == "IntArray([1, 2])"
    assert repr(array).startswith("IntArray(2x3, 0..5, ")
    for values in (array.values, pickle.loads(pickle.dumps(array)).values):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
