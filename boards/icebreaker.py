"""1BitSquared iCEBreaker: Lattice iCE40 UP5K.

Lattice FPGA-DS-02008: 5,280 LUT4 with a flip-flop each, 30 block RAMs of 4 kbit, 8 multipliers of
16x16. The budget counts LUT6, at two LUT4 each, and block RAMs of 18 kbit. The multipliers are
left to yosys: our units for DSPs are shaped for the 25x18 multiplier and the adders of a DSP48.
"""

from hwc.boards.board import Board, Nextpnr, Serial
from hwc.hw.resources import Resources

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    part="iCE40UP5K-SG48",
    budget=Resources(lut=2_640, ff=5_280, dsp=0, bram18=6),
    stream_bits=8,
    host=Serial(baud=1_000_000, clock="35", rx="6", tx="9", reset="10"),
    clock_mhz=12.0,
    max_clock_mhz=12.0,
    ns_fixed=6.0,
    ns_per_level=5.0,
    flow=Nextpnr("ice40", ("--up5k", "--package", "sg48")),
    url="https://1bitsquared.com/products/icebreaker",
)
