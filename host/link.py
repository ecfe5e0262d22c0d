"""A network behind a serial shell: frame by frame, checked, and repeated where the line failed.

The contract is docs/serial.md.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Measured
from .errors import DeviceTimeout, DriverError, WrongDevice
from .packing import Stream
from .transport import Line

IDENTIFY, RUN, RESET = b"I", b"R", b"X"
OK, BAD_CRC, UNKNOWN_OP = 0, 1, 2
IDENTITY = b"HWC1"
LATENCY_BYTES = 4
TRIES = 4
"""Of a request before the line is given up."""


def crc16(data: bytes) -> int:
    """CRC-16/CCITT, most significant bit first, from 0xFFFF on."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


class Link:
    """The accelerator at the other end of `line`, whose owner it becomes.

    `sides`: the streams of inputs and of outputs, in the order of the manifest. A request whose
    answer is missing or damaged is repeated, after a reset; `repeated` counts these.
    """

    def __init__(
        self, line: Line, shell: dict[str, Any], sides: Sequence[Sequence[Stream]], clock_mhz: float
    ) -> None:
        self.line = line
        self.inputs, self.outputs = sides
        self.shell = shell
        self.clock_mhz = clock_mhz
        self.repeated = 0
        self._byte = 10 / shell["baud"]
        """Seconds of a byte on the line."""
        self._identify()

    def batch(
        self, records: NDArray[np.uint8], timeout: float
    ) -> tuple[NDArray[np.uint8], Measured]:
        """As `Device.batch`; `timeout` is how long the network may take for a frame.

        DeviceTimeout if no good answer comes in a few tries.
        """
        found = np.zeros((len(records), self.shell["output_stride"]), np.uint8)
        size = sum(s.nbytes for s in self.outputs)
        latency = 0
        for frame, record in enumerate(records):
            data = b"".join(record[s.offset : s.offset + s.nbytes].tobytes() for s in self.inputs)
            answer = self._ask(RUN, data, size + LATENCY_BYTES, timeout)
            at = 0
            for s in self.outputs:
                part = np.frombuffer(answer, np.uint8, s.nbytes, at)
                found[frame, s.offset : s.offset + s.nbytes] = part
                at += s.nbytes
            if frame == 0:
                latency = int.from_bytes(answer[at:], "little")
        return found, Measured(len(records), None, None, latency, None, self.clock_mhz)

    def close(self) -> None:
        """Let go of the line."""
        self.line.close()

    def _identify(self) -> None:
        want = IDENTITY + bytes([self.shell["version"]]) + bytes.fromhex(self.shell["hash"])
        got = self._ask(IDENTIFY, b"", len(want), 1.0)
        if got != want:
            what = "the bitstream holds another network" if got[:5] == want[:5] else "not ours"
            raise WrongDevice(f"the line answers {got.hex()}, expected {want.hex()}: {what}")

    def _ask(self, op: bytes, data: bytes, size: int, timeout: float) -> bytes:
        """The body of the answer, `size` bytes, from the first good one of a few tries."""
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                self.repeated += 1
                self._recover()
            self._send(op + data)
            answer, reason = self._answer(size, timeout + len(data) * self._byte)
            if answer is not None:
                return answer
        raise DeviceTimeout(f"no good answer in {TRIES} tries: {reason}")

    def _answer(self, size: int, timeout: float) -> tuple[bytes | None, str]:
        """The body, or None and what is wrong."""
        head = self.line.receive(3, timeout)
        if len(head) < 3:
            return None, f"{len(head)} bytes came in {timeout:g} s. Are baud rate and pins right?"
        if crc16(head) == 0 and head[0] == BAD_CRC:
            return None, "the request was damaged on its way"
        if crc16(head) == 0 and head[0] == UNKNOWN_OP:
            raise DriverError("the accelerator does not know this request")
        rest = self.line.receive(size, timeout)
        whole = head + rest
        if len(rest) < size or crc16(whole) or whole[0] != OK:
            return None, f"an answer was damaged on its way, {len(whole)} bytes of it came"
        return whole[1:-2], ""

    def _recover(self) -> None:
        """Let a request that was not heard to its end be dropped, and what is under way."""
        self._drain()
        self._send(RESET)
        self._drain()

    def _drain(self) -> None:
        """Until the line is quiet for longer than any request may pause; not forever."""
        for _ in range(TRIES):
            if not self.line.receive(1 << 16, 2 * self.shell["gap_seconds"]):
                return

    def _send(self, request: bytes) -> None:
        self.line.send(request + crc16(request).to_bytes(2, "big"))
