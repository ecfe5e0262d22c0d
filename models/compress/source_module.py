"""A source graph as a module again, to be compressed: any checkpoint or ONNX file comes in so.

Linear layers, convolutions and batch-norms become plain `nn` modules named after their nodes, and
ReLUs become `nn.ReLU`; everything else is evaluated by PyTorch's functions. Weights that the graph
quantizes stay quantized (`FixedWeight`) until a method takes them over.
"""

import re
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwc.compiler.source import (
    Affine,
    BatchNorm,
    Bipolar,
    Conv,
    Linear,
    PRelu,
    Quant,
    Relu,
    Source,
    SourceNode,
)
from hwc.models.compress.errors import CompressError
from hwc.models.compress.source_calls import Call, call_of, padded
from hwc.models.quantize import snap
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.quantizers import bipolar, quant
from hwc.models.quantize.weight import quantize_weight


class Fixed(nn.Module):
    """An activation quantizer of the graph: its scale stays."""

    scale: Tensor

    def __init__(self, scale: Tensor, limits: tuple[int, int] | None):
        super().__init__()
        self.register_buffer("scale", scale)
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        if self.limits is None:
            return bipolar(x, self.scale)
        return quant(x, self.scale, *self.limits)


class SourceModule(nn.Module):
    """The module of a source with one input and one output; takes the input's real values.

    Raises CompressError for an operation that it does not know, naming the node.
    """

    def __init__(self, source: Source):
        super().__init__()
        if len(source.inputs) != 1 or len(source.outputs) != 1:
            raise CompressError(
                f"a network of {len(source.inputs)} inputs and {len(source.outputs)} outputs "
                "cannot be compressed; one of each is needed"
            )
        self.entry, self.exit = source.inputs[0].name, source.outputs[0]
        maker = _Maker(source)
        self.calls: list[tuple[str, str | Call, tuple[str, ...]]] = []
        for node in source.nodes:
            if node.name in source.constants:
                continue
            made = maker.made(node)
            arity = len(node.args) if node.op.activations is None else node.op.activations
            args = node.args[:arity]
            if isinstance(made, nn.Module):
                made = self._add(node.name, made)
            if isinstance(node.op, Conv) and uneven(node.op):
                # PyTorch's convolutions have one number for both sides of an axis.
                self.calls.append((f"{node.name} padded", padded(node.op.padding), args))
                args = (f"{node.name} padded",)
            self.calls.append((node.name, made, args))

    def forward(self, x: Tensor) -> Tensor:
        values = {self.entry: x}
        for name, call, args in self.calls:
            function = self.get_submodule(call) if isinstance(call, str) else call
            values[name] = function(*(values[arg] for arg in args))
        return values[self.exit]

    def _add(self, name: str, module: nn.Module) -> str:
        """Register a module under a name like the node's."""
        wanted = re.sub(r"\W", "_", name)
        unique, count = wanted, 1
        while hasattr(self, unique):
            count += 1
            unique = f"{wanted}_{count}"
        self.add_module(unique, module)
        return unique


