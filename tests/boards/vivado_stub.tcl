# Stands in for Vivado under tclsh: every command that plain Tcl lacks is written down, one list a
# line, in the file `calls`, and answered as Vivado would in a run without surprises.
# Usage: tclsh vivado_stub.tcl SCRIPT CALLS ANSWERS [arguments of the script]
#
# ANSWERS is a dict: board_parts (known boards), progress and slack (of the implementation).

lassign $argv script calls answers
set argv [lrange $argv 3 end]
set log [open $calls w]

proc unknown {command args} {
    global log answers
    puts $log [list $command {*}$args]
    flush $log
    switch -glob $command {
        create_project {
            set folder [lindex $args 2]
            set handoff [file join $folder hwc.gen sources_1 bd system hw_handoff]
            file mkdir $handoff [file join $folder hwc.runs impl_1]
            close [open [file join $handoff system.hwh] w]
        }
        write_hw_platform { close [open [lindex $args end] w] }
        launch_runs {
            foreach top {system_wrapper hwc_serial} {
                close [open [file join $::here project hwc.runs impl_1 $top.bit] w]
            }
        }
        make_wrapper { return system_wrapper.v }
        get_board_parts {
            set wanted [lindex $args end]
            return [expr {$wanted in [dict get $answers board_parts] ? $wanted : ""}]
        }
        get_property {
            switch [lindex $args 0] {
                PROGRESS { return [dict get $answers progress] }
                STATS.WNS { return [dict get $answers slack] }
                STATUS { return "route_design failed" }
                DIRECTORY { return [file join $::here project hwc.runs impl_1] }
                default { error "the stub knows no property [lindex $args 0]" }
            }
        }
        create_bd_cell - get_* - current_* { return [lindex $args end] }
        add_files - apply_bd_automation - assign_bd_address - connect_bd_intf_net -
        connect_bd_net - create_bd_design - open_run - report_* - save_bd_design -
        set_property - update_compile_order - validate_bd_design - wait_on_run {}
        default { error "Vivado has no command $command, as far as the stub knows" }
    }
    return
}

source $script
