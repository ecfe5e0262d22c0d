"""Tcl for Vivado: `build.tcl` runs one of the systems beside it with the settings of a bundle."""