class _Maker:
    """Makes the module or function of each node."""

    def __init__(self, source: Source):
        self.source = source

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.source.tensors[name], np.float32))

    def along(self, name: str, rank: int, axis: int | None) -> Tensor:
        """A scale or a per-channel constant, shaped to broadcast against rank axes."""
        value = self.tensor(name)
        if axis is None or value.numel() == 1:
            return value.reshape(())
        return value.reshape([-1 if i == axis else 1 for i in range(rank)])

    def made(self, node: SourceNode) -> nn.Module | Call:
        op, rank = node.op, len(self.source.shapes[node.args[0]]) + 1
        match op:
            case Linear() | Conv():
                return self._layer(node)
            case BatchNorm():
                return self._norm(node, rank)
            case Relu():
                readers = self.source.consumers(node.name)
                alone = readers and all(isinstance(r.op, (Quant, Bipolar)) for r in readers)
                return F.relu if alone else nn.ReLU()
            case Quant() if (op.zero, op.rounding) != (0, "half_even"):
                raise CompressError(
                    f"node {node.name}: a quantizer with zero {op.zero} and rounding {op.rounding} "
                    "cannot be trained through; start from the float network"
                )
            case Quant():
                return Fixed(self.along(node.args[1], rank, op.axis), (op.lo, op.hi))
            case Bipolar():
                return Fixed(self.along(node.args[1], rank, op.axis), None)
            case Affine():
                scale, shift = (self.tensor(name).flatten() for name in node.args[1:])
                return snap.Affine(*(t.clone() for t in torch.broadcast_tensors(scale, shift)))
            case PRelu():
                return self._leaky(node)
        call = call_of(op)
        if call is None:
            raise CompressError(
                f"node {node.name}: {op} has no counterpart that could be trained and captured "
                "again; compress the PyTorch network itself, or leave this out of it"
            )
        return call

    def _leaky(self, node: SourceNode) -> nn.Module:
        slope = self.tensor(node.args[1]).flatten()
        leaky = nn.PReLU(len(slope))
        with torch.no_grad():
            leaky.weight.copy_(slope)
        return leaky

    def _layer(self, node: SourceNode) -> nn.Module:
        op, quantizer = node.op, None
        name = node.args[1]
        if name not in self.source.tensors:
            quantizer = self.source.node(name)
            name = quantizer.args[0]
        weight = self.tensor(name)
        with torch.device("meta"):  # made without drawing random weights
            layer = _convolution(op, weight) if isinstance(op, Conv) else nn.Linear(1, 1)
        if isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = weight.shape
        layer.weight = nn.Parameter(weight)
        bias = None
        if len(node.args) > 2:
            if node.args[2] not in self.source.tensors:
                raise CompressError(f"node {node.name}: a quantized bias is not supported")
            bias = nn.Parameter(self.tensor(node.args[2]))
        layer.bias = bias  # pyright: ignore[reportAttributeAccessIssue]
        if quantizer is not None:
            quantize_weight(layer, self._fixed(quantizer, weight.ndim))
        return layer

    def _fixed(self, quantizer: SourceNode, rank: int) -> FixedWeight:
        op = quantizer.op
        if isinstance(op, Bipolar):
            return FixedWeight(None, self.along(quantizer.args[1], rank, op.axis))
        assert isinstance(op, Quant)
        if (op.zero, op.rounding) != (0, "half_even"):
            raise CompressError(
                f"node {quantizer.name}: weights with zero {op.zero} and rounding {op.rounding}"
            )
        return FixedWeight((op.lo, op.hi), self.along(quantizer.args[1], rank, op.axis))

    def _norm(self, node: SourceNode, rank: int) -> nn.Module:
        assert isinstance(node.op, BatchNorm)
        gamma, beta, mean, var = (self.tensor(name) for name in node.args[1:])
        kind = nn.BatchNorm2d if rank == 4 else nn.BatchNorm1d
        norm = kind(len(gamma), eps=node.op.eps)
        with torch.no_grad():
            norm.weight.copy_(gamma)
            norm.bias.copy_(beta)
            cast(Tensor, norm.running_mean).copy_(mean)
            cast(Tensor, norm.running_var).copy_(var)
        return norm


def uneven(op: Conv) -> bool:
    """Does the padding differ between the sides of an axis?"""
    return op.padding[::2] != op.padding[1::2]


def _convolution(op: Conv, weight: Tensor) -> nn.Conv1d | nn.Conv2d:
    kind = nn.Conv2d if weight.ndim == 4 else nn.Conv1d
    return kind(
        weight.shape[1] * op.groups,
        weight.shape[0],
        tuple(weight.shape[2:]),  # pyright: ignore[reportArgumentType]
        op.stride,  # pyright: ignore[reportArgumentType]
        0 if uneven(op) else op.padding[::2],  # pyright: ignore[reportArgumentType]
        op.dilation,  # pyright: ignore[reportArgumentType]
        op.groups,
    )
