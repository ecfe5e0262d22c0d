"""Every unit of hwc.hw.units passes the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hwc.hw.unit import Unit
from hwc.sim.stalls import Stalls

from . import suite
from .bench import PATTERNS, discover

UNITS = discover()


@pytest.fixture(scope="module", params=UNITS, ids=lambda unit: unit.__name__)
def unit(request: pytest.FixtureRequest) -> type[Unit]:
    return request.param


@pytest.fixture(scope="module")
def case(unit: type[Unit], builds: Path) -> suite.Case:
    return suite.Case(list(unit.examples()), builds)


@pytest.fixture(params=PATTERNS, ids=lambda s: f"{s.kind}-{s.inputs}-{s.outputs}")
def stalls(request: pytest.FixtureRequest) -> Iterator[Stalls]:
    return request.param


def test_there_are_units() -> None:
    assert UNITS


def test_statement(unit: type[Unit]) -> None:
    examples = list(unit.examples())
    assert len(examples) >= 2, "examples cover tails and folds: one is too few"
    assert len(set(examples)) == len(examples)
    for example in examples:
        suite.check_statement(example)


def test_deterministic(unit: type[Unit]) -> None:
    suite.check_deterministic(next(unit.examples()))


def test_stalls(case: suite.Case, stalls: Stalls) -> None:
    suite.check_stalls(case, stalls)


def test_initial(case: suite.Case) -> None:
    suite.check_initial(case)


def test_reset(case: suite.Case) -> None:
    suite.check_reset(case)


def test_simulators(unit: type[Unit]) -> None:
    suite.check_simulators(next(unit.examples()))
