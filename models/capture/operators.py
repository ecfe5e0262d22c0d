"""ATen operator -> `function(capture, node) -> Value`, in one table."""

import operator
from collections.abc import Callable

import torch
from torch.fx import Node

from hwc.models.capture import arithmetic as arithmetic
from hwc.models.capture import layers as layers
from hwc.models.capture import pools as pools
from hwc.models.capture import shapes as shapes
from hwc.models.capture.walk import Capture, Value
from hwc.models.quantize import quantizers  # noqa: F401  (registers hwc::quant and hwc::bipolar)

aten, hwc = torch.ops.aten, torch.ops.hwc

OPERATORS: dict[object, Callable[[Capture, Node], Value]] = {
    hwc.quant.default: layers.quant,
    hwc.bipolar.default: layers.bipolar,
    aten.linear.default: layers.linear,
    aten.conv1d.default: layers.conv,
    aten.conv1d.padding: layers.conv,
    aten.conv2d.default: layers.conv,
    aten.conv2d.padding: layers.conv,
    aten.batch_norm.default: layers.batch_norm,
    aten._native_batch_norm_legit_no_training.default: layers.batch_norm,
    aten.relu.default: arithmetic.relu,
    aten.relu6.default: arithmetic.relu6,
    aten.hardtanh.default: arithmetic.hard_tanh,
    aten.clamp.default: arithmetic.clamp,
    aten.clamp_min.default: arithmetic.clamp,
    aten.add.Tensor: arithmetic.add,
    aten.sub.Tensor: arithmetic.subtract,
    aten.rsub.Scalar: arithmetic.reverse_subtract,
    aten.mul.Tensor: arithmetic.multiply,
    aten.div.Tensor: arithmetic.divide,
    aten.neg.default: arithmetic.negate,
    aten.addcmul.default: arithmetic.addcmul,
    aten.max_pool1d.default: pools.max_pool,
    aten.max_pool2d.default: pools.max_pool,
    aten.avg_pool1d.default: pools.avg_pool,
    aten.avg_pool2d.default: pools.avg_pool,
    aten.adaptive_avg_pool1d.default: pools.adaptive_avg_pool,
    aten.adaptive_avg_pool2d.default: pools.adaptive_avg_pool,
    aten.adaptive_max_pool1d.default: pools.adaptive_max_pool,
    aten.adaptive_max_pool2d.default: pools.adaptive_max_pool,
    aten.mean.dim: pools.mean,
    aten.flatten.using_ints: shapes.reshape,
    aten.view.default: shapes.reshape,
    aten.reshape.default: shapes.reshape,
    aten.unsqueeze.default: shapes.reshape,
    aten.squeeze.default: shapes.reshape,
    aten.squeeze.dim: shapes.reshape,
    aten.squeeze.dims: shapes.reshape,
    aten.unflatten.int: shapes.reshape,
    aten.cat.default: shapes.concat,
    aten.argmax.default: shapes.arg_max,
    aten.topk.default: shapes.top_k,
    operator.getitem: shapes.item,
    aten.dropout.default: shapes.same,
    aten.feature_dropout.default: shapes.same,
    aten.contiguous.default: shapes.same,
    aten.clone.default: shapes.same,
    aten.detach.default: shapes.same,
    aten.alias.default: shapes.same,
    aten.to.dtype: shapes.convert,
    aten.to.dtype_layout: shapes.convert,
    aten._to_copy.default: shapes.convert,
}

# What would work instead, by operator.
HINTS = {
    "softmax": "leave it out: the class is the argmax of the logits",
    "log_softmax": "leave it out: the class is the argmax of the logits",
    "sigmoid": "use a ReLU or hardtanh with a quantizer; for a decision compare the logit with 0",
    "tanh": "use hardtanh with a quantizer",
    "gelu": "use a ReLU with a quantizer",
    "silu": "use a ReLU with a quantizer",
    "leaky_relu": "use a ReLU with a quantizer",
    "pad": "use the padding= of the convolution",
    "constant_pad_nd": "use the padding= of the convolution",
    "matmul": "use nn.Linear with constant weights",
    "mm": "use nn.Linear with constant weights",
    "layer_norm": "use batch-norm, whose statistics are constants",
    "group_norm": "use batch-norm, whose statistics are constants",
    "sign": "use hwc.models.BipolarAct, for which 0 counts as +1",
    "round": "use hwc.models.QuantAct",
    "conv3d": "use one- or two-dimensional convolutions",
}
