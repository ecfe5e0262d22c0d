"""ONNX's own operator tests, and the page that says what is supported."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hwc.compiler.onnx.operators import FAMILIES, HINTS, OPERATORS
from hwc.compiler.onnx.support import conformance_section, support_page

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location(
        "onnx_conformance", ROOT / "benchmarks" / "onnx_conformance.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["onnx_conformance"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outcomes(script: Any) -> list[Any]:
    return script.outcomes()


def test_none_fails(outcomes: list[Any]) -> None:
    failed = [o for o in outcomes if o.status == "failed"]
    assert not failed
    assert Counter(o.status for o in outcomes)["passed"] > 400


def test_every_operator_of_onnx_in_the_table_passes_a_case(
    script: Any, outcomes: list[Any]
) -> None:
    passed = {o.name for o in outcomes if o.status in ("passed", "part")}
    kinds = {n.op_type for c in script.cases() if c.name in passed for n in c.model.graph.node}
    assert not {kind for domain, kind in OPERATORS if domain == ""} - kinds


def test_the_page_is_up_to_date(outcomes: list[Any]) -> None:
    rows = [(o.name, o.nodes, o.status, o.reason) for o in outcomes]
    page = (ROOT / "docs" / "onnx.md").read_text()
    want = support_page() + conformance_section(rows)
    assert page == want, "run python benchmarks/onnx_conformance.py"


def test_every_operator_says_what_it_supports() -> None:
    silent = [key for key, handler in OPERATORS.items() if not handler.__doc__]
    assert not silent
    assert sum(map(len, FAMILIES.values())) == len(OPERATORS)
    assert not set(HINTS) & {kind for _, kind in OPERATORS}
