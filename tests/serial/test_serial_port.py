"""The driver's command through a terminal device, whose other end is the simulated board."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwc.host.errors import DriverError
from hwc.host.serial_port import SerialPort
from hwc.sim.board.serial import SimulatedLine

from .conftest import Built


@pytest.fixture
def pair() -> Iterator[tuple[int, str]]:
    """The far end of a terminal, and the device of the near one."""
    far, near = os.openpty()
    tty.setraw(near)
    yield far, os.ttyname(near)
    for file in (far, near):
        try:
            os.close(file)
        except OSError:
            pass


def carry(far: int, line: SimulatedLine, done: threading.Event) -> None:
    """Between the far end and the board, until it is done."""
    while not done.is_set():
        ready, _, _ = select.select([far], [], [], 0.02)
        if ready:
            line.send(os.read(far, 4096))
        if heard := line.receive(4096, 2e-4):
            os.write(far, heard)


def test_the_command(built: Built, pair: tuple[int, str]) -> None:
    far, device = pair
    line, done = built.line(), threading.Event()
    thread = threading.Thread(target=carry, args=(far, line, done))
    thread.start()
    try:
        command = [sys.executable, "-m", "driver", "selftest", "--serial", device]
        found = subprocess.run(
            command, cwd=built.bundle, capture_output=True, text=True, timeout=120
        )
    finally:
        done.set()
        thread.join()
        line.close()
    assert found.returncode == 0, found.stderr
    assert "16 golden frames: every integer as expected" in found.stdout
    without = subprocess.run(command[:4], cwd=built.bundle, capture_output=True, text=True)
    assert without.returncode == 3
    assert "--serial" in without.stderr


def test_bytes_and_time_outs(pair: tuple[int, str]) -> None:
    far, device = pair
    port = SerialPort(device, 115200)
    everything = bytes(range(256))
    port.send(everything)
    assert os.read(far, 1000) == everything
    os.write(far, everything)
    assert port.receive(100, 1) == everything[:100]
    start = time.monotonic()
    assert port.receive(1000, 0.1) == everything[100:]
    assert 0.1 <= time.monotonic() - start < 1
    os.close(far)
    with pytest.raises(DriverError, match="gone"):
        port.receive(1, 1)
    port.close()


def test_devices_that_are_none(tmp_path: Path, pair: tuple[int, str]) -> None:
    with pytest.raises(DriverError, match="cannot open"):
        SerialPort(tmp_path / "none", 115200)
    (tmp_path / "file").touch()
    with pytest.raises(DriverError, match="not a serial line"):
        SerialPort(tmp_path / "file", 115200)
    with pytest.raises(DriverError, match="no serial rate of 12345 baud"):
        SerialPort(pair[1], 12345)
