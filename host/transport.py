"""What a driver needs of its surroundings."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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
