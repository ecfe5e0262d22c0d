"""The float source graph: made by front ends, stored in checkpoints, interpreted by lowering."""

from hwc.compiler.source.evaluate import evaluate
from hwc.compiler.source.moving import ConvTranspose, Pad, Slice, Transpose, Upsample
from hwc.compiler.source.nonlinear import Function, PRelu, Softmax, Threshold
from hwc.compiler.source.ops import (
    Affine,
    BatchNorm,
    Bipolar,
    HardTanh,
    Linear,
    Quant,
    Relu,
    Shape,
    SourceError,
    SourceOp,
)
from hwc.compiler.source.record import from_record, to_record
from hwc.compiler.source.source import Input, Source, SourceNode
from hwc.compiler.source.spatial import (
    Add,
    ArgMax,
    AvgPool,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Multiply,
    Reshape,
    TopK,
)

__all__ = [
    "Add",
    "Affine",
    "ArgMax",
    "AvgPool",
    "BatchNorm",
    "Bipolar",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Function",
    "GlobalAvgPool",
    "HardTanh",
    "Input",
    "Linear",
    "MaxPool",
    "Multiply",
    "PRelu",
    "Pad",
    "Quant",
    "Relu",
    "Reshape",
    "Shape",
    "Slice",
    "Softmax",
    "Source",
    "SourceError",
    "SourceNode",
    "SourceOp",
    "Threshold",
    "TopK",
    "Transpose",
    "Upsample",
    "evaluate",
    "from_record",
    "to_record",
]
