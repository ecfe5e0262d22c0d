"""Integer arrays: whichever code is chosen reads back, and it is the shortest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hwc.models.coding import codes
from hwc.models.coding.bits import BitReader, BitWriter, varint
from hwc.models.coding.errors import CodingError

ARRAYS = arrays(
    np.int64,
    array_shapes(min_dims=0, max_dims=4, max_side=6),
    elements=st.one_of(st.sampled_from([0, 0, 0, 1, -1]), st.integers(-300, 300)),
)


@settings(deadline=None)
@given(ARRAYS)
def test_round_trip(values):
    coded = codes.encode(values)
    np.testing.assert_array_equal(codes.decode(coded.data, values.shape), values)
    assert coded.parts.total() <= 8 * len(coded.data)


@given(st.sets(st.integers(-(2**30), 2**30), max_size=12), st.booleans())
def test_levels_round_trip(values, zeros):
    levels = codes.Levels(np.array(sorted(values - {0}), np.int64), zeros)
    writer = BitWriter()
    levels.write(writer)
    read = codes.Levels.read(BitReader(writer.to_bytes()))
    np.testing.assert_array_equal(read.values, levels.values)
    assert read.zeros == zeros


def kinds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    block = np.repeat(rng.random(64) < 0.2, 4)
    return {
        "fixed": rng.integers(0, 1 << 30, 50),
        "huffman": rng.choice([5, 6, 7, 1000, -9], 60, p=[0.6, 0.1, 0.1, 0.1, 0.1]),
        "range": np.where(rng.random((64, 256)) < 0.3, rng.choice([-1, 1], (64, 256)), 0) * block,
    }


@pytest.mark.parametrize("kind", kinds())
def test_each_code_is_the_shortest_of_something(kind):
    values = kinds()[kind]
    coded = codes.encode(values)
    assert coded.code == kind
    np.testing.assert_array_equal(codes.decode(coded.data, values.shape), values)


def test_relative_indices_read_back():
    values = np.where(np.random.default_rng(1).random(4000) < 0.05, 3, 0)
    (coded, *_) = codes._relative(values, codes.Levels.of(values))
    np.testing.assert_array_equal(codes.decode(coded.data, values.shape), values)
    assert coded.code == "relative"


def test_range_coder_beats_deep_compression_on_pruned_weights():
    rng = np.random.default_rng(2)
    share = 0.4 * rng.random(784) ** 6
    values = np.where(rng.random((300, 784)) < share, rng.choice([-2, -1, 1, 2], (300, 784)), 0)
    sizes = {c.code: len(c.data) for c in codes._relative(values, codes.Levels.of(values))}
    assert len(codes.encode(values).data) < 0.9 * sizes["relative"]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_codes_never_crash(seed):
    rng = np.random.default_rng(seed)
    for values in kinds().values():
        data = bytearray(codes.encode(values).data)
        for _ in range(40):
            damaged = bytearray(data)
            damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            cut = bytes(damaged[: rng.integers(1, len(data) + 1)])
            try:
                assert codes.decode(cut, values.shape).shape == values.shape
            except CodingError:
                pass


def test_claims_beyond_the_payload_are_refused_before_memory_is_taken():
    constant = bytes([codes.FIXED]) + varint(0) + bytes([0])
    assert codes.decode(constant, (200, 200)).shape == (200, 200)
    with pytest.raises(CodingError, match="cannot be in 3 bytes"):
        codes.decode(constant, (1 << 20, 1 << 20))
    with pytest.raises(CodingError, match="cannot be in 3 bytes"):
        codes.decode(constant, (2, 0))
    with pytest.raises(CodingError, match="no integer code 9"):
        codes.decode(b"\x09", (2,))


def test_an_empty_array_has_no_code():
    with pytest.raises(CodingError, match="empty"):
        codes.encode(np.zeros((0, 3)))
