"""Capture: the source in float64 is the module in float64, for every supported operator."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwc.compiler.source import (
    Add,
    AvgPool,
    Bipolar,
    Conv,
    Flatten,
    GlobalAvgPool,
    HardTanh,
    Input,
    Linear,
    MaxPool,
    Quant,
    Relu,
    evaluate,
)
from hwc.models.capture import CaptureError, InputMap, capture
from hwc.models.quantize.activation import BipolarAct, QuantAct, QuantInput
from hwc.models.quantize.snap import Affine, snap
from hwc.models.quantize.weight import BinaryWeight, IntWeight, TernaryWeight, quantize_weight

MAP = InputMap(0.25, -8, 7)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def check(model: nn.Module, *shapes: tuple[int, ...], rtol: float = 1e-12):
    """Capture, evaluate both on random raw integers, compare; returns the source."""
    rng = np.random.default_rng(0)
    model = model.eval()
    raw = [rng.integers(MAP.lo, MAP.hi + 1, size=(5, *shape)) for shape in shapes]
    source = capture(model, tuple(torch.zeros(1, *shape) for shape in shapes), MAP)
    feeds = {item.name: x for item, x in zip(source.inputs, raw, strict=True)}
    got = evaluate(source, feeds)[source.outputs[0]]
    with torch.no_grad():
        expected = model.double()(*(torch.from_numpy(x).double() * MAP.scale for x in raw))
    np.testing.assert_allclose(got, expected.numpy().reshape(got.shape), rtol=rtol, atol=rtol)
    return source


def ops(source) -> list[str]:
    return [type(node.op).__name__ for node in source.nodes]


def norm(channels: int, rank: int = 2) -> nn.Module:
    kinds = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
    model = kinds[rank](channels)
    generator = torch.Generator().manual_seed(1)
    for tensor in (model.weight, model.bias, model.running_mean):
        assert tensor is not None
        tensor.data.normal_(generator=generator)
    assert model.running_var is not None
    model.running_var.uniform_(0.5, 2, generator=generator)
    return model


MODULES = {
    "linear": (nn.Linear(6, 4), (6,)),
    "linear, no bias": (nn.Linear(6, 4, bias=False), (6,)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), (4, 11)),
    "conv2d": (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2)), (2, 7, 6)),
    "conv2d same": (nn.Conv2d(2, 3, (3, 4), padding="same"), (2, 7, 6)),
    "conv2d valid": (nn.Conv2d(2, 3, 3, padding="valid"), (2, 7, 6)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4, bias=False), (4, 6, 6)),
    "batch norm 1d": (norm(5, 1), (5,)),
    "batch norm 2d": (norm(5), (5, 3, 3)),
    "batch norm, plain": (nn.BatchNorm2d(5, affine=False), (5, 3, 3)),
    "affine": (Affine(torch.tensor([0.5, -2.0]), torch.tensor([1.0, 3.0])), (2, 3, 3)),
    "relu": (nn.ReLU(), (5,)),
    "relu inplace": (nn.Sequential(nn.Linear(5, 5), nn.ReLU(inplace=True)), (5,)),
    "relu6": (nn.ReLU6(), (5,)),
    "hardtanh": (nn.Hardtanh(-0.5, 1.0), (5,)),
    "clamp": (Apply(lambda x: x.clamp(-0.5, 0.75)), (5,)),
    "clamp min": (Apply(lambda x: x.clamp(min=0)), (5,)),
    "clamp max": (Apply(lambda x: x.clamp(max=0.5)), (5,)),
    "quant": (nn.Sequential(nn.Linear(6, 4), QuantAct(3, signed=True)), (6,)),
    "bipolar": (nn.Sequential(nn.Linear(6, 4), BipolarAct(0.5)), (6,)),
    "add constants": (Apply(lambda x: (1 + x) - 0.5), (5,)),
    "subtract from": (Apply(lambda x: 1.5 - x), (5,)),
    "scale": (Apply(lambda x: -(x * 3) / 7), (5,)),
    "max pool": (nn.MaxPool2d(3, 2, padding=1), (2, 7, 8)),
    "max pool, ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (2, 8, 8)),
    "max pool, dilated": (nn.MaxPool2d(2, 1, dilation=2), (2, 8, 8)),
    "max pool 1d": (nn.MaxPool1d(2), (2, 8)),
    "avg pool": (nn.AvgPool2d(3, 2, padding=1), (2, 7, 8)),
    "avg pool, uncounted": (nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), (2, 7, 8)),
    "avg pool 1d": (nn.AvgPool1d(3, 2, padding=1), (2, 9)),
    "adaptive avg": (nn.AdaptiveAvgPool2d((2, 3)), (2, 6, 6)),
    "adaptive avg 1d": (nn.AdaptiveAvgPool1d(2), (2, 6)),
    "adaptive max": (nn.AdaptiveMaxPool2d(2), (2, 6, 6)),
    "global avg": (nn.AdaptiveAvgPool2d(1), (3, 4, 5)),
    "mean": (Apply(lambda x: x.mean((2, 3))), (3, 4, 5)),
    "mean, kept": (Apply(lambda x: x.mean((-1, -2), keepdim=True)), (3, 4, 5)),
    "flatten": (nn.Flatten(), (2, 3, 4)),
    "view": (Apply(lambda x: x.view(x.shape[0], 6, 4)), (2, 3, 4)),
    "unsqueeze": (Apply(lambda x: x.unsqueeze(-1)), (3, 4)),
    "dropout": (nn.Sequential(nn.Dropout(), nn.Linear(5, 2)), (5,)),
    "argmax": (Apply(lambda x: x.argmax(1)), (5,)),
    "topk": (Apply(lambda x: x.topk(3, dim=1)[1]), (20,)),
    "argmax of a map": (Apply(lambda x: x.argmax(1)), (5, 3, 4)),
    "argmax of a map, axis kept": (Apply(lambda x: x.argmax(1, keepdim=True)), (5, 3, 4)),
    "topk of a map": (Apply(lambda x: x.topk(2, dim=1)[1]), (6, 2, 3)),
}
INDICES = [name for name in MODULES if name.startswith(("argmax", "topk"))]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", [name for name in MODULES if name not in INDICES])
def test_module(name):
    model, shape = MODULES[name]
    check(model, shape)


@pytest.mark.parametrize("name", INDICES)
def test_indices(name):
    """Only inputs without ties: torch's choice among equals is unspecified."""
    model, shape = MODULES[name]
    source = capture(model, torch.zeros(1, *shape), InputMap(1.0, 0, 99))
    rng = np.random.default_rng(0)
    raw = np.stack([rng.permutation(100)[: np.prod(shape)].reshape(shape) for _ in range(4)])
    got = evaluate(source, {source.inputs[0].name: raw})[source.outputs[0]]
    expected = model(torch.from_numpy(raw).double()).numpy()
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


