"""The transports of real boards, on plain files and on a stand-in for pynq."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwc.host.devmem import DevMem
from hwc.host.errors import DriverError
from hwc.host.on_pynq import Pynq
from hwc.host.transport import Transport, poll
from hwc.hw.shell.registers import Status, offset

STATUS = offset("STATUS")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """What maps as registers, from 4096 on, and as memory."""
    registers, memory = tmp_path / "registers", tmp_path / "memory"
    registers.write_bytes(bytes(8192))
    memory.write_bytes(bytes(8192))
    return registers, memory


def open_files(files: tuple[Path, Path]) -> DevMem:
    return DevMem(*files, 0x3F00_0000, 8192, offset=4096, interrupt=False)


def test_registers_are_words_at_their_offset(files: tuple[Path, Path]) -> None:
    board = open_files(files)
    board.write32(0x0C, 0x89AB_CDEF)
    assert board.read32(0x0C) == 0x89AB_CDEF
    board.close()
    assert files[0].read_bytes()[4096 + 0x0C :][:4] == b"\xef\xcd\xab\x89"


def test_buffers_lie_apart_and_come_back(files: tuple[Path, Path]) -> None:
    board = open_files(files)
    first, second = board.allocate(100), board.allocate(5000)
    assert first.address == 0x3F00_0000
    assert second.address == 0x3F00_0000 + 128
    second.array[:3] = 7, 8, 9
    with pytest.raises(DriverError, match="3008 of the reserved 8192 are left"):
        board.allocate(4000)
    first.free()
    second.free()
    again = board.allocate(8192)
    assert again.address == 0x3F00_0000
    again.free()
    del first, second, again
    board.close()
    assert files[1].read_bytes()[128:131] == bytes((7, 8, 9))


def test_devices_that_cannot_be_mapped(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(DriverError, match="cannot map"):
        DevMem(tmp_path / "none", files[1], 0, 8192)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DriverError, match="cannot map"):
        DevMem(files[0], files[1], 0, 1 << 20)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_hanging_bus_is_an_error(files: tuple[Path, Path]) -> None:
    board = open_files(files)
    with pytest.raises(DriverError, match="load the bitstream again"):
        board.reset()
    board.close()


def check_wait(board: Transport) -> None:
    """Ends when the busy bit falls, and at the time-out while it does not."""
    board.write32(STATUS, Status.BUSY)
    start = time.monotonic()
    assert not board.wait(0.05)
    assert time.monotonic() - start >= 0.05
    threading.Timer(0.05, board.write32, (STATUS, Status.DONE)).start()
    assert board.wait(5)
    assert time.monotonic() - start < 2
    assert poll(board, STATUS, 0)


def test_waiting_without_an_interrupt(files: tuple[Path, Path]) -> None:
    board = open_files(files)
    check_wait(board)
    board.close()


class FakePynq(SimpleNamespace):
    """As much of pynq as the transport uses, with what was asked of it."""

    def __init__(self) -> None:
        super().__init__(calls=[], words={})
        overlay = SimpleNamespace(
            download=lambda: self.calls.append("download"), free=lambda: self.calls.append("free")
        )
        self.Overlay = lambda path: self.calls.append(("overlay", path)) or overlay
        registers = SimpleNamespace(
            read=lambda at: self.words.get(at, 0), write=self.words.__setitem__
        )
        self.MMIO = lambda base, size: self.calls.append(("mmio", base, size)) or registers

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        fake = self

        class Memory(np.ndarray):
            device_address = 0x1800_0000

            def flush(self) -> None:
                fake.calls.append("flush")

            def invalidate(self) -> None:
                fake.calls.append("invalidate")

            def freebuffer(self) -> None:
                fake.calls.append("freebuffer")

        return np.zeros(shape, dtype).view(Memory)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePynq:
    pynq = FakePynq()
    monkeypatch.setitem(sys.modules, "pynq", pynq)  # pyright: ignore[reportArgumentType]
    return pynq


def test_pynq_in_the_order_it_wants(fake: FakePynq) -> None:
    board = Pynq("hwc.bit", 0x4000_0000)
    buffer = board.allocate(96)
    assert (buffer.address, buffer.array.shape, buffer.array.dtype) == (0x1800_0000, (96,), "u1")
    buffer.array[:] = 3
    board.flush(buffer)
    board.invalidate(buffer)
    assert (np.asarray(buffer.memory) == 3).all()
    buffer.free()
    board.reset()
    check_wait(board)
    board.close()
    assert fake.calls == [
        ("overlay", "hwc.bit"), ("mmio", 0x4000_0000, 4096), "flush", "invalidate", "freebuffer",
        "download", "free",
    ]  # fmt: skip


def test_pynq_without_a_bitstream_of_ours(fake: FakePynq) -> None:
    board = Pynq(None, 0x4000_0000)
    with pytest.raises(DriverError, match="load the bitstream again"):
        board.reset()
    board.close()
    assert fake.calls == [("mmio", 0x4000_0000, 4096)]


def test_pynq_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DriverError, match="pynq is not installed here"):
        Pynq(None, 0)
