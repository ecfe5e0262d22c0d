"""Pools, reductions, shapes and movement against ONNX's reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from hwc.compiler.onnx import OnnxError, read_onnx

from .helpers import agree, model_of, node, ours, runtime

SHAPE = (2, 4, 6, 8)


def run(
    shape: Any, *nodes: onnx.NodeProto, outputs: str = "y", opset: int = 18, **constants: Any
) -> list[str]:
    """Names of the source operations, after comparing."""
    x = np.random.default_rng(5).normal(size=shape)
    model = model_of(nodes, {"x": shape}, outputs.split(), constants, opset)
    return [type(n.op).__name__ for n in agree(model, {"x": x}).source.nodes]


WINDOWS: list[dict[str, Any]] = [
    {"kernel_shape": [3, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 3]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [2, 3], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "VALID"},
]


@pytest.mark.parametrize("window", WINDOWS)
def test_max_pool(window: dict[str, Any]) -> None:
    assert run(SHAPE, node("MaxPool", "x", **window)) == ["MaxPool"]


def test_max_pool_dilated() -> None:
    run(SHAPE, node("MaxPool", "x", kernel_shape=[2, 3], dilations=[2, 2], strides=[1, 2]))


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("window", WINDOWS)
def test_average_pool(window: dict[str, Any], include: int) -> None:
    pool = node("AveragePool", "x", count_include_pad=include, **window)
    assert run(SHAPE, pool, opset=19) == ["AvgPool"]


def test_average_pool_dilated() -> None:
    pool = node("AveragePool", "x", kernel_shape=[2, 3], dilations=[2, 2])
    assert run(SHAPE, pool, opset=19) == ["Conv", "Affine"]


def test_pools_of_one_axis() -> None:
    run((2, 3, 9), node("MaxPool", "x", kernel_shape=[3], strides=[2], pads=[1, 0]))
    run((2, 3, 9), node("AveragePool", "x", kernel_shape=[3], strides=[2], ceil_mode=1), opset=19)


def test_padding_goes_into_pools() -> None:
    p = np.array([0, 0, 1, 1, 0, 0, 1, 0])
    pool = node("AveragePool", "a", kernel_shape=[3, 3])
    assert run(SHAPE, node("Pad", "x p", "a"), pool, p=p) == ["AvgPool"]
    low = np.array(np.finfo(np.float32).min, np.float64)
    pool = node("MaxPool", "a", kernel_shape=[3, 3])
    assert run(SHAPE, node("Pad", "x p low", "a"), pool, p=p, low=low) == ["MaxPool"]


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 5, 6), (2, 3, 2, 3, 4)])
@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(shape: Any, kind: str) -> None:
    model = model_of([node(kind, "x")], {"x": shape}, ["y"], kind=1)
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    agree(model, {"x": x}, 1e-6, runtime)  # ONNX's reference is wrong for some ranks


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1"])
@pytest.mark.parametrize("axes", [(2, 3), (1,), (3,), (1, 2, 3), (-1, 1), (2,)])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(kind: str, axes: tuple[int, ...], keep: int) -> None:
    run(SHAPE, node(kind, "x a", keepdims=keep), a=np.array(axes))


def test_reducing_the_batch_of_an_open_size_is_refused() -> None:
    model = model_of([node("ReduceMean", "x a")], {"x": ("N", 3)}, ["y"], {"a": np.array([0])}, 18)
    with pytest.raises(OnnxError, match=r"ReduceMean node 'y': the reduction includes the batch"):
        read_onnx(model)


def test_reducing_axis_0_of_a_fixed_size_reads_one_sample() -> None:
    run((4, 3), node("ReduceMean", "x a", keepdims=0), a=np.array([0]))


@pytest.mark.parametrize(
    "target",
    [(2, -1), (0, -1), (0, 8, 24), (2, 1, 4, 48), (-1, 192), (0, 4, 48, 1), (2, 2, 2, 6, 8)],
)
def test_reshape(target: tuple[int, ...]) -> None:
    run(SHAPE, node("Reshape", "x t", "a"), node("Relu", "a"), t=np.array(target))


def test_reshape_by_computed_shapes() -> None:
    """What exporters write for x.view(x.size(0), -1), on an open batch."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n ax", "m"),
        node("Concat", "m rest", "t", axis=0), node("Reshape", "x t", "y"),
    ]  # fmt: skip
    constants = {"zero": np.array(0), "ax": np.array([0]), "rest": np.array([-1])}
    model = model_of(nodes, {"x": ("N", *SHAPE[1:])}, ["y"], constants)
    read = agree(model, {"x": np.random.default_rng(1).normal(size=(3, *SHAPE[1:]))})
    assert [type(n.op).__name__ for n in read.source.nodes] == ["Flatten"]


