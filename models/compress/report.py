"""What compression reached, layer by layer and as a whole, in the three rates that differ."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from rich.table import Table

from hwc.compiler.graph.structured import Codebook, PowerOfTwo, recognize_values
from hwc.compiler.graph.types import wire_width
from hwc.compiler.graph.weights import Binary, Ternary
from hwc.compiler.source import Bipolar, Conv, ConvTranspose, Linear, Quant, Source, SourceNode
from hwc.models.coding import small
from hwc.models.coding.tensors import along


@dataclass(frozen=True)
class StepReport:
    """One step: accuracies on the validation split before it, after the method but before its
    fine-tuning, and at its end."""

    method: str
    layers: tuple[str, ...]
    before: float
    before_tuning: float
    after: float
    seconds: float


@dataclass(frozen=True)
class LayerReport:
    """One layer. `kind` says what its weights are, `bits` is how many a dense index would take,
    `encoded` bits in the file by what they say, `code` the code of the weight's indices."""

    name: str
    methods: tuple[str, ...]
    kind: str
    bits: int
    weights: int
    nonzero: int
    encoded: Mapping[str, int]
    code: str
    macs: int
    macs_nonzero: int


@dataclass(frozen=True)
class Report:
    """The whole: `accuracy` on the test part, `validation` on the held-out share of the training
    part. `weights` are those of the layers that came in, `nonzero_ratio` these over
    what is left of them and not zero, `encoded_ratio` 32 bits a parameter over
    the encoded bits of all tensors, `ratio` 4 bytes a parameter over the bytes of the file."""

    layers: tuple[LayerReport, ...]
    steps: tuple[StepReport, ...]
    parameters: int
    weights: int
    nonzero_ratio: float
    encoded_bits: Mapping[str, int]
    encoded_ratio: float
    file_bytes: int
    ratio: float
    macs: Mapping[str, int]
    accuracy: Mapping[str, float]
    validation: Mapping[str, float]
    seconds: float
    tries: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def table(self) -> Table:
        """The layers, a row each."""
        table = Table("layer", "methods", "kind", "nonzero", "of", "code", "bytes", "MACs left")
        for layer in self.layers:
            table.add_row(
                layer.name,
                ", ".join(layer.methods) or "-",
                layer.kind,
                f"{layer.nonzero:,}",
                f"{layer.weights:,}",
                layer.code,
                f"{sum(layer.encoded.values()) / 8:,.0f}",
                f"{layer.macs_nonzero:,}",
            )
        return table

    def summary(self) -> str:
        """Steps and totals, a line each."""
        lines = [
            f"{step.method}: accuracy {step.before:.2%} -> {step.before_tuning:.2%} "
            f"-> {step.after:.2%} fine-tuned, {step.seconds:.0f} s"
            for step in self.steps
        ]
        lines.append(
            f"{self.file_bytes:,} bytes: {self.ratio:.1f}x against {self.parameters:,} float32 "
            f"(nonzeros {self.nonzero_ratio:.1f}x, encoded bits {self.encoded_ratio:.1f}x)"
        )
        test = self.accuracy
        lines.append(f"test accuracy {test['fake_quant']:.2%}, float {test['float']:.2%}")
        return "\n".join(lines)


def report_of(
    source: Source,
    written: small.Written,
    steps: tuple[StepReport, ...],
    names: Sequence[str],
    parameters: int,
    weights: int,
    validation: Mapping[str, float],
    test: Mapping[str, float],
    seconds: float,
) -> Report:
    """Measure a source and its file; `names` are the layers of the module. What several nodes
    share counts once."""
    look = _Layers(source, written, steps, names)
    kinds = (Linear, Conv, ConvTranspose)
    layers = [look.at(node) for node in source.nodes if isinstance(node.op, kinds)]
    bits: Counter[str] = Counter(overhead=8 * written.overhead)
    inside = Counter[str]()
    for layer in layers:
        inside += Counter(layer.encoded)
    total = sum(p.parts.total() for p in written.tensors.values())
    bits += inside
    bits["other tensors"] = total - inside.total()
    nonzero = sum(look.nonzero.values())
    macs: Counter[str] = Counter()
    for layer in layers:
        macs[layer.kind] += layer.macs_nonzero
    size = len(written.data)
    return Report(
        tuple(layers), steps, parameters, weights,
        round(weights / max(nonzero, 1), 2),
        dict(bits), round(32 * parameters / total, 2),
        size, round(4 * parameters / size, 2),
        dict(macs), dict(test), dict(validation), seconds,
    )  # fmt: skip


