"""Integer graphs as QONNX files: every value of the file is one integer of the graph.

Reading the file and lowering it gives a graph that computes the same integers; so does qonnx's
executor.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from hwc.compiler.graph import Graph, Requant, Window
from hwc.compiler.onnx.errors import OnnxError
from hwc.compiler.onnx.export.operations import OPERATIONS
from hwc.compiler.onnx.export.writer import FLOAT32_BITS, FLOAT64_BITS, Writer

__all__ = ["to_qonnx", "write_qonnx"]


def write_qonnx(graph: Graph, path: str | Path) -> None:
    """Write `graph` as a QONNX file; raises OnnxError for operations that QONNX lacks."""
    Path(path).write_bytes(to_qonnx(graph).SerializeToString())


def to_qonnx(graph: Graph) -> onnx.ModelProto:
    """The model. Inputs and outputs have the graph's names, a batch axis N in front and channels
    at axis 1; each input is followed by the quantizer that states its interval. float32 where it
    holds every integer, else float64."""
    graph.verify()
    widest = max(max(abs(t.lo), abs(t.hi)) for t in graph.types.values()).bit_length()
    fine = widest <= FLOAT32_BITS and not any(isinstance(n.op, Requant) for n in graph.nodes)
    if widest > FLOAT64_BITS:
        raise OnnxError(
            f"export: values of {widest} bits do not fit float64; QONNX cannot say them"
        )
    writer = Writer(graph, float64=not fine)
    writer.taken.update(name for name, _ in graph.inputs)
    writer.taken.update(graph.outputs)
    for name, kind in graph.inputs:
        hint = f"{name}_codes"
        quantized = (
            writer.signs(name, hint)
            if kind.bipolar
            else writer.quant(name, kind.lo, kind.hi, "ROUND", hint)
        )
        writer.names[name] = quantized
    for node in graph.nodes:
        if isinstance(node.op, Window):
            continue  # written with the product that reads it
        export = OPERATIONS.get(type(node.op))
        if export is None:
            raise OnnxError(f"export: node '{node.name}' ({node.op}): QONNX has no such operation")
        try:
            args = [writer.names[a] for a in node.args if a in writer.names]
            writer.names[node.name] = export(writer, node, args)
        except ValueError as error:
            raise OnnxError(f"export: node '{node.name}': {error}") from None
    return writer.model([(writer.names[name], name) for name in graph.outputs])
