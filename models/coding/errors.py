"""The error of this package."""

from hwc.compiler.graph.errors import HwcError


class CodingError(HwcError):
    """Bytes that no encoder of this package wrote, or values that a code cannot express."""
