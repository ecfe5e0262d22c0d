"""An ONNX file, parsed and checked as far as can be without knowing operators."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from hwc.compiler.onnx.errors import OnnxError

__all__ = [
    "CONTROL", "OPSETS", "domain_of", "needed_nodes", "opsets", "parse", "read_file",
    "refuse_branches", "title",
]  # fmt: skip

OPSETS = (7, 28)
"""First and last version of ONNX's own operators whose definitions are followed."""

MOST_BYTES = 1 << 31  # a protobuf message cannot be larger

CONTROL = "control flow is not supported; export a model without branches and loops"

QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "finn", "qonnx")
LAST = "qonnx.custom_op.channels_last"


def domain_of(node: onnx.NodeProto) -> str:
    """The node's operator set: "", "com.microsoft", "qonnx" for all its names, or as written."""
    if node.domain in ("", "ai.onnx"):
        return ""
    if node.domain in QONNX:
        return "qonnx"
    return "channels_last" if node.domain.startswith(LAST) else node.domain


def title(node: onnx.NodeProto) -> str:
    """How messages call a node: by its name, or by what it makes."""
    name = node.name or (node.output[0] if node.output else "")
    return f"{node.op_type or 'operator without a type'} node {name!r}"


def read_file(path: Path) -> onnx.ModelProto:
    """Parse a file; raises OnnxError if it is missing or damaged."""
    try:
        if path.stat().st_size >= MOST_BYTES:
            raise OnnxError(f"{path}: larger than 2 GiB; store the weights as external data")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise OnnxError(f"{path}: cannot be read: {error.strerror or error}") from None


def parse(data: bytes, what: str) -> onnx.ModelProto:
    """Parse the bytes of a file and check its header."""
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise OnnxError(f"{what}: not an ONNX file, or damaged: it does not parse") from None
    if not all(isinstance(text, str) for text in _texts(model)):
        raise OnnxError(f"{what}: damaged: a name is not valid UTF-8")
    if not model.HasField("graph") or not model.graph.node:
        raise OnnxError(f"{what}: not an ONNX model: it has no graph with nodes")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise OnnxError(
            f"{what}: IR version {model.ir_version} must be in 3..{onnx.IR_VERSION}; "
            "convert the file with a current onnx package"
        )
    if model.functions:
        raise OnnxError(
            f"{what}: holds functions of its own ({model.functions[0].name!r}); "
            "expand them with onnx.inliner.inline_local_functions"
        )
    return model


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    """All names of the file: protobuf gives bytes for those that are not UTF-8."""
    yield from (entry.domain for entry in model.opset_import)
    graph = model.graph
    for item in (*graph.input, *graph.output, *graph.initializer):
        yield item.name
    for item in graph.input:
        yield from (dim.dim_param for dim in item.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (text for a in node.attribute for text in (a.name, a.ref_attr_name))


def opsets(model: onnx.ModelProto, what: str) -> Mapping[str, int]:
    """Version by domain; ONNX's own must be one that is known."""
    found: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if found.setdefault(domain, entry.version) != entry.version:
            raise OnnxError(f"{what}: operator set {domain!r} is imported in two versions")
    first, last = OPSETS
    version = found.setdefault("", last if found else 1)
    if not first <= version <= last:
        raise OnnxError(
            f"{what}: operator set version {version} must be in {first}..{last}; "
            "convert it with onnx.version_converter"
        )
    return found


def needed_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, producers first.

    Raises OnnxError for names that are defined twice or not at all, and for cycles.
    """
    given = {t.name for t in graph.initializer} | {i.name for i in graph.input}
    given |= {t.values.name for t in graph.sparse_initializer}
    maker = _makers(graph.node, given)
    for item in graph.output:
        if item.name not in maker and item.name not in given:
            raise OnnxError(f"output {item.name!r}: no node makes it; name a value of the graph")
    wanted, stack = set(), [maker[i.name] for i in graph.output if i.name in maker]
    while stack:
        index = stack.pop()
        if index in wanted:
            continue
        wanted.add(index)
        node = graph.node[index]
        for name in filter(None, node.input):
            if name in maker:
                stack.append(maker[name])
            elif name not in given:
                raise OnnxError(
                    f"{title(node)}: input {name!r} is not defined; every input must be made by "
                    "a node, or be an input or initializer of the graph"
                )
    return [graph.node[i] for i in _order(graph, wanted, maker)]


def refuse_branches(node: onnx.NodeProto) -> None:
    """Raise OnnxError for a node with graphs of its own, whose inputs are not all said."""
    kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    if any(a.type in kinds for a in node.attribute):
        raise OnnxError(f"{title(node)}: operator is not supported: {CONTROL}")


def _makers(nodes: Iterable[onnx.NodeProto], given: set[str]) -> dict[str, int]:
    maker: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in maker or name in given:
                raise OnnxError(f"{title(node)}: {name!r} is defined twice; names must be unique")
            maker[name] = index
    return maker


def _order(graph: onnx.GraphProto, wanted: set[int], maker: Mapping[str, int]) -> list[int]:
    """Kahn's algorithm, in the file's order where that is free."""
    needs = {i: {maker[n] for n in graph.node[i].input if n in maker} for i in wanted}
    users: dict[int, list[int]] = {i: [] for i in wanted}
    for index, before in needs.items():
        for other in before:
            users[other].append(index)
    count = Counter({index: len(before) for index, before in needs.items()})
    ready = deque(sorted(i for i in wanted if not count[i]))
    order: list[int] = []
    while ready:
        index = ready.popleft()
        order.append(index)
        for user in users[index]:
            count[user] -= 1
            if not count[user]:
                ready.append(user)
    if len(order) < len(wanted):
        stuck = min(wanted - set(order))
        raise OnnxError(f"{title(graph.node[stuck])}: is part of a cycle or fed by one; cut it")
    return order
