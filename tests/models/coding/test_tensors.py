"""Tensors: every dtype and grid comes back bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype

from hwc.models.coding import tensors
from hwc.models.coding.bits import ByteReader
from hwc.models.coding.errors import CodingError

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


def back(packed: tensors.Packed, before: list[np.ndarray] | None = None) -> np.ndarray:
    reader = ByteReader(packed.data)
    value = tensors.unpack(reader, before or [])
    assert reader.left == 0
    return value


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@settings(deadline=None)
@given(st.data(), st.sampled_from([np.dtype(t).newbyteorder("=") for t in tensors.DTYPES]))
def test_any_tensor_comes_back(data, dtype):
    elements = from_dtype(dtype, allow_nan=False, allow_infinity=False)
    value = data.draw(arrays(dtype, array_shapes(min_dims=0, max_dims=3), elements=elements))
    value = value + dtype.type(0) if dtype.kind == "f" else value  # no negative zeros
    assert same(back(tensors.pack(value, None, ())), value)


@pytest.mark.parametrize("value", [2**60, 2**60 + 1, 2**61, 2**63 - 1, -(2**60) - 1, -(2**63)])
def test_integers_too_long_for_levels_come_back(value):
    whole = np.array([value, 3, value], np.int64)
    assert same(back(tensors.pack(whole, None, ())), whole)


@given(FLOATS, st.integers(-20, 8), st.integers(0, 99))
def test_multiples_of_a_power_of_two_are_found(dtype, exponent, seed):
    whole = np.random.default_rng(seed).integers(-100, 100, 30)
    whole[0] = 1
    value = np.ldexp(whole.astype(dtype), exponent)
    if np.isfinite(value).all() and (value != 0).sum() == (whole != 0).sum():
        assert tensors.multiples(value) is not None
        found = tensors.multiples(value)
        assert found is not None
        assert found[0] == exponent
        np.testing.assert_array_equal(found[1], whole)


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_on_their_scale(axis, dtype):
    rng = np.random.default_rng(4)
    whole = rng.integers(-3, 4, (6, 50))
    shape = () if axis is None else (whole.shape[axis],)
    step = (rng.integers(8, 16, shape) * 2.0**-9).astype(dtype)
    value = whole.astype(dtype) * tensors.along(step, 2, -1 if axis is None else axis) + dtype(0)
    packed = tensors.pack(value, (0, axis, step), ())
    assert same(back(packed, [step]), value)
    assert len(packed.data) < 6 * 50 * 3 / 8 + 20  # 2.8 bits of entropy, not a float each


def test_off_the_scale_it_is_still_exact():
    value = np.array([0.1, 0.25, 3.0], np.float32)
    assert same(back(tensors.pack(value, (0, None, np.array(0.25)), ()), [np.array(0.25)]), value)


def test_sparse_floats_cost_their_nonzeros():
    rng = np.random.default_rng(5)
    value = np.where(rng.random((100, 100)) < 0.05, rng.standard_normal((100, 100)), 0)
    value = value.astype(np.float32)
    packed = tensors.pack(value, None, ())
    assert same(back(packed), value)
    assert len(packed.data) < 4 * np.count_nonzero(value) + 500


def test_parts_add_up_to_the_bytes():
    for value in (np.arange(9.0), np.eye(30, dtype=np.float32), np.float32(0.3)):
        packed = tensors.pack(np.asarray(value), None, ())
        assert packed.parts.total() == 8 * len(packed.data)


def test_other_dtypes_are_refused():
    with pytest.raises(CodingError, match="dtype complex128"):
        tensors.pack(np.zeros(2, complex), None, ())


@pytest.mark.parametrize("seed", range(6))
def test_damaged_tensors_never_crash(seed):
    rng = np.random.default_rng(seed)
    step = np.array(0.125, np.float32)
    sparse = np.where(rng.random((9, 9)) < 0.1, rng.random((9, 9)), 0)
    made = [
        tensors.pack(rng.integers(-3, 4, (5, 6)) * step, (0, None, step), ()),
        tensors.pack(rng.standard_normal(9), None, ()),
        tensors.pack(sparse, None, ()),
        tensors.pack(np.arange(30), None, ()),
    ]
    for packed in made:
        for _ in range(60):
            damaged = bytearray(packed.data)
            damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
            try:
                assert tensors.unpack(ByteReader(bytes(damaged)), [step]).size < 1 << 20
            except CodingError:
                pass
