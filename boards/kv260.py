"""AMD Kria KV260: Zynq UltraScale+ XCK26 (the fabric of an XCZU5EV).

AMD DS987: 117,120 LUTs, 234,240 flip-flops, 144 BRAM36, 1,248 DSP48E2 (and 64 UltraRAMs, which no
unit uses). A LUT, a BRAM and a DSP hold at least what those of the 7 series hold.
"""

from hwc.boards.board import Board, Zynq
from hwc.hw.resources import Resources

BOARD = Board(
    name="kv260",
    title="AMD Kria KV260",
    part="xck26-sfvc784-2LV-c",
    budget=Resources(lut=117_120, ff=234_240, dsp=1_248, bram18=288),
    stream_bits=64,
    host=Zynq(
        system="zynqmp",
        base=0xA000_0000,
        address_bits=40,
        board_part="xilinx.com:kv260_som:part0:1.4",
    ),
    clock_mhz=200.0,
    max_clock_mhz=300.0,
    ns_fixed=0.8,
    ns_per_level=0.6,
    url="https://www.amd.com/en/products/system-on-modules/kria/k26/kv260-vision-starter-kit.html",
)
