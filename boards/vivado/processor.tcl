# Our top beside a processing system `ps`; the names of its ports are set by the caller.

create_bd_cell -type module -reference $top hwc
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset resets
foreach name {control memory} {
    create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} [get_bd_cells $name]
}

connect_bd_intf_net [get_bd_intf_pins $control_port] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins hwc/s_axi]
connect_bd_intf_net [get_bd_intf_pins hwc/m_axi] [get_bd_intf_pins memory/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins $memory_port]
foreach pin [concat $clocked {hwc/aclk control/aclk memory/aclk resets/slowest_sync_clk}] {
    connect_bd_net [get_bd_pins $clock] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins $reset] [get_bd_pins resets/ext_reset_in]
foreach pin {hwc/aresetn control/aresetn memory/aresetn} {
    connect_bd_net [get_bd_pins resets/peripheral_aresetn] [get_bd_pins $pin]
}
connect_bd_net [get_bd_pins hwc/irq] [get_bd_pins $interrupt]

assign_bd_address -offset $base -range 4K -target_address_space [get_bd_addr_spaces ps/Data] \
    [get_bd_addr_segs hwc/s_axi/reg0] -force
assign_bd_address -target_address_space [get_bd_addr_spaces hwc/m_axi] \
    [get_bd_addr_segs $memory_segment] -force
validate_bd_design
save_bd_design

add_files -norecurse [make_wrapper -files [get_files system.bd] -top]
set top system_wrapper
set_property top $top [current_fileset]

# What PYNQ (.hwh beside the .bit) and Vitis (.xsa) want to know of the system.
proc finish {here} {
    set found [glob -directory [file join $here project] hwc.*/sources_1/bd/system/hw_handoff/*.hwh]
    file copy -force [lindex $found 0] [file join $here hwc.hwh]
    write_hw_platform -fixed -include_bit -force [file join $here hwc.xsa]
}
