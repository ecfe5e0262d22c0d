"""Where quantizers go, which of them share a scale, and how their scales depend on each other.

A *site* is a value at which integers begin: a quantizer to be placed, one that is there, or an
input. Sites that meet in an Add or a Concat, possibly through other adds, share one scale: a
*class*, named after one of its sites.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Layer", "Plan", "Rescale"]


@dataclass
class Layer:
    """A linear node: the class of its input, the classes that its results are quantized to (empty:
    an output of the network), and whether nothing but clips lies between. `compared`: an ArgMax or
    TopK reads its sums, so one scale must do for all channels."""

    name: str
    source: str
    results: list[str] = field(default_factory=list)
    plain: bool = True
    compared: bool = False


@dataclass(frozen=True)
class Rescale:
    """At `site`, codes of class `up` become codes of class `down` without weights in between, after
    a sum of `count` of them is divided by `count`."""

    up: str
    down: str
    site: str
    count: int = 1

    @property
    def odd(self) -> bool:
        """True if the count is no power of two, so that no short multiplier is exact."""
        return self.count & (self.count - 1) != 0


@dataclass
class Plan:
    """`bits` of each quantizer to be placed, by the value it quantizes; `classes` of all sites;
    `fixed` scales of classes."""

    bits: dict[str, int] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    rescales: list[Rescale] = field(default_factory=list)
    layers: dict[str, Layer] = field(default_factory=dict)
