# Makes the bitstream of this bundle:   vivado -mode batch -source build.tcl
# With `-tclargs project` it stops at the project, to be opened and changed by hand.
#
# settings.tcl says what this bundle is; system.tcl puts our top module into a system.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

create_project -force hwc [file join $here project] -part $part
add_files -norecurse [lmap name $sources {file join $here .. rtl $name}]
if {[llength $constraints]} {
    add_files -fileset constrs_1 -norecurse [lmap name $constraints {file join $here $name}]
}
update_compile_order -fileset sources_1
source [file join $here system.tcl]
update_compile_order -fileset sources_1

if {[lindex $argv 0] ne "project"} {
    launch_runs impl_1 -to_step write_bitstream -jobs 2
    wait_on_run impl_1
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
        error "hwc: implementation failed: [get_property STATUS [get_runs impl_1]]"
    }
    open_run impl_1
    report_utilization -file [file join $here utilization.rpt]
    report_timing_summary -file [file join $here timing.rpt]
    set slack [get_property STATS.WNS [get_runs impl_1]]
    if {$slack < 0} {
        error "hwc: timing is not met at $clock_mhz MHz: worst slack $slack ns, see timing.rpt"
    }
    set run [get_property DIRECTORY [get_runs impl_1]]
    file copy -force [file join $run $top.bit] [file join $here hwc.bit]
    finish $here
}
