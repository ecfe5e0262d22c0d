"""Radiona ULX3S with the Lattice ECP5 LFE5U-85F.

Lattice FPGA-DS-02012: 83,640 LUT4, as many flip-flops, 208 block RAMs of 18 kbit and 156
multipliers of 18x18. The budget counts LUT6, at two LUT4 each. The multipliers are left to yosys:
our units for DSPs are shaped for the 25x18 multiplier and the adders of a DSP48.
"""

from hwc.boards.board import Board, Nextpnr, Serial
from hwc.hw.resources import Resources

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S 85F",
    part="LFE5U-85F-6BG381C",
    budget=Resources(lut=41_820, ff=83_640, dsp=0, bram18=208),
    stream_bits=8,
    host=Serial(baud=1_000_000, clock="G2", rx="M1", tx="L4", reset="D6"),
    clock_mhz=25.0,
    max_clock_mhz=25.0,
    ns_fixed=3.0,
    ns_per_level=2.0,
    flow=Nextpnr("ecp5", ("--85k", "--package", "CABGA381", "--speed", "6"), ("--compress",)),
    url="https://radiona.org/ulx3s/",
)
