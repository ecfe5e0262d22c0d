"""A source as a module: the same function, real layers inside, nothing unknown let through."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from hwc.compiler.source import (
    ArgMax,
    Conv,
    Function,
    Input,
    Linear,
    Quant,
    Relu,
    Source,
    SourceNode,
    evaluate,
)
from hwc.models import (
    InputMap,
    QuantAct,
    QuantInput,
    capture,
    load_data,
    net,
    quantize_weight,
    snap,
)
from hwc.models.compress import CompressError, compress, parse
from hwc.models.compress.layers import free, layers_of
from hwc.models.compress.source_module import SourceModule
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.weight import BinaryWeight, IntWeight

RNG = np.random.default_rng(0)
ONE = parse('[[step]]\nmethod = "uniform"\nbits = 4')


class Foreign(nn.Module):
    """A residual block, a concatenation, pools, a clip."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False)
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        y = torch.relu(self.norm(self.conv1(x)))
        y = nn.functional.max_pool2d(nn.functional.hardtanh(self.conv2(y)) + y, 2)
        y = torch.cat([y, nn.functional.avg_pool2d(y, 3, 1, 1)], 1)
        return self.fc(y.mean((2, 3)))


def check(source: Source, shape: tuple[int, ...], hi: int = 255) -> Any:
    """The module gives what `evaluate` gives, and captures to a source that does, too."""
    module = SourceModule(source).double().eval()
    raw = RNG.integers(0, hi + 1, (5, *shape))
    scale = source.inputs[0].scale
    assert scale is not None
    expected = evaluate(source, {source.inputs[0].name: raw})[source.outputs[0]]
    x = torch.from_numpy(raw).double() * scale
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-6, atol=1e-6)
    again = capture(SourceModule(source), x[:1].float(), InputMap(scale, 0, hi))
    got = evaluate(again, {again.inputs[0].name: raw})[again.outputs[0]]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    return module


def test_a_float_network():
    torch.manual_seed(0)
    model: Any = Foreign()
    model.norm.running_mean.uniform_(-1, 1)
    model.norm.running_var.uniform_(0.5, 2)
    source = capture(model, torch.zeros(1, 2, 8, 8), InputMap())
    module = check(source, (2, 8, 8))
    assert list(layers_of(module)) == ["conv1", "conv2", "fc"]
    assert sum(isinstance(m, nn.ReLU) for m in module.modules()) == 1


@pytest.mark.parametrize("name", ["tfc-w1a1", "resnet-s-w4a4"])
def test_quantized_networks_stay_quantized(name):
    torch.manual_seed(1)
    source = capture(snap(net(name).build(load_data("noise:1x16x16"))), torch.zeros(1, 1, 16, 16))
    module = check(source, (1, 16, 16))
    layers: dict[str, Any] = layers_of(module)
    for layer in layers.values():
        assert isinstance(layer.parametrizations.weight[0], FixedWeight)


def test_a_layer_that_is_treated_starts_from_its_values():
    torch.manual_seed(2)
    model = nn.Sequential(
        QuantInput(),
        nn.Flatten(),
        quantize_weight(nn.Linear(64, 12), IntWeight(3, per_channel=True)),
        QuantAct(4),
        quantize_weight(nn.Linear(12, 10), BinaryWeight()),
    )
    source = capture(snap(model), torch.zeros(1, 1, 8, 8))
    layers: dict[str, Any] = layers_of(SourceModule(source))
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    for name, layer in layers.items():
        free(layer)
        assert not parametrize.is_parametrized(layer)
        assert torch.equal(layer.weight, before[name])