@dataclass
class _Layers:
    """The layers of a source, reported one after the other: the bits of a tensor that several have
    count for the first."""

    source: Source
    written: small.Written
    steps: tuple[StepReport, ...]
    names: Sequence[str]
    counted: set[str] = field(default_factory=set)
    of: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The name of the layer with these tensors."""
    nonzero: dict[str, int] = field(default_factory=dict)
    """Of the weights so far, by tensor."""

    @cached_property
    def quantizers(self) -> dict[str, SourceNode]:
        """The nodes that a layer's weight may come from, by name."""
        return {node.name: node for node in self.source.nodes}

    def at(self, node: SourceNode) -> LayerReport:
        """The report of one layer."""
        source, written = self.source, self.written
        quantizer = self.quantizers.get(node.args[1])
        tensor = node.args[1] if quantizer is None else quantizer.args[0]
        codes = None if quantizer is None else integer_codes(source, quantizer)
        values = source.tensors[tensor] if codes is None else codes
        scale = () if quantizer is None else (quantizer.args[1],)
        own = (tensor, *scale, *node.args[2:3])
        encoded = self._encoded(tensor, {"scales": scale, "biases": node.args[2:3]})
        self.counted.update(own)
        # Each weight meets every position of the output, in a transposed convolution of the input.
        side = node.args[0] if isinstance(node.op, ConvTranspose) else node.name
        places = prod(source.shapes[side][1:])
        nonzero = self.nonzero[tensor] = int(np.count_nonzero(values))
        kind, bits = kind_of(codes)
        module = next((n for n in self.names if named_like(node, tensor, n)), node.name)
        module = self.of.setdefault(own, module)
        return LayerReport(
            module,
            tuple(step.method for step in self.steps if module in step.layers),
            kind,
            bits,
            values.size,
            nonzero,
            encoded,
            written.tensors[tensor].code,
            values.size * places,
            nonzero * places,
        )

    def _encoded(self, weight: str, others: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Bits of the weight by part, and of the tensors that belong to it."""
        found = {"indices": 0, "codebook": 0, "table": 0, "scales": 0, "biases": 0, "header": 0}
        tensors = self.written.tensors
        if weight not in self.counted:
            for part, bits in tensors[weight].parts.items():
                found[part] += bits
        for what, names in others.items():
            for name in names:
                if name in tensors and name not in self.counted:
                    found[what] = tensors[name].parts.total()
        return found


def named_like(node: SourceNode, tensor: str, module: str) -> bool:
    """Is this the node of that module? By its weight, or (behind a mask) by the node's name."""
    flat = re.sub(r"\W", "_", module)
    return tensor == f"{module}.weight" or node.name in (
        flat,
        f"{type(node.op).__name__.lower()}_{flat}",
    )


def integer_codes(source: Source, quantizer: SourceNode) -> np.ndarray:
    """The integers that a quantizer makes of a tensor."""
    value, scale = (source.tensors[name].astype(np.float64) for name in quantizer.args)
    if isinstance(quantizer.op, Bipolar):
        return np.where(value >= 0, 1, -1)
    assert isinstance(quantizer.op, Quant)
    axis = -1 if quantizer.op.axis is None else quantizer.op.axis
    step = along(scale, value.ndim, axis)
    return np.clip(np.rint(value / step), quantizer.op.lo, quantizer.op.hi).astype(np.int64)


def kind_of(codes: np.ndarray | None) -> tuple[str, int]:
    """What integers these are, as the compiler recognizes them, and bits of a dense index."""
    if codes is None:
        return "float", 32
    form = recognize_values(codes)
    match form:
        case Binary():
            return "binary", 1
        case Ternary():
            return "ternary", 2
        case PowerOfTwo():
            return "power of two", form.bits() // form.size
        case Codebook():
            count = len(form.table)
            return f"codebook of {count}", (count - 1).bit_length()
    width = wire_width(form.lo, form.hi)
    return f"{'int' if form.lo < 0 else 'uint'}{width}", width
