"""A source graph under revision: nodes and tensors can be replaced, then it is validated again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from hwc.compiler.source import Input, Source, SourceNode, SourceOp

__all__ = ["Draft"]


class Draft:
    """The parts of a source. Tensors that several nodes read are copied when one is changed."""

    def __init__(self, source: Source) -> None:
        self.inputs: tuple[Input, ...] = source.inputs
        self.nodes: list[SourceNode] = list(source.nodes)
        self.outputs: tuple[str, ...] = source.outputs
        self.tensors: dict[str, np.ndarray] = dict(source.tensors)

    def source(self) -> Source:
        """The graph as it is now, without the tensors that nothing reads."""
        used = {arg for node in self.nodes for arg in node.args}
        tensors = {name: value for name, value in self.tensors.items() if name in used}
        return Source(self.inputs, tuple(self.nodes), self.outputs, tensors)

    def node(self, name: str) -> SourceNode:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def readers(self, name: str) -> list[SourceNode]:
        """Nodes that read a value."""
        return [node for node in self.nodes if name in node.args]

    def sole_reader(self, name: str) -> SourceNode | None:
        """The one node that reads a value which is no output, else None."""
        readers = self.readers(name)
        alone = len(readers) == 1 and readers[0].args.count(name) == 1
        return readers[0] if alone and name not in self.outputs else None

    def unique(self, name: str) -> str:
        """`name`, or with a number if it is taken."""
        taken = {n.name for n in self.nodes} | set(self.tensors) | {i.name for i in self.inputs}
        wanted, count = name, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        return name

    def replace(self, name: str, op: SourceOp, *args: str) -> None:
        """Another op and other arguments for a node."""
        index = next(i for i, node in enumerate(self.nodes) if node.name == name)
        self.nodes[index] = SourceNode(name, op, args)

    def insert(self, index: int, node: SourceNode) -> None:
        """A new node in front of the one at `index`."""
        self.nodes.insert(index, node)

    def remove(self, name: str) -> None:
        """Drop a node that is no output; whatever read it reads its first argument."""
        value = self.node(name).args[0]
        self.nodes = [node for node in self.nodes if node.name != name]
        self.redirect(name, value, self.nodes)

    def redirect(self, old: str, new: str, readers: Iterable[SourceNode]) -> None:
        """Let these nodes read `new` where they read `old`."""
        names = {node.name for node in readers}
        self.nodes = [
            SourceNode(n.name, n.op, tuple(new if a == old else a for a in n.args))
            if n.name in names
            else n
            for n in self.nodes
        ]

    def set_constant(self, node: str, position: int, value: np.ndarray, suffix: str) -> None:
        """Give a node's argument at `position` (its end: a new one) another value.

        The tensor keeps its name unless other nodes read it.
        """
        owner = self.node(node)
        args = list(owner.args)
        name = args[position] if position < len(args) else ""
        shared = sum(n.args.count(name) for n in self.nodes) > 1
        if not name or shared or name not in self.tensors:
            name = self.unique(f"{node}.{suffix}")
        args[position : position + 1] = [name]
        self.tensors[name] = np.asarray(value)
        self.replace(node, owner.op, *args)

    def change(self, rule: Callable[[Draft, SourceNode], bool]) -> None:
        """Apply a rule to nodes, in order and again from the start, until it changes nothing."""
        while any(rule(self, node) for node in list(self.nodes)):
            pass
