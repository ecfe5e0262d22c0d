"""From a bundle to the file that configures the board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwc.boards.board import Board, BoardError
from hwc.compiler import nextpnr, vivado
from hwc.compiler.report import Placed

__all__ = ["bitstream"]


def bitstream(bundle: Path, board: Board, step: Callable[[str], None] | None = None) -> Placed:
    """Run the tools of ``board`` on the project in a bundle; ``step`` hears what comes next.

    Raises BoardError where a bundle holds no project, MissingTool, and the error of the flow if a
    tool fails or the clock is not met.
    """
    if board.host is None:
        raise BoardError(f"{board.name} has no host: its bundle holds the network alone")
    if board.flow == "vivado":
        if step is not None:
            step("running Vivado")
        return vivado.run(bundle)
    return nextpnr.run(bundle, step)
