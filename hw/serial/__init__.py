"""The serial shell: a network behind a UART, for boards without a processor; see docs/serial.md."""
