"""The walk over an exported program that builds a source graph, one operator after the other."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source import Input, Source, SourceError, SourceNode, SourceOp


class CaptureError(HwcError):
    """A network that cannot be expressed: names the module, the operator and what would work."""


@dataclass(frozen=True)
class InputMap:
    """What arrives at an input: raw integers `lo..hi`, each standing for the real value `raw *
    scale`."""

    scale: float = 2.0**-8
    lo: int = 0
    hi: int = 255


@dataclass(frozen=True)
class Constant:
    """A value known now: a parameter or buffer by its name, or computed from them (no name: named
    where it is used)."""

    name: str
    value: Tensor


@dataclass(frozen=True)
class Value:
    """An activation, or (`constant` not None) a quantized parameter, by its name in the source."""

    name: str
    constant: Tensor | None = None


BATCH = 2  # of the traced example; not 1, so that the batch axis cannot be mistaken for another
INTEGER_RANGE = {torch.uint8: (0, 255), torch.int8: (-128, 127)}


class Capture:
    """One walk. `operators` maps ATen operators to functions `(capture, node) -> Value`, which use
    `args`, `emit`, `shape` and `fail`; `hints` says what would work for some that are unsupported.
    """

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        maps: Sequence[InputMap | None],
        operators: Mapping[object, Callable[["Capture", Node], "Value"]],
        hints: Mapping[str, str],
    ):
        self.program = program
        self.maps = list(maps)
        self.operators = operators
        self.hints = hints
        self.values: dict[Node, Constant | Value] = {}
        self.inputs: dict[str, Input | None] = {}
        self.nodes: list[SourceNode] = []
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of all names, without the batch axis
        self.names: set[str] = set()

    def source(self) -> Source:
        """The source graph; raises CaptureError."""
        outputs: list[str] = []
        self._placeholders()
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node.users:  # others only assert
                self._call(node)
            elif node.op == "output":
                outputs = self._outputs(node)
        for name, item in self.inputs.items():
            if item is None:
                raise CaptureError(
                    f"input {name}: which integers arrive is not known; put hwc.models.QuantInput("
                    "scale, lo, hi) first in the network or pass inputs=InputMap(scale, lo, hi)"
                )
        known = tuple(item for item in self.inputs.values() if item is not None)
        nodes, used = live(self.nodes, outputs)
        arrays = {
            name: value.detach().numpy() for name, value in self.tensors.items() if name in used
        }
        try:
            return Source(known, nodes, tuple(outputs), arrays)
        except SourceError as error:
            raise CaptureError(str(error)) from None

    def _placeholders(self) -> None:
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        maps = iter(self.maps)
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            if spec.kind == InputKind.USER_INPUT:
                self._input(node, next(maps, None))
            else:
                target = str(spec.target)
                state = self.program.state_dict
                value = state[target] if target in state else self.program.constants[target]
                if not isinstance(value, Tensor):
                    raise CaptureError(
                        f"{target}: constants must be tensors, got {type(value).__name__}"
                    )
                self.values[node] = Constant(parameter_name(target), value)

    def _input(self, node: Node, given: InputMap | None) -> None:
        example = node.meta.get("val")
        if not isinstance(example, Tensor):
            raise CaptureError(f"input {node.name}: must be a tensor, got {type(example).__name__}")
        name = self._unique(node.name)
        shape = tuple(int(n) for n in example.shape[1:])
        if given is None and example.dtype in INTEGER_RANGE:
            given = InputMap(1.0, *INTEGER_RANGE[example.dtype])
        self.inputs[name] = None
        self.shapes[name] = shape
        self.values[node] = Value(name)
        if given is not None:
            self.inputs[name] = Input(name, shape, given.scale, given.lo, given.hi)

    def _call(self, node: Node) -> None:
        used = [self.values[arg] for arg in node.all_input_nodes if arg in self.values]
        if any(isinstance(value, Value) and value.constant is None for value in used):
            function = self.operators.get(out_of_place(node.target))
            if function is None:
                self.unsupported(node)
            self.values[node] = self._checked(node, function(self, node))
        elif str(node.target).startswith("hwc."):
            self.values[node] = self.operators[node.target](self, node)
        else:
            self._fold(node)

    def _checked(self, node: Node, value: Value) -> Value:
        """The source's shape must be torch's (an index without its axis counts as one element)."""
        result = node.meta["val"]
        if isinstance(result, Tensor) and (self.shape(node) or (1,)) != self.shapes[value.name]:
            self.fail(
                node,
                f"a result of shape {self.shape(node)}, read as {self.shapes[value.name]}, "
                "is not supported",
            )
        return value

    def _fold(self, node: Node) -> None:
        """Evaluate a node that depends on constants alone."""

        def known(arg):
            value = self.values.get(arg)
            if isinstance(value, Constant):
                return value.value
            return value.constant if isinstance(value, Value) else None

        args = torch.fx.map_arg(node.args, known)
        kwargs = torch.fx.map_arg(node.kwargs, known)
        with torch.no_grad():
            result = node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
        if not isinstance(result, Tensor):
            self.fail(node, "several constants at once are not supported")
        self.values[node] = Constant("", result)

    def _outputs(self, node: Node) -> list[str]:
        kinds = [spec.kind for spec in self.program.graph_signature.output_specs]
        results: list[str] = []
        leaves = node.args[0] if isinstance(node.args[0], (tuple, list)) else node.args
        for kind, leaf in zip(kinds, leaves, strict=True):
            if kind == OutputKind.BUFFER_MUTATION:
                raise CaptureError(
                    "the network changes a buffer in evaluation mode, which hardware cannot follow"
                )
            value = self.values.get(leaf) if isinstance(leaf, Node) else None
            if not isinstance(value, Value) or value.constant is not None:
                raise CaptureError(f"output {len(results)} does not depend on an input")
            results.append(value.name)
        return results

    # What the functions of operators.py use.

    def args(self, node: Node) -> dict:
        """All arguments of an operator by name, with defaults, nodes replaced by values."""
        given = dict(node.kwargs)
        schema = node.target._schema.arguments  # pyright: ignore
        bound = {}
        for i, argument in enumerate(schema):
            value = (
                node.args[i]
                if i < len(node.args)
                else given.get(argument.name, argument.default_value)
            )
            if isinstance(value, (list, tuple)):
                value = [self.values.get(v, v) if isinstance(v, Node) else v for v in value]
            elif isinstance(value, Node):
                value = self.values.get(value, value)
            bound[argument.name] = value
        return bound

    def emit(self, node: Node, op: SourceOp, *args: Constant | Value) -> Value:
        """Append `op` and return its value; constants among the arguments become tensors of the
        source."""
        name = self._unique(self._name(node, op))
        roles = (*op.constants, *op.optional)
        first = len(args) if op.activations is None else op.activations
        names = []
        for i, arg in enumerate(args):
            role = roles[i - first] if i >= first else "constant"
            names.append(
                arg.name if isinstance(arg, Value) else self._tensor(arg, f"{name}.{role}")
            )
        try:
            self.shapes[name] = op.infer(*(self.shapes[arg] for arg in names))
        except SourceError as error:
            self.fail(node, str(error))
        self.nodes.append(SourceNode(name, op, tuple(names)))
        return Value(name)

    def _tensor(self, constant: Constant, default: str) -> str:
        """Store a constant under its name, or one like it if that is taken by another value."""
        wanted = name = constant.name or default
        count = 1
        while name in self.tensors and not same(self.tensors[name], constant.value):
            count += 1
            name = f"{wanted}_{count}"
        self.tensors[name] = constant.value
        self.shapes[name] = tuple(constant.value.shape)
        return name

    def shape(self, node: Node) -> tuple[int, ...]:
        """Shape of a node's result without the batch axis."""
        shape = tuple(int(n) for n in node.meta["val"].shape)
        if not shape or shape[0] != BATCH:
            self.fail(node, f"moves the batch axis (result {shape}); keep axis 0 for the batch")
        return shape[1:]

    def path(self, node: Node) -> str:
        """See `module_of`."""
        return module_of(node)

    def fail(self, node: Node, why: str):
        module = self.path(node)
        where = f"module {module!r}" if module else "the network's forward"
        raise CaptureError(f"{where}: {str(node.target).removesuffix('.default')}: {why}")

    def unsupported(self, node: Node):
        base = str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)
        known = sorted({str(op).split(".")[1] for op in self.operators if "." in str(op)})
        hint = self.hints.get(base.rstrip("_"), f"supported are {', '.join(known)}")
        self.fail(node, f"is not supported; {hint}")

    def _name(self, node: Node, op: SourceOp) -> str:
        path = re.sub(r"\.parametrizations\.(\w+)\.\d+", r".\1", self.path(node))
        kind = type(op).__name__.lower()
        name = re.sub(r"\W", "_", path)
        if not name:
            return kind
        return f"{kind}_{name}" if name[0].isdigit() else name

    def _unique(self, name: str) -> str:
        count, unique = 1, name
        while unique in self.names:
            count += 1
            unique = f"{name}_{count}"
        self.names.add(unique)
        return unique


def module_of(node: Node) -> str:
    """The module a node comes from, as `layer1.0.conv`; empty for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    return list(stack.values())[-1][0] if stack else ""


def parameter_name(target: str) -> str:
    """`0.parametrizations.weight.original` -> `0.weight`; its quantizer's `...weight.0.scale` ->
    `0.weight.scale`."""
    target = re.sub(r"\.parametrizations\.(\w+)\.original\d*$", r".\1", "." + target)
    return re.sub(r"\.parametrizations\.(\w+)\.\d+\.", r".\1.", target).removeprefix(".")


def out_of_place(target: object) -> object:
    """`aten.relu_` -> `aten.relu`: `without_mutation` has made sure that there is no difference."""
    if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable:
        packet = getattr(torch.ops.aten, target._schema.name.split("::")[1].rstrip("_"), None)
        return getattr(packet, target._overloadname, target)
    return target


def live(nodes: list[SourceNode], outputs: list[str]) -> tuple[tuple[SourceNode, ...], set[str]]:
    """The nodes that outputs depend on, and all names they use."""
    used, kept = set(outputs), []
    for node in reversed(nodes):
        if node.name in used:
            kept.append(node)
            used.update(node.args)
    return tuple(reversed(kept)), used


def same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
