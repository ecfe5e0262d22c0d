"""What numbers the options of recipes may be: one name has one range in all methods."""

import dataclasses
import math
from typing import Any

from hwc.models.compress.errors import CompressError

__all__ = ["check_ranges"]

MOST = 10**9
AT_LEAST_0 = (0, MOST, False)
AT_LEAST_1 = (1, MOST, False)
ABOVE_0 = (0, MOST, True)
SHARE = (0, 1, False)
RANGES: dict[str, tuple[float, float, bool]] = {
    **dict.fromkeys(("epochs", "sparse_epochs", "tune"), AT_LEAST_0),
    **dict.fromkeys(("gamma", "power", "rate", "tau", "weight"), AT_LEAST_0),
    **dict.fromkeys(("components", "images", "k", "length", "n", "ratio", "stages"), AT_LEAST_1),
    **dict.fromkeys(("damping", "lr", "mixture_lr", "scale", "width"), ABOVE_0),
    **dict.fromkeys(("least", "share", "stop"), SHARE),
    **dict.fromkeys(("density", "densities"), (0, 1, True)),
    "m": (2, MOST, False),
}
"""(least, most, whether the least itself is too little) of options by name."""


def check_ranges(options: Any) -> None:
    """Raise CompressError for a field of a dataclass that is no finite number, or out of range."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, (int, float)) or isinstance(number, bool):
                continue
            least, most, beyond = RANGES.get(field.name, (-MOST, MOST, False))
            fits = least < number if beyond else least <= number
            if not math.isfinite(number) or not fits or number > most:
                start = "above" if beyond else "at least"
                raise CompressError(
                    f"{field.name} must be {start} {least:,} and at most {most:,}, got {number}"
                )
