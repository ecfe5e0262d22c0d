"""Integer arrays whose elements are shared: words of whole pieces of rows, and values by a hash.

    PIECES | length | words of every place | the words and their numbers, coded as arrays
    HASHED | seed | values | the values, coded as an array

Words are found in the integers themselves. A hash is not, so the coder is told; what it is told is
proved before it is used.
"""

from collections import Counter

import numpy as np

from hwc.models.coding import codes
from hwc.models.coding.bits import ByteReader, varint
from hwc.models.coding.codes import Coded
from hwc.models.coding.errors import CodingError
from hwc.models.hashing import shared_places

__all__ = ["HASHED", "PIECES", "Hash", "hashed", "pieces", "read_hashed", "read_pieces"]

PIECES, HASHED = 4, 5
LENGTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
Hash = tuple[int, int]
"""(number of values, seed) of a `hwc.models.sharing.hashed` weight."""


def pieces(flat: np.ndarray) -> list[Coded]:
    """Codes of a matrix (N, K) as words, for every length with which there are few."""
    found = []
    rows, columns = flat.shape
    for length in LENGTHS:
        if columns % length or rows < 8:
            continue
        first = np.unique(flat[:, :length], axis=0)
        if 4 * len(first) <= rows and (coded := _pieces(flat, length)) is not None:
            found.append(coded)
    return found


def _pieces(flat: np.ndarray, length: int) -> Coded | None:
    words, numbers, counts = [], [], []
    for start in range(0, flat.shape[1], length):
        part, number = np.unique(flat[:, start : start + length], axis=0, return_inverse=True)
        words.append(part)
        numbers.append(number.ravel())
        counts.append(len(part))
    if 4 * max(counts) > flat.shape[0]:
        return None
    sizes = codes.encode(np.array(counts))
    book, index = codes.encode(np.concatenate(words)), codes.encode(np.stack(numbers, 1))
    head = bytes([PIECES]) + varint(length)
    data = head + b"".join(varint(len(c.data)) + c.data for c in (sizes, book, index))
    parts = Counter(codebook=8 * len(book.data), table=8 * len(sizes.data))
    parts["indices"] = 8 * len(index.data)
    return Coded(data, "words", parts)


def read_pieces(reader: ByteReader, shape: tuple[int, int]) -> np.ndarray:
    """The matrix of a `PIECES` code, behind its first byte."""
    length = reader.varint()
    if length < 1 or shape[1] % length:
        raise CodingError(f"words of {length} in rows of {shape[1]}")
    places = shape[1] // length
    counts = codes.decode(reader.take(reader.varint()), (places,))
    if counts.min() < 1 or counts.max() > shape[0]:
        raise CodingError("a place without words, or with more than rows")
    book = codes.decode(reader.take(reader.varint()), (int(counts.sum()), length))
    index = codes.decode(reader.take(reader.varint()), (shape[0], places))
    if index.min() < 0 or (index.max(axis=0) >= counts).any():
        raise CodingError("a word that is not there")
    first = np.cumsum(counts) - counts
    return book[index + first].reshape(shape)


def hashed(flat: np.ndarray, known: Hash) -> Coded | None:
    """The code of an array whose values a hash shares, or None if it is not one."""
    count, seed = known[0], known[1] & 0xFFFFFFFF
    if not 1 <= count <= flat.size < 1 << 32:
        return None
    places, signs = shared_places(flat.size, count, seed)
    values = np.zeros(count, np.int64)
    values[places] = flat.ravel() * signs
    if not np.array_equal(values[places] * signs, flat.ravel()):
        return None
    book = codes.encode(values)
    data = bytes([HASHED]) + varint(seed) + varint(count) + book.data
    return Coded(data, "hash", Counter(codebook=8 * len(book.data)))


def read_hashed(reader: ByteReader, size: int) -> np.ndarray:
    """The array of a `HASHED` code, flat, behind its first byte."""
    seed, count = reader.varint(), reader.varint()
    if not (1 <= count <= size and 0 <= seed < 1 << 32):
        raise CodingError(f"{count} shared values for {size}, seed {seed}")
    values = codes.decode(reader.take(reader.left), (count,))
    places, signs = shared_places(size, count, seed)
    return values[places] * signs
