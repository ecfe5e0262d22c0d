"""PNet, RNet and ONet of MTCNN (Zhang et al. 2016), with the weights of the `mtcnn` package.

Its weights are pickles of NumPy arrays in Keras' order, channels last. They are read here as a
benchmark's input, from an installed package, and nowhere in hwc: pickles run code.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from foreign.oracles import execute
from foreign.prepared import Prepared

__all__ = ["forward", "make", "onnx_of", "stages", "weights"]

SIZES = {"pnet": (24, 32), "rnet": (24, 24), "onet": (48, 48)}
"""Height and width; PNet is fully convolutional and runs over images of any size."""

HEADS = {"pnet": ("linear", "softmax"), "rnet": ("linear", "softmax"),
         "onet": ("linear", "linear", "softmax")}  # fmt: skip
POOLS = {
    "pnet": {0: (2, "SAME_UPPER")},
    "rnet": {0: (3, "SAME_UPPER"), 1: (3, "VALID")},
    "onet": {0: (3, "SAME_UPPER"), 1: (3, "VALID"), 2: (2, "SAME_UPPER")},
}
"""Behind which convolution: window (stride 2) and padding."""


@dataclass(frozen=True)
class Stage:
    """One layer: `conv` or `dense` with its arrays, `prelu`, `pool`, `flatten` or a `head`."""

    kind: str
    arrays: tuple[np.ndarray, ...] = ()
    window: int = 0
    padding: str = "VALID"


def weights(name: str) -> list[np.ndarray]:
    """The arrays of one of the three networks, in the order of its layers."""
    import joblib

    found = importlib.util.find_spec("mtcnn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pip install --no-deps mtcnn lz4")
    path = Path(found.origin).parent / "assets" / "weights" / f"{name}.lz4"
    return [np.asarray(a) for a in joblib.load(path)]


def stages(name: str, arrays: Sequence[np.ndarray]) -> tuple[list[Stage], list[Stage]]:
    """The trunk and the heads: a weight of four axes is a convolution, of two a dense layer."""
    heads = len(HEADS[name])
    trunk, rest = list(arrays[: -2 * heads]), list(arrays[-2 * heads :])
    made: list[Stage] = []
    for i in range(0, len(trunk), 3):
        weight, bias, slope = trunk[i : i + 3]
        if weight.ndim == 2:
            made.append(Stage("flatten"))
        made.append(Stage("conv" if weight.ndim == 4 else "dense", (weight, bias)))
        made.append(Stage("prelu", (slope,)))
        if i // 3 in POOLS[name]:
            window, padding = POOLS[name][i // 3]
            made.append(Stage("pool", (), window, padding))
    pairs = [(rest[2 * i], rest[2 * i + 1]) for i in range(heads)]
    return made, [Stage("conv" if w.ndim == 4 else "dense", (w, b)) for w, b in pairs]


def forward(name: str, arrays: Sequence[np.ndarray], images: np.ndarray) -> list[np.ndarray]:
    """Outputs for (N, H, W, 3) bytes in float64, straight from Keras' definitions."""
    trunk, heads = stages(name, arrays)
    x = (images.astype(np.float64) - 127.5) / 128
    for stage in trunk:
        x = _apply(stage, x)
    found = [_apply(head, x) for head in heads]
    return [_softmax(y) if h == "softmax" else y for y, h in zip(found, HEADS[name], strict=True)]


