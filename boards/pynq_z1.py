"""Digilent PYNQ-Z1: the Zynq XC7Z020, memory and MIO of the PYNQ-Z2, other pins of the fabric."""

from dataclasses import replace

from hwc.boards import pynq_z2
from hwc.boards.board import Board, Zynq

_TWIN = pynq_z2.BOARD
assert isinstance(_TWIN.host, Zynq)

BOARD: Board = replace(
    _TWIN,
    name="pynq-z1",
    title="Digilent PYNQ-Z1",
    host=replace(_TWIN.host, board_part="www.digilentinc.com:pynq-z1:part0:1.0"),
    url="https://digilent.com/reference/programmable-logic/pynq-z1/start",
)
