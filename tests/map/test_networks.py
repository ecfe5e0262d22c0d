"""Whole integer networks through the mapper and the simulated RTL."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hwc.boards.board import get
from hwc.compiler.lower import hardware
from hwc.compiler.map.mapping import RESOURCES, Goal, MappingError, design_resources, map_graph
from hwc.compiler.verification import layer_boundaries, verify_network
from hwc.hw.units.gather.unit import GatherUnit
from hwc.hw.units.table import TableUnit
from hwc.sim.depths import size_queues
from hwc.sim.verilator import compile

sys.path.insert(0, str(Path(__file__).parent))
import networks

BOARD = get("pynq-z2")


def stimulus(graph, count=6, seed=5):
    rng = np.random.default_rng(seed)
    return {n: rng.integers(t.lo, t.hi + 1, (count, *t.shape)) for n, t in graph.inputs}


def prove(source, goal, folder):
    """Map, size the queues, simulate under stalls; returns the mapping and what was checked."""
    graph = hardware(source)
    mapped = map_graph(graph, BOARD, goal)
    sized = size_queues(mapped.design)
    mapped = mapped.with_design(sized.design)
    simulation = compile(mapped.design, folder, taps=layer_boundaries(mapped))
    checked = verify_network(simulation, mapped, graph, stimulus(graph), sized.timing, 1)
    assert checked.latency == sized.timing.latency
    assert checked.interval == sized.timing.interval >= mapped.interval
    assert checked.taps == len(mapped.design.instances) - len(mapped.outputs) or checked.taps > 3
    return mapped


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_residual_block_is_exact(seed, tmp_path):
    """Odd sizes, forks, a skip, per-channel directions, two heads; two pixels where it pays."""
    graph = networks.residual_block(seed, height=7, width=9, channels=5)
    mapped = prove(graph, Goal(max_interval=120), tmp_path)
    tiles = [u.outputs() for u in mapped.design.instances.values()]
    assert any(len(p.tile) > 1 and p.tile[-2] > 1 for t in tiles for p in t.values())


@pytest.mark.slow
def test_binary_network_is_exact_at_both_ends_of_the_trade(tmp_path):
    graph = networks.binary_mlp()
    fast = prove(graph, Goal(), tmp_path)
    slow = prove(graph, Goal(max_interval=4000), tmp_path)
    assert fast.interval < slow.interval <= 4000
    assert design_resources(slow.design).lut < design_resources(fast.design).lut


@pytest.mark.slow
@pytest.mark.parametrize("most", [None, 3000])
def test_moves_and_tables_are_exact(most, tmp_path):
    """Upsampling, slices and transposing between convolutions, serial and as fast as can be."""
    mapped = prove(networks.rearranged(), Goal(max_interval=most), tmp_path)
    kinds = [type(unit) for unit in mapped.design.instances.values()]
    assert kinds.count(GatherUnit) == 4
    assert kinds.count(TableUnit) == 1


def test_mapping_keeps_to_its_limits():
    graph = hardware(networks.binary_mlp())
    goal = Goal(max_util={"lut": 0.02, "ff": 0.02, "dsp": 0.0, "bram18": 0.0})
    mapped = map_graph(graph, BOARD, goal)
    used = design_resources(mapped.design)
    for name, limit in zip(RESOURCES, goal.limits(BOARD.budget), strict=True):
        assert getattr(used, name) <= limit


def test_impossible_goals_are_refused():
    graph = hardware(networks.binary_mlp())
    with pytest.raises(MappingError, match=r"does not fit pynq-z2.*most of it .* in 'act0'|lut"):
        map_graph(graph, BOARD, Goal(max_util=1e-4))
    with pytest.raises(MappingError, match="nothing fits pynq-z2 in 1 cycles a frame"):
        map_graph(graph, BOARD, Goal(max_interval=1))
