"""Checkpoints: round trips, and files that are damaged or hostile."""

import contextlib
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from hwc.compiler.graph.errors import HwcError
from hwc.compiler.source import evaluate
from hwc.models.archive import CheckpointError
from hwc.models.capture import InputMap
from hwc.models.checkpoint import FIELDS, load, save
from hwc.models.quantize.activation import QuantAct, QuantInput
from hwc.models.quantize.snap import snap
from hwc.models.quantize.weight import IntWeight, quantize_weight

RNG = np.random.default_rng(9)
RAW = RNG.integers(0, 256, size=(200, 1, 6, 6), dtype=np.uint8)
LABELS = RNG.integers(0, 3, size=200)


def network(*first: nn.Module) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        *(first or (QuantInput(),)),
        nn.Flatten(),
        quantize_weight(nn.Linear(36, 8, bias=False), IntWeight(4)),
        nn.BatchNorm1d(8),
        QuantAct(4),
        quantize_weight(nn.Linear(8, 3), IntWeight(8)),
    )


EXAMPLE = torch.zeros(1, 1, 6, 6)


def test_round_trip(tmp_path):
    path = tmp_path / "model.pt"
    model = network()
    for i in range(0, 200, 50):
        model(torch.from_numpy(RAW[i : i + 50]) / 256)
    written = save(
        model, EXAMPLE, path, (RAW, LABELS), accuracy={"fake_quant": 0.5}, data="digits", name="n"
    )
    read = load(path)
    assert read.source == written.source
    assert (read.accuracy, read.data, read.name) == ({"fake_quant": 0.5}, "digits", "n")
    assert read.tensors.keys() == read.source.tensors.keys()
    name = read.source.inputs[0].name
    np.testing.assert_array_equal(read.samples[name], RAW[:128])
    assert read.labels is not None
    np.testing.assert_array_equal(read.labels, LABELS[:128])
    assert (read.samples[name].dtype, read.labels.dtype) == (np.int64, np.int64)
    expected = snap(model).double()(torch.from_numpy(RAW[:128]).double() / 256)
    got = evaluate(read.source, read.samples)[read.source.outputs[0]]
    np.testing.assert_array_equal(got, expected.numpy())


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a.pt", "b.pt"):
        save(network(), EXAMPLE, tmp_path / name, (RAW, LABELS))
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "b.pt"]


def test_samples(tmp_path):
    path = tmp_path / "model.pt"
    assert save(network(), EXAMPLE, path).samples == {}
    assert load(path).labels is None
    real = torch.from_numpy(RAW).float() / 256
    for x, labels in (
        (RAW, None),
        (real, LABELS),
        (torch.from_numpy(RAW), torch.from_numpy(LABELS)),
    ):
        save(network(), EXAMPLE, path, (x, labels), limit=None)
        np.testing.assert_array_equal(load(path).samples["input"], RAW)


def test_two_inputs(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    raw = (RNG.integers(-4, 4, (9, 3)), RNG.integers(0, 4, (9, 3)))
    maps = (InputMap(1.0, -4, 3), InputMap(1.0, 0, 3))
    examples = (torch.zeros(1, 3), torch.zeros(1, 3))
    save(Two(), examples, tmp_path / "m.pt", (raw, None), inputs=maps)
    read = load(tmp_path / "m.pt")
    np.testing.assert_array_equal(read.samples["x"], raw[0])
    np.testing.assert_array_equal(read.samples["y"], raw[1])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ((RAW.astype(int) + 200, LABELS), r"must lie in 0\.\.255"),
        ((RAW[:, 0], LABELS), r"must be int64 \(n, 1, 6, 6\)"),
        ((RAW[:0], LABELS[:0]), "n >= 1"),
        ((RAW, LABELS[:7]), "as many"),
        ((RAW / 255.0, LABELS), "not multiples of its scale"),
        (((RAW, RAW), LABELS), "1 inputs, samples were given for 2"),
    ],
)
def test_samples_that_do_not_fit(tmp_path, samples, message):
    with pytest.raises(CheckpointError, match=message):
        save(network(), EXAMPLE, tmp_path / "m.pt", samples)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_path(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(network(), EXAMPLE, tmp_path / "absent" / "m.pt")


# Hostile and damaged files.


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "sound.pt"
    save(network(), EXAMPLE, path, (RAW, LABELS), accuracy={"fake_quant": 0.5})
    return path


def content_of(path) -> dict:
    return torch.load(path, weights_only=True)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code from the file was run",))


def test_absent(tmp_path):
    with pytest.raises(HwcError, match="no such file"):
        load(tmp_path / "nothing.pt")
    with pytest.raises(HwcError, match="no such file"):
        load(tmp_path)


def test_a_pickled_module_is_refused(tmp_path):
    path = tmp_path / "m.pt"
    torch.save(nn.Sequential(nn.Linear(2, 2)), path)
    with pytest.raises(CheckpointError, match=r"pickled Python objects.*hwc\.models\.save"):
        load(path)


@pytest.mark.parametrize("where", ["alone", "in the archive", "protocol 4", "old format", "pickle"])
def test_code_is_never_run(tmp_path, sound, where):
    path = tmp_path / "evil.pt"
    evil = content_of(sound) | {"name": Evil()}
    if where == "alone":
        torch.save(Evil(), path)
    elif where == "in the archive":
        torch.save(evil, path)
    elif where == "protocol 4":
        torch.save(evil, path, pickle_protocol=4)
    elif where == "old format":
        torch.save(evil, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"evil\.pt: "):
        load(path)


def test_truncated_anywhere(tmp_path, sound):
    content = sound.read_bytes()
    path = tmp_path / "m.pt"
    for n in [0, 1, 4, 100, *range(500, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:n])
        with pytest.raises(CheckpointError, match=r"m\.pt: "):
            load(path)


def test_a_flipped_byte_in_any_member_is_found(tmp_path, sound):
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(sound) as archive:
        members = [m for m in archive.infolist() if m.file_size]
    assert len(members) > 5
    for member in members:
        damaged = bytearray(sound.read_bytes())
        name, extra = damaged[member.header_offset + 26], damaged[member.header_offset + 28]
        extra += 256 * damaged[member.header_offset + 29]
        damaged[member.header_offset + 30 + name + extra] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"m\.pt: .*damaged"):
            load(path)


