"""Digilent Arty A7-35T: Artix-7 XC7A35T.

AMD DS180: 20,800 LUTs, 41,600 flip-flops, 50 BRAM36, 90 DSP48E1. There is no
processor beside the fabric: data comes and goes over a serial link, a byte at a time.
"""

from hwc.boards.board import Board, Serial
from hwc.hw.resources import Resources

BOARD = Board(
    name="arty-a7-35t",
    title="Digilent Arty A7-35T",
    part="xc7a35ticsg324-1L",
    budget=Resources(lut=20_800, ff=41_600, dsp=90, bram18=100),
    stream_bits=8,
    host=Serial(baud=1_000_000, clock="E3", rx="A9", tx="D10", reset="C2"),
    max_clock_mhz=100.0,
    url="https://digilent.com/reference/programmable-logic/arty-a7/start",
)
