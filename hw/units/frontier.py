"""Of many folds those that are worth building: none is slower and dearer than another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hwc.hw.units.matvec.folds import REACH

__all__ = ["Choice", "frontier"]

F = TypeVar("F")


@dataclass(frozen=True)
class Choice(Generic[F]):
    """A fold with its cycles a frame and a rough price, to compare before anything is planned."""

    fold: F
    cycles: int
    price: float


def frontier(choices: Iterable[Choice[F]], limit: int, near: int | None = None) -> list[F]:
    """About ``limit`` of the folds that no other beats in cycles and price, slowest first; with
    ``near`` those of about so many cycles, and the cheapest of all."""
    ranked = sorted(choices, key=lambda c: (c.price, c.cycles))
    useful, fastest = list[Choice[F]](), None
    for choice in ranked:
        if fastest is None or choice.cycles < fastest:
            useful.append(choice)
            fastest = choice.cycles
    if not useful:
        return []
    cheapest = useful[0]
    if near is not None:
        useful = [c for c in useful if near / REACH[0] <= c.cycles <= near * REACH[1]]
    step = max(1, -(-len(useful) // limit))
    picked = {c.cycles: c for c in (cheapest, *useful[::step], *useful[-1:])}
    return [c.fold for c in sorted(picked.values(), key=lambda c: -c.cycles)]
