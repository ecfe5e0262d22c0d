"""Testbenches in cocotb: the one that bundles carry, and what runs it with our Verilator."""