def _apply(stage: Stage, x: np.ndarray) -> np.ndarray:
    match stage.kind:
        case "conv":
            weight, bias = stage.arrays
            return np.tensordot(_windows(x, weight.shape[:2], 1), weight, 3) + bias
        case "dense":
            return x @ stage.arrays[0] + stage.arrays[1]
        case "prelu":
            return np.where(x >= 0, x, x * stage.arrays[0])
        case "flatten":  # Permute((2, 1, 3)), then Flatten
            return x.transpose(0, 2, 1, 3).reshape(len(x), -1)
        case _:
            k = stage.window
            if stage.padding != "VALID":
                ends = [max(0, (-(-n // 2) - 1) * 2 + k - n) for n in x.shape[1:3]]
                pads = [(0, 0), *((e // 2, e - e // 2) for e in ends), (0, 0)]
                x = np.pad(x, pads, constant_values=-np.inf)
            return _windows(x, (k, k), 2).max(axis=(3, 4))


def _windows(x: np.ndarray, size: tuple[int, ...], stride: int) -> np.ndarray:
    """(N, H', W', kh, kw, C)."""
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return view[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass
class _Writer:
    """Nodes and constants of a file; `last` is the value so far."""

    last: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, op: str, x: str, arrays: Sequence[np.ndarray], out: str = "", **attrs) -> str:
        names = [f"k{len(self.constants) + i}" for i in range(len(arrays))]
        self.constants += [
            numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n)
            for a, n in zip(arrays, names, strict=True)
        ]
        self.last = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [x, *names], [self.last], **attrs))
        return self.last


def onnx_of(name: str, arrays: Sequence[np.ndarray], size: tuple[int, int]) -> onnx.ModelProto:
    """As converters from Keras write it: channels last outside, transposes, channels first within.

    Input `image` (N, H, W, 3) in 0..255; outputs `head0` ... as Keras has them.
    """
    trunk, heads = stages(name, arrays)
    w = _Writer("image")
    w.add("Sub", w.last, [np.array(127.5)])
    w.add("Div", w.last, [np.array(128)])
    w.add("Transpose", w.last, [], perm=[0, 3, 1, 2])
    flat = False
    for stage in trunk:
        flat |= stage.kind == "flatten"
        _write(w, stage, w.last, flat)
    x, outputs = w.last, []
    for i, (head, kind) in enumerate(zip(heads, HEADS[name], strict=True)):
        softmax, out = kind == "softmax", f"head{i}"
        last = _write(w, head, x, flat, "" if softmax or not flat else out)
        if not flat:
            last = w.add("Transpose", last, [], "" if softmax else out, perm=[0, 2, 3, 1])
        if softmax:
            w.add("Softmax", last, [], out, axis=-1)
        outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, None))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *size, 3])
    graph = helper.make_graph(w.nodes, name, [image], outputs, w.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _write(w: _Writer, stage: Stage, x: str, flat: bool, out: str = "") -> str:
    match stage.kind:
        case "conv":
            weight, bias = stage.arrays
            return w.add("Conv", x, [weight.transpose(3, 2, 0, 1), bias], out)
        case "dense":
            return w.add("Gemm", x, list(stage.arrays), out)
        case "prelu":
            slope = stage.arrays[0].ravel()
            return w.add("PRelu", x, [slope if flat else slope[:, None, None]])
        case "flatten":  # (N, C, H, W) -> (N, W, H, C), flat
            return w.add("Flatten", w.add("Transpose", x, [], perm=[0, 3, 2, 1]), [])
        case _:
            size, pad = [stage.window] * 2, stage.padding
            return w.add("MaxPool", x, [], kernel_shape=size, strides=[2, 2], auto_pad=pad)


def _patches(size: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Patches of scikit-learn's two sample photographs at several scales, (N, H, W, 3) bytes."""
    from sklearn.datasets import load_sample_images

    rng, (h, w) = np.random.default_rng(seed), size
    images = load_sample_images().images
    made = []
    for i in range(count):
        image = images[i % len(images)][:: (step := 1 + i % 4), ::step]
        top, left = (int(rng.integers(0, image.shape[a] - size[a] + 1)) for a in (0, 1))
        made.append(image[top : top + h, left : left + w])
    return np.stack(made)


def make(name: str, folder: Path) -> Prepared:
    """The file, checked against the forward pass in NumPy."""
    arrays, size = weights(name), SIZES[name]
    path = folder / f"{name}.onnx"
    onnx.save(onnx_of(name, arrays, size), path)
    frames = _patches(size, 64, 2)
    _, found = execute(path, {"image": frames})
    for have, want in zip(found.values(), forward(name, arrays, frames), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    return Prepared(
        path,
        {"image": frames},
        "patches of photographs",
        {"image": _patches(size, 128, 1)},
        raw=("image=1",),
        verify_inputs=5,
    )
