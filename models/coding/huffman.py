"""Canonical Huffman codes (Huffman 1952): optimal prefix codes whose table is their lengths."""

import heapq
from itertools import count

import numpy as np

from hwc.models.coding.bits import BitReader, BitWriter
from hwc.models.coding.errors import CodingError

LONGEST = 62  # of a code word; 62 bits need over 10**12 symbols


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Lengths of an optimal prefix code for symbols that occur `counts` times; 0 where none.

    The sum of counts * lengths is the least that any prefix code reaches. A single symbol takes
    one bit.
    """
    counts = np.asarray(counts, np.int64)
    lengths = np.zeros(len(counts), np.int64)
    used = np.flatnonzero(counts)
    if len(used) == 1:
        lengths[used] = 1
        return lengths
    # Equal weights are merged in order of creation, which gives the least longest code.
    order = count()
    heap = [(int(counts[s]), next(order), [int(s)]) for s in used]
    heapq.heapify(heap)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        merged = a[2] + b[2]
        lengths[merged] += 1
        heapq.heappush(heap, (a[0] + b[0], next(order), merged))
    return lengths


def canonical(lengths: np.ndarray) -> np.ndarray:
    """The code words of given lengths: ascending with length, then with symbol.

    Raises CodingError if the lengths are no prefix code (Kraft's sum above 1).
    """
    lengths = np.asarray(lengths, np.int64)
    codes = np.zeros(len(lengths), np.int64)
    code = previous = 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        length = int(lengths[symbol])
        if length == 0:
            continue
        if length > LONGEST:
            raise CodingError(f"a Huffman code of {length} bits; at most {LONGEST}")
        code <<= length - previous
        if code >> length:
            raise CodingError("Huffman lengths of no prefix code: too many short ones")
        codes[symbol], previous = code, length
        code += 1
    return codes


def write_table(writer: BitWriter, lengths: np.ndarray) -> None:
    """The lengths of all symbols: the width of a length in 3 bits, then each."""
    width = int(lengths.max(initial=0)).bit_length()
    writer.write(width, 3)
    writer.write_many(lengths, width)


def read_table(reader: BitReader, symbols: int) -> np.ndarray:
    return reader.read_many(symbols, reader.read(3))


def encode(writer: BitWriter, symbols: np.ndarray, alphabet: int) -> int:
    """Table and code words of `symbols` (0..alphabet - 1); returns how many bits the table took."""
    lengths = code_lengths(np.bincount(symbols, minlength=alphabet))
    start = writer.bits
    write_table(writer, lengths)
    table = writer.bits - start
    codes = canonical(lengths)
    width = int(lengths.max(initial=0))
    if width and len(symbols):
        # All words left-aligned in a matrix of bits, of which each row keeps its own length.
        aligned = codes << (width - lengths)
        bits = (aligned[:, None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8)
        kept = np.arange(width) < lengths[:, None]
        writer.append(bits[symbols][kept[symbols]])
    return table


def decode(reader: BitReader, count: int, alphabet: int) -> np.ndarray:
    """The `count` symbols that `encode` wrote; raises CodingError."""
    lengths = read_table(reader, alphabet)
    codes = canonical(lengths)
    if count == 0:
        return np.zeros(0, np.int64)
    if count > reader.left:
        raise CodingError(f"{count} Huffman words in {reader.left} bits")
    words = {(int(n), int(c)): s for s, (n, c) in enumerate(zip(lengths, codes, strict=True)) if n}
    out = np.empty(count, np.int64)
    for i in range(count):
        length = code = 0
        while (length, code) not in words:
            if length > LONGEST or not words:
                raise CodingError("bits that are no Huffman word")
            code, length = code << 1 | int(reader.take(1)[0]), length + 1
        out[i] = words[length, code]
    return out
