"""The notation of ``--max-util``."""

from __future__ import annotations

from hwc.compiler.graph.errors import HwcError

__all__ = ["parse"]

KEYS = {"lut": "lut", "ff": "ff", "dsp": "dsp", "bram": "bram18"}
DEFAULT = 0.7


class UtilizationError(HwcError):
    """Not a share of a board."""

    exit_code = 2


def parse(text: str) -> dict[str, float]:
    """``70%``, ``0.7`` or ``lut=70%,dsp=0.8`` as a share per resource; unnamed ones get 70 %."""
    shares = dict.fromkeys(KEYS.values(), DEFAULT)
    if "=" not in text:
        return dict.fromkeys(shares, _share(text, text))
    named: set[str] = set()
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in KEYS:
            raise UtilizationError(
                f"--max-util {text!r}: {key!r} is no resource; there are {', '.join(KEYS)}"
            )
        if key in named:
            raise UtilizationError(f"--max-util {text!r}: {key} is given twice")
        named.add(key)
        shares[KEYS[key]] = _share(value, text)
    return shares


def _share(value: str, text: str) -> float:
    value = value.strip()
    try:
        share = float(value[:-1]) / 100 if value.endswith("%") else float(value)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UtilizationError(
            f"--max-util {text!r}: a share lies above 0, up to 100%, as in 70% or lut=70%,dsp=80%"
        )
    return share
