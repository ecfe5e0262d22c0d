"""What a driver needs of its surroundings."""

import time
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

NAP = 20e-6
"""Seconds between two looks at the status."""


class Buffer(Protocol):
    """Memory that the accelerator can reach."""

    @property
    def array(self) -> NDArray[np.uint8]:
        """The bytes."""
        ...

    @property
    def address(self) -> int:
        """Where the accelerator sees them; a multiple of 8."""
        ...

    def free(self) -> None:
        """Give it back; `array` must not be used any more."""
        ...


class Transport(Protocol):
    """Registers, memory and the interrupt of one accelerator."""

    def read32(self, offset: int) -> int:
        """The register at this byte offset."""
        ...

    def write32(self, offset: int, value: int) -> None:
        """Set the register at this byte offset."""
        ...

    def allocate(self, nbytes: int) -> Buffer:
        """Memory that stays where it is."""
        ...

    def flush(self, buffer: Buffer) -> None:
        """Make what the processor wrote visible to the accelerator."""
        ...

    def invalidate(self, buffer: Buffer) -> None:
        """Make what the accelerator wrote visible to the processor."""
        ...

    def wait(self, timeout: float) -> bool:
        """Whether the interrupt came within about so many seconds. May give up earlier."""
        ...

    def reset(self) -> None:
        """Reset the accelerator and its side of the bus, as far as that is possible."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@runtime_checkable
class Line(Protocol):
    """Bytes to and from a serial shell."""

    def send(self, data: bytes) -> None:
        """Say so many bytes."""
        ...

    def receive(self, count: int, timeout: float) -> bytes:
        """So many bytes, or fewer if no more came for so many seconds."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def poll(transport: Transport, status: int, timeout: float) -> bool:
    """`Transport.wait` without an interrupt: whether the busy bit fell in the register `status`."""
    until = time.monotonic() + timeout
    while transport.read32(status) & 1:
        if time.monotonic() >= until:
            return False
        time.sleep(NAP)
    return True
