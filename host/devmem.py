"""The transport of plain Linux: registers through UIO, memory through u-dma-buf.

Any device that maps the registers will do (`/dev/uio0`, or `/dev/mem` with the offset of the
registers); the interrupt is waited for only through UIO.
"""

import mmap
import os
import select
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DriverError
from .transport import Buffer, poll

PAGE = 4096


class MappedBuffer:
    """A part of the reserved memory; parts are handed out one behind the other."""

    def __init__(self, array: NDArray[np.uint8], address: int, owner: "DevMem") -> None:
        self.array = array
        self.address = address
        self._owner = owner

    def free(self) -> None:
        self._owner.give_back()


class DevMem:
    """`registers`: device file and offset to map. `memory`: device file of memory that the
    accelerator sees from `address` on, `size` bytes, not cached or coherent (u-dma-buf: open its
    device with O_SYNC, and read `phys_addr` and `size` in /sys/class/u-dma-buf/).
    """

    def __init__(
        self,
        registers: str | Path,
        memory: str | Path,
        address: int,
        size: int,
        offset: int = 0,
        interrupt: bool = True,
        status: int = 0x14,
    ) -> None:
        self._interrupt = interrupt
        self._status = status
        self._files: list[int] = []
        self._maps: list[mmap.mmap] = []
        try:
            self._words = np.frombuffer(self._map(registers, PAGE, offset), "<u4")
            self._bytes = np.frombuffer(self._map(memory, size, 0), np.uint8)
        except (OSError, ValueError) as error:
            self.close()
            raise DriverError(f"cannot map {registers} and {memory}: {error}") from None
        self._address = address
        self._used = self._parts = 0

    def _map(self, path: str | Path, size: int, offset: int) -> mmap.mmap:
        self._files.append(os.open(path, os.O_RDWR | os.O_SYNC))
        self._maps.append(mmap.mmap(self._files[-1], size, offset=offset))
        return self._maps[-1]

    def read32(self, offset: int) -> int:
        return int(self._words[offset // 4])

    def write32(self, offset: int, value: int) -> None:
        self._words[offset // 4] = value

    def allocate(self, nbytes: int) -> MappedBuffer:
        start = self._used
        if start + nbytes > len(self._bytes):
            raise DriverError(
                f"{nbytes} bytes do not fit: {len(self._bytes) - start} of the reserved "
                f"{len(self._bytes)} are left; reserve more, or run smaller batches"
            )
        self._used += -(-nbytes // 64) * 64
        self._parts += 1
        return MappedBuffer(self._bytes[start : start + nbytes], self._address + start, self)

    def give_back(self) -> None:
        """Room is free again once all parts have been given back."""
        self._parts -= 1
        if self._parts == 0:
            self._used = 0

    def flush(self, buffer: Buffer) -> None:
        """Nothing: the memory is not cached."""

    def invalidate(self, buffer: Buffer) -> None:
        """Nothing: the memory is not cached."""

    def wait(self, timeout: float) -> bool:
        if self._interrupt:
            os.write(self._files[0], (1).to_bytes(4, "little"))
            ready, _, _ = select.select([self._files[0]], [], [], timeout)
            if ready:
                os.read(self._files[0], 4)
            return bool(ready)
        return poll(self, self._status, timeout)

    def reset(self) -> None:
        raise DriverError("the accelerator hangs on its memory; load the bitstream again")

    def close(self) -> None:
        self._words = self._bytes = np.empty(0, np.uint8)
        for mapped in self._maps:
            try:
                mapped.close()
            except BufferError:  # somebody still holds a buffer's array
                pass
        for file in self._files:
            os.close(file)
        self._maps, self._files = [], []
