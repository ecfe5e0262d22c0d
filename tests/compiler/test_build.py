"""`hwc build` from checkpoint to bundle: what it writes, what it refuses, and that faults show."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from hwc.boards.board import get
from hwc.compiler.build import Options, build
from hwc.compiler.bundle import write_bundle
from hwc.compiler.files import OutputError
from hwc.compiler.graph import Binary, MatMul, MultiThreshold, run
from hwc.compiler.lower import hardware, lower
from hwc.compiler.map.mapping import Goal, MappingError, map_graph
from hwc.compiler.network import load_network
from hwc.compiler.summary import show
from hwc.compiler.system import BundleError
from hwc.compiler.verification import layer_boundaries, verify_network
from hwc.hw.units.matvec.unit import MatVec
from hwc.models import BinaryWeight, BipolarAct, QuantInput, load, quantize_weight, save
from hwc.sim.check import VerificationError
from hwc.sim.timing import throughput
from hwc.sim.verilator import compile


def network(width=13, classes=4):
    """A binary network of 5x7 images whose layers no fold divides."""
    torch.manual_seed(0)

    def fc(a, b):
        return quantize_weight(nn.Linear(a, b, bias=False), BinaryWeight(scale=1.0))

    layers = [QuantInput(2.0**-8, 0, 255), nn.Flatten()]
    sizes = (35, width, 11)
    for a, b in pairwise(sizes):
        norm = nn.BatchNorm1d(b)
        norm.weight.data.normal_()
        norm.bias.data.normal_()
        layers += [fc(a, b), norm, BipolarAct()]
    return nn.Sequential(*layers, fc(sizes[-1], classes)).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 1, 5, 7))
    labels = rng.integers(0, 4, 40)
    save(network(), torch.zeros(1, 1, 5, 7).double(), path, samples=(images, labels), name="tiny")
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def built(checkpoint, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "bundle"
    options = Options(checkpoint, "pynq-z2", folder, work=cache, verify_inputs=30)
    return options, build(options)


@pytest.mark.slow
def test_synthesis_stands_beside_the_estimate(checkpoint, cache, tmp_path):
    options = Options(
        checkpoint, "pynq-z2", tmp_path / "bundle", work=cache, verify_inputs=2, synth=True
    )
    report = build(options)
    record = json.loads((options.output / "report.json").read_text())
    found = record["resources"]["synthesized"]
    assert found["ff"] > 0
    assert found["lut"] > 0
    assert record["synthesized_levels"] >= 1
    per_layer = sum(layer["synthesized"]["lut"] for layer in record["layers"])
    assert 0 < per_layer <= found["lut"], "the queues are in the sum alone"
    assert abs(found["lut"] - report.estimated.lut) <= 0.25 * found["lut"]
    assert abs(found["ff"] - report.estimated.ff) <= 0.25 * found["ff"]


def test_bundle_is_complete_and_says_what_was_simulated(built):
    options, report = built
    files = {str(p.relative_to(options.output)) for p in options.output.rglob("*") if p.is_file()}
    assert {"manifest.json", "report.json", "rtl/network.v"} <= files
    rtl = (options.output / "rtl/network.v").read_bytes()
    manifest = json.loads((options.output / "manifest.json").read_text())
    record = json.loads((options.output / "report.json").read_text())
    digest = hashlib.sha256(rtl).hexdigest()
    assert manifest["rtl"]["sha256"] == record["verified"]["rtl_sha256"] == digest
    assert record["schema_version"] == 1
    for name in ("latency", "interval"):
        pair = record["cycles"][name]
        assert pair["estimated"] == pair["measured"] > 0
    assert record["cycles"]["most"] == record["cycles"]["interval"]["estimated"]
    assert record["verified"]["frames"] >= 30
    assert record["accuracy"]["differing_outputs"] == 0
    assert report.verified is not None
    assert report.verified.taps >= 2
    assert report.verified.shell_frames == 2


def test_calibration_of_a_quantized_network_is_noted(checkpoint, tmp_path):
    np.savez(tmp_path / "calib.npz", x=np.zeros((4, 1, 5, 7), np.int64))
    network = load_network(checkpoint, str(tmp_path / "calib.npz"))
    assert any("--calib changed nothing" in note for note in network.notes)


def test_the_summary_says_what_each_accuracy_was_measured_on(built):
    options, report = built
    accuracy = replace(report.accuracy, float=0.98, fake_quant=0.97)
    console = Console(record=True, width=200)
    show(replace(report, accuracy=accuracy), options.output, console)
    told = next(line for line in console.export_text().splitlines() if "Accuracy" in line)
    assert "float 98.00%, fake-quantized 97.00% (test set, as the file says)" in told
    assert f"integer {accuracy.integer:.2%} (40 inputs of this build)" in told


def test_a_build_that_fails_leaves_the_bundle_it_was_to_replace(built, tmp_path):
    options, _ = built
    kept = tmp_path / "bundle"
    shutil.copytree(options.output, kept)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    with pytest.raises(MappingError):
        build(replace(options, output=kept, max_util=0.001, overwrite=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_fault_behind_the_bus_leaves_no_bundle(checkpoint, cache, tmp_path, monkeypatch):
    """The network alone is right; what the driver compares with is not, by one bit."""

    def spoiled(folder, **arguments):
        write_bundle(folder, **arguments)
        manifest = json.loads((folder / "manifest.json").read_text())
        entry = next(e for e in manifest["golden"].values() if e["side"] == "outputs")
        values = np.load(folder / entry["file"])
        values[1].flat[-1] ^= 1
        np.save(folder / entry["file"], values)

    monkeypatch.setattr("hwc.compiler.build.write_bundle", spoiled)
    options = Options(checkpoint, "pynq-z2", tmp_path / "bundle", work=cache, verify_inputs=2)
    with pytest.raises(BundleError, match=r"driver on the simulated board: .*frame 1.*expected"):
        build(options)
    assert not options.output.exists()
    build(dataclasses.replace(options, shell_frames=0))  # nobody looked


def test_golden_vectors_are_the_networks_answers(built, checkpoint):
    options, _ = built
    manifest = json.loads((options.output / "manifest.json").read_text())
    saved = load(checkpoint)
    lowered = lower(saved.source)
    for stream, entry in manifest["golden"].items():
        frames = np.load(options.output / entry["file"], allow_pickle=False)
        if entry["side"] == "inputs":
            expected = lowered.encode(saved.samples)[stream]
        else:
            with torch.no_grad():
                x = torch.from_numpy(saved.samples["input"]).double() / 256
                logits = network().double()(x).numpy()
            expected = np.rint(logits).astype(np.int64)
            assert (expected == logits).all()
        assert np.array_equal(frames, expected[:16])


def test_same_input_same_bytes(built, checkpoint, cache, tmp_path):
    options, _ = built
    again = dataclasses.replace(options, output=tmp_path / "again")
    build(again)
    for path in sorted(p for p in options.output.rglob("*") if p.is_file()):
        other = again.output / path.relative_to(options.output)
        if path.name == "report.json":
            one, two = json.loads(path.read_text()), json.loads(other.read_text())
            del one["seconds"], two["seconds"]
            assert one == two
        else:
            assert path.read_bytes() == other.read_bytes(), path


def test_existing_folders_are_not_touched(built, checkpoint, cache, tmp_path):
    options, _ = built
    before = (options.output / "report.json").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        build(options)
    assert (options.output / "report.json").read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="no bundle of ours"):
        build(dataclasses.replace(options, output=tmp_path, overwrite=True))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_network_too_large_says_what_dominates(checkpoint, tmp_path):
    tight = Options(checkpoint, "pynq-z2", tmp_path / "b", max_util=0.001, work=tmp_path / "w")
    with pytest.raises(MappingError, match=r"does not fit pynq-z2.*lut \d+ of 53"):
        build(tight)
    assert not (tmp_path / "b").exists()


def mapped_network(checkpoint):
    lowered = lower(load(checkpoint).source)
    graph = hardware(lowered.graph)
    mapped = map_graph(graph, get("pynq-z2"), Goal())
    frames = lowered.encode({k: v[:12] for k, v in load(checkpoint).samples.items()})
    return graph, mapped, frames


def flip_weight(mapped, graph, frames):
    """One weight of the last layer, whose sums leave the chip as they are."""
    name = next(iter(mapped.outputs))
    unit = mapped.design.instances[name]
    dense = np.array(unit.op.weight.dense())
    dense[0, 3] = -dense[0, 3]
    return name, dataclasses.replace(unit, op=MatMul(Binary(dense)))


def move_threshold(mapped, graph, frames):
    """One threshold of the first layer, of a channel that these frames see on both sides."""
    name, unit = next((k, u) for k, u in mapped.design.instances.items() if isinstance(u, MatVec))
    assert isinstance(unit.act, MultiThreshold)
    y = run(graph, frames, (name,))[name]
    channel = int(np.flatnonzero(y.min(0) != y.max(0))[0])
    table = np.array(unit.act.thresholds.values)
    table[channel] = unit.op.infer(unit.x).hi + 1
    act = MultiThreshold(table, unit.act.descending, unit.act.lo, unit.act.step)
    return name, dataclasses.replace(unit, act=act)


def test_a_pass_that_changes_the_network_fails_the_build(checkpoint, tmp_path, monkeypatch):
    """What is simulated must be the lowered network, not only what the passes left of it."""

    def broken(graph):
        last = graph.nodes[-1]
        dense = np.array(last.op.weight.dense())
        dense[1, 2] = -dense[1, 2]
        changed = replace(last, op=MatMul(Binary(dense)))
        return hardware(replace(graph, nodes=(*graph.nodes[:-1], changed)))

    monkeypatch.setattr("hwc.compiler.map.tiling.hardware", broken)
    options = Options(checkpoint, "pynq-z2", tmp_path / "b", work=tmp_path / "w")
    with pytest.raises(VerificationError, match=r"that is built says -?\d+ at \(\d+, 1\)"):
        build(options)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("fault", [flip_weight, move_threshold])
def test_one_wrong_number_fails_verification(checkpoint, cache, fault):
    graph, mapped, frames = mapped_network(checkpoint)
    name, unit = fault(mapped, graph, frames)
    broken = {**mapped.design.instances, name: unit}
    wrong = mapped.with_design(dataclasses.replace(mapped.design, instances=broken))
    simulation = compile(wrong.design, cache, taps=layer_boundaries(wrong))
    with pytest.raises(VerificationError, match=r"frame \d+, index .*expected .*got"):
        verify_network(simulation, wrong, graph, frames, throughput(wrong.design), 0)
