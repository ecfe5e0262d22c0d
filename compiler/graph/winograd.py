"""Convolutions of stride 1 in tiles of several outputs, which minimal filtering speeds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.expand import free_name
from hwc.compiler.graph.frozen import IntNd
from hwc.compiler.graph.gather import Gather
from hwc.compiler.graph.graph import Graph, Node
from hwc.compiler.graph.interval import accumulator_type
from hwc.compiler.graph.linear import Conv2d, check_weight
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.two_slope import Quantizer
from hwc.compiler.graph.types import Type
from hwc.compiler.graph.weights import Weights
from hwc.compiler.graph.window import Window

__all__ = ["WinogradProduct", "convolutions", "winograd"]


@dataclass(frozen=True)
class WinogradProduct(Op):
    """y[..., i, j, k] = sum_{a, b, c} weight[k, a, b, c] * x[..., 0, (i + a) * n + j + b, c].

    (..., 1, n * n, C) -> (..., m, m, N) with weight (N, r, r, C), n = m + r - 1: all outputs of a
    convolution that lie in one window of n x n places. This is the direct sum; units that need
    fewer products (A. Lavin and S. Gray, arXiv:1509.09308) have to equal it.
    """

    weight: Weights
    m: int

    def __post_init__(self) -> None:
        check_weight(self, self.weight, "N, r, r, C")
        if self.weight.shape[1] != self.weight.shape[2]:
            raise self.error(f"weight must be (N, r, r, C), got shape {self.weight.shape}")
        self._set(m=self.to_int("m", self.m, 1))

    @property
    def r(self) -> int:
        """Rows, and columns, of the kernel."""
        return self.weight.shape[1]

    @property
    def n(self) -> int:
        """Rows, and columns, of a window."""
        return self.m + self.r - 1

    def infer(self, *types: Type) -> Type:
        x = self.one(types)
        outputs, channels = self.weight.shape[0], self.weight.shape[3]
        if x.shape[-3:] != (1, self.n**2, channels):
            raise self.error(
                f"the input must end in (1, n * n, C) = {(1, self.n**2, channels)} for weight "
                f"{self.weight.shape} and m={self.m}, got shape {x.shape}"
            )
        rows = self.weight.dense().reshape(outputs, -1)
        return accumulator_type(self, (*x.shape[:-3], self.m, self.m, outputs), rows, x)

    def reference(self, *arrays: IntNd) -> IntNd:
        (x,) = arrays
        y = self._tile.reference(x.reshape(-1, self.n, self.n, x.shape[-1]))
        return y.reshape(*x.shape[:-3], *y.shape[1:])

    @cached_property
    def _tile(self) -> Conv2d:
        return Conv2d(self.weight)


def convolutions(graph: Graph) -> dict[str, Node]:
    """The nodes that :func:`winograd` can rewrite, by the name of the convolution and, if that is
    all that reads it, by the name of its quantizer: stride and dilation 1, one group, a square
    kernel of two or more.
    """
    found: dict[str, Node] = {}
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, Conv2d) or op.groups > 1:
            continue
        _, kh, kw, _ = op.weight.shape
        if kh == kw > 1 and (op.stride, op.dilation) == ((1, 1), (1, 1)):
            found[node.name] = node
            after = _quantizer(graph, node)
            if after is not None:
                found[after.name] = node
    return found


def winograd(graph: Graph, layers: Mapping[str, int]) -> Graph:
    """The same graph with each named convolution as a product of tiles of m x m outputs.

    `layers`: m by name, see :func:`convolutions`. A convolution (and a quantizer that alone reads
    it, which then works on tiles as well) becomes Window of stride m, WinogradProduct and Gather;
    the Gather bears the name of the last of them, and puts pixels back in rows. What m does not
    divide is padded and cut off again. GraphError for a name that is none of :func:`convolutions`.
    """
    legal = convolutions(graph)
    tiles: dict[str, int] = {}
    for name, m in layers.items():
        if name not in legal:
            raise GraphError(
                f"winograd: {name!r} is no convolution of stride and dilation 1, one group and a "
                f"square kernel; legal: {', '.join(map(repr, legal)) or 'none'}"
            )
        if tiles.setdefault(legal[name].name, m) != m:
            raise GraphError(f"winograd: {name!r} is named twice, with tiles of {m} and others")
    names = set(graph.types)
    nodes: list[Node] = []
    moved: set[str] = set()
    for node in graph.nodes:
        if node.name in moved:
            continue
        if node.name not in tiles:
            nodes.append(node)
            continue
        after = _quantizer(graph, node)
        if after is not None:
            moved.add(after.name)
        nodes += _tiled(node, after, tiles[node.name], graph.types, names)
    return Graph(graph.inputs, tuple(nodes), graph.outputs).verify()


def _quantizer(graph: Graph, node: Node) -> Node | None:
    """The quantizer that alone reads the node."""
    readers = graph.consumers(node.name)
    alone = len(readers) == 1 and node.name not in graph.outputs
    return readers[0] if alone and isinstance(readers[0].op, Quantizer) else None


def _fill(op: Conv2d, x: Type) -> int:
    """What pads: what is cut off again may be anything, so that it need not widen the type."""
    if any(op.padding):
        return 0
    return 1 if x.bipolar else min(max(0, x.lo), x.hi)


def _tiled(
    node: Node, after: Node | None, m: int, types: Mapping[str, Type], names: set[str]
) -> list[Node]:
    op, x, y = node.op, types[node.args[0]], types[node.name]
    assert isinstance(op, Conv2d)
    product = WinogradProduct(op.weight, m)
    height, width, channels = y.shape
    rows, columns = -(-height // m), -(-width // m)
    top, bottom, left, right = op.padding
    padding = (top, bottom + rows * m - height, left, right + columns * m - width)
    window = Window((product.n, product.n), (m, m), padding, fill=_fill(op, x))
    index = np.arange(rows * columns * m * m * channels).reshape(rows, columns, m, m, channels)
    raster = index.transpose(0, 2, 1, 3, 4).reshape(rows * m, columns * m, channels)
    gather = Gather(raster[:height, :width], y.shape)
    last = node.name if after is None else after.name
    made = [Node(free_name(f"{node.name}_window", names), window, node.args)]
    made.append(Node(free_name(f"{node.name}_tiles", names), product, (made[-1].name,)))
    if after is not None:
        made.append(Node(free_name(f"{after.name}_tiles", names), after.op, (made[-1].name,)))
    made.append(Node(last, gather, (made[-1].name,)))
    return made
