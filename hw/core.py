"""A unit made whole: its datapath, the control generated from its schedule, and its ports."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwc.hw.sequencer import sequence
from hwc.hw.unit import Unit

__all__ = ["Core", "delay"]


def delay(m: Module, value: Value, cycles: int, name: str) -> Value:
    """``value`` as it was ``cycles`` cycles ago (0 before that)."""
    for n in range(cycles):
        stage = Signal(value.shape(), name=f"{name}_{n + 1}")
        m.d.sync += stage.eq(value)
        value = stage
    return value


class Core(wiring.Component):
    """Ports per input: ``<port>_head`` (beat), ``_valid``, ``_pop``; per output: ``<port>_data``,
    ``_push`` (the beat is there), ``_give`` (a beat is promised), ``_credit``.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        ports: dict[str, wiring.Member] = {}
        for name, layout in unit.inputs().items():
            ports |= {
                f"{name}_head": In(layout.width),
                f"{name}_valid": In(1),
                f"{name}_pop": Out(1),
            }
        for name, layout in unit.outputs().items():
            ports |= {
                f"{name}_data": Out(layout.width),
                f"{name}_push": Out(1),
                f"{name}_give": Out(1),
                f"{name}_credit": In(1),
            }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit, schedule = self.unit, self.unit.schedule()
        m.submodules.datapath = path = unit.component()
        for name in unit.inputs():
            m.d.comb += path.x[name].eq(getattr(self, f"{name}_head"))
        for name in unit.outputs():
            m.d.comb += getattr(self, f"{name}_data").eq(path.y[name])
        done = {p.name: path.ctl[p.name].done for p in schedule.processes}
        for process in schedule.processes:
            pops, gives = sequence(
                m,
                process,
                path.ctl[process.name],
                valid={k: getattr(self, f"{k}_valid") for k in process.takes},
                credit={k: getattr(self, f"{k}_credit") for k in process.gives},
                fired={
                    k: (done[k], schedule.process(k).firings, schedule.lead(k, process.name))
                    for k in process.needs
                },
                conditions=path.cond,
            )
            for port, bit in pops.items():
                m.d.comb += getattr(self, f"{port}_pop").eq(bit)
            for port, bit in gives.items():
                m.d.comb += getattr(self, f"{port}_give").eq(bit)
                pushed = delay(m, bit, schedule.latency[port], f"{port}_push")
                m.d.comb += getattr(self, f"{port}_push").eq(pushed)
        return m
