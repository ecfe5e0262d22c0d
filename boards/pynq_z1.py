"""Digilent PYNQ-Z1: the same Zynq XC7Z020 and ports as the PYNQ-Z2 (AMD DS190), other pins."""

from hwc.boards.board import Board
from hwc.hw.resources import Resources

BOARD = Board(
    name="pynq-z1",
    title="Digilent PYNQ-Z1",
    part="xc7z020clg400-1",
    budget=Resources(lut=53_200, ff=106_400, dsp=220, bram18=280),
    stream_bits=64,
    shell="axi",
    url="https://digilent.com/reference/programmable-logic/pynq-z1/start",
)
