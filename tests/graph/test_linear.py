"""Matrix products and convolutions against PyTorch in float64 and against naive loops."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwc.compiler.graph import (
    Binary,
    Conv1d,
    Conv2d,
    Dense,
    GraphError,
    GroupedMatMul,
    MatMul,
    Type,
    Window,
    convolve,
)


def torch_conv2d(op: Conv2d, x: np.ndarray) -> np.ndarray:
    """PyTorch's convolution in float64, channels last."""
    top, bottom, left, right = op.padding
    image = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))
    image = torch.nn.functional.pad(image, (left, right, top, bottom))
    kernel = torch.from_numpy(op.weight.dense().transpose(0, 3, 1, 2).astype(np.float64))
    y = torch.nn.functional.conv2d(image, kernel, None, op.stride, 0, op.dilation, op.groups)
    return y.numpy().transpose(0, 2, 3, 1)


@st.composite
def conv2d_cases(draw: st.DrawFn) -> tuple[Conv2d, Type]:
    """A convolution and a type it can take."""
    groups = draw(st.integers(1, 3))
    channels, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3)) * groups
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    weight = Dense(rng.integers(-9, 10, (outputs, *kernel, channels)))
    op = Conv2d(weight, stride, padding, dilation, groups)
    sizes = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    least = [max(1, s - sum(padding[2 * i : 2 * i + 2])) for i, s in enumerate(sizes)]
    height, width = (draw(st.integers(n, n + 6)) for n in least)
    return op, Type((height, width, channels * groups), -5, 6)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(conv2d_cases(), st.integers(1, 3))
def test_conv2d_equals_torch(case: tuple[Conv2d, Type], batch: int) -> None:
    op, type_ = case
    x = np.random.default_rng(batch).integers(-5, 7, (batch, *type_.shape))
    y = op.reference(x)
    expected = torch_conv2d(op, x)
    assert y.dtype == np.int64
    assert op.infer(type_).shape == expected.shape[1:] == y.shape[1:]
    assert np.array_equal(y, expected)
    # The same as im2col and a grouped product, type included.
    taps = op.window.infer(type_)
    assert op.product.infer(taps) == op.infer(type_)
    assert np.array_equal(op.product.reference(op.window.reference(x)), y)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("chunk", [1, 700, 1 << 20])
@pytest.mark.parametrize("reach", [3, 1 << 22, 1 << 48])
def test_conv2d_in_slices_and_in_every_arithmetic(
    groups: int, chunk: int, reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolve, "CHUNK", chunk)
    rng = np.random.default_rng(groups)
    weight = Dense(rng.integers(-7, 8, (4, 3, 3, 2)))
    op = Conv2d(weight, (2, 1), (1, 0, 2, 1), groups=groups)
    x = rng.integers(-reach, reach + 1, (5, 7, 8, 2 * groups))
    expected = op.product.reference(op.window.reference(x))
    assert np.array_equal(op.reference(x), expected)


@pytest.mark.parametrize("reach", [1 << 20, 1 << 23, 1 << 50, 1 << 58])
def test_every_product_knows_its_own_bound(reach: int) -> None:
    """Each op against Python integers where float32, and then float64, is no longer exact."""
    rng = np.random.default_rng(reach % 97)
    w = rng.integers(-3, 4, (4, 3))
    x = rng.integers(-reach, reach + 1, (5, 2, 6))
    whole = x[..., :3].astype(object) @ w.T.astype(object)
    halves = [x[..., i : i + 3].astype(object) @ w[j : j + 2].T for i, j in ((0, 0), (3, 2))]
    grouped = np.concatenate(halves, axis=-1)
    pairs = [
        (MatMul(Dense(w)).reference(x[..., :3]), whole),
        (Conv2d(Dense(w[:, None, None])).reference(x[:, None, :, :3])[:, 0], whole),
        (Conv1d(Dense(w[:, None])).reference(x[..., :3]), whole),
        (Conv2d(Dense(w[:, None, None]), groups=2).reference(x[:, None])[:, 0], grouped),
        (Conv2d(Dense(w[:, None, :, None])).reference(x[..., :3, None])[:, :, 0], whole),
        (
            GroupedMatMul(Dense(w.reshape(2, 2, 1, 3))).reference(x.reshape(5, 2, 2, 1, 3)),
            grouped,
        ),
    ]
    for y, expected in pairs:
        assert y.dtype == np.int64
        assert np.array_equal(y, expected.astype(np.int64))


