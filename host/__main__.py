"""`python -m driver selftest` in a bundle, on the board."""

import argparse
import sys
from pathlib import Path

from .devmem import DevMem
from .driver import Accelerator, read_manifest
from .errors import DriverError
from .on_pynq import Pynq
from .transport import Transport


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
    options = parser.parse_args(arguments)
    if options.uio and None in (options.memory, options.address, options.size):
        parser.error("--uio needs --memory, --address and --size")
    try:
        transport: Transport
        if options.uio:
            transport = DevMem(options.uio, options.memory, options.address, options.size)
        else:
            base = read_manifest(options.bundle)["shell"]["base"]
            transport = Pynq(options.bitfile or options.bundle / "vivado" / "hwc.bit", base)
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
    print(f"interval {measured.interval} cycles, predicted {cycles['interval']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
