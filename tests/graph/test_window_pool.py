"""Windows and pools against PyTorch and naive loops."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import (
    GlobalMaxPool,
    GlobalSumPool,
    GraphError,
    MaxPool2d,
    SumPool2d,
    Type,
    Window,
    WindowReduce,
)


def chw(x: np.ndarray) -> torch.Tensor:
    """Channels first, float64."""
    return torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))


def naive_windows(op: Window, x: np.ndarray) -> np.ndarray:
    """The definition, element by element."""
    batch, height, width, channels = x.shape
    (kh, kw), (sh, sw), (dh, dw) = op.kernel, op.stride, op.dilation
    top, bottom, left, right = op.padding
    rows = (height + top + bottom - dh * (kh - 1) - 1) // sh + 1
    columns = (width + left + right - dw * (kw - 1) - 1) // sw + 1
    each = channels // op.groups
    y = np.full((batch, rows, columns, op.groups, kh * kw, each), op.fill)
    for i, j, a, b, c in np.ndindex(rows, columns, kh, kw, channels):
        row, column = i * sh + a * dh - top, j * sw + b * dw - left
        if 0 <= row < height and 0 <= column < width:
            y[:, i, j, c // each, a * kw + b, c % each] = x[:, row, column, c]
    return y


SMALL = st.integers(1, 3)
PAIR = st.tuples(SMALL, SMALL)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(PAIR, PAIR, st.tuples(*[st.integers(0, 3)] * 4), PAIR, SMALL, PAIR, st.integers(-9, 9))
def test_window_equals_the_definition(kernel, stride, padding, dilation, groups, size, fill):
    op = Window(kernel, stride, padding, dilation, groups, fill)
    height, width = (
        max(1, span - sum(padding[2 * i : 2 * i + 2])) + size[i] - 1
        for i, span in enumerate(op.spans)
    )
    x = np.random.default_rng(0).integers(-5, 6, (2, height, width, 2 * groups))
    y = op.reference(x)
    assert np.array_equal(y, naive_windows(op, x))
    type_ = op.infer(Type(x.shape[1:], -5, 5))
    assert type_.shape == y.shape[1:]
    assert type_.lo <= y.min() <= y.max() <= type_.hi


def test_window_types() -> None:
    bipolar = Type((3, 3, 2), -1, 1, bipolar=True)
    shape = (4, 4, 1, 4, 2)
    padding = (1, 1, 1, 1)
    assert Window((2, 2), padding=padding).infer(bipolar) == Type(shape, -1, 1)
    assert Window((2, 2), padding=padding, fill=-1).infer(bipolar) == bipolar.with_shape(shape)
    assert Window((2, 2)).infer(bipolar) == bipolar.with_shape((2, 2, 1, 4, 2))
    assert Window((2, 2), padding=padding, fill=-7).infer(Type((3, 3, 2), 1, 3)) == Type(
        shape, -7, 3
    )


@settings(derandomize=True, max_examples=100, deadline=None)
@given(PAIR, PAIR, PAIR, st.tuples(st.integers(0, 1), st.integers(0, 1)), PAIR, st.integers(0, 99))
def test_max_pool_equals_torch(kernel, stride, dilation, padding, size, seed):
    assume(all(2 * p <= k for p, k in zip(padding, kernel, strict=True)))  # as torch demands
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    height, width = (s + n for s, n in zip(spans, size, strict=True))
    x = np.random.default_rng(seed).integers(-9, -2, (2, height, width, 3))
    sides = (padding[0], padding[0], padding[1], padding[1])
    op = MaxPool2d(kernel, stride, sides, dilation)
    expected = torch.nn.functional.max_pool2d(chw(x), kernel, stride, padding, dilation)
    y = op.reference(x)
    assert np.array_equal(y, expected.numpy().transpose(0, 2, 3, 1))
    assert op.infer(Type(x.shape[1:], -9, -3)) == Type(y.shape[1:], -9, -3)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(PAIR, PAIR, st.tuples(*[st.integers(0, 2)] * 4), PAIR)
def test_sum_pool_equals_torch(kernel, stride, padding, size):
    height, width = (k + n for k, n in zip(kernel, size, strict=True))
    x = np.random.default_rng(1).integers(2, 9, (2, height, width, 3))
    top, bottom, left, right = padding
    image = torch.nn.functional.pad(chw(x), (left, right, top, bottom))
    places = kernel[0] * kernel[1]
    expected = torch.nn.functional.avg_pool2d(image, kernel, stride, divisor_override=1)
    op = SumPool2d(kernel, stride, padding)
    y = op.reference(x)
    assert np.array_equal(y, expected.numpy().transpose(0, 2, 3, 1))
    type_ = op.infer(Type(x.shape[1:], 2, 8))
    assert type_ == Type(y.shape[1:], 0 if any(padding) else 2 * places, 8 * places)


def test_max_pool_of_bipolar_values_stays_bipolar() -> None:
    type_ = Type((4, 4, 3), -1, 1, bipolar=True)
    assert MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)).infer(type_) == type_.with_shape((2, 2, 3))
    assert SumPool2d((2, 2)).infer(type_) == Type((3, 3, 3), -4, 4)


def test_max_pool_refuses_windows_of_padding_alone() -> None:
    with pytest.raises(GraphError, match=r"MaxPool2d: every window .* \(0, 0\) holds padding only"):
        MaxPool2d((2, 2), padding=(2, 0, 0, 0)).infer(Type((4, 4, 1), 0, 3))
    with pytest.raises(GraphError, match=r"the one at \(0, 3\) holds padding only"):
        MaxPool2d((1, 1), padding=(0, 0, 0, 1)).infer(Type((3, 3, 1), 0, 3))
    # Dilated taps can all miss a small input although the window spans it.
    with pytest.raises(GraphError, match="holds padding only"):
        MaxPool2d((2, 1), padding=(1, 1, 0, 0), dilation=(2, 1)).infer(Type((1, 3, 1), 0, 3))


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (2, 2, 2, 3)])
def test_global_pools(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(-9, 10, (2, *shape))
    axes = tuple(range(1, x.ndim - 1))
    type_ = Type(shape, -9, 10)
    places = x[0].size // 3
    assert np.array_equal(GlobalSumPool().reference(x), x.sum(axis=axes))
    assert np.array_equal(GlobalMaxPool().reference(x), x.max(axis=axes))
    assert GlobalSumPool().infer(type_) == Type((3,), -9 * places, 10 * places)
    assert GlobalMaxPool().infer(type_) == Type((3,), -9, 10)


def test_window_reduce() -> None:
    x = np.random.default_rng(0).integers(-9, 10, (2, 4, 3, 5, 1))
    assert np.array_equal(WindowReduce("sum").reference(x), x.sum(axis=(3, 4)))
    assert np.array_equal(WindowReduce("max").reference(x), x.max(axis=(3, 4)))
    assert WindowReduce("sum").infer(Type((4, 3, 5, 1), -2, 3)) == Type((4, 3), -10, 15)
    bipolar = Type((4, 3, 5, 1), -1, 1, bipolar=True)
    assert WindowReduce("max").infer(bipolar) == bipolar.with_shape((4, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window((0, 2)), "Window: kernel must be >= 1"),
        (lambda: Window((2, 2), fill=2**63), "fill must fit in int64, got 9223372036854775808"),
        (lambda: Window((2, 2)).infer(Type((4, 4), 0, 1)), r"\(H, W, C\), got shape \(4, 4\)"),
        (lambda: MaxPool2d((5, 1)).infer(Type((4, 4, 1), 0, 1)), "MaxPool2d: the window spans 5 r"),
        (lambda: SumPool2d((1, 5)).infer(Type((4, 4, 1), 0, 1)), "SumPool2d: the window spans 5 c"),
        (
            lambda: SumPool2d((4, 4)).infer(Type((4, 4, 1), 0, 2**62)),
            r"SumPool2d: results must fit in int64, got \[0, 73786976294838206464\]",
        ),
        (lambda: GlobalSumPool().infer(Type((9, 1), 0, 2**62)), "GlobalSumPool: results must fit"),
        (lambda: GlobalMaxPool().infer(Type((9,), 0, 2)), r"at least 2 axes, got \(9,\)"),
        (lambda: WindowReduce("sum").infer(Type((9, 2, 2), 0, 2)), r"\(\.\.\., C, T, 1\), got"),
        (lambda: WindowReduce("mean"), "kind must be 'max' or 'sum', got 'mean'"),  # pyright: ignore
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
