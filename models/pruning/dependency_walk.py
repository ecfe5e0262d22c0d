"""The walk over an exported network that finds the dependencies of its channels."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Node

from hwc.models.capture.walk import module_of
from hwc.models.copying import copy_of
from hwc.models.pruning.dependencies import Channels, Labels, Use
from hwc.models.pruning.dependency_operators import OPERATORS, item
from hwc.models.pruning.mask import PruningError

__all__ = ["Walk", "channels_of"]


def channels_of(model: nn.Module, example: Tensor) -> Channels:
    """The channels of `model` (one input with a batch axis, in evaluation mode; left alone).

    Channels of inputs and outputs are fixed, and so are those that meet an operator that mixes or
    reorders them in a way that is not understood; `fixed` names it.
    """
    try:
        program = torch.export.export(copy_of(model).eval(), (example,), strict=False)
    except Exception as error:  # whatever a forward method may raise
        first = str(error).strip().splitlines() or [""]
        raise PruningError(
            f"torch.export cannot trace {type(model).__name__}: {first[0]}"
        ) from None
    walk = Walk(program)
    walk.run()
    return walk.channels


class Walk:
    def __init__(self, program: torch.export.ExportedProgram):
        self.program = program
        self.channels = Channels()
        self.labels: dict[Node, Labels] = {}
        self.lost: dict[Node, str] = {}  # several results at once, all of which stay
        self.targets: dict[Node, tuple[str, str]] = {}

    def run(self) -> None:
        specs = {s.arg.name: s for s in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node, specs[node.name])
            elif node.op == "call_function" and self.labels.keys() & set(node.all_input_nodes):
                self._call(node)
            elif node.op == "call_function" and self.lost.keys() & set(node.all_input_nodes):
                self._stay(node, self.lost[node.all_input_nodes[0]])
            elif node.op == "output":
                for arg in node.all_input_nodes:
                    if arg in self.labels:
                        self.channels.fix(self.labels[arg], "an output of the network")

    def _placeholder(self, node: Node, spec: Any) -> None:
        if spec.kind == InputKind.USER_INPUT:
            self.labels[node] = self.channels.new(self.size(node))
            self.channels.fix(self.labels[node], "an input of the network")
        elif spec.target is not None:
            module, _, tensor = str(spec.target).rpartition(".")
            self.targets[node] = module, tensor

    def _call(self, node: Node) -> None:
        name = str(node.target).split(".")[1].rstrip("_") if "." in str(node.target) else ""
        function = item if node.target is operator.getitem else OPERATORS.get(name)
        made = None if function is None else function(self, node)
        if made is None:
            self._give_up(node, name or str(node.target))
        else:
            self.labels[node] = made

    def _give_up(self, node: Node, name: str) -> None:
        """What an operator mixes stays, before and behind it."""
        why = f"{name} ({module_of(node) or 'in forward'}) mixes channels"
        for arg in node.all_input_nodes:
            if arg in self.labels:
                self.channels.fix(self.labels[arg], why)
            elif arg in self.targets and self.shape(arg):
                self.keep_whole(arg, why)
        if isinstance(node.meta.get("val"), (tuple, list)):
            self.lost[node] = why
        else:
            self._stay(node, why)

    def _stay(self, node: Node, why: str) -> None:
        """New channels, all of which stay."""
        if len(self.shape(node)) > 1:
            self.labels[node] = self.channels.new(self.size(node))
            self.channels.fix(self.labels[node], why)

    def keep_whole(self, parameter: Node, why: str) -> None:
        """A parameter whose axes are not understood: whoever uses it elsewhere must not cut it."""
        module, tensor = self.targets[parameter]
        for use, labels in self.channels.uses.items():
            if (use.module, use.tensor) == (module, tensor):
                self.channels.fix(labels, why)

    def shape(self, node: Node) -> tuple[int, ...]:
        value = node.meta.get("val")
        return tuple(int(n) for n in value.shape) if isinstance(value, Tensor) else ()

    def size(self, node: Node) -> int:
        """Channels of an activation."""
        return self.shape(node)[1]

    def use(self, node: object, axis: int, labels: Labels, *, makes: bool = False) -> bool:
        """Note an axis of a parameter; False if `node` is something else, or of another size."""
        if not isinstance(node, Node) or node not in self.targets:
            return False
        if self.shape(node)[axis] != len(labels):
            return False
        self.channels.use(Use(*self.targets[node], axis, makes), labels)
        return True
