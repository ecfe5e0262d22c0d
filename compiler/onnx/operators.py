"""(domain, operator) -> handler, in one table; and what would work for some that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hwc.compiler.onnx.file import CONTROL
from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops import (
    arithmetic,
    contract,
    convolutions,
    curves,
    finn,
    integers,
    moves,
    passing,
    pools,
    qonnx,
    quantizers,
    reductions,
    resizing,
    shapes,
)
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk

__all__ = ["FAMILIES", "HINTS", "OPERATORS", "QUANTIZERS", "Handler", "Result"]

Result = Value | Constant | Sequence[Value | Constant | None]
Handler = Callable[[Walk, Node], Result]

CONVOLUTIONS: Mapping[tuple[str, str], Handler] = {
    ("", "BatchNormalization"): convolutions.batch_norm,
    ("", "Conv"): convolutions.conv,
    ("", "ConvTranspose"): convolutions.conv_transpose,
    ("", "Gemm"): contract.gemm,
    ("", "MatMul"): contract.matmul,
}

ARITHMETIC: Mapping[tuple[str, str], Handler] = {
    ("", "Add"): arithmetic.add,
    ("", "Cast"): passing.cast,
    ("", "CastLike"): passing.cast,
    ("", "Clip"): arithmetic.clip,
    ("", "Div"): arithmetic.divide,
    ("", "Dropout"): passing.identity,
    ("", "Identity"): passing.identity,
    ("", "Max"): arithmetic.extreme,
    ("", "Mean"): arithmetic.mean,
    ("", "Min"): arithmetic.extreme,
    ("", "Mul"): arithmetic.multiply,
    ("", "Neg"): arithmetic.negate,
    ("", "Sub"): arithmetic.subtract,
    ("", "Sum"): arithmetic.total,
}

CURVES: Mapping[tuple[str, str], Handler] = {
    **{("", kind): curves.curve for kind in curves.CURVES},
    ("", "Celu"): curves.celu,
    ("", "Gelu"): curves.gelu,
    ("", "LeakyRelu"): curves.leaky,
    ("", "PRelu"): curves.parametric,
    ("", "Pow"): curves.power,
    ("", "Relu"): curves.relu,
    ("", "Sign"): curves.sign,
    ("", "Softmax"): curves.softmax,
    ("", "Swish"): curves.swish,
}

POOLS: Mapping[tuple[str, str], Handler] = {
    ("", "ArgMax"): reductions.arg_extreme,
    ("", "ArgMin"): reductions.arg_extreme,
    ("", "AveragePool"): pools.average_pool,
    ("", "GlobalAveragePool"): pools.global_pool,
    ("", "GlobalMaxPool"): pools.global_pool,
    ("", "MaxPool"): pools.max_pool,
    ("", "ReduceL1"): reductions.reduce,
    ("", "ReduceMax"): reductions.reduce,
    ("", "ReduceMean"): reductions.reduce,
    ("", "ReduceMin"): reductions.reduce,
    ("", "ReduceSum"): reductions.reduce,
    ("", "TopK"): reductions.top_k,
}

SHAPES: Mapping[tuple[str, str], Handler] = {
    ("", "Concat"): moves.concat,
    ("", "DepthToSpace"): shapes.depth_to_space,
    ("", "Expand"): shapes.expand,
    ("", "Flatten"): shapes.flatten,
    ("", "Gather"): moves.gather,
    ("", "Pad"): moves.pad,
    ("", "Reshape"): shapes.reshape,
    ("", "Resize"): resizing.resize,
    ("", "Shape"): shapes.shape_of,
    ("", "Size"): shapes.shape_of,
    ("", "Slice"): moves.slice_of,
    ("", "SpaceToDepth"): shapes.space_to_depth,
    ("", "Split"): moves.split,
    ("", "Squeeze"): shapes.squeeze,
    ("", "Transpose"): shapes.transpose,
    ("", "Unsqueeze"): shapes.unsqueeze,
    ("", "Upsample"): resizing.upsample,
}

QUANTIZERS: Mapping[tuple[str, str], Handler] = {
    ("", "DequantizeLinear"): quantizers.dequantize,
    ("", "QuantizeLinear"): quantizers.quantize,
    ("com.microsoft", "DequantizeLinear"): quantizers.dequantize,
    ("com.microsoft", "QuantizeLinear"): quantizers.quantize,
    ("qonnx", "BipolarQuant"): qonnx.bipolar_quant,
    ("qonnx", "IntQuant"): qonnx.quant,
    ("qonnx", "Quant"): qonnx.quant,
}
"""These also take constants, whose codes they keep."""

INTEGERS: Mapping[tuple[str, str], Handler] = {
    ("", "ConvInteger"): integers.conv_integer,
    ("", "MatMulInteger"): integers.matmul_integer,
    ("", "QLinearConv"): integers.qlinear_conv,
    ("", "QLinearMatMul"): integers.qlinear_matmul,
    ("com.microsoft", "QGemm"): integers.qgemm,
    ("com.microsoft", "QLinearAdd"): integers.qlinear_add,
    ("com.microsoft", "QLinearAveragePool"): integers.qlinear_average,
    ("com.microsoft", "QLinearConcat"): integers.qlinear_concat,
    ("com.microsoft", "QLinearGlobalAveragePool"): integers.qlinear_global_pool,
    ("com.microsoft", "QLinearLeakyRelu"): integers.qlinear_curve,
    ("com.microsoft", "QLinearMul"): integers.qlinear_multiply,
    ("com.microsoft", "QLinearSigmoid"): integers.qlinear_curve,
    ("com.microsoft", "QLinearSoftmax"): integers.qlinear_softmax,
}

QONNX: Mapping[tuple[str, str], Handler] = {
    **{("channels_last", kind): handler for kind, handler in finn.CHANNELS_LAST.items()},
    ("qonnx", "MaxPoolNHWC"): finn.pool_last,
    ("qonnx", "MultiThreshold"): finn.multi_threshold,
    ("qonnx", "QuantAvgPool2d"): finn.quant_avg_pool,
    ("qonnx", "Trunc"): qonnx.trunc,
}

FAMILIES: Mapping[str, Mapping[tuple[str, str], Handler]] = {
    "Products": CONVOLUTIONS,
    "Arithmetic": ARITHMETIC,
    "Activation functions": CURVES,
    "Pools, reductions and decisions": POOLS,
    "Shapes and movement": SHAPES,
    "Quantizers": QUANTIZERS,
    "Integer operators": INTEGERS,
    "QONNX and FINN": QONNX,
}

OPERATORS: Mapping[tuple[str, str], Handler] = {
    key: handler for family in FAMILIES.values() for key, handler in family.items()
}

DYNAMIC = (
    "the scale is computed from each sample, which hardware with fixed scales cannot do; "
    "quantize statically with calibration data"
)
BATCHNORM = "use batch normalization, whose statistics are constants"
RECURRENT = "recurrent layers are not supported; unroll them or use convolutions over time"
LOGITS = "leave it out: argmax and top-k are the same without"

HINTS: Mapping[str, str] = {
    "Attention": "matrix products of two activations are not supported",
    "DynamicQuantizeLinear": DYNAMIC,
    "Einsum": "use MatMul or Gemm with a constant factor",
    "FloatQuant": "minifloat codes are not integers on one grid; quantize to integers with Quant",
    "GRU": RECURRENT,
    "GroupNormalization": BATCHNORM,
    "If": CONTROL,
    "InstanceNormalization": BATCHNORM,
    "LayerNormalization": BATCHNORM,
    "LSTM": RECURRENT,
    "LogSoftmax": LOGITS,
    "Loop": CONTROL,
    "RNN": RECURRENT,
    "Scan": CONTROL,
    "Tile": "activations are not repeated; use Resize for positions",
}
