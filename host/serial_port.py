"""The line of a serial shell through a terminal device, as USB adapters give one."""

import os
import select
import termios
import time
from pathlib import Path

from .errors import DriverError


class SerialPort:
    """`path` at `baud`, 8 data bits, no parity, one stop bit, no flow control."""

    def __init__(self, path: str | Path, baud: int) -> None:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise DriverError(f"this system has no serial rate of {baud} baud")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise DriverError(f"cannot open {path}: {error.strerror}") from None
        try:
            attributes = termios.tcgetattr(self._file)
            attributes[:4] = [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0]
            attributes[4:6] = [speed, speed]
            attributes[6][termios.VMIN] = attributes[6][termios.VTIME] = 0
            termios.tcsetattr(self._file, termios.TCSANOW, attributes)
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except termios.error as error:
            os.close(self._file)
            raise DriverError(f"{path} is not a serial line: {error}") from None

    def send(self, data: bytes) -> None:
        """Say so many bytes."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except OSError as error:
                raise DriverError(f"the serial line is gone: {error.strerror}") from None

    def receive(self, count: int, timeout: float) -> bytes:
        """So many bytes, or fewer if no more came for so many seconds."""
        found = bytearray()
        until = time.monotonic() + timeout
        while len(found) < count:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._file], [], [], max(0.0, left))
            if not ready:
                break
            try:
                part = os.read(self._file, count - len(found))
            except OSError as error:
                raise DriverError(f"the serial line is gone: {error.strerror}") from None
            if not part:
                raise DriverError("the serial line is gone")
            found += part
            until = time.monotonic() + timeout
        return bytes(found)

    def close(self) -> None:
        """Let go of the device."""
        os.close(self._file)
