"""`hwc boards`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def boards(
    as_json: Annotated[bool, typer.Option("--json", help="Print the boards as JSON.")] = False,
) -> None:
    """List the boards that `--board` takes, with what their parts hold."""
    from hwc.boards.board import get, names

    found = [get(name) for name in names()]
    if as_json:
        print(json.dumps([asdict(board) for board in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("board", "part"):
        table.add_column(heading, no_wrap=True)
    for heading in ("LUT", "FF", "DSP", "BRAM18", "MHz"):
        table.add_column(heading, justify="right", no_wrap=True)
    for board in found:
        budget = board.budget
        numbers = (budget.lut, budget.ff, budget.dsp, budget.bram18)
        table.add_row(board.name, board.part, *(f"{n:,}" for n in numbers), f"{board.clock_mhz:g}")
    Console().print(table)