def test_untreated_layers_keep_their_integers(digits):
    torch.manual_seed(3)
    model = nn.Sequential(
        QuantInput(2.0**-4, 0, 16),
        nn.Flatten(),
        quantize_weight(nn.Linear(64, 12), IntWeight(3)),
        QuantAct(4),
        nn.Linear(12, 10),
    )
    source = capture(snap(model), torch.zeros(1, 1, 8, 8))
    recipe = parse('except = ["linear_2"]\n[[step]]\nmethod = "uniform"\nlayers = ["linear_4"]')
    made = compress(SourceModule(source), recipe, digits, progress=False)
    first, second = made.report.layers
    assert (first.name, first.kind, first.methods) == ("linear_2", "int3", ())
    assert (second.name, second.kind, second.methods) == ("linear_4", "int8", ("uniform",))


def test_uneven_padding_becomes_a_pad_in_front():
    source = Source(
        (Input("x", (2, 5, 6), 2.0**-8),),
        (SourceNode("conv", Conv(padding=(0, 1, 1, 0)), ("x", "w")),),
        ("conv",),
        {"w": RNG.normal(size=(3, 2, 3, 2)).astype(np.float32)},
    )
    assert list(layers_of(check(source, (2, 5, 6)))) == ["conv"]


BENDS = {
    "hard_sigmoid": nn.Hardsigmoid(),
    "hard_swish": nn.Hardswish(),
    "silu": nn.SiLU(),
    "gelu": nn.GELU("tanh"),
    "elu": nn.ELU(0.5),
    "selu": nn.SELU(),
    "softplus": nn.Softplus(),
    "prelu": nn.PReLU(6, 0.2),
    "leaky": nn.LeakyReLU(0.1),
    "softmax": nn.Softmax(1),
}


@pytest.mark.parametrize("name", BENDS)
def test_activations(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), BENDS[name])
    check(capture(model, torch.zeros(1, 2, 8, 8), InputMap()), (2, 8, 8))


def test_moves_and_pools():
    torch.manual_seed(0)

    class Moving(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 4, 3), nn.Linear(4 * 7 * 9, 3)

        def forward(self, x):
            y = nn.functional.pad(self.conv(x), (1, 0, 2, 1), value=0.25)
            y = nn.functional.interpolate(y, scale_factor=2)
            y = torch.cat(y.split((1, 3), 1)[::-1], 1).transpose(2, 3)
            return self.fc(nn.functional.avg_pool2d(y[:, :, :, 1:], 2, ceil_mode=True).flatten(1))

    check(capture(Moving(), torch.zeros(1, 2, 8, 8), InputMap()), (2, 8, 8))


def test_layers_that_no_method_treats_are_named(digits):
    model = nn.Sequential(
        nn.ConvTranspose2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 81, 10)
    )
    recipe = '[[step]]\nmethod = "uniform"\n'
    with pytest.raises(CompressError, match=r"layer '0' \(ConvTranspose2d\) is one that no method"):
        compress(model, parse(recipe), digits, progress=False)
    made = compress(model, parse('except = ["0"]\n' + recipe), digits, progress=False)
    assert [layer.kind for layer in made.report.layers] == ["float", "int8"]


def source_of(op, *more) -> Source:
    tensors = {"w": np.ones((3, 4), np.float32), "s": np.float32(0.5)}
    nodes = (SourceNode("fc", Linear(), ("x", "w")), SourceNode("act", op, ("fc", *more)))
    return Source((Input("x", (4,), 1.0),), nodes, ("act",), tensors)


REFUSED = [
    (source_of(ArgMax()), "node act: ArgMax.* has no counterpart that could be trained"),
    (source_of(Function("softsign")), "node act: Function.* has no counterpart"),
    (source_of(Quant(zero=3), "s"), "node act: a quantizer with zero 3 and rounding half_even"),
]


@pytest.mark.parametrize(("source", "message"), REFUSED)
def test_what_has_no_counterpart_is_refused(source, message):
    with pytest.raises(CompressError, match=message):
        SourceModule(source)


def test_several_outputs_are_refused():
    source = source_of(Relu())
    both = Source(source.inputs, source.nodes, ("fc", "act"), source.tensors)
    with pytest.raises(CompressError, match="1 inputs and 2 outputs cannot be compressed"):
        SourceModule(both)
