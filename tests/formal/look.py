"""What proofs share: sight of a module's own registers, small counters, and how one is run."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Signal, Value, ValueLike
from amaranth.lib import wiring

from hwc.sim.formal import Result, prove

__all__ = ["broken", "holds", "red", "registers", "say", "suppose", "table", "witness"]

LIMIT = 60
"""Seconds of one proof."""


def registers(fragment: Any, at: str = "") -> dict[str, Signal]:
    """Every register of a fragment by its dotted name; a proof may read each of them.

    Amaranth finds no name for all but the last of a tuple: such a one is ``_<width>``, and may be
    the only one of its width.
    """
    found: dict[str, Signal] = {}
    for domain, statements in fragment.statements.items():
        for statement in statements if domain != "comb" else ():
            for signal in statement._lhs_signals():
                name = signal.name.replace("$signal", f"_{len(signal)}")
                assert found.setdefault(at + name, signal) is signal, f"two signals are {name!r}"
    for inner, name, _ in fragment.subfragments:
        found |= registers(inner, f"{at}{name}.")
    return found


def say(m: Module, **properties: ValueLike) -> None:
    """Assertions, each under its name."""
    for name, value in properties.items():
        m.d.comb += Assert(Value.cast(value), name, src_loc_at=1)


def suppose(m: Module, *values: ValueLike) -> None:
    for value in values:
        m.d.comb += Assume(Value.cast(value), "", src_loc_at=1)


def witness(m: Module, **places: ValueLike) -> None:
    """Covers, each under its name: the assumptions leave a way there."""
    for name, value in places.items():
        m.d.comb += Cover(Value.cast(value), name, src_loc_at=1)


def table(m: Module, index: Value, values: list[int], name: str) -> Signal:
    """``values[index]``, spelled out case by case."""
    out = Signal(range(min(0, *values), max(1, *values) + 1), name=name)
    with m.Switch(index):
        for i, value in enumerate(values):
            with m.Case(i):
                m.d.comb += out.eq(value)
    return out


def holds(design: wiring.Component, depth: int = 1, *, limit: float = LIMIT) -> None:
    """True in every cycle, by induction."""
    result = prove(design, depth=depth, mode="induction", limit=limit)
    assert result.proved, str(result)


def red(result: Result, name: str) -> None:
    """A counterexample with a trace, at this assertion."""
    assert result.status == "counterexample", str(result)
    assert name in {p.message for p in result.failing}, str(result)
    assert result.trace, str(result)


def broken(module: ModuleType, *changes: str) -> ModuleType:
    """The module with each of its texts ``old, new, old, new ...`` replaced; each ``old`` has to be
    there exactly once."""
    text = inspect.getsource(module)
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert text.count(old) == 1, f"{module.__name__} has {text.count(old)} of {old!r}"
        text = text.replace(old, new)
    out = ModuleType(module.__name__)
    exec(compile(text, f"<broken {module.__name__}>", "exec"), out.__dict__)
    return out
