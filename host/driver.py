"""The driver: batches of numpy arrays through an accelerator.

with Accelerator("bundle", transport) as accelerator:
    accelerator.selftest()
    classes = accelerator.top1(images)        # uint8 (batch, channels, height, width)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Device, Measured
from .errors import DriverError, SelftestError
from .link import Link
from .packing import Stream
from .readings import Encoding, Reading
from .transport import Line, Transport

Batch = NDArray[Any] | Mapping[str, NDArray[Any]]
CHUNK = 1 << 22
"""Bytes of the larger of both buffers, about; a longer batch goes in parts."""


class Accelerator:
    """One accelerator of a bundle behind a transport, or a line if its shell is a serial one.

    It becomes the owner of either. Not for use from several threads. `timeout` are the seconds that
    a part of a batch may take beyond ten times what it should, and an abort before the transport is
    reset. After any error but WrongDevice it can be used again.
    """

    def __init__(
        self, bundle: str | Path, transport: Transport | Line, timeout: float = 1.0
    ) -> None:
        self.bundle = Path(bundle)
        self.manifest = read_manifest(self.bundle)
        self.timeout = timeout
        self.last: Measured | None = None
        """Cycles of the last batch, or of its last part."""
        self.inputs = {n: Encoding.of(Stream.of(n, s), s) for n, s in self._sections("inputs")}
        self.outputs = {n: Stream.of(n, s) for n, s in self._sections("outputs")}
        self.readings: dict[str, tuple[str, Reading]] = {}
        """Stream and meaning of each output, by the network's name of it and (the first one of
        each) by the stream's."""
        for name, section in self._sections("outputs"):
            self.readings[name] = name, Reading.of(section)
            for each in (section, *section.get("also", ())):
                self.readings.setdefault(each["name"], (name, Reading.of(each)))
        shell, clock_mhz = self.manifest["shell"], self.manifest["clock_mhz"]
        self.device: Device | Link
        if shell["kind"] == "serial":
            if not isinstance(transport, Line):
                raise DriverError(f"{self.bundle} has a serial shell: give it a line")
            sides = [[Stream.of(n, s) for n, s in self._sections(k)] for k in ("inputs", "outputs")]
            self.device = Link(transport, shell, sides, clock_mhz)
        elif isinstance(transport, Line):
            raise DriverError(f"{self.bundle} has an AXI shell: give it registers and memory")
        else:
            self.device = Device(transport, shell, clock_mhz, timeout)

    def __enter__(self) -> "Accelerator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back buffers and transport."""
        self.device.close()

    def run(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        """The raw integers of every output, (batch, *shape) by stream.

        `batch`: what the network takes, (batch, *shape) with channels first, raw integers (or real
        values, where the network quantizes its input itself); by name if there are several inputs.
        Raises BusError, DeviceTimeout, or DriverError for a batch of the wrong kind.
        """
        codes = self._encoded(batch)
        count = len(next(iter(codes.values())))
        shell = self.manifest["shell"]
        part = max(1, CHUNK // max(shell["input_stride"], shell["output_stride"]))
        parts = []
        for start in range(0, count, part):
            some = {name: values[start : start + part] for name, values in codes.items()}
            parts.append(self._part(some, min(part, count - start)))
        return {name: np.concatenate([p[name] for p in parts]) for name in self.outputs}

    def logits(self, batch: Batch, output: str | None = None) -> NDArray[np.float64]:
        """The real values of an output (the first one by default), as PyTorch gives them."""
        stream, reading = self.readings[self._output(output)]
        return reading.real(self.run(batch)[stream])

    def top1(self, batch: Batch, output: str | None = None) -> NDArray[np.int64]:
        """The class of each frame: the largest logit, the first of equals; or the network's own
        answer if it ends in one."""
        values = self.logits(batch, output)
        values = values.reshape(len(values), -1)
        if values.shape[1] == 1:
            return values[:, 0].astype(np.int64)
        return values.argmax(1).astype(np.int64)

    def selftest(self, frames: int | None = None) -> Measured:
        """Run the bundle's golden vectors, or the first `frames` of them, and compare every
        integer; SelftestError if one differs.

        Returns the cycles, to be compared with `manifest["cycles"]`.
        """
        golden = {
            name: np.load(self.bundle / entry["file"], allow_pickle=False)[:frames]
            for name, entry in self.manifest["golden"].items()
        }
        codes = {name: golden[name].reshape(len(golden[name]), -1) for name in self.inputs}
        got = self._part(codes, len(next(iter(codes.values()))))
        for name, stream in self.outputs.items():
            want = golden[name].reshape(-1, *stream.shape)
            wrong = np.argwhere(got[name] != want)
            if len(wrong):
                at = tuple(int(i) for i in wrong[0])
                raise SelftestError(
                    f"output {name!r}, frame {at[0]}, index {at[1:]}: expected {want[at]}, got "
                    f"{got[name][at]}; {len(wrong)} of {want.size} values differ"
                )
        assert self.last is not None
        return self.last

    def _part(self, codes: Mapping[str, NDArray[Any]], frames: int) -> dict[str, NDArray[np.int64]]:
        records = np.zeros((frames, self.manifest["shell"]["input_stride"]), np.uint8)
        for name, item in self.inputs.items():
            item.stream.pack(codes[name], records)
        cycles = self.manifest["cycles"]
        due = (cycles["latency"] + frames * cycles["most"]) / self.manifest["clock_mhz"] / 1e6
        found, self.last = self.device.batch(records, self.timeout + 10 * due)
        return {name: stream.unpack(found) for name, stream in self.outputs.items()}

    def _encoded(self, batch: Batch) -> dict[str, NDArray[Any]]:
        if not isinstance(batch, Mapping):
            if len(self.inputs) != 1:
                raise DriverError(f"pass a batch for each of {sorted(self.inputs)}, by name")
            batch = dict.fromkeys(self.inputs, batch)
        if set(batch) != set(self.inputs):
            raise DriverError(f"the inputs are {sorted(self.inputs)}, not {sorted(batch)}")
        codes = {name: item.encode(batch[name]) for name, item in self.inputs.items()}
        counts = {name: len(values) for name, values in codes.items()}
        if len(set(counts.values())) != 1:
            raise DriverError(f"all inputs take equally many frames, got {counts}")
        return codes

    def _output(self, name: str | None) -> str:
        name = next(iter(self.outputs)) if name is None else name
        if name not in self.readings:
            raise DriverError(f"no output {name!r}; the outputs are {sorted(self.readings)}")
        return name

    def _sections(self, side: str) -> list[tuple[str, dict[str, Any]]]:
        return list(self.manifest[side].items())


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest of a bundle with a shell; DriverError if it is another folder."""
    path = bundle / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise DriverError(f"{path}: no readable manifest: {error.strerror}") from None
    except ValueError as error:
        raise DriverError(f"{path}: no readable manifest: {error}") from None
    if not isinstance(manifest, dict) or "shell" not in manifest:
        raise DriverError(f"{path}: the bundle has no shell; build it for a board with AXI")
    return manifest
