"""What a module costs on a 7-series part, by yosys, without vendor tools.

Runs `synth_xilinx` of a yosys from PyPI on one design and reads the mapped netlist: cell
counts and the longest path in levels. Results are kept in a folder by the hash of all that decides
them (text, script, yosys release), since one run takes seconds to minutes.

The figures are estimates before placement: yosys maps worse than a vendor tool in places, and
nothing here knows about routing.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Elaboratable, Module, Signal

from hwc.compiler.graph.errors import HwcError
from hwc.hw.resources import Resources
from hwc.sim.depth import longest_path
from hwc.sim.toolchain import yosys

__all__ = ["Synthesis", "SynthesisError", "default_cache", "synthesize", "synthesize_rtlil"]

OPTIONS = "-flatten -family xc7 -noiopad -noclkbuf"
TOP = "top"
BEGIN = """
read_rtlil design.il
synth_xilinx -top {top} {options} -run begin:map_memory
memory_libmap -logic-cost-rom 0.015625 -lib +/xilinx/lutrams_xc5v.txt -lib +/xilinx/brams_xc4v.txt \
    -D HAS_SIZE_36 -D HAS_CASCADE -D HAS_CONFLICT_BUG -D HAS_MIXWIDTH_SDP
techmap -map +/xilinx/lutrams_xc5v_map.v
setparam -set INIT 36864'x t:$__XILINX_BLOCKRAM_*
techmap -map +/xilinx/brams_xc6v_map.v
synth_xilinx -top {top} {options} -run map_ffram:map_luts
"""
# The phase map_memory as synth_xilinx runs it, but what block RAMs hold is forgotten once they are
# chosen: techmap would make a module for each content, over a second each.
MAPPERS = {
    "abc": """
opt_expr -mux_undef -noclkinv
abc -luts 2:2,3,6:5
clean
xilinx_srl -fixed -minlen 3
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
clean
""",
    "abc9": """
rename -hide w:*
synth_xilinx -top {top} {options} -run map_luts:
""",
}
END = """
tee -q -o stat.json stat -json -tech xilinx
select {top}
write_json -selected netlist.json
"""
# `abc` is what `synth_xilinx` ran until it turned to abc9, and the default here, less the LUT7 and
# LUT8 of wide multiplexers, which it found in sums where they cost a level. abc9 of yosys 0.70
# takes a LUT to delay a picosecond (carry chains their hundreds), and so takes functions of six
# inputs apart into a LUT2 and LUT5s; it maps plain arithmetic worse as well. With abc9 wires are
# hidden between the two halves because yosys 0.69 and 0.70 abort on the escaped public names that
# Amaranth writes (issue 4349); names do not matter to any count.

READING = "3"
"""Counts up when this file or `depth` read a netlist in another way, so that results are redone."""

Mapper = Literal["abc", "abc9"]


class SynthesisError(HwcError):
    """yosys refused a module."""


@dataclass(frozen=True)
class Synthesis:
    """Counts of mapped cells by type, yosys' estimate of logic cells, and the longest path.

    `levels`: see :mod:`hwc.sim.depth`; `path` names the cells on that path, first to last.
    """

    cells: dict[str, int]
    lc: int
    levels: int
    path: tuple[str, ...]

    def count(self, *names: str) -> int:
        """Cells whose type is one of `names`."""
        return sum(self.cells.get(name, 0) for name in names)

    @property
    def lut(self) -> int:
        """LUT2 to LUT6, plus LUTs used as shift registers or memory; inverters are not counted."""
        logic = self.count(*(f"LUT{n}" for n in range(2, 7)))
        memory = {"SRL16E": 1, "SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4}
        memory |= {"RAM32M": 4, "RAM64M": 4, "RAM32X1S": 1, "RAM64X1S": 1}
        memory |= {"RAM128X1S": 2, "RAM256X1S": 4}
        return logic + sum(self.count(name) * size for name, size in memory.items())

    @property
    def ff(self) -> int:
        """Flip-flops."""
        return self.count("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1")

    @property
    def carry4(self) -> int:
        """CARRY4 blocks."""
        return self.count("CARRY4")

    @property
    def dsp(self) -> int:
        """DSP48E1 blocks."""
        return self.count("DSP48E1")

    @property
    def bram18(self) -> int:
        """Half block RAMs; a RAMB36E1 is two."""
        return self.count("RAMB18E1") + 2 * self.count("RAMB36E1")

    def resources(self) -> Resources:
        """The same as the currency of the units' own estimates."""
        return Resources(self.lut, self.ff, self.dsp, self.bram18)


def default_cache() -> Path:
    """Where results are kept unless a caller says otherwise."""
    return Path.home() / ".cache" / "hwc" / "synth"


def synthesize(
    design: Module | Elaboratable,
    ports: Sequence[Signal] | None = None,
    *,
    cache: Path | None = None,
    options: str = OPTIONS,
    mapper: Mapper = "abc",
) -> Synthesis:
    """Map a design to 7-series cells; from `cache` (default_cache()) if already known.

    Ports are these signals, or those of a component. What yosys reads is RTLIL, as Amaranth turns
    it into Verilog: the Verilog of a large read-only memory takes minutes to parse. One run takes
    up to 1.3 GB and one core. MissingTool without a yosys, SynthesisError with the end of its
    output if it fails.
    """
    text = rtlil.convert(design, name=TOP, ports=ports, emit_src=False)
    return synthesize_rtlil(text, cache=cache, options=options, mapper=mapper)


def synthesize_rtlil(
    text: str, *, cache: Path | None = None, options: str = OPTIONS, mapper: Mapper = "abc"
) -> Synthesis:
    """:func:`synthesize` of the RTLIL of a design whose top is named ``top``."""
    script = (BEGIN + MAPPERS[mapper] + END).format(top=TOP, options=options)
    key = hashlib.sha256("\0".join((READING, yosys().version, script, text)).encode()).hexdigest()
    file = (default_cache() if cache is None else cache) / f"{key}.json"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        result = _run(script, text)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(result)))
        partial.replace(file)
    known = json.loads(file.read_text())
    return Synthesis(known["cells"], known["lc"], known["levels"], tuple(known["path"]))


def _run(script: str, text: str) -> Synthesis:
    with tempfile.TemporaryDirectory(prefix="hwc-synth-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text)
        (work / "script.ys").write_text(script)
        done = subprocess.run(
            yosys().command("script.ys"),
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            tail = (done.stderr or done.stdout)[-2000:]
            raise SynthesisError(f"yosys failed (exit {done.returncode}): {tail}")
        stat = json.loads((work / "stat.json").read_text())
        netlist = json.loads((work / "netlist.json").read_text())
    return _read(stat["modules"], netlist["modules"])


def _read(stat: Mapping[str, dict], netlist: Mapping[str, dict]) -> Synthesis:
    found = stat[f"\\{TOP}"]
    eighths, path = longest_path(netlist[TOP])
    return Synthesis(found["num_cells_by_type"], found["estimated_num_lc"], -(-eighths // 8), path)
