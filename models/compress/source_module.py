"""A source graph as a module again, to be compressed: any checkpoint or ONNX file comes in so.

Linear layers, convolutions and batch-norms become plain `nn` modules named after their nodes, and
ReLUs become `nn.ReLU`; everything else is evaluated by PyTorch's functions. Weights that the graph
quantizes stay quantized (`FixedWeight`) until a method takes them over.
"""

import functools
import re
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwc.compiler.source import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Bipolar,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Linear,
    MaxPool,
    Quant,
    Relu,
    Reshape,
    Source,
    SourceNode,
)
from hwc.models.compress.errors import CompressError
from hwc.models.compress.layers import FixedWeight
from hwc.models.quantize import snap
from hwc.models.quantize.quantizers import bipolar, quant
from hwc.models.quantize.weight import quantize_weight

Call = Callable[..., Tensor]


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
            if isinstance(made, nn.Module):
                made = self._add(node.name, made)
            self.calls.append((node.name, made, node.args[:arity]))

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
            case Conv() if op.padding[::2] != op.padding[1::2]:
                raise CompressError(
                    f"node {node.name}: padding {op.padding} differs between the sides of an axis; "
                    "PyTorch's convolutions have one number for both"
                )
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
        call = _plain(node)
        if call is None:
            raise CompressError(
                f"node {node.name}: {op} has no counterpart that could be trained and captured "
                "again; compress the PyTorch network itself, or leave this out of it"
            )
        return call

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


def _convolution(op: Conv, weight: Tensor) -> nn.Conv1d | nn.Conv2d:
    kind = nn.Conv2d if weight.ndim == 4 else nn.Conv1d
    return kind(
        weight.shape[1] * op.groups,
        weight.shape[0],
        tuple(weight.shape[2:]),  # pyright: ignore[reportArgumentType]
        op.stride,  # pyright: ignore[reportArgumentType]
        op.padding[::2],  # pyright: ignore[reportArgumentType]
        op.dilation,  # pyright: ignore[reportArgumentType]
        op.groups,
    )


def _plain(node: SourceNode) -> Call | None:
    """Operations without constants."""
    op = node.op
    match op:
        case HardTanh():
            return partial(torch.clamp, min=op.lo, max=op.hi)
        case Add():
            return lambda *x: functools.reduce(torch.add, x[1:], x[0])
        case Concat():
            return lambda *x: torch.cat(x, 1)
        case Flatten():
            return partial(torch.flatten, start_dim=1)
        case Reshape():
            return lambda x: x.reshape(-1, *op.shape)
        case GlobalAvgPool():
            return lambda x: x.flatten(2).mean(2)
        case MaxPool() if op.padding[::2] == op.padding[1::2]:
            most = F.max_pool2d if len(op.kernel) == 2 else F.max_pool1d
            return lambda x: most(x, op.kernel, op.stride, op.padding[::2], op.dilation)
        case AvgPool() if op.padding[::2] == op.padding[1::2] and not any(op.extra):
            pool = F.avg_pool2d if len(op.kernel) == 2 else F.avg_pool1d
            return lambda x: pool(
                x, op.kernel, op.stride, op.padding[::2], False, op.count_include_pad
            )
        case _:
            return None
