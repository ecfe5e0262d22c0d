"""The float source graph: made by front ends, stored in checkpoints, interpreted by lowering."""

from hwc.compiler.source.evaluate import evaluate
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
    "Flatten",
    "GlobalAvgPool",
    "HardTanh",
    "Input",
    "Linear",
    "MaxPool",
    "Quant",
    "Relu",
    "Reshape",
    "Shape",
    "Source",
    "SourceError",
    "SourceNode",
    "SourceOp",
    "TopK",
    "evaluate",
    "from_record",
    "to_record",
]