def test_conv2d_with_loops_and_huge_values() -> None:
    """Values that float64 cannot hold, against Python integers."""
    rng = np.random.default_rng(3)
    w = rng.integers(-(2**30), 2**30, (2, 2, 3, 2))
    x = rng.integers(-(2**28), 2**28, (2, 4, 5, 2))
    op = Conv2d(Dense(w), stride=(1, 2), padding=(1, 0, 0, 2))
    y = op.reference(x)
    for b, i, j, n in np.ndindex(y.shape):
        total = 0
        for ki, kj, c in product(range(2), range(3), range(2)):
            row, column = i + ki - 1, 2 * j + kj
            if 0 <= row < 4 and column < 5:
                total += int(x[b, row, column, c]) * int(w[n, ki, kj, c])
        assert y[b, i, j, n] == total


@pytest.mark.parametrize("outputs", [1, 6, 40, 100])
@pytest.mark.parametrize("width", [1, 5, 17])
def test_blocks_of_columns(outputs: int, width: int) -> None:
    """Few and many output channels: one product for all columns, for some, for each."""
    rng = np.random.default_rng(outputs)
    op = Conv2d(Dense(rng.integers(-3, 4, (outputs, 1, 3, 2))), (1, 2), (0, 0, 1, 1))
    x = rng.integers(0, 9, (2, 3, width, 2))
    assert np.array_equal(op.reference(x), torch_conv2d(op, x))


@settings(derandomize=True, max_examples=80, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(0, 5),
)
def test_conv1d_equals_torch(
    groups: int, kernel: tuple[int, int, int], padding: tuple[int, int], extra: int
) -> None:
    taps, stride, dilation = kernel
    rng = np.random.default_rng(taps)
    length = max(1, dilation * (taps - 1) + 1 - sum(padding)) + extra
    weight = rng.integers(-9, 10, (2 * groups, taps, 2))
    op = Conv1d(Dense(weight), stride, padding, dilation, groups)
    x = rng.integers(-5, 6, (3, length, 2 * groups))
    signal = torch.nn.functional.pad(torch.from_numpy(x.transpose(0, 2, 1).astype(float)), padding)
    expected = torch.nn.functional.conv1d(
        signal,
        torch.from_numpy(weight.transpose(0, 2, 1).astype(float)),
        None,
        stride,
        0,
        dilation,
        groups,
    ).numpy()
    y = op.reference(x)
    assert np.array_equal(y, expected.transpose(0, 2, 1))
    assert op.infer(Type(x.shape[1:], -5, 5)).shape == y.shape[1:]


