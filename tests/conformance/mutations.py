"""Faults that yosys puts into the netlist of a unit, in one simulation that chooses among them."""

from __future__ import annotations

import random
import re
import subprocess
import tempfile
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwc.compiler.graph.errors import HwcError
from hwc.hw.unit import Unit
from hwc.hw.verilog import TOP, to_verilog
from hwc.sim import model
from hwc.sim.toolchain import yosys

from . import suite
from .bench import PATTERNS, bench

NUMBER, FILE = "mutation", "mutation.hex"
"""The signal that says which fault is active, 0 for none, and where simulations read it from."""
UNIT = f"{TOP}.u0"
NETLIST = f"""
read_verilog design.v
hierarchy -top {TOP}
proc
select {UNIT}
flatten
opt
wreduce
opt
memory -nomap
opt
techmap t:$mem* t:$*dff* %u %n
opt
techmap t:$fa t:$lcu t:$alu t:$macc* %u %u %u
abc -g AND,OR,XOR,MUX
opt_clean
select -clear
"""
LIST = f"mutate -list 1000000 -o list.ys {UNIT}\n"
"""All faults there are. To let yosys choose some is no good: with few more it does not end."""
WRITE = "flatten\nopt_clean\nwrite_verilog -noattr out.v\n"
COMPARE = f"""
read_rtlil netlist.il
delete {TOP}
rename {UNIT} sound
copy sound faulty
mutate -module faulty {{fault}}
select sound faulty
memory_map
opt_clean
select -clear
equiv_make sound faulty both
hierarchy -top both
clk2fflogic
equiv_struct
equiv_simple -undef
equiv_induct -undef -seq 3
tee -q -o status.txt equiv_status
"""
"""Each register and output of a unit against the one with a fault, by induction over 3 cycles."""
OPEN = re.compile(r"Unproven \$equiv \S+: (\S+?)(?:_gold)?(?: \[\d+\])? ")
LEFT_OUT = re.compile(r"-port (CLK|RD_CLK|WR_CLK|Q) ")
"""A fault of a clock is none of the logic; one behind a register takes its initial value away."""


@dataclass(frozen=True)
class Mutation:
    """One fault: its number, and the words of ``mutate`` for it."""

    number: int
    text: str

    def __str__(self) -> str:
        """Kind, wire (or cell) and bit."""
        words = self.text.split()
        found = {w: words[k + 1] for k, w in enumerate(words[:-1]) if w.startswith("-")}
        where = found.get("-wire", found["-cell"])
        return f"{found['-mode']} of {where}[{found.get('-wirebit', found['-portbit'])}]"


@dataclass(frozen=True)
class Mutants:
    """The bench of a unit with faults in it."""

    case: suite.Case
    netlist: str
    mutations: tuple[Mutation, ...]

    @classmethod
    def of(cls, unit: Unit, count: int, builds: Path, seed: int = 1) -> Mutants:
        """``count`` faults in the unit, its control included, queues left out."""
        text, netlist, mutations = _mutate(to_verilog(bench([unit])), count, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "to_verilog", lambda _: text)
            return cls(suite.Case([unit], builds), netlist, mutations)

    def survivors(self, folder: Path) -> list[Mutation]:
        """Those that pass what the conformance suite asks. Simulations run in ``folder``."""
        with chdir(folder):
            assert self._passes(0), "without a fault everything is right"
            return [m for m in self.mutations if self._passes(m.number)]

    def changed(self, mutation: Mutation) -> list[str]:
        """Registers and outputs of the unit that are not proved to be what they are without the
        fault, whatever its inputs and state; none: the fault changes nothing at all."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "netlist.il").write_text(self.netlist)
            fault = re.sub(r"-module \S+ ", "", mutation.text)
            _yosys(folder, COMPARE.format(fault=fault))
            status = (folder / "status.txt").read_text()
        found = list(dict.fromkeys(OPEN.findall(status)))
        assert bool(found) == ("Equivalence successfully proven!" not in status), status[-500:]
        return found

    def _passes(self, number: int) -> bool:
        Path(FILE).write_text(f"{number:x}\n")
        try:
            for stalls in PATTERNS:
                suite.check_stalls(self.case, stalls)
            suite.check_initial(self.case)
            suite.check_reset(self.case)
        except (HwcError, AssertionError):
            return False
        return True


def _mutate(verilog: str, count: int, seed: int) -> tuple[str, str, tuple[Mutation, ...]]:
    """The Verilog of ``verilog`` with faults, the netlist without them, and what they are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "design.v").write_text(verilog)
        _yosys(folder, f"{NETLIST}{LIST}write_rtlil netlist.il\n")
        every = (folder / "list.ys").read_text().splitlines()
        every = [line.removeprefix("mutate ") for line in every if not LEFT_OUT.search(line)]
        chosen = enumerate(random.Random(seed).sample(every, min(count, len(every))), 1)
        mutations = tuple(Mutation(number, text) for number, text in chosen)
        faults = "\n".join(f"mutate -ctrl {NUMBER} 16 {m.number} {m.text}" for m in mutations)
        _yosys(folder, f"read_rtlil netlist.il\n{faults}\n{WRITE}")
        text = (folder / "out.v").read_text()
        netlist = (folder / "netlist.il").read_text()
    declared = f"  input [15:0] {NUMBER};\n  wire [15:0] {NUMBER};\n"
    assert declared in text
    file = f"  reg [15:0] {NUMBER}, {NUMBER}_file [0:0];\n"
    file += f'  initial begin $readmemh("{FILE}", {NUMBER}_file);'
    file += f" {NUMBER} = {NUMBER}_file[0]; end\n"
    text = re.sub(rf"(module {TOP}\([^)]*), {NUMBER}\)", r"\1)", text.replace(declared, file))
    text = f"/* verilator lint_off UNOPTFLAT */\n{text}"  # of a vector whose bits are independent
    return text, netlist, mutations


def _yosys(folder: Path, script: str) -> None:
    (folder / "script.ys").write_text(script)
    command = yosys().command("script.ys")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
