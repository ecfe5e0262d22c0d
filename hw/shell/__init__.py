"""The shell around a network: AXI4 DMA, AXI4-Lite registers; docs/shell.md is its contract."""
