"""`python -m driver selftest` in a bundle, on the board."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .devmem import DevMem
from .driver import Accelerator, read_manifest
from .errors import DriverError
from .on_pynq import Pynq
from .serial_port import SerialPort
from .transport import Line, Transport


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 passed, 2 failed, 3 no usable device."""
    parser = argparse.ArgumentParser(prog="driver", description=__doc__)
    parser.add_argument("command", choices=["selftest"])
    parser.add_argument("--bundle", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--bitfile", help="bitstream to load with pynq; default: the bundle's")
    parser.add_argument("--uio", help="instead of pynq: device that maps the registers")
    parser.add_argument("--memory", help="with --uio: device of the reserved memory")
    parser.add_argument("--address", type=lambda s: int(s, 0), help="with --uio: its address")
    parser.add_argument("--size", type=lambda s: int(s, 0), help="with --uio: its bytes")
    parser.add_argument("--serial", help="for boards without a processor: the serial device")
    options = parser.parse_args(arguments)
    if options.uio and None in (options.memory, options.address, options.size):
        parser.error("--uio needs --memory, --address and --size")
    try:
        transport = _transport(options, read_manifest(options.bundle)["shell"])
    except DriverError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    try:
        with Accelerator(options.bundle, transport) as accelerator:
            measured, cycles = accelerator.selftest(), accelerator.manifest["cycles"]
    except DriverError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{measured.frames} golden frames: every integer as expected")
    print(f"latency  {measured.latency} cycles, predicted {cycles['latency']}")
    if measured.interval is not None:
        print(f"interval {measured.interval} cycles, predicted {cycles['interval']}")
    return 0


def _transport(options: argparse.Namespace, shell: dict[str, Any]) -> Transport | Line:
    if shell["kind"] == "serial":
        if not options.serial:
            raise DriverError("this bundle has a serial shell: name its device with --serial")
        return SerialPort(options.serial, shell["baud"])
    if options.uio:
        return DevMem(options.uio, options.memory, options.address, options.size)
    bitfile = options.bitfile or options.bundle / shell["bitstream"]
    return Pynq(bitfile, shell["base"])


if __name__ == "__main__":
    sys.exit(main())
