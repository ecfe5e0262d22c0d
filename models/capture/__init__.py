"""From `nn.Module` to the float source graph."""

from hwc.models.capture.capture import capture
from hwc.models.capture.walk import CaptureError, InputMap

__all__ = ["CaptureError", "InputMap", "capture"]
