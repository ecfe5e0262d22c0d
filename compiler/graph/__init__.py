"""The integer language: types, weights, operations and graphs of exact integers, and `run`.

Everything is channels last and per sample: shapes (C,), (L, C), (H, W, C) without the batch axis.
Arrays are int64 with one leading batch axis. NumPy is all this package needs.
"""

from hwc.compiler.graph.elementwise import Add, MultiThreshold, Requant, Rounding
from hwc.compiler.graph.errors import GraphError, HwcError
from hwc.compiler.graph.expand import expand
from hwc.compiler.graph.frozen import IntArray
from hwc.compiler.graph.gather import Gather
from hwc.compiler.graph.graph import Graph, Node
from hwc.compiler.graph.interval import accumulator_interval
from hwc.compiler.graph.linear import Conv1d, Conv2d, GroupedMatMul, MatMul
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.pool import (
    GlobalMaxPool,
    GlobalSumPool,
    MaxPool2d,
    SumPool2d,
    WindowReduce,
)
from hwc.compiler.graph.run import run
from hwc.compiler.graph.select import ArgMax, TopK
from hwc.compiler.graph.shape import Concat, Reshape
from hwc.compiler.graph.structured import (
    Codebook,
    NMSparse,
    PowerOfTwo,
    Sparse,
    recognize,
    recognize_values,
)
from hwc.compiler.graph.table import Table
from hwc.compiler.graph.two_inputs import Multiply, Ratio
from hwc.compiler.graph.two_slope import Quantizer, TwoSlope
from hwc.compiler.graph.types import Type
from hwc.compiler.graph.weights import Binary, Dense, Ternary, Weights
from hwc.compiler.graph.window import Window
from hwc.compiler.graph.winograd import WinogradProduct, convolutions, winograd

__all__ = [
    "Add",
    "ArgMax",
    "Binary",
    "Codebook",
    "Concat",
    "Conv1d",
    "Conv2d",
    "Dense",
    "Gather",
    "GlobalMaxPool",
    "GlobalSumPool",
    "Graph",
    "GraphError",
    "GroupedMatMul",
    "HwcError",
    "IntArray",
    "MatMul",
    "MaxPool2d",
    "MultiThreshold",
    "Multiply",
    "NMSparse",
    "Node",
    "Op",
    "PowerOfTwo",
    "Quantizer",
    "Ratio",
    "Requant",
    "Reshape",
    "Rounding",
    "Sparse",
    "SumPool2d",
    "Table",
    "Ternary",
    "TopK",
    "TwoSlope",
    "Type",
    "Weights",
    "Window",
    "WindowReduce",
    "WinogradProduct",
    "accumulator_interval",
    "convolutions",
    "expand",
    "recognize",
    "recognize_values",
    "run",
    "winograd",
]
