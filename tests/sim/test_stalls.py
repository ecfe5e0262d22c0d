"""Stall bits: one hash in NumPy, numba and C++."""

from __future__ import annotations

import numpy as np
import pytest

from hwc.sim.stalls import BURST_SHIFT, Stalls, shut

CYCLES = np.arange(20_000)


@pytest.mark.parametrize("kind", ["random", "bursts", "singles"])
@pytest.mark.parametrize("output", [False, True])
def test_numba_says_the_same(kind, output: bool) -> None:
    for seed in (0, 1, 2**64 - 1):
        gate = Stalls(kind, seed, 0.3, 0.8).gate(3, output)
        memory = np.array(gate, np.uint64).view(np.int64)
        closed = [shut(memory, 0, cycle) for cycle in range(500)]
        assert np.array_equal(gate.open(np.arange(500)), ~np.array(closed))


def test_shares() -> None:
    stalls = Stalls("random", 7, 0.3, 0.8)
    assert abs(stalls.open(0, False, CYCLES).mean() - 0.7) < 0.01
    assert abs(stalls.open(1, True, CYCLES).mean() - 0.2) < 0.01
    assert abs(Stalls("bursts", 7, 0.5, 0.5).open(0, False, CYCLES).mean() - 0.5) < 0.1


def test_patterns() -> None:
    assert Stalls().open(0, False, CYCLES).all()
    singles = ~Stalls("singles", 3, 0.4, 0.4).open(0, False, CYCLES)
    assert singles.any()
    assert not (singles[1:] & singles[:-1]).any()
    bursts = Stalls("bursts", 3, 0.5, 0.5).open(0, False, CYCLES[: 200 << BURST_SHIFT])
    blocks = bursts.reshape(200, -1)
    assert (blocks == blocks[:, :1]).all()


def test_ports_and_seeds_differ() -> None:
    bits = [
        Stalls("random", seed, 0.5, 0.5).open(port, False, CYCLES).tobytes()
        for seed in range(4)
        for port in range(4)
    ]
    assert len(set(bits)) == len(bits)


def test_first_bits_never_change() -> None:
    """They are part of the interface: a run is repeated by its seed alone."""
    bits = Stalls("random", 1, 0.5, 0.5).open(0, False, np.arange(12)).astype(int)
    assert bits.tolist() == [1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0]


def test_idle() -> None:
    assert Stalls().idle
    assert Stalls("random", 1, 0, 0).idle
    assert not Stalls("random", 1, 0, 0.1).idle


@pytest.mark.parametrize("p", [-0.1, 1, 1.5])
def test_a_port_must_open_some_time(p: float) -> None:
    with pytest.raises(ValueError, match=r"outputs stall with a probability in \[0, 1\), not"):
        Stalls("random", 1, 0.3, p)
