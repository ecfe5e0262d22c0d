"""Canonical Huffman codes: optimal, prefix-free, and nothing else decodes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwc.models.coding import huffman
from hwc.models.coding.bits import BitReader, BitWriter
from hwc.models.coding.errors import CodingError

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=9)


def best_by_search(counts: list[int]) -> int:
    """Least total length of a prefix code: all length vectors that Kraft's inequality allows."""
    used = [c for c in counts if c]
    if len(used) < 2:
        return sum(used)
    longest = len(used) - 1
    totals = [
        sum(c * n for c, n in zip(used, lengths, strict=True))
        for lengths in itertools.product(range(1, longest + 1), repeat=len(used))
        if sum(2.0**-n for n in lengths) <= 1
    ]
    return min(totals)


@pytest.mark.parametrize("seed", range(12))
def test_lengths_are_optimal(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, size=rng.integers(2, 7)).tolist()
    lengths = huffman.code_lengths(np.array(counts))
    assert int((lengths * counts).sum()) == best_by_search(counts)
    assert [n == 0 for n in lengths] == [c == 0 for c in counts]


@given(COUNTS)
def test_within_one_bit_of_the_entropy(counts):
    total = sum(counts)
    lengths = huffman.code_lengths(np.array(counts))
    shares = np.array([c for c in counts if c]) / max(total, 1)
    entropy = -(shares * np.log2(shares)).sum() * total
    spent = int((lengths * counts).sum())
    assert entropy - 1e-6 <= spent <= entropy + total


@given(COUNTS)
def test_codes_are_prefix_free_and_canonical(counts):
    lengths = huffman.code_lengths(np.array(counts))
    codes = huffman.canonical(lengths)
    words = [format(c, f"0{n}b") for c, n in zip(codes, lengths, strict=True) if n]
    for a, b in itertools.permutations(words, 2):
        assert not b.startswith(a)
    order = sorted((n, s) for s, n in enumerate(lengths) if n)
    ordered = [format(codes[s], f"0{n}b") for n, s in order]
    assert ordered == sorted(ordered)


def test_fibonacci_counts_give_the_longest_codes():
    counts = [1, 1, 2, 3, 5, 8, 13]
    assert sorted(huffman.code_lengths(np.array(counts))) == [1, 2, 3, 4, 5, 6, 6]


@given(st.lists(st.integers(0, 6), max_size=200))
def test_round_trip(symbols):
    writer = BitWriter()
    table = huffman.encode(writer, np.array(symbols, np.int64), 7)
    data = writer.to_bytes()
    assert table < writer.bits or not symbols
    decoded = huffman.decode(BitReader(data), len(symbols), 7)
    np.testing.assert_array_equal(decoded, symbols)


def test_too_many_short_codes_are_refused():
    with pytest.raises(CodingError, match="no prefix code"):
        huffman.canonical(np.array([1, 1, 1]))


def test_bits_outside_an_incomplete_code_are_refused():
    writer = BitWriter()
    huffman.write_table(writer, np.array([2, 2]))
    writer.write_many(np.ones(90, np.int64), 1)
    with pytest.raises(CodingError, match="no Huffman word"):
        huffman.decode(BitReader(writer.to_bytes()), 1, 2)


def test_more_words_than_bits_are_refused_before_memory_is_taken():
    writer = BitWriter()
    huffman.encode(writer, np.array([0, 1, 1]), 2)
    with pytest.raises(CodingError, match="1000000000000 Huffman words in"):
        huffman.decode(BitReader(writer.to_bytes()), 10**12, 2)
