"""Digilent Arty A7-100T: Artix-7 XC7A100T.

AMD DS180: 63,400 LUTs, 126,800 flip-flops, 135 BRAM36, 240 DSP48E1. There is no
processor beside the fabric: data comes and goes over a serial link, a byte at a time.
"""

from hwc.boards.board import Board, Serial
from hwc.hw.resources import Resources

BOARD = Board(
    name="arty-a7-100t",
    title="Digilent Arty A7-100T",
    part="xc7a100tcsg324-1",
    budget=Resources(lut=63_400, ff=126_800, dsp=240, bram18=270),
    stream_bits=8,
    host=Serial(baud=1_000_000, clock="E3", rx="A9", tx="D10", reset="C2"),
    max_clock_mhz=100.0,
    url="https://digilent.com/reference/programmable-logic/arty-a7/start",
)
