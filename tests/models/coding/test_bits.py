"""Bit and byte streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwc.models.coding.bits import BitReader, BitWriter, ByteReader, unzigzag, varint, zigzag
from hwc.models.coding.errors import CodingError


@given(st.lists(st.tuples(st.integers(0, 62), st.integers(0, 2**62 - 1)), max_size=20))
def test_fields_round_trip(fields):
    writer = BitWriter()
    for width, value in fields:
        writer.write(value % (1 << width), width)
    assert writer.bits == sum(width for width, _ in fields)
    reader = BitReader(writer.to_bytes())
    assert [reader.read(w) for w, _ in fields] == [v % (1 << w) for w, v in fields]
    assert reader.left < 8


@given(st.lists(st.integers(1, 2**40), max_size=20))
def test_gamma_round_trip_in_its_length(values):
    writer = BitWriter()
    for value in values:
        writer.gamma(value)
    assert writer.bits == sum(2 * v.bit_length() - 1 for v in values)
    reader = BitReader(writer.to_bytes())
    assert [reader.gamma() for _ in values] == values


@given(st.integers(-(2**50), 2**50))
def test_varint_and_zigzag_round_trip(value):
    assert unzigzag(zigzag(value)) == value
    reader = ByteReader(varint(zigzag(value)))
    assert reader.signed() == value
    assert reader.left == 0


def test_most_significant_bit_first():
    writer = BitWriter()
    writer.write(0b101, 3)
    writer.write_many(np.array([1, 0]), 2)
    assert writer.to_bytes() == bytes([0b10101000])


def test_reading_past_the_end():
    with pytest.raises(CodingError, match="9 bits wanted, 8 left"):
        BitReader(b"\0").read(9)
    with pytest.raises(CodingError, match="2 bytes wanted, 1 left"):
        ByteReader(b"\0").take(2)
    with pytest.raises(CodingError, match="1 bits wanted"):
        BitReader(b"\0").gamma()
    with pytest.raises(CodingError, match="more than 9 bytes"):
        ByteReader(b"\xff" * 20).varint()


def test_values_that_do_not_fit():
    with pytest.raises(CodingError, match=r"must fit 3 bits unsigned, got 8\.\.8"):
        BitWriter().write(8, 3)
    with pytest.raises(CodingError, match="must fit 3 bits"):
        BitWriter().write(-1, 3)
    with pytest.raises(CodingError, match="starts at 1, got 0"):
        BitWriter().gamma(0)
