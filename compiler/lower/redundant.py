"""Pass: channels that repeat another, never change or are never read are not computed.

Quantization and pruning make such channels: rows of weights become equal, or equal but for the
sign (behind thresholds that are as well), saturate their thresholds, or meet zeros only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwc.compiler.graph import (
    Conv1d,
    Conv2d,
    GlobalMaxPool,
    GlobalSumPool,
    Graph,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Op,
    Requant,
    Reshape,
    SumPool2d,
    Type,
    recognize,
)
from hwc.compiler.graph.exact import row_sums
from hwc.compiler.graph.types import INT64_MAX, INT64_MIN, wire_width

__all__ = ["without_redundant"]

Ints = NDArray[np.int64]
Product = MatMul | Conv1d | Conv2d
Scale = MultiThreshold | Requant
Pool = MaxPool2d | SumPool2d | GlobalMaxPool | GlobalSumPool


def without_redundant(graph: Graph) -> Graph:
    """The same function with fewer channels between products; names and outputs stay.

    A product of one group is treated if all that it feeds, over quantizers, pools and reshapes, is
    one other such product. Channels that are equal for every input become one, and the columns of
    their weights are added up, unless that makes the reader's weights larger in sum; so do those
    whose weights and thresholds are both negated. A channel whose interval lies between two
    thresholds is a constant: 0 goes for nothing, another one where the reader's own quantizer can
    take it up (no border that is padded). What only meets zeros is removed. One channel always
    stays.
    """
    changed = True
    while changed:
        changed = False
        for node in reversed(graph.nodes):
            path = _path(graph, node)
            ops = path.fewer(graph.types) if path is not None else None
            if ops:
                nodes = tuple(replace(n, op=ops.get(n.name, n.op)) for n in graph.nodes)
                graph = Graph(graph.inputs, nodes, graph.outputs).verify()
                changed = True
    return graph


def _path(graph: Graph, node: Node) -> _Path | None:
    """The way from a product to the only product that reads it."""
    if not _plain(node.op):
        return None
    chain: list[Node] = []
    at = node
    while True:
        readers = graph.consumers(at.name)
        if len(readers) != 1 or at.name in graph.outputs or len(set(readers[0].args)) > 1:
            return None
        at = readers[0]
        if _plain(at.op):
            break
        if not isinstance(at.op, MultiThreshold | Requant | Reshape | Pool):
            return None
        chain.append(at)
    after = graph.consumers(at.name)
    alone = len(after) == 1 and at.name not in graph.outputs
    quantizer = after[0] if alone and isinstance(after[0].op, MultiThreshold | Requant) else None
    path = _Path(node, tuple(chain), at, quantizer)
    return path if path.regular(graph.types) else None


def _plain(op: Op) -> bool:
    """Whether this is a product of one group, so that every output sees every channel."""
    return isinstance(op, MatMul) or (isinstance(op, Conv1d | Conv2d) and op.groups == 1)


@dataclass(frozen=True)
class _Path:
    """A product, what its channels pass through one by one, and the product that reads them."""

    source: Node
    chain: tuple[Node, ...]
    reader: Node
    quantizer: Node | None
    """The one behind the reader, if nothing else reads it."""

    def regular(self, types: Mapping[str, Type]) -> bool:
        """Whether channels stay apart: reshapes only repeat them, quantizers come before those."""
        count, flat = types[self.source.name].shape[-1], False
        for node in self.chain:
            if isinstance(node.op, Reshape):
                last = types[node.name].shape[-1]
                if last % count:
                    return False
                flat = flat or last != count
            elif flat:
                return False
        return True

    def fewer(self, types: Mapping[str, Type]) -> dict[str, Op]:
        """New operations by node, if a channel can go; they compute the same."""
        source, reader = (_weight(n.op) for n in (self.source, self.reader))
        count = len(source)
        columns = reader.reshape(*reader.shape[:-1], -1, count)
        values = self._constants(types, source)
        gone = {c for c in range(count) if not columns[..., c].any() or values.get(c) == 0}
        taken = {c: v for c, v in values.items() if c not in gone and self._takes_up}
        gone |= set(taken)
        twins = self._twins(source, [c for c in range(count) if c not in gone])
        keep = [c for c in range(count) if c not in gone and c not in twins]
        merged = columns.copy()
        for twin, first in twins.items():
            merged[..., first] += columns[..., twin]
        if _size(merged[..., keep]) > _size(columns[..., sorted({*keep, *twins})]):
            keep, merged = sorted({*keep, *twins}), columns
        if not keep:
            keep, taken = [0], {c: v for c, v in taken.items() if c}
        if len(keep) == count:
            return {}
        ops: dict[str, Op] = {self.source.name: _with_weight(self.source.op, source[keep])}
        for node in self.chain:
            ops[node.name] = self._narrower(node, types, count, keep)
        left = merged[..., keep].reshape(*reader.shape[:-1], -1)
        ops[self.reader.name] = _with_weight(self.reader.op, left)
        if taken:
            assert self.quantizer is not None
            at = sorted(taken)
            sums = columns[..., at] @ np.array([taken[c] for c in at], np.int64)
            constant = sums.reshape(len(reader), -1).sum(axis=1)
            ops[self.quantizer.name] = _shifted(self.quantizer.op, constant)
        return ops

    def _constants(self, types: Mapping[str, Type], source: Ints) -> dict[int, int]:
        """Channels that have one value for every input, at the end of the chain, and that value."""
        x = types[self.source.args[0]]
        positive, negative = row_sums(source.reshape(len(source), -1))
        ends = np.stack([positive * x.lo + negative * x.hi, positive * x.hi + negative * x.lo])
        if isinstance(self.source.op, Conv1d | Conv2d) and any(np.ravel(self.source.op.padding)):
            ends = np.stack([np.minimum(ends[0], 0), np.maximum(ends[1], 0)])
        if np.abs(ends).max() > INT64_MAX // 2:
            return {}
        ends = ends.astype(np.int64)
        for node in self.chain:
            if isinstance(node.op, MultiThreshold | Requant):
                ends = np.sort(node.op.reference(ends), axis=0)
            elif isinstance(node.op, SumPool2d | GlobalSumPool):
                ends = _summed(node.op, types[node.args[0]], ends)
        return {c: int(a) for c, (a, b) in enumerate(ends.T.tolist()) if a == b}

    @property
    def _takes_up(self) -> bool:
        """Whether the reader's quantizer can take up a constant: it adds the same everywhere."""
        op = self.reader.op
        padded = isinstance(op, Conv1d | Conv2d) and any(np.ravel(op.padding))
        return self.quantizer is not None and not padded

    def _twins(self, source: Ints, among: list[int]) -> dict[int, int]:
        """Channels that equal an earlier one, and that one."""
        first = self.chain[0].op if self.chain else None
        signed = isinstance(first, MultiThreshold | Requant)
        seen: dict[bytes, int] = {}
        twins: dict[int, int] = {}
        for c in among:
            row = source[c].ravel()
            nonzero = row[row != 0]
            sign = -1 if signed and nonzero.size and nonzero[0] < 0 else 1
            key = (sign * row).tobytes()
            for k, node in enumerate(self.chain):
                if isinstance(node.op, MultiThreshold | Requant):
                    key += _channel(node.op, c, sign if k == 0 else 1)
            if c != seen.setdefault(key, c):
                twins[c] = seen[key]
        return twins

    def _narrower(self, node: Node, types: Mapping[str, Type], count: int, keep: list[int]) -> Op:
        """The operation of the chain on the channels that are kept."""
        op = node.op
        if isinstance(op, MultiThreshold):
            table = op.thresholds.values
            down = op.descending
            return MultiThreshold(
                table if len(table) == 1 else table[keep],
                down if len(down) == 1 else tuple(down[c] for c in keep),
                op.lo,
                op.step,
            )
        if isinstance(op, Requant):
            m, b = (v.values if len(v) == 1 else v.values[keep] for v in (op.multiplier, op.offset))
            return Requant(m, b, op.shift, op.lo, op.hi, op.rounding)
        if isinstance(op, Reshape):
            shape = types[node.name].shape
            return Reshape((*shape[:-1], shape[-1] // count * len(keep)))
        return op


def _summed(op: SumPool2d | GlobalSumPool, x: Type, ends: Ints) -> Ints:
    """The smallest and largest sum of values between the smallest and largest of each channel."""
    if isinstance(op, GlobalSumPool):
        return ends * (x.size // x.shape[-1])
    ends = ends * (op.kernel[0] * op.kernel[1])
    if any(op.padding):  # fewer places count at a border
        ends = np.stack([np.minimum(ends[0], 0), np.maximum(ends[1], 0)])
    return ends


def _channel(op: Scale, c: int, sign: int) -> bytes:
    """What an operation does to a channel, if the channel comes multiplied by ``sign``."""
    if isinstance(op, Requant):
        m, b = (int(v.values[c if len(v) > 1 else 0]) for v in (op.multiplier, op.offset))
        return repr((sign * m, b)).encode()
    row = op.thresholds.values[c if len(op.thresholds) > 1 else 0].tolist()
    down = op.descending[c if len(op.descending) > 1 else 0]
    if sign < 0:  # x >= t is -x <= -t
        row, down = [-t for t in reversed(row)], not down
    return repr((row, down)).encode()


def _weight(op: Op) -> Ints:
    assert isinstance(op, Product)
    return op.weight.dense()


def _with_weight(op: Op, values: Ints) -> Op:
    assert isinstance(op, Product)
    return replace(op, weight=recognize(values))


def _size(columns: Ints) -> int:
    """Bits of these weights, side by side."""
    if not columns.size:
        return 0
    signs = bool(np.isin(columns, (-1, 1)).all())
    return columns.size * (1 if signs else wire_width(int(columns.min()), int(columns.max())))


def _shifted(op: Op, constant: Ints) -> Op:
    """The quantizer of x + constant[c], as one of x."""
    if isinstance(op, Requant):
        m = op.multiplier.values
        return Requant(m, op.offset.values + m * constant, op.shift, op.lo, op.hi, op.rounding)
    assert isinstance(op, MultiThreshold)
    table = op.thresholds.values.astype(object) - constant[:, None]
    return MultiThreshold(
        np.clip(table, INT64_MIN, INT64_MAX).astype(np.int64), op.descending, op.lo, op.step
    )