def test_a_reshape_across_the_batch_reads_one_sample() -> None:
    run(SHAPE, node("Reshape", "x t"), t=np.array([16, 24]))


@pytest.mark.parametrize("axis", [0, 1, 2, 4, -1])
def test_flatten(axis: int) -> None:
    run(SHAPE, node("Flatten", "x", axis=axis))


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3)])
def test_transposes_move_nothing_by_themselves(perm: Any) -> None:
    assert run(SHAPE, node("Relu", "x", "a"), node("Transpose", "a", perm=perm)) == ["Relu"]


def test_squeeze_and_unsqueeze() -> None:
    axes: dict[str, Any] = {"a": np.array([1, 3]), "b": np.array([1, 3])}
    made = run((2, 5), node("Unsqueeze", "x a", "u"), node("Relu", "u", "r"),
               node("Squeeze", "r b"), **axes)  # fmt: skip
    assert made == ["Relu"]


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concat(axis: int) -> None:
    made = run(
        SHAPE, node("Relu", "x", "a"), node("Neg", "x", "b"), node("Concat", "a b", axis=axis)
    )
    assert made[-1] == "Concat"
    assert made.count("Transpose") == (0 if axis == 1 else 2)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_split(axis: int) -> None:
    sizes = np.array([1, SHAPE[axis] - 1])
    run(SHAPE, node("Split", "x s", "y z", axis=axis), outputs="y z", s=sizes)
    run(SHAPE, node("Split", "x", "y z", axis=axis, num_outputs=2), outputs="y z")


@pytest.mark.parametrize(
    ("start", "end", "axis", "step"),
    [(1, 3, 1, 1), (0, 1 << 62, 2, 2), (-3, -1, 3, 1), (-1, -(1 << 62), 3, -1), (5, 0, 2, -2)],
)
def test_slice(start: int, end: int, axis: int, step: int) -> None:
    constants: dict[str, Any] = {
        k: np.array([v]) for k, v in zip("seap", (start, end, axis, step), strict=True)
    }
    run(SHAPE, node("Slice", "x s e a p"), **constants)


@pytest.mark.parametrize("indices", [1, [1], [0, 2, 4], [5, 0, 1], [[1, 2], [3, 3]], -1])
def test_gather(indices: Any) -> None:
    run(SHAPE, node("Gather", "x i", axis=2), i=np.array(indices))


PADS = [
    (0, 0, 1, 2, 0, 0, 3, 0),
    (0, 1, 0, 0, 0, 2, 0, 1),
    (0, 1, 1, 1, 0, 1, 1, 1),
    (0, 0, -1, 2, 0, 0, 0, -3),
]


@pytest.mark.parametrize("pads", PADS)
def test_pad(pads: Any) -> None:
    constants = {"p": np.array(pads), "v": np.array(1.5, np.float32)}
    model = model_of([node("Pad", "x p v")], {"x": SHAPE}, ["y"], constants, 18, kind=1)
    x = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)
    agree(model, {"x": x}, oracle=runtime)  # ONNX's reference knows no negative pads


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    run((2, 8, 3, 4), node("DepthToSpace", "x", blocksize=2, mode=mode))


