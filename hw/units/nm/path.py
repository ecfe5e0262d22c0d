"""The datapath of a folded product with n of m weights: a multiplexer before each multiplier."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value

from hwc.hw.unit import Unit
from hwc.hw.units.matvec.path import MatVecPath
from hwc.hw.units.mux import pick
from hwc.hw.units.nm.plan import NMPlan
from hwc.hw.units.parts import pipe

__all__ = ["NMPath"]


class NMPath(MatVecPath):
    """As :class:`MatVecPath`, with the selected inputs ``plan.selected`` cycles after ``fetch``."""

    def __init__(self, unit: Unit, plan: NMPlan) -> None:
        super().__init__(unit, plan)
        self.nm = plan

    def _operands(self, x: Signal, pixel: int, group: int) -> list[Value]:
        """Elements of one pixel and group, taps outside, channels inside."""
        plan = self.plan
        width, first = plan.x.width, (pixel * plan.fold.groups + group) * plan.lanes
        return [x[i * width : (i + 1) * width] for i in range(first, first + plan.lanes)]

    def _weights(self, m: Module) -> list[list[Value]]:
        """Per output, weight and selector of each slot in turn, at cycle ``fetch``."""
        plan = self.nm
        address = pipe(m, self.ctl["main"].address["weight"], plan.fetch - 1, "weight")
        word = plan.rom.build(m, plan.weight_words(), address, "weights")
        count, width, bits = plan.outputs * plan.slots, plan.w.width, plan.select_bits
        values = pipe(m, word[: count * width], plan.selected, "values")
        selectors = word[count * width :]
        parts = [
            (values[i * width : (i + 1) * width], selectors[i * bits : (i + 1) * bits])
            for i in range(count)
        ]
        size = plan.slots
        return [[v for p in parts[i : i + size] for v in p] for i in range(0, count, size)]

    def _group(
        self, m: Module, x: list[Value], w: list[list[Value]], mask: Value | None, name: str
    ) -> list[Value]:
        """Sums of one pixel and group, all at the same time."""
        del mask
        plan, out = self.nm, list[Value]()
        for i, parts in enumerate(w):
            some = [
                self._selected(m, x, slot, select, f"{name}_{i}_x_{slot}")
                for slot, select in enumerate(parts[1::2])
            ]
            out.append(plan.dot.build(m, some, parts[::2], None, f"{name}_{i}"))
        return out

    def _selected(self, m: Module, x: list[Value], slot: int, select: Value, name: str) -> Value:
        """The input that a slot multiplies, at cycle ``fetch + plan.selected``."""
        plan = self.nm
        group, rank = divmod(slot, plan.n)
        first = group * plan.m + rank
        ways = {k: x[first + k] for k in range(plan.ways)}
        return pipe(m, pick(m, select, ways, name), plan.selected, f"{name}_late")
