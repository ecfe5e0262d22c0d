"""The suite finds faults: of those that yosys puts into a unit's netlist nearly all are seen.

What survives changes no output that a stream carries (bits that only unused codes reach, a register
that is written before it is read, control in states that are never entered) or only one in so many
inputs that random ones do not meet it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hwc.hw.unit import Unit

from .bench import discover
from .mutations import Mutants

FAULTS = 50
LEAST = 0.8
"""Share of the faults of a unit that is found."""


@pytest.mark.slow
@pytest.mark.parametrize("unit", discover(), ids=lambda unit: unit.__name__)
def test_faults_are_found(unit: type[Unit], builds: Path, tmp_path: Path) -> None:
    mutants = Mutants.of(next(unit.examples()), FAULTS, builds)
    assert len(mutants.mutations) == FAULTS, "the unit is too small"
    left = mutants.survivors(tmp_path)
    changed = [mutants.changed(m) for m in left]
    equal = sum(not names for names in changed)
    print(f"{unit.__name__}: {len(left)} of {FAULTS} survive, {equal} are equal")
    for mutation, names in zip(left, changed, strict=True):
        print(f"  {mutation}: {' '.join(names[:6]) or 'equal'}")
    assert len(left) <= FAULTS - LEAST * FAULTS, left
