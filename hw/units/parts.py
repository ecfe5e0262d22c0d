"""Small pieces that several datapaths share, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, ValueLike, signed, unsigned

from hwc.hw.dot import Number
from hwc.hw.resources import Resources
from hwc.hw.unit import UnitError

__all__ = [
    "SHIFT_REGISTER",
    "adder_levels",
    "check_options",
    "compare_levels",
    "compare_luts",
    "distinct",
    "lookup",
    "lookup_levels",
    "lookup_luts",
    "pipe",
    "pipe_resources",
    "shape_of",
    "step_bits",
]

SHIFT_REGISTER = 3
"""Shortest chain of registers that synthesis turns into a shift register in LUTs."""


def pipe(m: Module, value: ValueLike, cycles: int, name: str) -> Value:
    """``value`` as it was ``cycles`` cycles ago, undefined before that.

    The stages have no reset, so that they may become shift registers or registers of a DSP block.
    """
    value = Value.cast(value)
    for n in range(cycles):
        stage = Signal(value.shape(), name=f"{name}_{n + 1}", reset_less=True)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def pipe_resources(width: int, cycles: int) -> Resources:
    """Primitives of a :func:`pipe` of ``width`` bits of which only the end is used."""
    if cycles < SHIFT_REGISTER:
        return Resources(0, width * cycles, 0, 0)
    return Resources(width * -(-cycles // 16), 0, 0, 0)


def check_options(what: str, fold: object, options: Mapping[str, Sequence[str]]) -> None:
    """UnitError of ``what`` if a field of ``fold`` is none of its ``options``, which it names."""
    for name, legal in options.items():
        got = getattr(fold, name)
        if got not in legal:
            raise UnitError(f"{what}: {name} must be {' or '.join(map(repr, legal))}, not {got!r}")


def adder_levels(width: int) -> float:
    """Levels of an adder: a LUT, the step into the carry chain, an eighth for each CARRY4 more."""
    return 2 + (-(-width // 4) - 1) / 8


def compare_levels(width: int) -> float:
    """Levels of ``a >= b``: two bits a LUT, then the carry chain."""
    return 1 if width <= 3 else adder_levels(-(-width // 2)) + 0.5


def compare_luts(width: int, constants: int, other: int = 0) -> int:
    """LUTs of ``a >= b`` with a of ``width`` bits, as yosys maps it.

    b is one of so many ``constants``: one or two, which a LUT absorbs, or else a table's word of
    ``other`` bits, whose sign stands for the bits above it.
    """
    if constants <= 2:
        width += constants - 1
        return 1 if width <= 6 else -(-width // 3)
    return max(1, -(-2 * other // 3) + -(-max(0, width - other) // 5))


def lookup(index: Value, table: Sequence[int], width: int) -> Value:
    """``table[index]`` as ``width`` bits, each one a constant truth table of ``index``."""
    size = 1 << len(index)
    columns = []
    for bit in range(width):
        ones = sum(1 << i for i, v in enumerate(table) if v >> bit & 1)
        # The 1 that no index reaches keeps the constant as wide as the indices reach. Shorter ones
        # Verilator (5.48) reads past their end where several shifted constants meet in bitwise
        # operations.
        columns.append(Const(ones | 1 << size, size + 1).bit_select(index, 1))
    return Cat(*columns)


def lookup_luts(inputs: int, width: int) -> int:
    """LUTs of a :func:`lookup` with nothing to simplify: 64 entries a LUT."""
    return width if inputs <= 6 else width * (1 << (inputs - 6))


def lookup_levels(inputs: int) -> float:
    """Levels of a :func:`lookup`: a LUT6, and half a level for each multiplexer bit behind it."""
    return 1 + max(0, inputs - 6) / 2


def step_bits(steps: int) -> int:
    """Bits of a counter of ``steps`` steps."""
    return (steps - 1).bit_length()


def shape_of(number: Number) -> Shape:
    """The Amaranth shape of a number that is not bipolar."""
    return signed(number.width) if number.signed else unsigned(number.width)


def distinct(count: int) -> list[int]:
    """The smallest parallelism for each number of steps in which ``count`` items can be done."""
    found, parallel = [], 1
    while True:
        steps = -(-count // parallel)
        # The smallest parallelism with so many steps.
        found.append(-(-count // steps))
        if steps == 1:
            return sorted(set(found))
        parallel = -(-count // (steps - 1))
