"""Source graphs as plain dict / list / str / number structures, for files.

`to_record` leaves the tensors apart (`source.tensors`), so that a torch file can hold them as
tensors and be loaded with `weights_only=True`. `from_record` checks every field.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hwc.compiler.source import moving, nonlinear, ops, spatial
from hwc.compiler.source.ops import SourceError, SourceOp
from hwc.compiler.source.source import Input, Source, SourceNode

__all__ = ["from_record", "to_record"]

_OPS: tuple[type[SourceOp], ...] = (
    spatial.Add,
    ops.Affine,
    spatial.ArgMax,
    spatial.AvgPool,
    ops.BatchNorm,
    ops.Bipolar,
    spatial.Concat,
    spatial.Conv,
    moving.ConvTranspose,
    spatial.Flatten,
    nonlinear.Function,
    spatial.GlobalAvgPool,
    ops.HardTanh,
    ops.Linear,
    spatial.MaxPool,
    spatial.Multiply,
    nonlinear.PRelu,
    moving.Pad,
    ops.Quant,
    ops.Relu,
    spatial.Reshape,
    moving.Slice,
    nonlinear.Softmax,
    nonlinear.Threshold,
    spatial.TopK,
    moving.Transpose,
    moving.Upsample,
)


def to_record(source: Source) -> dict[str, Any]:
    """Everything but the tensors, as dicts, lists, strings, numbers, bools and None."""
    return {
        "inputs": [_plain(i) for i in source.inputs],
        "nodes": [
            {
                "name": node.name,
                "op": type(node.op).__name__,
                "args": list(node.args),
                "options": _plain(node.op),
            }
            for node in source.nodes
        ],
        "outputs": list(source.outputs),
    }


def from_record(record: Mapping[str, Any], tensors: Mapping[str, Any]) -> Source:
    """The source written by `to_record`; `tensors` maps names to anything numpy can read."""
    _fields("source", record, {"inputs", "nodes", "outputs"})
    inputs = []
    for item in _list("inputs", record["inputs"]):
        inputs.append(_build(Input, "input", item))
    nodes = []
    for item in _list("nodes", record["nodes"]):
        _fields("node", item, {"name", "op", "args", "options"})
        name, args = item["name"], _list(f"node {item['name']} args", item["args"])
        if not isinstance(name, str) or not all(isinstance(a, str) for a in args):
            raise SourceError(f"node {name!r}: name and args must be strings")
        op = next((kind for kind in _OPS if kind.__name__ == item["op"]), None)
        if op is None:
            known = ", ".join(kind.__name__ for kind in _OPS)
            raise SourceError(f"node {name}: unknown op {item['op']!r}; known are {known}")
        nodes.append(SourceNode(name, _build(op, f"node {name}", item["options"]), tuple(args)))
    outputs = _list("outputs", record["outputs"])
    if not all(isinstance(o, str) for o in outputs):
        raise SourceError(f"outputs {outputs} must be strings")
    arrays = {str(name): np.asarray(value) for name, value in tensors.items()}
    return Source(tuple(inputs), tuple(nodes), tuple(outputs), arrays)


def _plain(value: Any) -> dict[str, Any]:
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {
        name: [int(v) for v in field] if isinstance(field, tuple) else field
        for name, field in fields.items()
    }


def _list(what: str, value: object) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise SourceError(f"{what} must be a list, not {type(value).__name__}")
    return list(value)


def _fields(
    what: str, record: object, names: set[str], optional: frozenset[str] = frozenset()
) -> None:
    if not isinstance(record, Mapping) or not names - optional <= set(record) <= names:
        got = sorted(map(str, record)) if isinstance(record, Mapping) else type(record).__name__
        raise SourceError(f"{what} record must have the fields {sorted(names)}, not {got}")


def _build(kind: type, what: str, record: object) -> Any:
    """An instance of a dataclass whose fields are int, float, bool, str, None or tuples of int."""
    fields = dataclasses.fields(kind)
    defaults = frozenset(f.name for f in fields if f.default is not dataclasses.MISSING)
    _fields(f"{what} ({kind.__name__})", record, {f.name for f in fields}, defaults)
    assert isinstance(record, Mapping)
    values = {}
    for field in (f for f in fields if f.name in record):
        value = record[field.name]
        annotation = str(field.type)
        if "tuple" in annotation or annotation == "Shape":
            value = tuple(_list(f"{what} {field.name}", value))
            ok = all(type(v) is int for v in value)
        elif annotation == "float":
            ok = type(value) in (int, float) and not math.isnan(value)
            value = float(value) if ok else value
        else:
            allowed = {"int": (int,), "bool": (bool,), "str": (str,)}
            kinds = allowed | {"int | None": (int, type(None)), "float | None": (float, type(None))}
            ok = type(value) in kinds[annotation]
        if not ok:
            raise SourceError(f"{what}: {field.name} {value!r} must be {annotation}")
        values[field.name] = value
    return kind(**values)
