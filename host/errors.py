"""What can go wrong between a program and the accelerator."""


class DriverError(Exception):
    """Any of these; also raised as such for wrong arguments and unusable bundles."""


class WrongDevice(DriverError):
    """What answers at the registers is not the accelerator of this bundle."""


class BusError(DriverError):
    """Memory refused an access. `frames` were finished and are right."""

    def __init__(self, message: str, frames: int) -> None:
        super().__init__(message)
        self.frames = frames


class DeviceTimeout(DriverError):
    """The accelerator did not finish in time."""


class SelftestError(DriverError):
    """The accelerator gave a value that the reference does not."""
