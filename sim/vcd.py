"""Reads the value change dumps that smtbmc writes."""

from __future__ import annotations

import re

__all__ = ["read_vcd"]

_VAR = re.compile(r"\$var wire \d+ (\S+) (\S+)(?: \S+)? \$end")
_SCOPE = re.compile(r"\$(?:scope \w+ (\S+)|upscope) \$end")
_PERIOD = 10


def read_vcd(text: str, prefix: str) -> dict[str, tuple[int, ...]]:
    """Per named signal below scope ``prefix`` its unsigned value in every cycle."""
    head, _, body = text.partition("$enddefinitions $end")
    names: dict[str, str] = {}
    scopes: list[str] = []
    for line in head.splitlines():
        if scope := _SCOPE.search(line):
            scopes = [*scopes, scope[1]] if scope[1] else scopes[:-1]
        elif var := _VAR.search(line):
            name = ".".join((*scopes, var[2]))
            if name.startswith(f"{prefix}.") and "$" not in name and var[2] != "clk":
                names[var[1]] = name.removeprefix(f"{prefix}.")
    now: dict[str, int] = {}
    cycles: dict[int, dict[str, int]] = {}
    time = 0
    for line in body.splitlines():
        if line.startswith("#"):
            time = int(line[1:])
        elif line.startswith("b"):
            value, key = line[1:].split()
            now[key] = int(value.replace("x", "0"), 2)
            cycles[time // _PERIOD] = dict(now)
    cycles.pop(time // _PERIOD, None)  # a dump ends with the edge after the last cycle
    return {name: tuple(c.get(key, 0) for c in cycles.values()) for key, name in names.items()}
