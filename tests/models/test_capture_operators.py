"""Capture of what bends, moves, cuts and pads: the source in float64 is the module in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwc.compiler.calibrate import Config, calibrate
from hwc.compiler.lower import agree, lower
from hwc.compiler.source import Function, Slice, Softmax, evaluate
from hwc.compiler.source.shares import codes_before
from hwc.models.capture import CaptureError, capture
from hwc.models.quantize.activation import QuantAct
from tests.models.test_capture import MAP, Apply, check, ops

M = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [0.0, 1.0, 1.0], [-2.0, 0.5, 0.0]])
IMAGE = (4, 6, 5)

CURVES = {
    "leaky": (nn.LeakyReLU(0.3), ["PRelu"]),
    "prelu, one slope": (nn.PReLU(), ["PRelu"]),
    "prelu, a slope a channel": (nn.PReLU(4, 0.125), ["PRelu"]),
    "sigmoid": (nn.Sigmoid(), ["Function"]),
    "tanh": (nn.Tanh(), ["Function"]),
    "gelu": (nn.GELU(), ["Function"]),
    "gelu by tanh": (nn.GELU("tanh"), ["Function"]),
    "silu": (nn.SiLU(), ["Function"]),
    "silu in place": (nn.SiLU(inplace=True), ["Function"]),
    "silu by hand": (Apply(lambda x: torch.sigmoid(x) * x), ["Function"]),
    "mish": (nn.Mish(), ["Function"]),
    "hardswish": (nn.Hardswish(), ["Function"]),
    "hardswish by hand": (Apply(lambda x: x * F.hardsigmoid(x)), ["Function"]),
    "hardsigmoid": (nn.Hardsigmoid(), ["Function"]),
    "elu": (nn.ELU(0.7), ["Function"]),
    "elu scaled": (Apply(lambda x: torch.ops.aten.elu(x, 0.5, 2.0, 0.25)), None),
    "celu": (nn.CELU(0.5), ["Affine", "Function", "Affine"]),
    "selu": (nn.SELU(), ["Function"]),
    "softplus": (nn.Softplus(), ["Function"]),
    "softplus, beta": (nn.Softplus(2.0, 60), ["Affine", "Function", "Affine"]),
    "softmax": (nn.Softmax(1), ["Softmax"]),
    "abs, exp, erf": (Apply(lambda x: x.abs().mul(-1).exp().erf()), None),
    "log, sqrt": (Apply(lambda x: x.abs().log().abs().sqrt()), None),
    "reciprocal": (Apply(lambda x: torch.reciprocal(x)), ["Function"]),
    "a number by an activation": (Apply(lambda x: 2 / x), ["Function", "Affine"]),
    "powers": (Apply(lambda x: x**3 + x.square() + torch.rsqrt(x.abs())), None),
    "sign": (
        Apply(lambda x: torch.sign(F.relu(x)) - torch.sign(x)),
        ["Relu", "Quant", "Quant", "Affine", "Add"],
    ),
    "gate": (Apply(lambda x: x * torch.tanh(x)), ["Function", "Multiply"]),
    "gate for each channel": (
        Apply(lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
        ["GlobalAvgPool", "Reshape", "Function", "Upsample", "Multiply"],
    ),
    "maximum": (Apply(lambda x: torch.maximum(x, torch.tensor(-0.3))), ["HardTanh"]),
    "minimum": (Apply(lambda x: torch.minimum(torch.tensor([0.4]), x)), ["HardTanh"]),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves(name: str) -> None:
    model, kinds = CURVES[name]
    source = check(model, IMAGE, rtol=1e-9 if "softplus" in name else 1e-12)
    assert kinds is None or ops(source) == kinds


MOVES = {
    "pad": (nn.ZeroPad2d((1, 0, 2, 3)), ["Pad"]),
    "pad by a value": (nn.ConstantPad2d(1, -2.0), ["Pad"]),
    "pad in one direction": (Apply(lambda x: F.pad(x, (0, 2))), ["Pad"]),
    "pad by nothing": (Apply(lambda x: F.relu(F.pad(x, (0, 0, 0, 0)))), ["Relu"]),
    "upsample": (nn.Upsample(scale_factor=2), ["Upsample"]),
    "upsample to a size": (nn.Upsample(size=(12, 15)), ["Upsample"]),
    "slice of channels": (Apply(lambda x: x[:, 1:3]), ["Slice"]),
    "slice from the end": (Apply(lambda x: x[:, :, -4:-1:2]), ["Slice"]),
    "slice of everything": (Apply(lambda x: F.relu(x[:, :, :])), ["Relu"]),
    "narrow": (Apply(lambda x: x.narrow(-1, 1, 3)), ["Slice"]),
    "select": (Apply(lambda x: x[:, :, :, -1]), ["Slice", "Reshape"]),
    "chunk": (Apply(lambda x: torch.add(*x.chunk(2, 1))), ["Slice", "Slice", "Add"]),
    "split": (Apply(lambda x: F.relu(x.split(3, -2)[1])), ["Slice", "Relu"]),
    "split by sizes": (Apply(lambda x: x.split((1, 3), 1)[1]), ["Slice"]),
    "permute": (Apply(lambda x: x.permute(0, 2, -1, 1)), ["Transpose"]),
    "transpose": (Apply(lambda x: x.transpose(-1, 1)), ["Transpose"]),
    "permute nothing": (Apply(lambda x: F.relu(x.permute(0, 1, 2, 3))), ["Relu"]),
    "transposed convolution": (nn.ConvTranspose2d(4, 3, 3), ["ConvTranspose"]),
    "transposed convolution, all options": (
        nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, dilation=(1, 2)),
        ["ConvTranspose"],
    ),
    "average pool, ceil": (nn.AvgPool2d(2, 2, ceil_mode=True), ["AvgPool"]),
    "average pool, ceil, padding": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), ["AvgPool"]),
    "average pool, ceil, padding not counted": (
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        ["AvgPool"],
    ),
    "average pool, divisor": (nn.AvgPool2d(2, divisor_override=3), ["AvgPool", "Affine"]),
    "max pool, ceil": (nn.MaxPool2d(2, 2, ceil_mode=True), ["MaxPool"]),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str) -> None:
    model, kinds = MOVES[name]
    assert ops(check(model, IMAGE)) == kinds


LINES = {
    "transposed convolution": nn.ConvTranspose1d(4, 2, 4, stride=3, padding=1, output_padding=1),
    "pad": nn.ConstantPad1d((2, 1), 0.5),
    "upsample": nn.Upsample(scale_factor=3),
    "average pool": nn.AvgPool1d(3, 2, ceil_mode=True),
}


@pytest.mark.parametrize("name", LINES)
def test_one_dimension(name: str) -> None:
    check(LINES[name], (4, 8))


def test_products_with_constant_matrices() -> None:
    assert ops(check(Apply(lambda x: x @ M.to(x.dtype)), (4,))) == ["Linear"]
    assert ops(check(Apply(lambda x: torch.mm(x, M.to(x.dtype))), (4,))) == ["Linear"]
    assert ops(check(Apply(lambda x: torch.addmm(M[0].to(x.dtype), x, M.to(x.dtype))), (4,))) == [
        "Linear"
    ]


def test_a_split_is_cut_where_it_is_taken() -> None:
    source = check(Apply(lambda x: torch.cat(x.split((1, 2, 1), 1)[::-1], 1)), IMAGE)
    cuts = [n.op for n in source.nodes if isinstance(n.op, Slice)]
    assert [(s.start, s.stop) for s in cuts] == [(0, 1), (1, 3), (3, 4)]


REFUSED = {
    "reflection": (nn.ReflectionPad2d(1), "mode 'reflect' is not supported; pad with a constant"),
    "cutting": (Apply(lambda x: F.pad(x, (-1, 0))), "cuts; use a slice"),
    "channels": (Apply(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1))), "reaches batch or channels"),
    "factor": (nn.Upsample(size=(9, 5)), "is no whole factor"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), 'use mode="nearest"'),
    "batch": (Apply(lambda x: x.permute(1, 0, 2, 3)), "moves the batch axis"),
    "cut batch": (Apply(lambda x: x[:1]), "cuts the batch"),
    "axis": (nn.Softmax(-1), "only the channels, dim=1"),
    "threshold": (nn.Softplus(1, 2), "threshold=2.* at least 20"),
    "limits": (Apply(lambda x: torch.maximum(x, -x)), "with one constant"),
    "matrix": (Apply(lambda x: x @ torch.ones(3, 5, 2)[0]), r"takes a flat \(K,\)"),
    "norm": (nn.GroupNorm(2, 4), "use batch-norm"),
    "ceil and divisor": (nn.AvgPool2d(2, ceil_mode=True, divisor_override=3), "divisor_override"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(CaptureError, match=message):
        capture(model, torch.zeros(1, *IMAGE), MAP)


def test_a_float_network_of_all_kinds_becomes_integers() -> None:
    """Captured, calibrated and lowered: the integers are those of the quantized float64 source."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.ZeroPad2d((1, 0, 0, 1)),
        nn.Conv2d(2, 6, 3, padding=1),
        nn.LeakyReLU(0.25),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.ConvTranspose2d(6, 4, 2, stride=2),
        nn.PReLU(4),
        nn.Upsample(scale_factor=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 4, 1),
        nn.SiLU(),
        Apply(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
        nn.Conv2d(4, 3, 3),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(3 * 4 * 4, 5),
        nn.Softmax(1),
    )
    source = capture(net, torch.zeros(1, 2, 5, 5), MAP)
    assert {"Function", "PRelu", "ConvTranspose", "Upsample", "Slice", "Pad"} <= set(ops(source))
    assert sum(isinstance(n.op, Function) for n in source.nodes) == 2
    rng = np.random.default_rng(0)
    name = source.inputs[0].name
    frames = {name: rng.integers(MAP.lo, MAP.hi + 1, (40, 2, 5, 5))}
    made = calibrate(source, frames, Config())
    report = agree(made.source, lower(made.source), frames)
    assert report.differing == 0
    assert made.losses[-1].sqnr_db > 25


def test_a_softmax_between_quantizers_becomes_integers() -> None:
    """Torch's floats give the same code but for ties that 2**-10 parts move."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 5), QuantAct(8, signed=True), nn.Softmax(1), QuantAct(8), nn.Linear(5, 3)
    )
    model(torch.randn(200, 6))
    model = model.double().eval()
    source = capture(model, torch.zeros(1, 6, dtype=torch.float64), MAP)
    assert ops(source).count("Softmax") == 1
    codes = np.random.default_rng(0).integers(MAP.lo, MAP.hi + 1, (50, 6))
    made = evaluate(source, {source.inputs[0].name: codes})[source.outputs[0]]
    with torch.no_grad():
        real = model(torch.from_numpy(codes * MAP.scale)).numpy()
    assert np.abs(made - real).max() < 0.02
    shares = next(n for n in source.nodes if isinstance(n.op, Softmax))
    assert codes_before(source, shares) is not None
