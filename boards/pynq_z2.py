"""TUL PYNQ-Z2: Zynq XC7Z020.

AMD DS190: 53,200 LUTs, 106,400 flip-flops, 140 BRAM36, 220 DSP48E1. Data comes and
goes by DMA over a 64-bit high-performance port of the processing system. Its 512 MB of DDR3 hang
on 16 data lines; figures of their wiring as in the hardware project of PYNQ for this board.
"""

from hwc.boards.board import Board, Zynq
from hwc.hw.resources import Resources

BOARD = Board(
    name="pynq-z2",
    title="TUL PYNQ-Z2",
    part="xc7z020clg400-1",
    budget=Resources(lut=53_200, ff=106_400, dsp=220, bram18=280),
    stream_bits=64,
    host=Zynq(
        system="zynq7",
        base=0x4000_0000,
        address_bits=32,
        board_part="tul.com.tw:pynq-z2:part0:1.0",
        settings={
            "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "50",
            "PCW_APU_PERIPHERAL_FREQMHZ": "650",
            "PCW_PRESET_BANK1_VOLTAGE": "LVCMOS 1.8V",
            "PCW_UIPARAM_DDR_PARTNO": "MT41J256M16 RE-125",
            "PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit",
            "PCW_UIPARAM_DDR_FREQ_MHZ": "525",
            "PCW_UIPARAM_DDR_BOARD_DELAY0": "0.223",
            "PCW_UIPARAM_DDR_BOARD_DELAY1": "0.212",
            "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_0": "0.040",
            "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_1": "0.058",
            "PCW_QSPI_PERIPHERAL_ENABLE": "1",
            "PCW_UART0_PERIPHERAL_ENABLE": "1",
            "PCW_UART0_UART0_IO": "MIO 14 .. 15",
            "PCW_ENET0_PERIPHERAL_ENABLE": "1",
            "PCW_ENET0_ENET0_IO": "MIO 16 .. 27",
            "PCW_ENET0_GRP_MDIO_ENABLE": "1",
            "PCW_ENET0_GRP_MDIO_IO": "MIO 52 .. 53",
            "PCW_ENET0_RESET_ENABLE": "1",
            "PCW_ENET0_RESET_IO": "MIO 9",
            "PCW_USB0_PERIPHERAL_ENABLE": "1",
            "PCW_USB0_USB0_IO": "MIO 28 .. 39",
            "PCW_USB0_RESET_ENABLE": "1",
            "PCW_USB0_RESET_IO": "MIO 46",
            "PCW_SD0_PERIPHERAL_ENABLE": "1",
            "PCW_SD0_SD0_IO": "MIO 40 .. 45",
        },
    ),
    url="https://www.tulembedded.com/FPGA/ProductsPYNQ-Z2.html",
)
