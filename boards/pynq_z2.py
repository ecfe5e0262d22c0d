"""TUL PYNQ-Z2: Zynq XC7Z020.

AMD DS190: 53,200 LUTs, 106,400 flip-flops, 140 BRAM36, 220 DSP48E1. Data comes and
goes by DMA over a 64-bit high-performance port of the processing system.
"""

from hwc.boards.board import Board
from hwc.hw.resources import Resources

BOARD = Board(
    name="pynq-z2",
    title="TUL PYNQ-Z2",
    part="xc7z020clg400-1",
    budget=Resources(lut=53_200, ff=106_400, dsp=220, bram18=280),
    stream_bits=64,
    shell="axi",
    url="https://www.tulembedded.com/FPGA/ProductsPYNQ-Z2.html",
)
