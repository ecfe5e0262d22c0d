"""Arrays of independent integers as bytes, by whichever code takes the fewest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from hwc.models.coding import huffman, relative
from hwc.models.coding.bits import BitReader, BitWriter, ByteReader, unzigzag, varint, zigzag
from hwc.models.coding.errors import CodingError

FIXED, HUFFMAN, RELATIVE, MIXED = range(4)
NAMES = ("fixed", "huffman", "relative", "range")
MOST_LEVELS = 256  # of the context-mixing range coder
FREE, PER_BYTE = (
    1 << 16,
    20_000,
)  # elements that a payload of b bytes may claim: FREE + b * PER_BYTE
SMALL = 1 << 20  # elements up to which every period is tried
MOST_DIMS = 6


@dataclass(frozen=True)
class Coded:
    """Bytes of an integer array, which code they are, and bits by what they say: "codebook" (the
    levels), "table" (of a Huffman code), "indices" (the rest)."""

    data: bytes
    code: str
    parts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Levels:
    """Distinct nonzero values, ascending, and whether zeros occur."""

    values: np.ndarray
    zeros: bool

    @staticmethod
    def of(codes: np.ndarray) -> "Levels":
        values = np.unique(codes)
        return Levels(values[values != 0], bool((values == 0).any()))

    def index(self, codes: np.ndarray) -> np.ndarray:
        """-1 for zeros, else the place in `values`."""
        places = np.searchsorted(self.values, codes)
        return np.where(codes == 0, -1, places)

    def value(self, index: np.ndarray) -> np.ndarray:
        return np.append(self.values, 0)[index]

    def write(self, writer: BitWriter) -> None:
        """Whether zeros occur, how many levels, the lowest, then the steps between them; one bit
        says that all steps are 1 (0 left out)."""
        steps = np.diff(self._folded())
        writer.write(int(self.zeros), 1)
        writer.gamma(len(self.values) + 1)
        if len(self.values):
            writer.gamma(zigzag(int(self.values[0])) + 1)
            even = bool((steps == 1).all())
            writer.write(int(even), 1)
            for step in () if even else steps:
                writer.gamma(int(step))

    @staticmethod
    def read(reader: BitReader) -> "Levels":
        zeros = bool(reader.read(1))
        count = reader.gamma() - 1
        if count > reader.left + FREE:
            raise CodingError(f"{count} levels in {reader.left} bits")
        if count == 0:
            return Levels(np.zeros(0, np.int64), zeros)
        first = unzigzag(reader.gamma() - 1)
        even = reader.read(1)
        steps = [1] * (count - 1) if even else [reader.gamma() for _ in range(count - 1)]
        values = [first - (first > 0)]
        for step in steps:
            values.append(values[-1] + step)
        if first == 0 or max(abs(values[0]), abs(values[-1])) >= 1 << 62:
            raise CodingError("levels of 0, or beyond 62 bits")
        folded = np.array(values, np.int64)
        return Levels(folded + (folded >= 0), zeros)

    def _folded(self) -> np.ndarray:
        """The values with the gap at 0 closed."""
        return self.values - (self.values > 0)


def encode(codes: np.ndarray, periods: Iterable[int] = ()) -> Coded:
    """The shortest of all codes for an integer array.

    A matrix is coded row by row, other shapes as (axis 0, rest). `periods` are distances along a
    row at which neighbours may be alike (besides 1): image widths, kernel sizes.
    """
    codes = np.asarray(codes, np.int64)
    if codes.size == 0:
        raise CodingError("an empty array has no code")
    options = [_fixed(codes)]
    levels = Levels.of(codes)
    if len(levels.values) <= max(MOST_LEVELS, codes.size // 4):
        options += [_huffman(codes, levels), *_relative(codes, levels)]
    if len(levels.values) <= MOST_LEVELS and codes.size > 1:
        rows = codes.reshape(matrix(codes.shape))
        fitting = sorted({1, *(p for p in periods if 1 < p < rows.shape[1])})
        options += [_mixed(rows, levels, p) for p in fitting[: None if codes.size <= SMALL else 1]]
    fine = [c for c in options if credible(codes.size, len(c.data))]
    return min(fine, key=lambda coded: len(coded.data))


def decode(data: bytes, shape: Sequence[int]) -> np.ndarray:
    """The array of `shape`; raises CodingError, and claims little memory, for other bytes."""
    check_shape(shape, len(data))
    size = prod(shape)
    reader = ByteReader(data)
    code = reader.byte()
    if code == FIXED:
        flat = _read_fixed(reader, size)
    elif code == MIXED:
        flat = _read_mixed(reader, matrix(shape))
    elif code in (HUFFMAN, RELATIVE):
        bits = BitReader(reader.take(reader.left))
        flat = (_read_huffman if code == HUFFMAN else _read_relative)(bits, size)
    else:
        raise CodingError(f"no integer code {code}")
    return flat.reshape(shape)


def credible(size: int, stored: int) -> bool:
    """May so many elements be in so many bytes?"""
    return size <= FREE + stored * PER_BYTE


def check_shape(shape: Sequence[int], stored: int) -> None:
    """Refuse a shape that `stored` bytes cannot hold."""
    few = len(shape) <= MOST_DIMS and min(shape, default=1) >= 1
    if not few or not credible(prod(shape), stored):
        raise CodingError(f"an array of shape {tuple(shape)} cannot be in {stored} bytes")


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """The shape as (axis 0, rest), or one row."""
    return (1, prod(shape)) if len(shape) < 2 else (shape[0], prod(shape[1:]))


def _fixed(codes: np.ndarray) -> Coded:
    """All values with as many bits as their range needs."""
    low = int(codes.min())
    width = (int(codes.max()) - low).bit_length()
    writer = BitWriter()
    writer.write_many(codes.ravel() - low, width)
    head = bytes([FIXED]) + varint(zigzag(low)) + bytes([width])
    return Coded(head + writer.to_bytes(), NAMES[FIXED], Counter(indices=codes.size * width))


def _read_fixed(reader: ByteReader, size: int) -> np.ndarray:
    low, width = reader.signed(), reader.byte()
    bits = BitReader(reader.take(reader.left))
    if width * size > bits.left:
        raise CodingError(f"{size} values of {width} bits in {bits.left} bits")
    return bits.read_many(size, width) + low


def _huffman(codes: np.ndarray, levels: Levels) -> Coded:
    """A Huffman code over the zero and the levels."""
    writer = BitWriter()
    levels.write(writer)
    book = writer.bits
    table = huffman.encode(writer, levels.index(codes.ravel()) + 1, len(levels.values) + 1)
    parts = Counter(codebook=book, table=table, indices=writer.bits - book - table)
    return Coded(bytes([HUFFMAN]) + writer.to_bytes(), NAMES[HUFFMAN], parts)


def _read_huffman(reader: BitReader, size: int) -> np.ndarray:
    levels = Levels.read(reader)
    return levels.value(huffman.decode(reader, size, len(levels.values) + 1) - 1)


def _relative(codes: np.ndarray, levels: Levels) -> list[Coded]:
    """Relative indices, gaps and levels in a Huffman code each (Deep Compression)."""
    if not levels.zeros or not len(levels.values):
        return []
    flat = codes.ravel()
    value_bits = len(levels.values).bit_length()
    width = relative.best_width(flat, value_bits)
    return [_relative_of(flat, levels, w) for w in {width, width + 1} & set(relative.GAP_BITS)]


def _relative_of(flat: np.ndarray, levels: Levels, width: int) -> Coded:
    skipped, values = relative.gaps(flat, width)
    writer = BitWriter()
    levels.write(writer)
    book = writer.bits
    writer.write(width, 5)
    writer.gamma(len(skipped))
    table = huffman.encode(writer, skipped, 2**width)
    table += huffman.encode(writer, levels.index(values) + 1, len(levels.values) + 1)
    parts = Counter(codebook=book, table=table, indices=writer.bits - book - table)
    return Coded(bytes([RELATIVE]) + writer.to_bytes(), NAMES[RELATIVE], parts)


def _read_relative(reader: BitReader, size: int) -> np.ndarray:
    levels = Levels.read(reader)
    width = reader.read(5)
    if width not in relative.GAP_BITS:
        raise CodingError(f"relative indices of {width} bits")
    count = reader.gamma()
    skipped = huffman.decode(reader, count, 2**width)
    index = huffman.decode(reader, count, len(levels.values) + 1) - 1
    return relative.ungap(skipped, levels.value(index), size)


def _mixed(rows: np.ndarray, levels: Levels, period: int) -> Coded:
    from hwc.models.coding import mixing  # brings numba with it

    writer = BitWriter()
    levels.write(writer)
    body = mixing.encode(levels.index(rows), len(levels.values), period)
    book = writer.to_bytes()
    head = bytes([MIXED]) + varint(period) + varint(len(book)) + book
    parts = Counter(codebook=writer.bits, indices=8 * len(body))
    return Coded(head + body, NAMES[MIXED], parts)


def _read_mixed(reader: ByteReader, shape: tuple[int, int]) -> np.ndarray:
    from hwc.models.coding import mixing

    period = reader.varint()
    levels = Levels.read(BitReader(reader.take(reader.varint())))
    count = len(levels.values)
    if not 1 <= period <= max(1, shape[1]) or count > MOST_LEVELS or (count == 0 > levels.zeros):
        raise CodingError(f"period {period} or {count} levels out of range")
    body = reader.take(reader.left)
    return levels.value(mixing.decode(body, shape, levels.zeros, count, period))