def test_two_inputs_added_and_concatenated():
    class Join(nn.Module):
        def forward(self, x, y):
            return torch.cat([x + y, x - y, x], dim=1)

    source = check(Join(), (2, 3, 3), (2, 3, 3))
    assert [item.name for item in source.inputs] == ["x", "y"]
    assert ops(source) == ["Add", "Affine", "Add", "Concat"]


@pytest.mark.parametrize(
    ("quantizer", "op"),
    [
        (IntWeight(3), Quant(-3, 3, 0, None)),
        (IntWeight(4, per_channel=True), Quant(-7, 7, 0, 0)),
        (TernaryWeight(), Quant(-1, 1, 0, None)),
        (BinaryWeight(), Bipolar(None)),
        (BinaryWeight(per_channel=True), Bipolar(0)),
    ],
)
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d])
def test_weight_quantizers_are_nodes_on_tensors(quantizer, op, kind):
    layer = nn.Linear(6, 4) if kind is nn.Linear else nn.Conv2d(6, 4, 3)
    quantize_weight(layer, quantizer)
    source = check(nn.Sequential(layer), (6,) if kind is nn.Linear else (6, 4, 4))
    first, second = source.nodes
    assert first.op == op
    assert first.args == ("0.weight", "0.weight.scale")
    assert second.args[1] == first.name
    assert set(source.tensors) == {"0.weight", "0.weight.scale", "0.bias"}


def test_changes_in_place_are_seen():
    """In place on a view changes what the view is of; `relu_` alone needs no such care."""

    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.relu = norm(2), nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.norm(x)
            y = self.relu(x)
            x.view(x.shape[0], -1).mul_(2.0)
            return x + y + 1

    kinds = ops(check(InPlace(), (2, 3, 3)))
    assert kinds[:2] == ["BatchNorm", "Relu"]
    assert "Add" in kinds


def test_names_follow_the_modules():
    torch.manual_seed(0)
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(1, 2, 3, bias=False))
    block.add_module("norm", nn.BatchNorm2d(2))
    block.add_module("act", QuantAct(4))
    model = nn.Sequential()
    model.add_module("input", QuantInput(2.0**-8))
    model.add_module("block", block)
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", nn.Flatten())
    source = capture(snap(model), torch.zeros(1, 1, 8, 8))
    assert [(node.name, type(node.op)) for node in source.nodes][-2:] == [
        ("block_act", Quant),
        ("pool", GlobalAvgPool),
    ]
    assert source.node("block_norm").args == (
        "block_conv", "block_norm.scale", "block_norm.shift",
    )  # fmt: skip
    assert source.node("block_act").args == ("block_norm", "block_act.scale")