@pytest.mark.parametrize("shape", [(5,), (2, 5), (3, 2, 5)])
def test_matmul_acts_on_the_last_axis(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    w = rng.integers(-9, 10, (4, 5))
    x = rng.integers(-9, 10, (3, *shape))
    op = MatMul(Dense(w))
    assert np.array_equal(op.reference(x), np.einsum("...k,nk->...n", x, w))
    assert op.infer(Type(shape, -9, 9)).shape == (*shape[:-1], 4)


def test_grouped_matmul() -> None:
    rng = np.random.default_rng(0)
    w = rng.integers(-9, 10, (2, 3, 4, 5))
    x = rng.integers(-9, 10, (2, 6, 7, 2, 4, 5))
    expected = np.einsum("bhwgtc,gntc->bhwgn", x, w).reshape(2, 6, 7, 6)
    op = GroupedMatMul(Dense(w))
    assert np.array_equal(op.reference(x), expected)
    type_ = op.infer(Type(x.shape[1:], -9, 9))
    assert type_.shape == (6, 7, 6)
    assert type_.hi == 9 * np.abs(w).sum(axis=(2, 3)).max()


def test_bipolar_input_is_padded_with_the_integer_zero() -> None:
    op = Conv2d(Binary(np.ones((1, 3, 3, 1), int)), padding=(1, 1, 1, 1))
    type_ = Type((2, 2, 1), -1, 1, bipolar=True)
    assert op.infer(type_) == Type((2, 2, 1), -9, 9)
    assert op.reference(np.ones((1, 2, 2, 1), int)).ravel().tolist() == [4, 4, 4, 4]


def test_padding_widens_an_interval_without_zero() -> None:
    weight = Dense(np.ones((1, 1, 2, 1), int))
    assert Conv2d(weight).infer(Type((2, 2, 1), 3, 4)) == Type((2, 1, 1), 6, 8)
    padded = Conv2d(weight, padding=(0, 0, 1, 0))
    assert padded.infer(Type((2, 2, 1), 3, 4)) == Type((2, 2, 1), 0, 8)


W4 = Dense(np.ones((4, 3, 3, 2), int))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(W4.reshape((4, 18))), r"Conv2d: weight must be \(N, Kh, Kw, C/groups\)"),
        (lambda: MatMul(np.ones((2, 2), int)), "MatMul: weight must be Weights, such as Dense"),  # pyright: ignore
        (lambda: MatMul(W4), r"weight must be \(N, K\), got shape \(4, 3, 3, 2\)"),
        (lambda: Conv2d(W4, stride=(0, 1)), "Conv2d: stride must be >= 1 .* got 0"),
        (lambda: Conv2d(W4, stride=2), "Conv2d: stride takes 2 integers, got 2"),  # pyright: ignore
        (lambda: Conv2d(W4, padding=(1, 1)), r"padding takes 4 integers, got \(1, 1\)"),  # pyright: ignore
        (lambda: Conv2d(W4, padding=(1, 1, -1, 0)), "padding must be >= 0 .* got -1"),
        (lambda: Conv2d(W4, dilation=(1.5, 1)), "dilation must be an integer, got 1.5"),  # pyright: ignore
        (lambda: Conv2d(W4, groups=3), "groups=3 must divide the 4 outputs"),
        (lambda: Conv2d(W4, groups=0), "groups must be >= 1"),
        (lambda: Conv1d(W4.reshape((4, 9, 2)), stride=0), "Conv1d: stride must be >= 1"),
        (lambda: Conv1d(W4.reshape((4, 9, 2)), groups=3), "Conv1d: groups=3 must divide"),
        (
            lambda: Conv2d(W4).infer(Type((8, 8, 4), 0, 1)),
            r"Conv2d: the input must be \(H, W, 2\) .* groups=1, got shape \(8, 8, 4\)",
        ),
        (lambda: Conv2d(W4).infer(Type((8, 2), 0, 1)), r"must be \(H, W, 2\)"),
        (
            lambda: Conv2d(W4).infer(Type((8, 2, 2), 0, 1)),
            r"Conv2d: the window spans 3 columns, but the padded input \(8, 2, 2\) has 2",
        ),
        (
            lambda: Conv1d(W4.reshape((4, 9, 2))).infer(Type((8, 3), 0, 1)),
            r"Conv1d: the input must be \(L, 2\)",
        ),
        (
            lambda: Conv1d(W4.reshape((4, 9, 2))).infer(Type((8, 2), 0, 1)),
            "Conv1d: the window spans 9 columns",
        ),
        (
            lambda: MatMul(W4.reshape((4, 18))).infer(Type((17,), 0, 1)),
            r"MatMul: the last axis of the input must be K=18 of the weight, got shape \(17,\)",
        ),
        (
            lambda: GroupedMatMul(W4).infer(Type((5, 5, 4, 3, 3), 0, 1)),
            r"must end in \(G, T, Cg\) = \(4, 3, 2\) of the weight, got shape \(5, 5, 4, 3, 3\)",
        ),
        (lambda: MatMul(W4.reshape((4, 18))).infer(), "MatMul: takes 1 input, got 0"),
        (lambda: Window((2, 2), groups=3).infer(Type((4, 4, 4), 0, 1)), "Window: groups=3 must"),
    ],
)
def test_errors(make, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()