def test_space_to_depth() -> None:
    run((2, 3, 4, 6), node("SpaceToDepth", "x", blocksize=2))


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel"])
@pytest.mark.parametrize("rounding", ["floor", "round_prefer_floor", "round_prefer_ceil", "ceil"])
@pytest.mark.parametrize("scales", [(2, 3), (1, 2), (0.5, 1), (1.5, 0.75)])
def test_resize(coordinates: str, rounding: str, scales: Any) -> None:
    run(
        (2, 3, 4, 8),
        node("Resize", "x - s", mode="nearest", coordinate_transformation_mode=coordinates,
             nearest_mode=rounding),
        s=np.array((1, 1, *scales), np.float32),
    )  # fmt: skip


def test_resize_by_whole_factors_is_an_upsample() -> None:
    resize = node("Resize", "x - - n", mode="nearest", coordinate_transformation_mode="asymmetric",
                  nearest_mode="floor")  # fmt: skip
    assert run((2, 3, 4, 8), resize, n=np.array([2, 3, 8, 24])) == ["Upsample"]


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keep", [0, 1])
def test_arg_max(kind: str, keep: int) -> None:
    run((3, 7), node(kind, "x", axis=1, keepdims=keep))
    run((3, 7, 1, 1), node(kind, "x", axis=1, keepdims=keep))
    assert run((3, 7, 4, 5), node(kind, "x", axis=1, keepdims=keep))[0] != "Reshape"
    run((3, 7, 4, 5), node(kind, "x", axis=3, keepdims=keep))
    run((3, 7, 4), node(kind, "x", axis=-1, keepdims=keep))


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [1, 2])
def test_the_last_of_equals(kind: str, axis: int) -> None:
    nodes = [node(kind, "x", axis=axis, keepdims=0, select_last_index=1)]
    model = model_of(nodes, {"x": (3, 7, 4)}, ["y"])
    x = np.random.default_rng(0).integers(0, 3, size=(3, 7, 4)).astype(float)
    flipped = np.flip(x if kind == "ArgMax" else -x, axis=axis)
    want = x.shape[axis] - 1 - flipped.argmax(axis=axis)
    np.testing.assert_array_equal(ours(model, {"x": x})[1]["y"], want)


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [(0, 0, 1, 2, 0, 0, 3, 0), (0, 2, 0, 0, 0, 1, 0, 4)])
def test_padding_with_elements(mode: str, pads: tuple[int, ...]) -> None:
    nodes, constants = [node("Pad", "x p", mode=mode)], {"p": np.array(pads)}
    model = model_of(nodes, {"x": (2, 5, 4, 6)}, ["y"], constants, 19, kind=1)
    x = np.random.default_rng(5).normal(size=(2, 5, 4, 6)).astype(np.float32)
    agree(model, {"x": x}, oracle=runtime)


def test_top_k_gives_indices() -> None:
    nodes = [node("TopK", "x k", "v y", axis=1)]
    model = model_of(nodes, {"x": (3, 7)}, ["y"], {"k": np.array([3])})
    x = np.random.default_rng(0).integers(0, 4, size=(3, 7)).astype(float)  # with ties
    _, made = ours(model, {"x": x})
    np.testing.assert_array_equal(made["y"], np.argsort(-x, axis=1, kind="stable")[:, :3])


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_top_k_at_each_place(axis: int) -> None:
    model = model_of([node("TopK", "x k", "v y", axis=axis)], {"x": (3, 7, 4, 5)}, ["y"],
                     {"k": np.array([3])})  # fmt: skip
    x = np.random.default_rng(0).integers(0, 4, size=(3, 7, 4, 5)).astype(float)
    _, made = ours(model, {"x": x})
    want = np.argsort(-x, axis=axis, kind="stable").take(range(3), axis=axis)
    np.testing.assert_array_equal(made["y"], want)


@pytest.mark.parametrize("kind", ["Shape", "Size"])
def test_shapes_are_constants(kind: str) -> None:
    nodes = [
        node(kind, "x", "s"), node("Cast", "s", "f", to=11),
        node("ReduceSum", "f", "g", keepdims=0), node("Add", "x g"),
    ]  # fmt: skip
    run(SHAPE, *nodes)
