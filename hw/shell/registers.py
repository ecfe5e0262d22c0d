"""The register map of the shell: the one definition, see docs/shell.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

__all__ = [
    "IDENTITY",
    "REGISTERS",
    "VERSION",
    "Control",
    "Register",
    "Response",
    "Status",
    "offset",
]

IDENTITY = 0x48574331
"""What ``ID`` reads: "HWC1"."""
VERSION = 1
"""What ``VERSION`` reads; counts up with every change that a driver must know of."""


class Control(IntFlag):
    """Bits of ``CONTROL``; all but the last act once, when written."""

    START = 1
    ABORT = 2
    CLEAR = 4
    IRQ_ENABLE = 1 << 8


class Status(IntFlag):
    """Bits of ``STATUS``."""

    BUSY = 1
    DONE = 2
    ERROR = 4
    ABORTED = 8
    REJECTED = 16


class Response:
    """Codes in bits 1:0 of ``ERROR``."""

    LENGTH = 1
    """A read burst that ended early or late."""
    SLVERR = 2
    DECERR = 3


@dataclass(frozen=True)
class Register:
    """One register of 32 bits. ``access``: r, w or rw."""

    name: str
    offset: int
    access: Literal["r", "w", "rw"]
    what: str


REGISTERS = (
    Register("ID", 0x00, "r", "0x48574331, HWC1"),
    Register("VERSION", 0x04, "r", "version of the register map"),
    Register("HASH", 0x08, "r", "first 32 bits of the SHA-256 of the network's Verilog"),
    Register("SCRATCH", 0x0C, "rw", "nothing; for a test of the bus"),
    Register("CONTROL", 0x10, "rw", "start 1, abort 2, clear 4, irq_enable 256"),
    Register("STATUS", 0x14, "r", "busy 1, done 2, error 4, aborted 8, rejected 16"),
    Register("ERROR", 0x18, "r", "response 1:0, write 2, channel 15:8"),
    Register("FRAMES", 0x1C, "rw", "frames of the next batch"),
    Register("FRAMES_DONE", 0x20, "r", "frames written and acknowledged"),
    Register("INPUT_ADDR", 0x24, "rw", "address of the first input record, low"),
    Register("INPUT_ADDR_HIGH", 0x28, "rw", "high"),
    Register("OUTPUT_ADDR", 0x2C, "rw", "address of the first output record, low"),
    Register("OUTPUT_ADDR_HIGH", 0x30, "rw", "high"),
    Register("CYCLES", 0x34, "r", "cycles of the batch, low"),
    Register("CYCLES_HIGH", 0x38, "r", "high"),
    Register("FIRST", 0x3C, "r", "cycles to the acknowledged end of frame 0, low"),
    Register("FIRST_HIGH", 0x40, "r", "high"),
    Register("NETWORK_LATENCY", 0x44, "r", "cycles from first beat in to frame 0 out"),
    Register("NETWORK_INTERVAL", 0x48, "r", "cycles from frame 0 out to the last frame out"),
    Register("INPUT_STRIDE", 0x4C, "r", "bytes of an input record"),
    Register("OUTPUT_STRIDE", 0x50, "r", "bytes of an output record"),
)


def offset(name: str) -> int:
    """Byte offset of a register."""
    return next(r.offset for r in REGISTERS if r.name == name)
