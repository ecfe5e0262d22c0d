"""The small file: a checkpoint entropy-coded. `hwc.models.load` and `hwc build` read it back.

    magic "hwcz", version, CRC-32 of the rest | length of the text | text | tensors

The text is JSON, deflated with a dictionary of the words that every graph uses: the graph record
without defaults, the names of the tensors in their order, labels of the network, accuracies.
A tensor is written as `tensors.pack` does. Loading gives an equal source, bit for bit (negative
zeros, which equal zeros, become zeros).
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwc.compiler.source import (
    Bipolar,
    Conv,
    ConvTranspose,
    Linear,
    Quant,
    Source,
    from_record,
    to_record,
)
from hwc.models.coding.bits import ByteReader, varint
from hwc.models.coding.errors import CodingError
from hwc.models.coding.shared import Hash
from hwc.models.coding.tensors import Grid, Packed, in_order, pack, unpack

MAGIC, VERSION = b"hwcz", 1
MOST_TEXT = 1 << 24  # characters of the inflated text
# Part of the format. What comes last is cheapest to refer to.
WORDS = (
    b'"Add","Affine","AvgPool","BatchNorm","Concat","GlobalAvgPool","HardTanh","MaxPool","Pad",'
    b'"Reshape",{"shape":[{"kernel":[2,2],"stride":[2,2]}{"padding":[1,1,1,1]}"groups":"dilation":'
    b'{"axis":0,{"axis":0,"lo":-127,"hi":127}{"lo":-1,"hi":1}{"lo":-3,"hi":3}{"lo":-7,"hi":7}'
    b'"mnist5k","digits","fashion","float":0.9"fake_quant":0.9"before":"Bipolar",["'
    b'.weight.scale"]{},".bias",".scale.shift.gamma.beta.mean.var'
    b'norm1norm2","Conv",{"stride":[1,1]},["conv1.weight","conv1.bias"'
    b'["input.scale",["act1.scale.value",["fc1.bias",["fc1.weight.scale","fc2.weight.scale",'
    b'"logits.weight.scale","0.scale","1.weight","1.weight.scale","1.bias"'
    b'["input","Quant",{"lo":0,"hi":255},["x","input.scale"]],'
    b'["flatten","Flatten",{},["input"]],["fc1_weight","Quant",{"lo":-127,"hi":127},'
    b'["fc1.weight","fc1.weight.scale"]],["fc1","Linear",{},["flatten","fc1_weight","fc1.bias"]],'
    b'["act1","Relu",{},["fc1"]],["act1_2","Quant",{"lo":0,"hi":255},["act1","act1.scale.value"]],'
    b'["logits","Linear",{},["act2"]],["linear_1","quant_2_weight","relu_2","quant_4"'
    b'{"accuracy":{"float":0.9,"fake_quant":0.9},"data":"mnist5k","graph":{"inputs":'
    b'[["x",[1,28,28],0.00390625,0,255]],"nodes":"outputs":["logits"]},"name":"tensors":["'
)


@dataclass(frozen=True)
class Content:
    """What a small file holds."""

    source: Source
    samples: Mapping[str, np.ndarray]
    labels: np.ndarray | None
    accuracy: Mapping[str, float]
    data: str | None
    name: str | None


@dataclass(frozen=True)
class Written:
    """The bytes of a small file, what each tensor of the source took, and the rest of them."""

    data: bytes
    tensors: Mapping[str, Packed]
    overhead: int  # bytes that are no tensor's


def grids(source: Source) -> dict[str, Grid]:
    """The quantizer of every tensor that one quantizer reads."""
    found: dict[str, Grid] = {}
    for node in source.nodes:
        if isinstance(node.op, (Quant, Bipolar)) and node.args[0] in source.tensors:
            found.setdefault(node.args[0], Grid(node.args[1], node.op.axis))
    return found


def periods(source: Source) -> dict[str, tuple[int, ...]]:
    """Distances at which the columns of a weight are neighbours: pixels above one another."""
    shapes = [s for n, s in source.shapes.items() if n not in source.constants and len(s) == 3]
    found: dict[str, tuple[int, ...]] = {}
    quantized = {n.name: n.args[0] for n in source.nodes if isinstance(n.op, (Quant, Bipolar))}
    for node in source.nodes:
        if not isinstance(node.op, (Conv, ConvTranspose, Linear)):
            continue
        name = quantized.get(node.args[1], node.args[1])
        shape = source.shapes[node.args[1]]
        if len(shape) == 4:
            found[name] = (shape[3], shape[2] * shape[3])
        elif len(shape) == 2:
            flat = {s for s in shapes if s[0] * s[1] * s[2] == shape[1]}
            found[name] = tuple(sorted({s[2] for s in flat} | {s[1] * s[2] for s in flat}))
    return found


def positive_zeros(source: Source) -> Source:
    """The same source without negative zeros."""
    tensors = {
        n: v + v.dtype.type(0) if v.dtype.kind == "f" else v for n, v in source.tensors.items()
    }
    return Source(source.inputs, source.nodes, source.outputs, tensors)


def encode(
    content: Content, hashes: Sequence[Hash] = (), known: Mapping[str, Packed] | None = None
) -> Written:
    """The small file of a checkpoint's content; the same content gives the same bytes. `hashes`
    are those by which some of its weights may share values. `known` are the tensors as an earlier
    call with the same source and hashes wrote them: coding takes long, and depends on nothing
    else."""
    source = content.source
    on, near = grids(source), periods(source)
    names = in_order(source.tensors, on)
    packed: dict[str, Packed] = dict(known or {})
    for name in names if known is None else ():
        grid, scale = on.get(name), None
        if grid is not None and grid.scale in packed:
            scale = (names.index(grid.scale), grid.axis, source.tensors[grid.scale])
        packed[name] = pack(source.tensors[name], scale, near.get(name, ()), hashes if grid else ())
    extra = [pack(value, None, value.shape[-1:]).data for value in content.samples.values()]
    if content.labels is not None:
        extra.append(pack(content.labels, None, ()).data)
    text = _deflate(_text(content, names))
    tensors = b"".join(p.data for p in packed.values())
    body = varint(len(text)) + text + tensors + b"".join(extra)
    data = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "big") + body
    return Written(data, packed, len(data) - len(tensors))


def decode(data: bytes) -> Content:
    """The content of a small file; raises CodingError, or SourceError for an unsound graph."""
    reader = ByteReader(data)
    if reader.take(min(len(MAGIC), reader.left)) != MAGIC:
        raise CodingError("not a small file of hwc")
    if (version := reader.byte()) != VERSION:
        raise CodingError(f"small-file version {version}; this hwc reads version {VERSION}")
    check = int.from_bytes(reader.take(4), "big")
    if zlib.crc32(data[reader.at :]) != check:
        raise CodingError("damaged: the checksum does not fit")
    record = _inflate(reader.take(reader.varint()))
    values: list[np.ndarray] = []
    names = _strings("tensors", record.pop("tensors", None))
    for _ in names:
        values.append(unpack(reader, values))
    samples = {n: unpack(reader, []) for n in _strings("samples", record.pop("samples", []))}
    labels = unpack(reader, []) if record.pop("labels", False) else None
    if reader.left:
        raise CodingError(f"{reader.left} bytes too many")
    tensors = dict(zip(names, values, strict=True))
    graph = _long(record.pop("graph", None))
    order = _strings("order", record.pop("order", names))
    if set(order) != set(names):
        raise CodingError("the order of the tensors must name each once")
    source = from_record(graph, {name: tensors[name] for name in order})
    accuracy, name, dataset = (record.pop(k, v) for k, v in _DEFAULTS)
    if record:
        raise CodingError(f"unknown fields {sorted(record)}")
    return Content(source, samples, labels, accuracy, dataset, name)


_DEFAULTS: tuple[tuple[str, Any], ...] = (("accuracy", {}), ("name", None), ("data", None))


def _text(content: Content, names: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {"accuracy": dict(content.accuracy)}
    record |= {"data": content.data, "graph": _short(content.source), "name": content.name}
    record["tensors"] = names
    if names != list(content.source.tensors):
        record["order"] = list(content.source.tensors)
    if content.samples:
        record |= {"samples": list(content.samples), "labels": content.labels is not None}
    return {k: v for k, v in record.items() if v not in ({}, None)}


def _short(source: Source) -> dict[str, Any]:
    """The graph record with lists for dicts, and options only where they are not the default."""
    full = to_record(source)
    nodes = []
    for node, made in zip(full["nodes"], source.nodes, strict=True):
        default = default_options(type(made.op))
        options = {k: v for k, v in node["options"].items() if k not in default or default[k] != v}
        nodes.append([node["name"], node["op"], options, node["args"]])
    inputs = [[i["name"], i["shape"], i["scale"], i["lo"], i["hi"]] for i in full["inputs"]]
    return {"inputs": inputs, "nodes": nodes, "outputs": full["outputs"]}


def default_options(kind: type) -> dict[str, Any]:
    """The default of every option of an op, as records write them."""
    found = {}
    for item in dataclasses.fields(kind):
        if item.default is not dataclasses.MISSING:
            value = item.default
            found[item.name] = list(value) if isinstance(value, tuple) else value
    return found


def _long(graph: Any) -> dict[str, Any]:
    """The graph record of `_short`."""
    if not isinstance(graph, dict) or set(graph) != {"inputs", "nodes", "outputs"}:
        raise CodingError("the graph must have inputs, nodes and outputs")
    keys = {
        "inputs": ("name", "shape", "scale", "lo", "hi"),
        "nodes": ("name", "op", "options", "args"),
    }
    full: dict[str, Any] = {"outputs": graph["outputs"]}
    for part, fields in keys.items():
        if not isinstance(graph[part], list) or not all(
            isinstance(item, list) and len(item) == len(fields) for item in graph[part]
        ):
            raise CodingError(f"{part} must be lists of {len(fields)}")
        full[part] = [dict(zip(fields, item, strict=True)) for item in graph[part]]
    return full


def _strings(what: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise CodingError(f"{what} must be a list of strings")
    if len(set(value)) != len(value):
        raise CodingError(f"{what} must be different")
    return value


def _deflate(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False, sort_keys=False)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, WORDS)
    return packer.compress(text.encode()) + packer.flush()


def _inflate(data: bytes) -> dict[str, Any]:
    unpacker = zlib.decompressobj(-15, WORDS)
    try:
        text = unpacker.decompress(data, MOST_TEXT)
        if not unpacker.eof or unpacker.unused_data:
            raise CodingError("damaged: the text has no end, or is too long")
        record = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise CodingError(f"damaged text: {error}") from None
    if not isinstance(record, dict):
        raise CodingError("the text must be an object")
    return record
