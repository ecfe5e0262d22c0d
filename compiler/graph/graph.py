"""The integer graph: named nodes in topological order, their types, and the one way to run it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from hwc.compiler.graph.errors import GraphError
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.types import Type


@dataclass(frozen=True)
class Node:
    """One value: `op` applied to the values named by `args` (graph inputs or earlier nodes)."""

    name: str
    op: Op
    args: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.args, str):
            raise GraphError(f"node '{self.name}': args must be a tuple of names, got a string")
        object.__setattr__(self, "args", tuple(self.args))
        if not isinstance(self.op, Op):
            raise GraphError(f"node '{self.name}': op must be an Op value, got {self.op!r}")

    def __str__(self) -> str:
        return f"{self.name} = {self.op}({', '.join(self.args)})"


@dataclass(frozen=True)
class Graph:
    """Named typed inputs, nodes in topological order, and the names that are outputs.

    Nothing is checked when it is built; `verify` checks all, and `types` and `run` verify first.
    """

    inputs: tuple[tuple[str, Type], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str):
            raise GraphError(f"outputs must be a tuple of names, got the string '{self.outputs}'")
        object.__setattr__(self, "inputs", tuple((name, type_) for name, type_ in self.inputs))
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "outputs", tuple(self.outputs))

    @cached_property
    def types(self) -> Mapping[str, Type]:
        """Type of every input and node, in order; GraphError names the node that has none."""
        self._check_names()
        self._check_args()
        self._check_outputs()
        types = dict(self.inputs)
        for node in self.nodes:
            try:
                types[node.name] = node.op.infer(*(types[arg] for arg in node.args))
            except GraphError as error:
                raise GraphError(f"node '{node.name}': {error}") from error
        return MappingProxyType(types)

    def verify(self) -> Self:
        """This graph if it is legal, else GraphError.

        Legal: names are unique and not empty; args are inputs or earlier nodes; every type can be
        inferred; outputs exist, once each, at least one; every input and node is used.
        """
        _ = self.types
        return self

    def node(self, name: str) -> Node:
        """The node of this name; GraphError if there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise GraphError(f"no node is called '{name}'; nodes: {_list(self._by_name)}") from None

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that take this value, in order, each once; GraphError for an unknown name."""
        if name not in self._by_name and name not in dict(self.inputs):
            raise GraphError(f"no input or node is called '{name}'")
        return self._consumers.get(name, ())

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _consumers(self) -> dict[str, tuple[Node, ...]]:
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for arg in dict.fromkeys(node.args):
                found[arg] = (*found.get(arg, ()), node)
        return found

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Names of all inputs, then of all nodes."""
        return (*(name for name, _ in self.inputs), *(node.name for node in self.nodes))

    def _check_names(self) -> None:
        seen: set[str] = set()
        for name in self._names:
            if not isinstance(name, str) or not name:
                raise GraphError(f"names must be strings with at least one letter, got {name!r}")
            if name in seen:
                raise GraphError(f"names must be unique, got '{name}' twice")
            seen.add(name)

    def _check_args(self) -> None:
        known = [name for name, _ in self.inputs]
        legal = set(known)
        for node in self.nodes:
            for arg in node.args:
                if arg not in legal:
                    why = f"does not exist; known here: {_list(known)}"
                    if arg in self._by_name:
                        why = "comes later or is part of a cycle: use topological order"
                    raise GraphError(f"node '{node.name}': its argument '{arg}' {why}")
            known.append(node.name)
            legal.add(node.name)

    def _check_outputs(self) -> None:
        if not self.outputs:
            raise GraphError("a graph needs at least one output, got none")
        names = set(self._names)
        for name in self.outputs:
            if name not in names:
                raise GraphError(f"output '{name}' does not exist; known: {_list(self._names)}")
            if self.outputs.count(name) > 1:
                raise GraphError(f"outputs must be unique, got '{name}' twice")
        used = {*self.outputs, *(arg for node in self.nodes for arg in node.args)}
        for name in self._names:
            if name not in used:
                raise GraphError(
                    f"'{name}' is not used: nothing takes it and it is not an output; remove it"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.inputs, self.nodes, self.outputs)  # without what is cached

    def __str__(self) -> str:
        """One line per input and node, with its type ("?" if the graph is not legal)."""
        try:
            types = self.types
        except GraphError:
            types = {}
        lines = [f"{name}: {type_}" for name, type_ in self.inputs]
        lines += [f"{node}: {types.get(node.name, '?')}" for node in self.nodes]
        return "\n".join([*lines, f"outputs: {', '.join(self.outputs)}"])


def _list(names: Iterable[str]) -> str:
    """Up to eight names, for messages."""
    shown = list(names)
    return ", ".join(map(str, shown[:8])) + (", ..." if len(shown) > 8 else "") or "none"
