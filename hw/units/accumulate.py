"""Sums over the firings of an output, and the memory in which those of other outputs wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory

from hwc.hw.dot import Number
from hwc.hw.queue import Form
from hwc.hw.units.parts import pipe, shape_of

__all__ = ["Waiting", "accumulate"]


@dataclass(frozen=True)
class Waiting:
    """Where sums wait: ``depth`` words in ``form``, that of ``index`` from the firing whose sums
    come ``late`` cycles after it.

    It is read in the cycle before it is written, so an output must not come up twice in a row:
    the depth is two at least.
    """

    form: Form
    depth: int
    index: Value
    late: int


def accumulate(
    m: Module,
    sums: Sequence[Value],
    number: Number,
    *,
    valid: Value,
    first: Value | None,
    start: int = 0,
    waiting: Waiting | None = None,
) -> list[Value]:
    """Per output its sum as a ``number``, one cycle after each of ``sums``.

    It begins at ``start`` with those that are ``first`` (with all of them if that is None), else
    goes on from the one before, or from what waits in a memory.
    """
    shape = shape_of(number)
    totals = [Signal(shape, name=f"total_{i}") for i in range(len(sums))]
    accs = [Signal(shape, name=f"acc_{i}", reset_less=True) for i in range(len(sums))]
    before = accs if waiting is None else _partial(m, totals, number, valid, waiting)
    for total, acc, value, old in zip(totals, accs, sums, before, strict=True):
        m.d.comb += total.eq(value + (start if first is None else Mux(first, start, old)))
        with m.If(valid):
            m.d.sync += acc.eq(total)
    return list(accs)


def _partial(
    m: Module, totals: Sequence[Value], number: Number, valid: Value, waiting: Waiting
) -> list[Value]:
    """The sums so far of the outputs at hand, from a memory that takes ``totals``."""
    width = number.width
    ram = memory.Memory(shape=width * len(totals), depth=waiting.depth, init=[])
    m.submodules.partial = ram
    ram.attrs["ram_style"] = "block" if waiting.form == "bram" else "distributed"
    read, write = ram.read_port(), ram.write_port()
    at = pipe(m, waiting.index, waiting.late - 1, "out")
    m.d.comb += [
        read.addr.eq(at),
        write.addr.eq(pipe(m, at, 1, "out_late")),
        write.data.eq(Cat(*totals)),
        write.en.eq(valid),
    ]
    words = [read.data[i * width : (i + 1) * width] for i in range(len(totals))]
    return [w.as_signed() if number.signed else w for w in words]
