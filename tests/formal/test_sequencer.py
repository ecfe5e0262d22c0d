"""Control fires exactly when its schedule allows, for ever, and every firing is in its place."""

from __future__ import annotations

import pytest

from hwc.hw import sequencer
from hwc.hw.schedule import Schedule
from hwc.sim.formal import prove

from .look import broken, holds, red
from .schedules import CHAIN, REAL, RING, SINGLE, TOYS
from .sequencer_proof import SequencerProof

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [*TOYS, *REAL])
def test_contract(name: str) -> None:
    holds(SequencerProof((TOYS | REAL)[name]))


@pytest.mark.parametrize("name", SINGLE)
def test_alone_it_never_waits(name: str) -> None:
    holds(SequencerProof(SINGLE[name], within=1))


@pytest.mark.parametrize("name", TOYS)
def test_frames_end(name: str) -> None:
    schedule = TOYS[name]
    depth = 2 + sum(p.firings for p in schedule.processes)
    result = prove(SequencerProof(schedule), depth=depth, mode="cover", limit=60)
    assert result.proved, str(result)


@pytest.mark.parametrize(("schedule", "within"), [(CHAIN, 7), (RING, 5)], ids=["chain", "ring"])
def test_waits_are_short(schedule: Schedule, within: int) -> None:
    """In the first 30 cycles; a cycle less is too few, so the bound is met."""
    assert prove(SequencerProof(schedule, within=within), depth=30).proved
    result = prove(SequencerProof(schedule, within=within - 1), depth=30)
    assert result.status == "counterexample"
    assert all(p.message.endswith("fires_soon") for p in result.failing), str(result)


BROKEN = [
    ("data", "ok.append(~want | ready[port])", "ok.append(want | ready[port])", "main_fires"),
    ("data", "Cat(*ok).all()", "Cat(*ok[1:]).all()", "main_fires"),
    ("data", "asked if term.polarity else ~asked", "asked", "main_fires"),
    ("data", "bit.eq(control.fire & want)", "bit.eq(control.fire)", "w_moves"),
    ("nest", "(index <= hi)", "(index < hi)", "x_moves"),
    (
        "tables",
        "Const(int(b), 1) for b in bits",
        "Const(int(b), 1) for b in bits[::-1]",
        "main_fires",
    ),
    ("nest", "Mux(at_last, 0, index + 1)", "index + 1", "main_k_index"),
    ("nest", "inner = inner & at_last", "inner = at_last", "main_r_index"),
    ("nest", "back += table[0] - table[-1]", "back += 0", "main_linear"),
    ("nest", "last.eq(at_last)", "last.eq(inner & at_last)", "main_one_last"),
    ("nest", "first.eq(index == 0)", "first.eq(index < 2)", "main_k_first"),
    ("nests", "control.nest.eq(after)", "control.nest.eq(k | after)", "p_nest"),
    ("chain", "out = ~slack[-1]", "out = slack > 0", "emit_fires"),
    ("chain", "out = ~slack[-1]", "out = slack >= -1", "emit_fires"),
    ("chain", "slack + fire - used", "slack + (fire & ~self.control.fire) - used", "emit_fires"),
    ("chain", "out = out | bit", "out = out & ~bit", "emit_fires"),
    ("ring", "sums, firings, f", "sums, 0, f", "b_fires"),
    ("chain", "(lead + 1) * firings - lo + 1", "firings - lo + 1", "emit_fires"),
    ("stop", "at_last.eq(1)", "at_last.eq(0)", "x_moves"),
    ("stop", "stops = term.condition == nest.stop", "stops = False", "x_moves"),
    ("walk", "nest.inner if nest.stop else 1", "nest.inner - 1 if nest.stop else 1", "emit_fires"),
    ("walk", "self._in(k) & ends):", "self._in(k)):", "emit_fires"),
]
"""Schedule, what is broken in the sequencer, and the assertion that is the first to notice."""


@pytest.mark.parametrize(("name", "old", "new", "assertion"), BROKEN)
def test_broken_control_is_found(name: str, old: str, new: str, assertion: str) -> None:
    module = broken(sequencer, old, new)
    design = SequencerProof(TOYS[name], module=module, inside=False)
    red(prove(design, depth=25), assertion)


def test_a_lead_too_short_is_found() -> None:
    """The width of the register that counts ahead rests on it."""

    class Short(Schedule):
        def lead(self, ahead: str, behind: str) -> int:
            return super().lead(ahead, behind) - (ahead == "load")

    schedule = Short(CHAIN.processes, CHAIN.latency)
    red(prove(SequencerProof(schedule, inside=False), depth=20), "load_leads_emit")
