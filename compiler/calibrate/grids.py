"""One scale for each class of quantizers, chosen so that the integer arithmetic stays narrow.

From 5 bits on the lowering wants a proved multiply-shift (below that it uses thresholds, and any
scale will do). Where codes become codes without weights in between, nothing but the ratio of the
two scales can be chosen, and ties occur, so the ratio must be dyadic: m / 2**k. Classes are
visited from the outputs on; each takes the best ratio of few mantissa bits to the class that it
becomes, as long as its own mantissa stays short enough for float64 sums to be exact. Where a class
becomes several others, or a scale is given, ratios are powers of two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.plan import Plan, Rescale
from hwc.compiler.calibrate.scales import mantissa_bits

__all__ = ["THRESHOLD_BITS", "solve"]

THRESHOLD_BITS = 4
"""Up to so many bits the lowering uses thresholds, for which scales need not fit each other."""

SCALE_BITS, RATIO_BITS, ODD_BITS = 8, 4, 2
"""Mantissa bits of a scale that depends on no other, of a ratio of scales, and of one behind a
division by 49, say."""

LONGEST = 30
"""Mantissa bits of a scale, beyond which ratios become powers of two."""


Error = Callable[[str, float], float]
"""Squared error of a class (its quantizers' samples) under a scale."""


def solve(plan: Plan, ideal: Mapping[str, float], error: Error, config: Config) -> dict[str, float]:
    """The scale of every class; `ideal` holds those of classes that are not fixed.

    Of the two numbers of few bits next to a wish, that of less `error` is taken, or the larger one
    if the wish was to clip nothing of a range.
    """
    least = error if config.ranges == "mse" else None
    scales = dict(plan.fixed)
    if config.act_bits <= THRESHOLD_BITS:
        return {c: _choose(c, s, 1.0, SCALE_BITS, least) for c, s in ideal.items()} | scales
    edges = [e for e in plan.rescales if e.up != e.down]
    for component in _components(plan, [*ideal, *scales], edges):
        inner = [e for e in edges if e.up in component]
        if _is_chain(component, inner, plan):
            scales |= _chain(component, inner, ideal, least)
        else:
            scales |= _powers(component, ideal, plan, least)
    return scales


def _choose(name: str, wish: float, unit: float, bits: int, error: Error | None) -> float:
    """unit times a number of `bits` mantissa bits (1: a power of two), next to the wish."""
    exponent = int(np.frexp(wish / unit)[1]) - bits
    m = float(np.ldexp(wish / unit, -exponent))  # 2**(bits - 1) <= m < 2**bits
    low, high = (unit * float(np.ldexp(v, exponent)) for v in (np.floor(m), np.ceil(m)))
    if bits == 1:
        high = 2 * low if m > 1 else low
    if error is None:
        return low if low >= wish * (1 - 1e-12) else high
    return min((low, high), key=lambda scale: error(name, scale))


def _components(plan: Plan, classes: list[str], edges: list[Rescale]) -> list[list[str]]:
    """Classes that depend on each other, directly or not; those of one layer's results too."""
    group = {c: {c} for c in classes}
    ties = [(e.up, e.down) for e in edges]
    ties += [(layer.results[0], r) for layer in plan.layers.values() for r in layer.results[1:]]
    for a, b in ties:
        joined = group[a] | group[b]
        for c in joined:
            group[c] = joined
    return [sorted(s, key=classes.index) for s in {id(s): s for s in group.values()}.values()]


def _is_chain(component: list[str], edges: list[Rescale], plan: Plan) -> bool:
    """True if every class becomes at most one other and no scale is given."""
    if len(component) == 1 and component[0] not in plan.fixed:
        return True
    downs: dict[str, set[str]] = {c: set() for c in component}
    for edge in edges:
        downs[edge.up].add(edge.down)
    if any(len(d) > 1 for d in downs.values()) or any(c in plan.fixed for c in component):
        return False
    siblings = any(set(r.results[1:]) & set(component) for r in plan.layers.values())
    return not siblings and _order(component, downs) is not None


def _order(component: list[str], downs: Mapping[str, set[str]]) -> list[str] | None:
    """The classes, each after those it becomes; None if they go round in a circle."""
    order: list[str] = []
    while len(order) < len(component):
        ready = [c for c in component if c not in order and downs[c] <= set(order)]
        if not ready:
            return None
        order += ready
    return order


def _chain(
    component: list[str], edges: list[Rescale], ideal: Mapping[str, float], error: Error | None
) -> dict[str, float]:
    downs = {c: {e.down for e in edges if e.up == c} for c in component}
    scales: dict[str, float] = {}
    for name in _order(component, downs) or []:
        if not downs[name]:
            scales[name] = _choose(name, ideal[name], 1.0, SCALE_BITS, error)
            continue
        unit = scales[next(iter(downs[name]))]
        odd = any(e.up == name and e.odd for e in edges)
        long = mantissa_bits(unit) + RATIO_BITS > LONGEST
        bits = 1 if long else ODD_BITS if odd else RATIO_BITS
        scales[name] = _choose(name, ideal[name], unit, bits, error)
    return scales


def _powers(
    component: list[str], ideal: Mapping[str, float], plan: Plan, error: Error | None
) -> dict[str, float]:
    """Scales that are powers of two times one number: a given one, or that of least waste."""
    free = [c for c in component if c not in plan.fixed]
    given = [plan.fixed[c] for c in component if c in plan.fixed]
    units = given[:1] or [_choose(c, ideal[c], 1.0, SCALE_BITS, error) for c in free]
    found = [{c: _choose(c, ideal[c], unit, 1, error) for c in free} for unit in units]

    def waste(scales: dict[str, float]) -> float:
        if error is None:
            return sum(float(np.log2(scales[c] / ideal[c])) for c in free)
        return sum(error(c, scales[c]) / (error(c, ideal[c]) + 1e-30) for c in free)

    return min(found, key=waste)
