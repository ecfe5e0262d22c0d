"""The shipped driver and the serial shell on a line that is well, and on one that is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hwc.compiler.system import BundleError, verify_bundle
from hwc.host import Accelerator, DeviceTimeout, DriverError, SelftestError, WrongDevice
from hwc.host.link import BAD_CRC, RESET, RUN, TRIES, UNKNOWN_OP, Link, crc16
from hwc.hw.serial import link as contract
from hwc.sim.board.serial import FAULTS, SimulatedLine

from .conftest import Built

GAP = contract.GAP_SECONDS


def correct(built: Built, accelerator: Accelerator, seed: int, frames: int = 5) -> None:
    """Both outputs of a random batch are what PyTorch gives, in float64 exactly."""
    batch = built.batch(frames, seed)
    for name, want in zip(accelerator.outputs, built.expected(batch), strict=True):
        assert np.array_equal(accelerator.logits(batch, name), want)


def repeated(accelerator: Accelerator) -> int:
    assert isinstance(accelerator.device, Link)
    return accelerator.device.repeated


def signed(request: bytes) -> bytes:
    return request + crc16(request).to_bytes(2, "big")


def test_both_sides_mean_the_same() -> None:
    assert crc16(b"123456789") == 0x29B1
    assert contract.Op.RUN == RUN[0]
    assert contract.Op.RESET == RESET[0]
    assert contract.Status.BAD_CRC == BAD_CRC
    assert contract.Status.UNKNOWN_OP == UNKNOWN_OP


def test_batches_are_right(built: Built) -> None:
    with Accelerator(built.bundle, built.line()) as accelerator:
        for seed in range(4):
            correct(built, accelerator, seed, 9)
        # The head of two bytes an element holds the network up.
        assert accelerator.selftest().latency == built.manifest["cycles"]["latency"] + 4
        assert repeated(accelerator) == 0


@pytest.mark.parametrize("drift", [-0.03, 0.03])
def test_another_clock_at_the_other_end(built: Built, drift: float) -> None:
    with Accelerator(built.bundle, built.line(drift)) as accelerator:
        correct(built, accelerator, 0, 9)
        assert repeated(accelerator) == 0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_fault_costs_a_repetition_and_nothing_else(built: Built, fault: str, seed: int) -> None:
    line = built.line()
    with Accelerator(built.bundle, line) as accelerator:
        line.spoil(fault, seed)
        correct(built, accelerator, seed, 2)
        assert repeated(accelerator) == 1
        correct(built, accelerator, seed + 1, 2)
        assert repeated(accelerator) == 1


class Deaf(SimulatedLine):
    """Hears, and is heard, no more once it is told to."""

    deaf = False

    def receive(self, count: int, timeout: float) -> bytes:
        return b"" if self.deaf else super().receive(count, timeout)


def test_silence_is_an_error(built: Built) -> None:
    line = Deaf(built.program, built.manifest)
    with Accelerator(built.bundle, line) as accelerator:
        line.deaf = True
        with pytest.raises(DeviceTimeout, match=f"in {TRIES} tries: 0 bytes came"):
            correct(built, accelerator, 0)
        line.deaf = False
        correct(built, accelerator, 1)


def test_raw_requests(built: Built) -> None:
    line, size = built.line(), 16
    try:
        line.send(signed(b"?"))
        assert line.receive(3, GAP) == signed(bytes([UNKNOWN_OP]))
        line.send(b"I\0\0")
        assert line.receive(3, GAP) == signed(bytes([BAD_CRC]))
        # Half a frame, a pause, and a whole one.
        line.send(RUN + bytes(size // 2))
        assert line.receive(1, 1.5 * GAP) == b""
        line.send(signed(RUN + bytes(size)))
        first = line.receive(100, GAP)
        assert first[0] == 0
        assert crc16(first) == 0
        # A request while an answer is under way is dropped, a reset is not.
        line.send(signed(RUN + bytes(size)) + signed(b"I"))
        assert line.receive(100, GAP) == first
        line.send(signed(RUN + bytes(size)) + signed(RESET))
        assert line.receive(100, GAP).endswith(signed(b"\0"))
        for again in (line.press, line.press, lambda: None):
            line.send(signed(RUN + bytes(size)))
            assert line.receive(100, GAP) == first
            again()
    finally:
        line.close()


def changed(built: Built, folder: Path, **shell: object) -> Path:
    """A copy of the bundle whose manifest says something else of the shell."""
    shutil.copytree(built.bundle, folder)
    manifest = built.manifest
    manifest["shell"] |= shell
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_another_network_is_noticed(built: Built, tmp_path: Path) -> None:
    bundle, line = changed(built, tmp_path / "bundle", hash="01234567"), built.line()
    with pytest.raises(WrongDevice, match="holds another network"):
        Accelerator(bundle, line)
    line.close()


def test_a_transport_of_the_wrong_kind(built: Built, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="give it a line"):
        Accelerator(built.bundle, object())  # pyright: ignore[reportArgumentType]
    line = built.line()
    with pytest.raises(DriverError, match="give it registers"):
        Accelerator(changed(built, tmp_path / "bundle", kind="axi"), line)
    line.close()


def test_verify_a_bundle(built: Built, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    work = Path(request.config.cache.mkdir("serial"))
    found = verify_bundle(built.bundle, work)
    assert found.frames == 16
    assert len(found.errors) == len(FAULTS)
    bundle = changed(built, tmp_path / "bundle")
    name = next(iter(built.manifest["outputs"]))
    path = bundle / built.manifest["golden"][name]["file"]
    golden = np.load(path)
    golden.ravel()[-1] += 2
    np.save(path, golden)
    with pytest.raises(BundleError, match="expected"):
        verify_bundle(bundle, work)
    with Accelerator(bundle, built.line()) as accelerator, pytest.raises(SelftestError):
        accelerator.selftest()
