"""Arrays of shared elements, words of pieces and values by a hash, read back and are short."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.models.coding import codes, integers, shared
from hwc.models.coding.bits import ByteReader, varint
from hwc.models.coding.errors import CodingError
from hwc.models.hashing import hash32, shared_places


def words(rows: int, places: int, length: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    book = rng.integers(-127, 128, (places, 5, length))
    return book[np.arange(places), rng.integers(0, 5, (rows, places))].reshape(rows, -1)


def by_hash(count: int, size: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(0).integers(-127, 128, count)
    places, signs = shared_places(size, count, seed)
    return values[places] * signs


@pytest.mark.parametrize("length", [2, 3, 4, 8])
def test_words_are_found_in_the_integers(length: int) -> None:
    flat = words(60, 6, length)
    coded = integers.encode(flat)
    assert coded.code == "words"
    assert len(coded.data) < len(codes.encode(flat).data)
    assert coded.parts.total() <= 8 * len(coded.data)
    np.testing.assert_array_equal(integers.decode(coded.data, flat.shape), flat)
    cube = flat.reshape(60, 6, length)
    np.testing.assert_array_equal(integers.decode(coded.data, cube.shape), cube)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 7])
def test_values_by_a_hash_cost_only_themselves(seed: int) -> None:
    flat = by_hash(75, 600, seed).reshape(20, 30)
    coded = integers.encode(flat, hashes=[(5, 1), (75, seed)])
    assert coded.code == "hash"
    assert len(coded.data) < 75 + 20
    np.testing.assert_array_equal(integers.decode(coded.data, flat.shape), flat)
    spoiled = flat.copy()
    spoiled[3, 3] += 1
    other = integers.encode(spoiled, hashes=[(75, seed)])
    assert other.code != "hash", "what is said of a hash is proved"
    np.testing.assert_array_equal(integers.decode(other.data, flat.shape), spoiled)


def test_places_are_those_of_the_hash() -> None:
    places, signs = shared_places(1000, 33, 5)
    for i in (0, 1, 999):
        h = int(hash32(np.array([i]), 5)[0])
        assert (places[i], signs[i]) == ((h >> 1) * 33 >> 31, -1 if h & 1 else 1)
    assert set(places.tolist()) == set(range(33))


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([shared.PIECES, shared.HASHED]))
def test_other_bytes_are_refused_or_read(data: bytes, kind: int) -> None:
    try:
        assert integers.decode(bytes([kind]) + data, (8, 12)).shape == (8, 12)
    except CodingError:
        pass


def test_refusals() -> None:
    flat = words(40, 3, 4)
    (coded,) = [c for c in shared.pieces(flat) if ByteReader(c.data[1:]).varint() == 4]
    with pytest.raises(CodingError, match="words of 4 in rows of 10"):
        shared.read_pieces(ByteReader(coded.data[1:]), (40, 10))
    with pytest.raises(CodingError, match="more than rows"):
        shared.read_pieces(ByteReader(coded.data[1:]), (4, 12))
    head = varint(3) + varint(50)
    with pytest.raises(CodingError, match="50 shared values for 12"):
        shared.read_hashed(ByteReader(head + codes.encode(np.arange(50)).data), 12)
