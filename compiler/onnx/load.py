"""From an ONNX file to the float source graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from hwc.compiler.onnx import file
from hwc.compiler.onnx.builder import Batch, identifier
from hwc.compiler.onnx.errors import BatchError, OnnxError
from hwc.compiler.onnx.fold import FOLDS, fold
from hwc.compiler.onnx.hoist import hoist_quantizers
from hwc.compiler.onnx.imported import Imported, Port
from hwc.compiler.onnx.inputs import Raw, choose_batch, declare, enter
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.operators import HINTS, OPERATORS, QUANTIZERS, Result
from hwc.compiler.onnx.tensors import Tensors
from hwc.compiler.onnx.values import Constant, Operand, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Source, SourceError, SourceNode

__all__ = ["load_onnx", "read_onnx"]

MALFORMED = (
    ArithmeticError, AttributeError, IndexError, KeyError, MemoryError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
"""What handlers may raise where attributes or shapes contradict each other."""

MOST_BYTES = 1 << 30
"""Memory of all constants that are computed while a file is read."""


def load_onnx(
    path: str | Path,
    shapes: Mapping[str, Sequence[int]] | None = None,
    raw: Mapping[str, Raw] | None = None,
) -> Imported:
    """Read a model. `shapes` fixes input shapes (batch included) that the file leaves open; `raw`
    says which float inputs get integers, and what these stand for.

    Raises OnnxError naming the node, the operator, the rule and what would work.
    """
    path = Path(path)
    return read_onnx(file.read_file(path), shapes, raw, path.parent, str(path))


def read_onnx(
    model: onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    raw: Mapping[str, Raw] | None = None,
    folder: Path | None = None,
    what: str = "model",
) -> Imported:
    """As load_onnx, of a model in memory; `folder` is where external data may be.

    Axis 0 of the inputs is taken as the batch; where an operator mixes samples and the shapes are
    fixed, the whole input is read as one sample without a batch axis.
    """
    reader = _Reader(model, shapes or {}, raw or {}, folder, what)
    batch = choose_batch(reader.declared)
    with np.errstate(all="ignore"):  # what is not finite is refused where it is used
        try:
            return reader.read(batch)
        except BatchError:
            if batch.dynamic or batch.size is None:
                raise
        return reader.read(Batch(None))


class _Reader:
    """One model, to be walked once for each way to see the batch."""

    def __init__(
        self,
        model: onnx.ModelProto,
        shapes: Mapping[str, Sequence[int]],
        raw: Mapping[str, Raw],
        folder: Path | None,
        what: str,
    ) -> None:
        self.graph, self.made = model.graph, 0
        self.opsets = file.opsets(model, what)
        self.tensors = Tensors(folder)
        self.initializers = {t.name: t for t in model.graph.initializer}
        if len(self.initializers) < len(model.graph.initializer):
            raise OnnxError(f"{what}: two initializers have the same name")
        self.nodes = file.needed_nodes(model.graph)
        for node in self.nodes:
            file.refuse_branches(node)
        used = {name for node in self.nodes for name in node.input}
        self.used = frozenset(used | {o.name for o in model.graph.output})
        inputs = [
            item
            for item in model.graph.input
            if item.name not in self.initializers and item.name in self.used
        ]
        unknown = {*shapes, *raw} - {item.name for item in inputs}
        if unknown:
            names = ", ".join(item.name for item in inputs)
            raise OnnxError(f"{what}: no input is called {sorted(unknown)}; inputs are {names}")
        self.declared = [declare(item, shapes, raw.get(item.name)) for item in inputs]
        if not self.declared:
            raise OnnxError(f"{what}: no output depends on an input; a network needs an input")
        if not model.graph.output:
            raise OnnxError(f"{what}: the graph has no outputs")

    def read(self, batch: Batch) -> Imported:
        """Walk all nodes and collect the result."""
        walk, self.made = Walk(batch), 0
        values: dict[str, Operand] = {}
        for item in self.declared:
            values[item.name] = enter(walk, item, self.nodes, self._initial)
        inputs = {item.name: values[item.name] for item in self.declared}
        for proto in self.nodes:
            self._node(walk, proto, values)
        walk.node = None
        ports = [self._output(walk, o.name, values) for o in self.graph.output]
        return _imported(walk, inputs, ports)

    def _initial(self, name: str) -> Constant | None:
        if name not in self.initializers:
            return None
        return Constant(self.tensors.array(self.initializers[name], f"initializer {name!r}"))

    def _operand(self, name: str, values: dict[str, Operand]) -> Operand:
        if name and name not in values:
            values[name] = self._initial(name)
        return values[name] if name else None

    def _node(self, walk: Walk, proto: onnx.NodeProto, values: dict[str, Operand]) -> None:
        operands = [self._operand(name, values) for name in proto.input]
        domain = file.domain_of(proto)
        opset = self.opsets.get(domain if domain != "" else "", self.opsets[""])
        node = walk.node = Node(proto, operands, opset, self.tensors, self.used)
        for name, operand in zip(proto.input, operands, strict=True):
            if name and operand is None:
                node.fail(f"input {name!r} is an output that this operator does not give")
        try:
            made = _dispatch(walk, node)
        except OnnxError:
            raise
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise OnnxError(f"{node.title}: inputs and attributes do not fit ({reason})") from None
        self._count(node, made)
        results = [made] if isinstance(made, (Value, Constant)) else list(made)
        for name, result in zip(proto.output, results, strict=False):
            if name:
                values[name] = result
        for name in proto.output[len(results) :]:
            if name in self.used:
                node.fail(f"output {name!r} is not supported; use the first {len(results)}")

    def _count(self, node: Node, made: Result) -> None:
        """Refuse when constants made on the way take too much memory."""
        results = [made] if isinstance(made, (Value, Constant)) else made
        self.made += sum(r.value.nbytes for r in results if isinstance(r, Constant))
        node.check(self.made <= MOST_BYTES, f"constants made so far take over {MOST_BYTES} bytes")

    def _output(self, walk: Walk, name: str, values: dict[str, Operand]) -> Port:
        value = self._operand(name, values)
        if not isinstance(value, Value):
            raise OnnxError(f"output {name!r} does not depend on any input; remove it")
        return Port(name, value, walk.shape(value), walk.batch)


def _dispatch(walk: Walk, node: Node) -> Result:
    key = (node.domain, node.type)
    handler = OPERATORS.get(key)
    constant = all(isinstance(o, Constant) for o in node.operands if o is not None)
    if constant and key not in QUANTIZERS:
        if node.domain == "" and node.type in FOLDS:
            return fold(node)
        node.fail("its inputs are all constants, and it is not one that is folded; fold the file")
    if handler is None:
        hint = HINTS.get(node.type, "docs/onnx.md lists what is supported")
        where = f" of {node.domain!r}" if node.domain else ""
        node.fail(f"operator{where} is not supported: {hint}")
    return handler(walk, node)


def _imported(walk: Walk, inputs: Mapping[str, Operand], outputs: list[Port]) -> Imported:
    """The source, of what the outputs need."""
    needed: set[str] = set()
    stack = [port.value.name for port in outputs]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += walk.nodes[name].args if name in walk.nodes else ()
    kept: list[SourceNode] = [n for n in walk.nodes.values() if n.name in needed]
    tensors: dict[str, np.ndarray] = {n: t for n, t in walk.tensors.items() if n in needed}
    items = [i for i in walk.inputs if i.name in needed]
    ports = [
        Port(name, value, walk.shape(value), walk.batch)
        for name, value in inputs.items()
        if isinstance(value, Value)
    ]
    dropped = [p.name for p in ports if p.value.name not in needed]
    walk.notes += [f"input {name!r} does not change any output and was dropped" for name in dropped]
    kept, outputs = _named(walk, kept, outputs)
    names = tuple(dict.fromkeys(port.value.name for port in outputs))
    kept = hoist_quantizers(items, kept, names)
    try:
        source = Source(tuple(items), tuple(kept), names, tensors)
    except SourceError as error:
        raise OnnxError(f"the network as a whole: {error}") from None
    ports = [p for p in ports if p.value.name in needed]
    return Imported(source, tuple(ports), tuple(outputs), tuple(dict.fromkeys(walk.notes)))


def _named(
    walk: Walk, nodes: list[SourceNode], outputs: list[Port]
) -> tuple[list[SourceNode], list[Port]]:
    """Nodes that are outputs get the file's names of these, where nothing has them yet: what only
    looks at a value otherwise (a transpose, an identity) has left no node."""
    names: dict[str, str] = {}
    for port in outputs:
        old, new = port.value.name, walk.unique(port.name)
        if old in walk.nodes and old not in names and new == identifier(port.name):
            names[old] = new
            walk.shapes[new] = walk.shapes[old]
    nodes = [
        replace(n, name=names.get(n.name, n.name), args=tuple(names.get(a, a) for a in n.args))
        for n in nodes
    ]
    ports = [
        replace(p, value=p.value.renamed(names.get(p.value.name, p.value.name))) for p in outputs
    ]
    return nodes, ports
