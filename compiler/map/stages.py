"""Which nodes of the integer graph share a unit."""

from __future__ import annotations

from dataclasses import dataclass

from hwc.compiler.graph import (
    Graph,
    GroupedMatMul,
    MatMul,
    Node,
    Op,
    Quantizer,
    Reshape,
    Type,
    WinogradProduct,
)

__all__ = ["Source", "Stage", "stages"]


@dataclass(frozen=True)
class Source:
    """Where an operand comes from: a stage's (or the network's) tensor, seen with another shape."""

    tensor: str
    type: Type
    """Type after the reshapes on the way, as the consumer sees it."""


@dataclass(frozen=True)
class Stage:
    """One unit-to-be: an operation, the activation fused behind it, and its operands."""

    tensor: str
    """Name of the value it produces; also the name of the unit."""
    op: Op
    activation: Quantizer | None
    sources: tuple[Source, ...]
    type: Type
    layers: tuple[str, ...] = ()
    """Names of the nodes that it computes, the operation first."""


def stages(graph: Graph) -> tuple[tuple[Stage, ...], tuple[Source, ...]]:
    """The stages in topological order, and where each output of the network comes from.

    A threshold or requantization that is the only reader of a matrix product is computed by the
    same unit; reshapes are no stages, they only change how the next one counts.
    """
    root = {name: name for name, _ in graph.inputs}
    fused: set[str] = set()
    out: list[Stage] = []

    def source(name: str) -> Source:
        return Source(root[name], graph.types[name])

    for node in graph.nodes:
        if node.name in fused:
            continue
        if isinstance(node.op, Reshape):
            root[node.name] = root[node.args[0]]
            continue
        type = node.op.infer(*(graph.types[a] for a in node.args))
        products = MatMul | GroupedMatMul | WinogradProduct
        chain = _activation(graph, node) if isinstance(node.op, products) else ()
        last = chain[-1] if chain else node
        activation = last.op if isinstance(last.op, Quantizer) and chain else None
        if activation is not None:
            type = activation.infer(type)
        layers = (node.name, *(n.name for n in chain))
        root.update(dict.fromkeys(layers, last.name))
        fused.update(layers[1:])
        operands = tuple(source(a) for a in node.args)
        out.append(Stage(last.name, node.op, activation, operands, type, layers))
    return tuple(out), tuple(source(name) for name in graph.outputs)


def _activation(graph: Graph, node: Node) -> tuple[Node, ...]:
    """The nodes after ``node`` up to the activation that only it feeds; empty if there is none.

    Reshapes that keep the channels may lie between (a 1-d convolution runs as a 2-d one).
    """
    chain: list[Node] = []
    while True:
        readers = graph.consumers(node.name)
        if len(readers) != 1 or node.name in graph.outputs:
            return ()
        channels = graph.types[node.name].shape[-1]
        node = readers[0]
        chain.append(node)
        if isinstance(node.op, Quantizer):
            return tuple(chain)
        if not isinstance(node.op, Reshape) or graph.types[node.name].shape[-1] != channels:
            return ()
