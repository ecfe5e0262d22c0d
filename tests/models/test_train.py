"""Training: networks build and learn, runs repeat, what is saved is what was measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source import evaluate
from hwc.models import load
from hwc.models.capture import capture
from hwc.models.data import Dataset, load_data
from hwc.models.quantize.activation import BipolarAct, PowerOfTwoScale, QuantAct, QuantInput
from hwc.models.quantize.twin import without_quantizers
from hwc.models.quantize.weight import WeightQuantizer, weight_quantizers
from hwc.models.train import evaluate as accuracy
from hwc.models.train import fit, shifted, squared_hinge, train
from hwc.models.zoo import NETS, net


def blobs(size: int, train: int = 400, test: int = 100) -> Dataset:
    """Four classes: a bright square in one of the corners, under noise."""
    rng = np.random.default_rng(7)

    def images(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 4, size=n)
        x = rng.integers(0, 100, size=(n, 1, size, size))
        half = size // 2
        for image, label in zip(x, labels, strict=True):
            row, column = divmod(int(label), 2)
            image[0, row * half : (row + 1) * half, column * half : (column + 1) * half] += 100
        return x.astype(np.uint8), labels.astype(np.int64)

    x_train, y_train = images(train)
    x_test, y_test = images(test)
    return Dataset("blobs", x_train, y_train, x_test, y_test)


MLPS = [name for name in NETS if name.startswith(("tfc", "sfc", "lenet-300"))]


@pytest.mark.parametrize("name", MLPS)
def test_mlps_learn(name):
    got = train(name, blobs(8), epochs=8, progress=False, threads=1)
    assert got.accuracy["fake_quant"] >= 0.9


def test_resnet_learns():
    recipe = replace(net("resnet-s-w4a4"), batch=20, epochs=4)
    got = train(recipe, blobs(16, 300), progress=False, threads=1)
    assert got.accuracy["fake_quant"] >= 0.9


def test_training_improves_on_chance_by_training():
    """One step of learning rate 0 stays near chance: the accuracy above comes from the training."""
    still = replace(net("sfc-w2a2"), lr=0.0)
    got = train(still, blobs(8), epochs=1, progress=False, threads=1)
    assert got.accuracy["fake_quant"] < 0.75


def test_a_run_repeats_and_leaves_the_global_state_alone():
    data = blobs(8, 200)
    states = []
    for around, seed in ((123, 0), (456, 0), (123, 1)):
        torch.manual_seed(around)
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        run = train("tfc-w2a2", data, epochs=2, seed=seed, progress=False)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
        states.append(run.model.state_dict())
    a, b, c = states
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_latents_stay_where_they_learn():
    data = blobs(8, 200)
    recipe = replace(net("tfc-w1a1"), epochs=2, lr=0.5)
    model = recipe.build(data)
    fit(model, recipe, data, seed=0, progress=False)
    largest = [float(latent.detach().abs().max()) for latent, _ in weight_quantizers(model)]
    assert largest == [1.0] * 4


def test_what_is_saved_is_what_was_measured(tmp_path):
    got = train("tfc-w1a1", blobs(8), epochs=2, progress=False, threads=1)
    got.save(tmp_path / "m.pt", samples=None)
    read = load(tmp_path / "m.pt")
    assert (read.name, read.data, len(read.samples["input"])) == ("tfc-w1a1", "blobs", 100)
    logits = evaluate(read.source, read.samples)[read.source.outputs[0]]
    assert np.array_equal(logits, np.rint(logits))
    assert (logits.argmax(axis=1) == read.labels).mean() == read.accuracy["fake_quant"]


@pytest.mark.parametrize("name", NETS)
def test_every_network_is_captured(name):
    """Untrained; only quantizers, linear operations and affines, logits on one scale."""
    data = blobs(28, 10, 10)
    model = net(name).build(data)
    source = capture(model, torch.zeros(1, 1, 28, 28))
    last = source.node(source.outputs[0])
    assert type(last.op).__name__ == "Linear"
    assert last.name == "logits"
    assert source.shapes["logits"] == (4,)
    quantizer = source.node(last.args[1])
    assert source.tensors[quantizer.args[1]].shape == ()


def test_residual_adds_share_their_scale():
    model = net("resnet-s-w4a4").build(blobs(28, 10, 10))
    scales = [module for module in model.modules() if isinstance(module, PowerOfTwoScale)]
    for i, scale in enumerate(scales):
        scale.value = torch.tensor(2.0**-i)
    source = capture(model, torch.zeros(1, 1, 28, 28))
    adds = [node for node in source.nodes if type(node.op).__name__ == "Add"]
    assert len(adds) == 3
    for node in adds:
        first, second = (source.tensors[source.node(arg).args[1]] for arg in node.args)
        assert first == second


def test_shifted():
    x = torch.arange(1.0, 2 * 3 * 16 + 1).view(2, 3, 4, 4)
    assert shifted(x, 0, np.random.default_rng(0)) is x
    seen = set()
    for seed in range(40):
        moved = shifted(x, 1, np.random.default_rng(seed))
        for image, original in zip(moved, x, strict=True):
            found = [
                (dy, dx)
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if torch.equal(image, moved_by(original, dy, dx))
            ]
            assert len(found) == 1
            seen.add(found[0])
    assert len(seen) == 9


def moved_by(image: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    return padded[:, 1 + dy : 5 + dy, 1 + dx : 5 + dx]


def test_squared_hinge():
    logits = torch.tensor([[2.0, 0.5, -0.5]])
    assert float(squared_hinge(logits, torch.tensor([0]))) == pytest.approx((0 + 2.25 + 0.25) / 3)


def test_accuracy_ties_go_to_the_lowest_class():
    model = torch.nn.Flatten()
    x = np.zeros((3, 4, 1, 1), dtype=np.uint8)
    assert accuracy(model, x, np.array([0, 1, 0]), 1.0) == pytest.approx(2 / 3)


def test_errors():
    with pytest.raises(HwcError, match="no network 'lenet'; the networks are tfc-w1a1"):
        net("lenet")
    with pytest.raises(HwcError, match="epochs must be at least 0, got -1"):
        train("tfc-w1a1", blobs(8), epochs=-1)
    with pytest.raises(HwcError, match="images must be 28x28 or larger, blobs has 16x16"):
        train("cnv-w1a1", blobs(16), epochs=0)
    with pytest.raises(HwcError, match="images must be 16x16 or larger, blobs has 8x8"):
        train("resnet-s-w8a8", blobs(8))


# Shapes as published: multiply-accumulate weights of the whole network, biases not counted.
@pytest.mark.parametrize(
    ("name", "data", "weights"),
    [
        ("lfc-w1a1", "noise:1x28x28", 784 * 1024 + 2 * 1024**2 + 10240),
        ("lenet-300-100-w4a4", "noise:1x28x28", 266_200),
        ("lenet-5-w8a8", "noise:1x28x28", 430_500),
        ("cnv-w1a1", "noise:3x32x32", 1_542_848),
        ("resnet-8-w8a8", "noise:3x32x32", 77_360),
    ],
)
def test_untrained_networks_have_their_published_size(name, data, weights):
    got = train(
        name,
        replace(
            load_data(data),
            x_train=load_data(data).x_train[:200],
            y_train=load_data(data).y_train[:200],
        ),
        epochs=0,
        progress=False,
    )
    layers = [m for m in got.model.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    assert sum(m.weight.numel() for m in layers) == weights


@pytest.mark.parametrize("size", [28, 32])
def test_cnv_takes_both_sizes(size):
    image = torch.zeros(2, 1, size, size)
    assert net("cnv-w2a2").build(blobs(size, 10, 10)).eval()(image).shape == (2, 4)


def test_lenet_learns():
    recipe = replace(net("lenet-5-w4a4"), batch=20, epochs=3)
    assert train(recipe, blobs(16, 300), progress=False).accuracy["fake_quant"] >= 0.9


def test_the_float_twin():
    got = train("tfc-w1a1", blobs(8), epochs=4, progress=False, float_twin=True)
    assert got.accuracy["float"] >= 0.9


def test_without_quantizers_leaves_the_model_alone():
    model = net("resnet-s-w4a4").build(blobs(28, 10, 10)).eval()
    x = torch.rand(2, 1, 28, 28)
    before = model(x)
    twin = without_quantizers(model)
    assert torch.equal(model(x), before)
    quantizers = (BipolarAct, QuantAct, QuantInput, WeightQuantizer)
    assert not any(isinstance(module, quantizers) for module in twin.modules())
    assert not torch.equal(twin(x), before)


def test_without_quantizers_finds_one_activation_in_two_places():
    act = QuantAct(4)
    twin = without_quantizers(nn.Sequential(act, nn.Linear(2, 2), act))
    assert [type(m).__name__ for m in twin.children()] == ["ReLU", "Linear", "ReLU"]