@pytest.mark.parametrize("part", ["samples", "labels"])
def test_fractional_samples_are_refused(tmp_path, sound, part):
    content = torch.load(sound, weights_only=True)
    if part == "labels":
        content["labels"] = content["labels"] + 0.5
    else:
        content["samples"] = {k: v + 0.5 for k, v in content["samples"].items()}
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=f"{part}.* must be integers, got float32"):
        load(tmp_path / "m.pt")


def test_random_bytes(tmp_path):
    path = tmp_path / "m.pt"
    for n in (3, 100, 10000):
        for head in (b"", b"PK\x03\x04", b"\x80\x02"):
            path.write_bytes(head + RNG.bytes(n))
            with pytest.raises(CheckpointError, match="not an hwc checkpoint"):
                load(path)


def test_flipped_bytes_never_escape_as_another_error(tmp_path, sound):
    content = bytearray(sound.read_bytes())
    path = tmp_path / "m.pt"
    for i in RNG.integers(0, len(content), size=150):
        damaged = bytearray(content)
        damaged[i] ^= 1 << int(RNG.integers(0, 8))
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):  # a flip may also leave the file readable
            load(path)


def repack(path, target, change) -> None:
    """Copy an archive, `change` mapping (name, bytes) to bytes."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))


def test_packed_members_are_refused(tmp_path, sound):
    """A zip bomb cannot unpack."""
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match="is compressed or larger than the file"):
        load(path)


def test_lying_storage_size(tmp_path, sound):
    path = tmp_path / "m.pt"
    repack(sound, path, lambda name, data: data[:-8] if "/data/" in name else data)
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)


def test_absurd_views_are_refused(tmp_path, sound):
    content = content_of(sound)
    huge = torch.zeros(1).expand(10**6, 10**6)
    path = tmp_path / "m.pt"
    torch.save(content | {"tensors": content["tensors"] | {"2.weight": huge}}, path)
    with pytest.raises(
        CheckpointError, match=r"tensor 2\.weight: shape .* larger than what is stored"
    ):
        load(path)


def test_another_torch_file(tmp_path):
    path = tmp_path / "m.pt"
    for content in (nn.Linear(2, 2).state_dict(), [1, 2], {"format": "other"}):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="no hwc checkpoint"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="a zip file, but no torch file"):
        load(path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_versions(tmp_path, sound, version):
    path = tmp_path / "m.pt"
    torch.save(content_of(sound) | {"version": version}, path)
    with pytest.raises(CheckpointError, match=r"format version .*; this hwc reads version 1"):
        load(path)


CHANGES = {
    "graph is a list": {"graph": []},
    "graph is empty": {"graph": {"inputs": [], "nodes": [], "outputs": []}},
    "tensors is a list": {"tensors": [1]},
    "tensor is a number": {"tensors": {"2.weight": 3}},
    "no tensors": {"tensors": {}},
    "sparse tensor": {"tensors": {"2.weight": torch.eye(3).to_sparse()}},
    "nan": {"tensors": {"2.weight": torch.tensor([float("nan")])}},
    "complex": {"tensors": {"2.weight": torch.zeros(3, dtype=torch.complex64)}},
    "samples out of range": {"samples": {"input": torch.full((2, 1, 6, 6), 256)}},
    "samples of another input": {"samples": {"other": torch.zeros(2, 1, 6, 6)}},
    "labels too many": {"labels": torch.zeros(129, dtype=torch.int64)},
    "labels of rank 2": {"labels": torch.zeros(128, 1, dtype=torch.int64)},
    "labels are a string": {"labels": "hello"},
    "accuracy above one": {"accuracy": {"fake_quant": 1.5}},
    "accuracy is a string": {"accuracy": {"fake_quant": "high"}},
    "name is a number": {"name": 5},
    "extra field": {"extra": 1},
}


@pytest.mark.parametrize("change", CHANGES)
def test_wrong_fields(tmp_path, sound, change):
    path = tmp_path / "m.pt"
    torch.save(content_of(sound) | CHANGES[change], path)
    with pytest.raises(CheckpointError, match=r"m\.pt: "):
        load(path)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_missing_fields(tmp_path, sound, field):
    content = content_of(sound)
    del content[field]
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(CheckpointError):
        load(tmp_path / "m.pt")


def test_a_sound_file_in_memory_order(sound):
    """What is written is what `torch.load(weights_only=True)` reads, without any class of ours."""
    content = torch.load(io.BytesIO(sound.read_bytes()), weights_only=True)
    assert (content["format"], content["version"]) == ("hwc", 1)
    assert set(content) == FIELDS
