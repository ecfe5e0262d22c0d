"""How tensors are cut into beats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwc.compiler.graph import Type
from hwc.hw.layout import Layout, LayoutError


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    tile = tuple(draw(st.integers(1, n)) for n in shape)
    lo, hi = draw(
        st.sampled_from([(0, 1), (0, 255), (-1, 0), (-8, 7), (-5, 9), (0, 0), (-(2**40), 2**33)])
    )
    bipolar = draw(st.booleans())
    return Layout(Type(shape, -1, 1, True) if bipolar else Type(shape, lo, hi), tile)


def frames(layout: Layout, batch: int, seed: int) -> np.ndarray:
    t = layout.type
    x = np.random.default_rng(seed).integers(t.lo, t.hi + 1, (batch, *t.shape))
    return np.where(x > 0, 1, -1) if t.bipolar else x


@given(layouts(), st.integers(1, 3), st.integers(0, 9))
def test_there_and_back(layout: Layout, batch: int, seed: int) -> None:
    x = frames(layout, batch, seed)
    beats = layout.pack(x, np.random.default_rng(seed))
    assert len(beats) == batch * layout.beats
    assert all(0 <= beat < 1 << layout.width for beat in beats)
    assert np.array_equal(layout.unpack(beats), x)
    rows = layout.pack_bytes(x, np.random.default_rng(seed))
    assert rows.shape == (len(beats), math.ceil(layout.width / 8))
    assert [int.from_bytes(row.tobytes(), "little") for row in rows] == beats


@given(layouts())
def test_every_element_travels_once(layout: Layout) -> None:
    order = layout.order()
    assert order.shape == (layout.beats, layout.elements)
    assert sorted(order[order >= 0]) == list(range(layout.type.size))
    assert np.array_equal(layout.valid(), order >= 0)
    assert layout.dense == bool(layout.valid().all())


def test_beats_and_elements_are_row_major() -> None:
    layout = Layout(Type((3, 4), 0, 15), (2, 3))
    x = np.arange(12).reshape(1, 3, 4)
    assert layout.steps == (2, 2)
    assert layout.order().tolist() == [
        [0, 1, 2, 4, 5, 6],
        [3, -1, -1, 7, -1, -1],
        [8, 9, 10, -1, -1, -1],
        [11, -1, -1, -1, -1, -1],
    ]
    assert layout.pack(x)[0] == 0x654210
    assert layout.lanes == 3


@pytest.mark.parametrize(
    ("type_", "value", "code"),
    [
        (Type((1,), -1, 1, True), 1, 1),
        (Type((1,), -1, 1, True), -1, 0),
        (Type((1,), -1, 1), -1, 0b11),
        (Type((1,), -8, 7), -8, 0b1000),
        (Type((1,), 0, 9), 9, 0b1001),
    ],
)
def test_codes(type_: Type, value: int, code: int) -> None:
    assert Layout(type_, (1,)).pack(np.array([[value]])) == [code]


def test_padding_is_zero_or_noise() -> None:
    layout = Layout(Type((3,), 0, 255), (2,))
    x = np.array([[1, 2, 3]])
    assert layout.pack(x) == [0x0201, 0x0003]
    noisy = {layout.pack(x, np.random.default_rng(seed))[1] for seed in range(20)}
    assert len(noisy) > 10
    assert {beat & 0xFF for beat in noisy} == {3}


def test_padding_bits_of_a_byte_are_zero() -> None:
    layout = Layout(Type((3,), 0, 7), (3,))
    rows = layout.pack_bytes(np.full((4, 3), 7), np.random.default_rng(0))
    assert rows.tolist() == [[0xFF, 0x01]] * 4


def test_errors_name_the_rule() -> None:
    with pytest.raises(LayoutError, match=r"tile \(2,\) needs one entry per axis of \(3, 4\)"):
        Layout(Type((3, 4), 0, 1), (2,))
    with pytest.raises(LayoutError, match=r"axis 1 of \(3, 4\) takes 1..4, not 5"):
        Layout(Type((3, 4), 0, 1), (1, 5))
    with pytest.raises(LayoutError, match=r"frames of \(4,\) do not fit a stream of \(3,\)"):
        Layout(Type((3,), 0, 1), (1,)).pack(np.zeros((1, 4), np.int64))
