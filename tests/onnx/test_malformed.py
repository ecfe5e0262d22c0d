"""Each defect of a file is named; external data stays in its folder; nothing large is built."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hwc.compiler.onnx import OnnxError, load_onnx, read_onnx

from .helpers import model_of, node, small_network


def test_the_base_loads() -> None:
    assert [i.shape for i in read_onnx(small_network()).source.inputs] == [(3, 8, 8)]


def change(edit: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = small_network()
    edit(model)
    return model


def attribute(model: onnx.ModelProto, at: int, name: str) -> onnx.AttributeProto:
    return next(a for a in model.graph.node[at].attribute if a.name == name)


def cycle(m: onnx.ModelProto) -> None:
    m.graph.node[3].input[0] = "m"


def undefined(m: onnx.ModelProto) -> None:
    m.graph.node[3].input[0] = "nowhere"


def twice(m: onnx.ModelProto) -> None:
    m.graph.node[4].output[0] = "c"


def infinite(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].raw_data = np.full((4, 3, 3, 3), np.nan, np.float32).tobytes()


def short(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].raw_data = m.graph.initializer[0].raw_data[:-4]


def misshapen(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].dims[1] = 9
    m.graph.initializer[0].dims[0] = 1
    m.graph.initializer[0].dims[2] = 1
    m.graph.initializer[0].dims[3] = 12


def huge(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].dims[0] = 1 << 40


def negative(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].dims[0] = -4


def wide_input(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 40


def huge_padding(m: onnx.ModelProto) -> None:
    attribute(m, 2, "pads").ints[0] = 1 << 62


def huge_kernel(m: onnx.ModelProto) -> None:
    attribute(m, 4, "kernel_shape").ints[0] = 1 << 60


def zero_stride(m: onnx.ModelProto) -> None:
    attribute(m, 2, "strides").ints[0] = 0


def wrong_type(m: onnx.ModelProto) -> None:
    attribute(m, 2, "strides").type = onnx.AttributeProto.FLOAT


def bad_perm(m: onnx.ModelProto) -> None:
    attribute(m, 5, "perm").ints[0] = 2


def unknown(m: onnx.ModelProto) -> None:
    m.graph.node[3].op_type = "Frobnicate"


def foreign(m: onnx.ModelProto) -> None:
    m.graph.node[3].domain = "com.acme"


def loop(m: onnx.ModelProto) -> None:
    m.graph.node[3].op_type = "Loop"


def old(m: onnx.ModelProto) -> None:
    m.opset_import[0].version = 6


def future(m: onnx.ModelProto) -> None:
    m.opset_import[0].version = 1 << 40


def future_ir(m: onnx.ModelProto) -> None:
    m.ir_version = 999


def no_graph(m: onnx.ModelProto) -> None:
    m.ClearField("graph")


def no_output(m: onnx.ModelProto) -> None:
    del m.graph.output[:]


def bad_scale(m: onnx.ModelProto) -> None:
    m.graph.initializer[2].raw_data = np.float32(0).tobytes()


def text_weights(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].data_type = TensorProto.STRING


def unknown_element(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].data_type = 99


def bad_name(m: onnx.ModelProto) -> None:
    """Marked by a name that is made invalid in the bytes of the file."""
    m.graph.node[3].name = "marked!"


def two_initializers(m: onnx.ModelProto) -> None:
    m.graph.initializer[1].name = "w"


def functions(m: onnx.ModelProto) -> None:
    m.functions.add(name="F", domain="local")


MESSAGES: dict[str, tuple[Any, str]] = {
    "cycle": (cycle, "Clip node 'k': is part of a cycle"),
    "undefined": (undefined, "Clip node 'k': input 'nowhere' is not defined"),
    "twice": (twice, "MaxPool node 'c': 'c' is defined twice"),
    "not a number": (infinite, "Conv node 'c': weight: there must be values, all of them finite"),
    "short data": (short, "initializer 'w': the data does not fit shape"),
    "misshapen": (misshapen, "Conv node 'c': Conv: weight"),
    "huge tensor": (huge, "initializer 'w': shape .* must have at most"),
    "negative size": (negative, "initializer 'w': shape .* must have at most"),
    "huge input": (wide_input, "input 'x': shape .* must have at most"),
    "huge padding": (huge_padding, "Conv node 'c': pads .* must be 4 integers"),
    "huge kernel": (huge_kernel, "MaxPool node 'm': kernel_shape"),
    "zero stride": (zero_stride, "Conv node 'c': strides .* must be 2 integers in 1"),
    "wrong type": (wrong_type, "Conv node 'c': attribute 'strides' has the wrong type"),
    "bad perm": (bad_perm, "Transpose node 'n': perm .* must permute 4 axes"),
    "unknown operator": (unknown, "Frobnicate node 'k': operator is not supported"),
    "foreign operator": (foreign, "Clip node 'k': operator of 'com.acme' is not supported"),
    "control flow": (loop, "Loop node 'k': .*control flow"),
    "old": (old, "operator set version 6 must be in 7"),
    "future": (future, "operator set version .* must be in 7"),
    "future file": (future_ir, "IR version 999 must be in 3"),
    "no graph": (no_graph, "it has no graph"),
    "no output": (no_output, "no output|has no outputs"),
    "scale 0": (bad_scale, "QuantizeLinear node 'q': scales must not be 0"),
    "text": (text_weights, "initializer 'w': element type"),
    "unknown element": (unknown_element, "initializer 'w': element type 99 is unknown"),
    "two initializers": (two_initializers, "two initializers have the same name"),
    "name": (bad_name, "a name is not valid UTF-8"),
    "functions": (functions, "holds functions of its own"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_defect_is_named(name: str, tmp_path: Path) -> None:
    edit, message = MESSAGES[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(change(edit).SerializeToString().replace(b"marked!", b"marked\xff"))
    with pytest.raises(OnnxError, match=message):
        load_onnx(path)


def test_a_branch_is_named_though_no_input_reaches_it() -> None:
    """What a branch reads from outside is no input of its node."""
    arm = onnx.helper.make_graph(
        [node("Relu", "x", "a")], "arm", [], [onnx.helper.make_tensor_value_info("a", 1, None)]
    )
    branch = onnx.helper.make_node("If", ["c"], ["y"], then_branch=arm, else_branch=arm)
    model = model_of([branch], {"x": (2, 4)}, ["y"], {"c": np.array(True)})
    with pytest.raises(OnnxError, match=r"If node 'y': .*control flow is not supported"):
        read_onnx(model)


def test_a_file_that_is_missing_or_none(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match="cannot be read"):
        load_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(OnnxError, match="not an ONNX"):
        load_onnx(tmp_path / "text.onnx")


def test_constants_that_would_be_huge() -> None:
    nodes = [
        node("ConstantOfShape", "t", "c"), node("Add", "x c")
    ]  # fmt: skip
    model = model_of(nodes, {"x": (2, 4)}, ["y"], {"t": np.array([1 << 20, 1 << 20])})
    with pytest.raises(OnnxError, match=r"ConstantOfShape node 'c': shape .* must have at most"):
        read_onnx(model)


def test_many_large_constants() -> None:
    nodes = [node("ConstantOfShape", "t", "c0")]
    nodes += [node("Cast", f"c{i}", f"c{i + 1}", to=11) for i in range(40)]
    nodes.append(node("Add", "x c40"))
    model = model_of(nodes, {"x": (2, 4)}, ["y"], {"t": np.array([1 << 22])})
    with pytest.raises(OnnxError, match=r"Cast node 'c3.': constants made so far take over"):
        read_onnx(model)


LONG = 1 << 26
LENGTHY: dict[str, list[onnx.NodeProto]] = {
    "pool": [node("MaxPool", "x", kernel_shape=[2])],
    "reversal": [node("Slice", "x last first axis back")],
    "resize": [node("Resize", "x - scales", mode="nearest")],
    "cut": [node("Slice", "x one last axis two"), ],
    "reduction": [node("ReduceMax", "x", axes=[2])],
    "padding": [node("Pad", "x pads", "p"), node("AveragePool", "p", kernel_shape=[3])],
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHY)
def test_long_axes_take_no_time(name: str) -> None:
    """A network of 2^26 positions is refused or read at once, but never enumerated."""
    constants = {
        "last": np.array([LONG - 1]), "first": np.array([-LONG - 1]), "axis": np.array([2]),
        "back": np.array([-1]), "scales": np.array([1, 1, 2], np.float32), "one": np.array([1]),
        "two": np.array([2]), "pads": np.array([0, 0, 5, 0, 0, 5]),
    }  # fmt: skip
    used = {k: v for k, v in constants.items() if any(k in n.input for n in LENGTHY[name])}
    model = model_of(LENGTHY[name], {"x": (1, 1, LONG)}, ["y"], used)
    start = time.monotonic()
    with contextlib.suppress(OnnxError):
        read_onnx(model)
    assert time.monotonic() - start < 1


# External data


def external(folder: Path, location: str, **entries: str) -> Path:
    model = small_network()
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    (folder / "model").mkdir()
    for place in (folder / "outside.bin", folder / "model" / "weights.bin"):
        place.write_bytes(data)
    path = folder / "model" / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    read = load_onnx(external(tmp_path, "weights.bin", offset="0", length="432"))
    want = onnx.numpy_helper.to_array(small_network().graph.initializer[0])
    assert any(np.array_equal(t, want) for t in read.source.tensors.values())


@pytest.mark.parametrize("location", ["../outside.bin", "{folder}/outside.bin", "link.bin"])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    path = external(tmp_path, location.format(folder=tmp_path))
    (path.parent / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(OnnxError, match="lies outside the model's folder"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("none.bin", {}, "is missing"), ("weights.bin", {"offset": "100"}, "432 are needed at 100"),
        ("weights.bin", {"offset": "-1"}, "are needed"),
        ("weights.bin", {"offset": "x"}, "invalid"),
        ("", {}, "needs a location"), ("weights.bin", {"length": "12"}, "are needed"),
    ],
)  # fmt: skip
def test_external_data_that_does_not_fit(
    tmp_path: Path, location: str, entries: dict[str, str], message: str
) -> None:
    with pytest.raises(OnnxError, match=message):
        load_onnx(external(tmp_path, location, **entries))
