"""Primitives of a 7-series part, the one currency in which every unit states its cost."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Resources"]


@dataclass(frozen=True)
class Resources:
    """Counts of primitives.

    ``lut`` is the sum of LUT2 to LUT6 plus LUTs used as memory or shift register; inverters
    (LUT1) are free. ``ff`` counts flip-flops, ``dsp`` DSP48E1 blocks, ``bram18`` half block RAMs.
    No field has a default: a cost that was forgotten must not read as free.
    """

    lut: int
    ff: int
    dsp: int
    bram18: int

    @classmethod
    def zero(cls) -> Resources:
        """Nothing at all; the start of a sum."""
        return cls(0, 0, 0, 0)

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram18 + other.bram18,
        )

    def __radd__(self, other: object) -> Resources:
        """Lets ``sum()`` start from its integer 0."""
        return self if other == 0 else NotImplemented

    def __mul__(self, count: int) -> Resources:
        return Resources(self.lut * count, self.ff * count, self.dsp * count, self.bram18 * count)

    __rmul__ = __mul__
