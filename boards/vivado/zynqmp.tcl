# Zynq UltraScale+: registers behind M_AXI_HPM0_FPD, memory by S_AXI_HP0_FPD (64 bit), interrupt 0.
# DDR and MIO come from the board files, which Vivado brings for the boards listed here.

if {![llength [get_board_parts -quiet $board_part]]} {
    error "hwc: this Vivado has no board files of $board_part; install them from its board store"
}
set_property board_part $board_part [current_project]
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
set_property -dict [list \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz \
    CONFIG.PSU__USE__FABRIC__RST 1 \
    CONFIG.PSU__USE__M_AXI_GP0 1 \
    CONFIG.PSU__MAXIGP0__DATA_WIDTH 32 \
    CONFIG.PSU__USE__M_AXI_GP1 0 \
    CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__USE__S_AXI_GP2 1 \
    CONFIG.PSU__SAXIGP2__DATA_WIDTH 64 \
    CONFIG.PSU__USE__IRQ0 1] $ps

set clock ps/pl_clk0
set reset ps/pl_resetn0
set control_port ps/M_AXI_HPM0_FPD
set memory_port ps/S_AXI_HP0_FPD
set clocked {ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk}
set interrupt ps/pl_ps_irq0
set memory_segment ps/SAXIGP2/HP0_DDR_LOW
source [file join $here processor.tcl]
