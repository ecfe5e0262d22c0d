"""What runs beside the board: the driver of an accelerator and its transports.

Imports numpy and nothing of the compiler: this folder is copied into every bundle as `driver/`,
which is why imports inside it are relative.
"""

from .device import Measured
from .driver import Accelerator, read_manifest
from .errors import BusError, DeviceTimeout, DriverError, SelftestError, WrongDevice
from .transport import Buffer, Line, Transport

__all__ = [
    "Accelerator",
    "Buffer",
    "BusError",
    "DeviceTimeout",
    "DriverError",
    "Line",
    "Measured",
    "SelftestError",
    "Transport",
    "WrongDevice",
    "read_manifest",
]
