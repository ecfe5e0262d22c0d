"""Types: widths against the definition of the encodings, and the errors."""

from typing import Any

import numpy as np
import pytest

from hwc.compiler.graph import GraphError, HwcError, Type


@pytest.mark.parametrize(
    ("lo", "hi", "width", "signed"),
    [
        (0, 0, 1, False),
        (0, 1, 1, False),
        (0, 2, 2, False),
        (0, 255, 8, False),
        (0, 256, 9, False),
        (5, 6, 3, False),
        (-1, -1, 1, True),
        (-1, 0, 1, True),
        (-1, 1, 2, True),
        (-2, 1, 2, True),
        (-2, 2, 3, True),
        (-128, 127, 8, True),
        (-129, 0, 9, True),
        (-5, 128, 9, True),
        (-(2**63), 2**63 - 1, 64, True),
    ],
)
def test_width_is_the_smallest_encoding(lo: int, hi: int, width: int, signed: bool) -> None:
    type_ = Type((3,), lo, hi)
    assert (type_.width, type_.signed) == (width, signed)
    least, most = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    assert least <= lo <= hi <= most


def test_bipolar_is_one_unsigned_wire() -> None:
    type_ = Type((2, 3), -1, 1, bipolar=True)
    assert (type_.width, type_.signed, type_.size) == (1, False, 6)
    assert type_ != Type((2, 3), -1, 1)
    assert type_.with_shape((6,)) == Type((6,), -1, 1, bipolar=True)
    assert str(type_) == "2x3 bipolar"
    assert str(Type((4,), -3, 7)) == "4 [-3, 7]"


def test_numpy_integers_become_plain_ones() -> None:
    lo: Any = np.int8(-4)
    hi: Any = np.uint8(200)
    type_ = Type(tuple(np.array([2, 3])), lo, hi)
    assert type_ == Type((2, 3), -4, 200)
    assert hash(type_) == hash(Type((2, 3), -4, 200))
    assert type(type_.lo) is int
    assert type(type_.shape[0]) is int


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (((), 0, 1), r"at least one axis .* got \(\); a scalar is \(1,\)"),
        (((3, 0), 0, 1), r"sizes >= 1, got \(3, 0\)"),
        (((3,), 2, 1), "got lo=2, hi=1"),
        (((3,), 0, 2**63), "hi=9223372036854775808"),
        (((3,), -1, 2, True), r"bipolar values are -1 and \+1, got lo=-1, hi=2"),
        (((3,), 0.5, 2), "integers are needed"),
        (((3.0,), 0, 2), "integers are needed"),
    ],
)
def test_errors_say_what_is_wrong(args: tuple, message: str) -> None:
    with pytest.raises(GraphError, match=message) as info:
        Type(*args)
    assert isinstance(info.value, HwcError)
    assert isinstance(info.value, ValueError)
