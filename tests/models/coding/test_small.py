"""The small file: equal sources, few bytes, damage refused."""

import zlib

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.source import Source
from hwc.models import QuantAct, QuantInput, capture, load, load_data, net, quantize_weight, snap
from hwc.models.checkpoint import Checkpoint, CheckpointError, encode_small, save_small
from hwc.models.coding import small
from hwc.models.quantize.weight import BinaryWeight, IntWeight, TernaryWeight


def lenet(seed: int = 0) -> Source:
    """Ternary LeNet-300-100, a twentieth of its weights not zero, biases of 8 bits."""
    torch.manual_seed(seed)
    layers = [nn.Linear(784, 300), nn.Linear(300, 100), nn.Linear(100, 10)]
    for layer in layers:
        with torch.no_grad():
            layer.weight *= torch.rand_like(layer.weight) < 0.05
            layer.bias.copy_((layer.bias * 2**9).round() / 2**9)
        quantize_weight(layer, TernaryWeight())
    a, b, c = layers
    model = nn.Sequential(QuantInput(), nn.Flatten(), a, QuantAct(8), b, QuantAct(8), c)
    return small.positive_zeros(capture(snap(model), torch.zeros(1, 1, 28, 28)))


SOURCE = lenet()
CHECKPOINT = Checkpoint(SOURCE, accuracy={"fake_quant": 0.9375}, data="mnist5k", name="lenet")


def bitwise_equal(a: Source, b: Source) -> bool:
    same = (a.inputs, a.nodes, a.outputs) == (b.inputs, b.nodes, b.outputs)
    return (
        same
        and list(a.tensors) == list(b.tensors)
        and all(
            a.tensors[n].dtype == b.tensors[n].dtype
            and a.tensors[n].shape == b.tensors[n].shape
            and a.tensors[n].tobytes() == b.tensors[n].tobytes()
            for n in a.tensors
        )
    )


def test_reads_back_bit_for_bit(tmp_path):
    written = save_small(CHECKPOINT, tmp_path / "small.pt")
    read = load(tmp_path / "small.pt")
    assert list(read.tensors) == list(SOURCE.tensors)
    assert bitwise_equal(read.source, SOURCE)
    assert (read.accuracy, read.data, read.name) == ({"fake_quant": 0.9375}, "mnist5k", "lenet")
    assert (tmp_path / "small.pt").read_bytes() == written.data
    assert encode_small(CHECKPOINT).data == written.data


def test_overhead_of_lenet_is_small():
    written = encode_small(CHECKPOINT)
    weights = sum(len(written.tensors[f"{i}.weight"].data) for i in (2, 4, 6))
    biases = sum(len(written.tensors[f"{i}.bias"].data) for i in (2, 4, 6))
    assert biases <= 410 + 40
    assert len(written.data) - weights - biases < 400
    said = sum(packed.parts.total() for packed in written.tensors.values())
    assert said + 8 * written.overhead == 8 * len(written.data)


@pytest.mark.parametrize("name", ["tfc-w1a1", "lenet-5-w4a4", "resnet-8-w4a4"])
def test_networks_of_the_zoo(name, tmp_path):
    torch.manual_seed(1)
    model = snap(net(name).build(load_data("noise:1x28x28")))
    source = small.positive_zeros(capture(model, torch.zeros(1, 1, 28, 28)))
    save_small(Checkpoint(source), tmp_path / "small.pt")
    assert bitwise_equal(load(tmp_path / "small.pt").source, source)


def test_codes_along_channels_and_binary_weights(tmp_path):
    torch.manual_seed(2)
    model = nn.Sequential(
        QuantInput(),
        quantize_weight(nn.Conv2d(3, 8, 3), IntWeight(4, per_channel=True)),
        QuantAct(4),
        quantize_weight(nn.Conv2d(8, 8, 3, bias=False), BinaryWeight(per_channel=True)),
        QuantAct(4),
        nn.Flatten(),
        quantize_weight(nn.Linear(128, 5), IntWeight(8)),
    )
    source = small.positive_zeros(capture(snap(model), torch.zeros(1, 3, 8, 8)))
    written = save_small(Checkpoint(source), tmp_path / "small.pt")
    assert bitwise_equal(load(tmp_path / "small.pt").source, source)
    assert len(written.tensors["3.weight"].data) < 8 * 8 * 9 / 8 + 40  # a bit each


def test_samples_only_if_asked(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28))
    full = Checkpoint(SOURCE, {SOURCE.inputs[0].name: x}, np.arange(20) % 10)
    save_small(full, tmp_path / "none.pt")
    save_small(full, tmp_path / "some.pt", samples=5)
    none, some = load(tmp_path / "none.pt"), load(tmp_path / "some.pt")
    assert (dict(none.samples), none.labels) == ({}, None)
    np.testing.assert_array_equal(some.samples[SOURCE.inputs[0].name], x[:5])
    np.testing.assert_array_equal(some.labels, [0, 1, 2, 3, 4])


def test_negative_zeros_become_zeros(tmp_path):
    tensors = dict(SOURCE.tensors)
    tensors["2.weight"] = np.where(tensors["2.weight"] == 0, np.float32(-0.0), tensors["2.weight"])
    source = Source(SOURCE.inputs, SOURCE.nodes, SOURCE.outputs, tensors)
    save_small(Checkpoint(source), tmp_path / "small.pt")
    assert bitwise_equal(load(tmp_path / "small.pt").source, SOURCE)


def test_flipped_bits_and_truncation_are_refused(tmp_path):
    data = encode_small(CHECKPOINT).data
    path = tmp_path / "small.pt"
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.integers(5, len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            load(path)
    for size in (4, 5, 8, 9, 10, 50, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"small\.pt: "):
            load(path)


def signed(body: bytes) -> bytes:
    return small.MAGIC + bytes([small.VERSION]) + zlib.crc32(body).to_bytes(4, "big") + body


def test_damage_behind_a_right_checksum_is_refused_or_harmless(tmp_path):
    data = encode_small(CHECKPOINT).data[9:]
    path = tmp_path / "small.pt"
    rng = np.random.default_rng(6)
    outcomes = {"refused": 0, "read": 0}
    for k in range(150):
        damaged = bytearray(data)
        place = rng.integers(len(data)) if k % 2 else rng.integers(200)
        damaged[place] = int(rng.integers(256))
        path.write_bytes(signed(bytes(damaged[: None if k % 3 else rng.integers(len(data))])))
        try:
            load(path)
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def test_a_text_that_inflates_without_end_is_refused(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, small.WORDS)
    text = packer.compress(b" " * (small.MOST_TEXT + 9)) + packer.flush()
    from hwc.models.coding.bits import varint

    (tmp_path / "small.pt").write_bytes(signed(varint(len(text)) + text))
    with pytest.raises(CheckpointError, match="too long"):
        load(tmp_path / "small.pt")


def test_another_version_is_refused(tmp_path):
    data = bytearray(encode_small(CHECKPOINT).data)
    data[4] = 9
    (tmp_path / "small.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match="version 9; this hwc reads version 1"):
        load(tmp_path / "small.pt")