def test_quant_input_says_what_arrives():
    model = nn.Sequential(QuantInput(2.0**-4, 0, 16), nn.Flatten(), nn.Linear(4, 2))
    source = capture(model, torch.zeros(1, 2, 2))
    assert source.inputs == (Input("input", (2, 2), 2.0**-4, 0, 16),)
    assert ops(source) == ["Flatten", "Linear"]


def test_integer_example_says_what_arrives():
    model = Apply(lambda x: F.relu(x.float() / 255 - 0.5))
    source = capture(model, torch.zeros(1, 3, dtype=torch.uint8))
    assert source.inputs[0] == Input(source.inputs[0].name, (3,), 1.0, 0, 255)
    assert ops(source) == ["Affine", "Affine", "Relu"]


def test_constants_are_evaluated():
    class Computed(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Parameter(torch.tensor([[2.0], [3.0]]))
            self.v = nn.Parameter(torch.tensor([[3.0, 4.0], [6.0, 8.0]]))

        def forward(self, x):
            return F.linear(x, self.g * self.v / self.v.norm(dim=1, keepdim=True))

    source = check(Computed(), (2,), rtol=1e-6)  # computed in float32
    assert ops(source) == ["Linear"]
    np.testing.assert_allclose(source.tensors["linear.weight"], [[1.2, 1.6], [1.8, 2.4]], rtol=1e-6)


def test_the_module_is_left_alone():
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).train()
    capture(model, torch.zeros(3, 4), MAP)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(1)), (4,), "'1': aten.log_softmax.*leave it"),
        (nn.Sequential(nn.Sequential(Apply(torch.cos))), (4,), r"'0\.0': aten.cos: .* supported"),
        (Apply(lambda x: x / x), (4,), "network's forward: aten.div.Tensor: the quotient of two"),
        (Apply(lambda x: x * x[:, :1]), (4, 3), "takes equal shapes"),
        (Apply(lambda x: x.sum(0, keepdim=True) + x), (4,), "is not supported"),
        (nn.AdaptiveAvgPool2d(4), (2, 6, 6), r"output \(4, 4\) must divide the input \(6, 6\)"),
        (nn.BatchNorm1d(3, track_running_stats=False), (3,), "no running statistics"),
        (Apply(lambda x: x.reshape(1, -1)), (4,), "moves the batch axis"),
        (nn.Sequential(nn.Linear(4, 2)), (3, 4), r"module '0': .*takes a flat \(K,\)"),
        (Apply(lambda x: x * torch.tensor([1.0, 2.0])), (2, 2), "constant varies along axis 2"),
        (Apply(lambda x: x if x.sum() > 0 else -x), (4,), "torch.export cannot trace Apply"),
        (Apply(lambda x: torch.ones(2, 3)), (4,), "does not depend on an input"),
        (Apply(lambda x: (x + 1).int() + 0.5), (4,), "converts to torch.int32, which rounds"),
        (Apply(lambda x: x.topk(2, dim=1)[0]), (4,), "only the indices of top-k"),
    ],
)  # fmt: skip
def test_what_is_refused(model, shape, message):
    with pytest.raises(CaptureError, match=message):
        capture(model, torch.zeros(1, *shape), MAP)


def test_an_unknown_input_is_refused():
    with pytest.raises(CaptureError, match=r"put hwc\.models\.QuantInput"):
        capture(nn.Linear(4, 2), torch.zeros(1, 4))
    with pytest.raises(CaptureError, match="2 example inputs but 1 input maps"):
        capture(Apply(torch.add), (torch.zeros(1, 4), torch.zeros(1, 4)), [MAP])
    with pytest.raises(CaptureError, match="with a batch axis"):
        capture(nn.Linear(4, 2), torch.zeros(4))


def test_a_residual_network_end_to_end():
    torch.manual_seed(2)
    conv = quantize_weight(nn.Conv2d(4, 4, 3, padding=1, bias=False), IntWeight(4))

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.act = conv, norm(4), QuantAct(4)
            self.grid = QuantAct(4, signed=True)

        def forward(self, x):
            x = self.grid(x)
            x = self.act(x + self.grid(self.norm(self.conv(x))))
            return F.max_pool2d(x, 2)

    source = check(snap(nn.Sequential(Residual())), (4, 6, 6))
    kinds = [type(node.op) for node in source.nodes if node.name not in source.constants]
    assert kinds[:2] == [Quant, Conv]
    assert kinds[-3:] == [Add, Quant, MaxPool]
    assert {Relu, HardTanh, Linear, AvgPool, Flatten}.isdisjoint(kinds)
