"""The integer graph under construction: nodes get unique names and their types at once."""

from __future__ import annotations

from collections.abc import Iterable

from hwc.compiler.graph import Graph, Node, Op, Type

__all__ = ["Builder"]


class Builder:
    """Collects inputs and nodes. A name that is taken gets a number."""

    def __init__(self, reserved: Iterable[str]) -> None:
        """`reserved` are names (those of the source) that helper nodes must not take."""
        self._reserved = frozenset(reserved)
        self._inputs: list[tuple[str, Type]] = []
        self._nodes: list[Node] = []
        self._types: dict[str, Type] = {}
        self._ops: dict[str, Op] = {}
        self._helpers: dict[tuple[Op, tuple[str, ...]], str] = {}

    def input(self, name: str, type: Type) -> str:
        """Add a graph input; returns its name."""
        self._inputs.append((name, type))
        self._types[name] = type
        return name

    def emit(self, name: str, op: Op, *args: str) -> str:
        """Add a node called `name` (the source node it computes) and return its name."""
        self._types[name] = op.infer(*(self._types[arg] for arg in args))
        self._ops[name] = op
        self._nodes.append(Node(name, op, args))
        return name

    def helper(self, base: str, suffix: str, op: Op, *args: str) -> str:
        """A node called `<base>_<suffix>`, with a number if that is taken; returns its name.

        A helper with the same op and arguments is shared.
        """
        if (op, args) in self._helpers:
            return self._helpers[op, args]
        name = self.free(base, suffix)
        self._helpers[op, args] = name
        return self.emit(name, op, *args)

    def free(self, base: str, suffix: str) -> str:
        """`<base>_<suffix>`, with a number if that is taken."""
        name, number = f"{base}_{suffix}", 2
        while name in self._types or name in self._reserved:
            name, number = f"{base}_{suffix}{number}", number + 1
        return name

    def type(self, name: str) -> Type:
        """Type of an input or node."""
        return self._types[name]

    def op(self, name: str) -> Op | None:
        """The op that computes a value; None for an input."""
        return self._ops.get(name)

    def args(self, name: str) -> tuple[str, ...]:
        """The arguments of the node of that name; none for an input."""
        return next((node.args for node in self._nodes if node.name == name), ())

    def graph(self, outputs: Iterable[str]) -> Graph:
        """The graph of the nodes that the outputs need, verified."""
        outputs = tuple(dict.fromkeys(outputs))
        needed = set(outputs)
        kept = []
        for node in reversed(self._nodes):
            if node.name in needed:
                needed |= set(node.args)
                kept.append(node)
        inputs = tuple((name, type) for name, type in self._inputs if name in needed)
        return Graph(inputs, tuple(reversed(kept)), outputs).verify()
