"""AMD ZCU104: Zynq UltraScale+ XCZU7EV.

AMD DS891: 230,400 LUTs, 460,800 flip-flops, 312 BRAM36, 1,728 DSP48E2 (and 96 UltraRAMs, which no
unit uses). A LUT, a BRAM and a DSP hold at least what those of the 7 series hold.
"""

from hwc.boards.board import Board, Zynq
from hwc.hw.resources import Resources

BOARD = Board(
    name="zcu104",
    title="AMD ZCU104",
    part="xczu7ev-ffvc1156-2-e",
    budget=Resources(lut=230_400, ff=460_800, dsp=1_728, bram18=624),
    stream_bits=64,
    host=Zynq(
        system="zynqmp",
        base=0xA000_0000,
        address_bits=40,
        board_part="xilinx.com:zcu104:part0:1.1",
    ),
    clock_mhz=200.0,
    max_clock_mhz=300.0,
    ns_fixed=0.7,
    ns_per_level=0.5,
    url="https://www.amd.com/en/products/adaptive-socs-and-fpgas/evaluation-boards/zcu104.html",
)
