"""What tells Vivado's block design which ports of the shell make an interface."""

from __future__ import annotations

import re

from hwc.compiler.graph import Add, Type
from hwc.hw.design import Design, Edge
from hwc.hw.shell.shell import SHELL_TOP, Shell, shell_verilog
from hwc.hw.units.add import AddUnit

KIND = Type((8,), 0, 15)
ALONE = {"aclk": "clock", "aresetn": "reset", "irq": "interrupt"}


def test_every_port_belongs_to_one_interface() -> None:
    unit = AddUnit(Add((1, 1)), (KIND, KIND), (2,))
    edges = [Edge(("", f"x{p}"), ("unit", f"x{p}")) for p in (0, 1)]
    design = Design("small", {"unit": unit}, (*edges, Edge(("unit", "y"), ("", "y"), 4)))
    text = shell_verilog(Shell(design, 0x1234))
    top = text.rpartition(f"module {SHELL_TOP}(")[2]
    ports = set(re.findall(r"\w+", top.partition(");")[0]))
    told = re.findall(
        r'^  \(\* X_INTERFACE_INFO = "xilinx\.com:(\w+):(\w+):1\.0 (\w+) (\w+)".*\*\)\n'
        r"  (?:input|output) (?:\[\d+:0\] )?(\w+);$",
        top,
        re.MULTILINE,
    )
    assert sorted(port for *_, port in told) == sorted(ports)
    assert text.count("X_INTERFACE_INFO") == len(ports)
    for kind, name, bus, signal, port in told:
        if port in ALONE:
            assert (kind, name) == ("signal", ALONE[port])
        else:
            assert (kind, name) == ("interface", "aximm")
            assert f"{bus}_{signal.lower()}" == port
    assert {bus for _, name, bus, _, _ in told if name == "aximm"} == {"s_axi", "m_axi"}
    assert "ASSOCIATED_BUSIF s_axi:m_axi, ASSOCIATED_RESET aresetn" in top
