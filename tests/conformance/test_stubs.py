"""The suite itself, on toys: each shape of schedule alone, and wired together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwc.hw.unit import Unit
from hwc.sim.stalls import Stalls

from . import suite
from .bench import PATTERNS
from .stubs import STUBS

EXAMPLES: list[Unit] = [example for stub in STUBS for example in stub.examples()]


@pytest.fixture(scope="module")
def case(builds: Path) -> suite.Case:
    return suite.Case(EXAMPLES, builds)


@pytest.mark.parametrize("unit", EXAMPLES, ids=repr)
def test_statement(unit: Unit) -> None:
    suite.check_statement(unit)


@pytest.mark.parametrize("stalls", PATTERNS, ids=lambda s: f"{s.kind}-{s.inputs}-{s.outputs}")
def test_stalls(case: suite.Case, stalls: Stalls) -> None:
    suite.check_stalls(case, stalls)


def test_initial(case: suite.Case) -> None:
    suite.check_initial(case)


def test_reset(case: suite.Case) -> None:
    suite.check_reset(case)


@pytest.mark.parametrize("stub", STUBS, ids=lambda s: s.__name__)
def test_simulators(stub: type[Unit]) -> None:
    suite.check_simulators(next(stub.examples()))
