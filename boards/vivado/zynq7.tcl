# Zynq-7000: registers behind M_AXI_GP0, memory by S_AXI_HP0 (64 bit), interrupt 0.

set preset [llength [get_board_parts -quiet $board_part]]
if {$preset} {
    set_property board_part $board_part [current_project]
}
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \
    make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] $ps
if {!$preset} {
    set_property -dict $processor $ps
}
set_property -dict [list \
    CONFIG.PCW_EN_CLK0_PORT 1 \
    CONFIG.PCW_EN_RST0_PORT 1 \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz \
    CONFIG.PCW_USE_M_AXI_GP0 1 \
    CONFIG.PCW_USE_S_AXI_HP0 1 \
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \
    CONFIG.PCW_IRQ_F2P_INTR 1] $ps

set clock ps/FCLK_CLK0
set reset ps/FCLK_RESET0_N
set control_port ps/M_AXI_GP0
set memory_port ps/S_AXI_HP0
set clocked {ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK}
set interrupt ps/IRQ_F2P
set memory_segment ps/S_AXI_HP0/HP0_DDR_LOWOCM
source [file join $here processor.tcl]
