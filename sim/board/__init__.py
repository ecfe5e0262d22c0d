"""The simulated board: the shipped shell and network in Verilator behind a memory model."""
