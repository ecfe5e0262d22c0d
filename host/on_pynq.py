"""The transport of PYNQ Linux; `pynq` is imported only when it is opened, on the board."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DriverError
from .transport import Buffer, poll


class PynqBuffer:
    """Memory from the board's CMA pool."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    @property
    def array(self) -> NDArray[np.uint8]:
        return np.asarray(self.memory)

    @property
    def address(self) -> int:
        return int(self.memory.device_address)

    def free(self) -> None:
        self.memory.freebuffer()


class Pynq:
    """Loads the bitstream `bitfile` (with its .hwh beside it) unless it is None.

    `base` is where the registers are, `manifest["shell"]["base"]`.
    """

    def __init__(self, bitfile: str | Path | None, base: int, status: int = 0x14) -> None:
        try:
            import pynq  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise DriverError(
                "pynq is not installed here: run on the board, or pip install pynq there"
            ) from None
        self._pynq = pynq
        self._overlay = None if bitfile is None else pynq.Overlay(str(bitfile))
        self._registers = pynq.MMIO(base, 4096)
        self._status = status

    def read32(self, offset: int) -> int:
        return int(self._registers.read(offset))

    def write32(self, offset: int, value: int) -> None:
        self._registers.write(offset, value)

    def allocate(self, nbytes: int) -> PynqBuffer:
        return PynqBuffer(self._pynq.allocate(shape=(nbytes,), dtype=np.uint8))

    def flush(self, buffer: Buffer) -> None:
        assert isinstance(buffer, PynqBuffer)
        buffer.memory.flush()

    def invalidate(self, buffer: Buffer) -> None:
        assert isinstance(buffer, PynqBuffer)
        buffer.memory.invalidate()

    def wait(self, timeout: float) -> bool:
        """Polls: a batch is often over before the kernel could hand an interrupt on."""
        return poll(self, self._status, timeout)

    def reset(self) -> None:
        """Loads the bitstream again, if it was loaded from here."""
        if self._overlay is None:
            raise DriverError("the accelerator hangs on its memory; load the bitstream again")
        self._overlay.download()

    def close(self) -> None:
        if self._overlay is not None:
            self._overlay.free()
