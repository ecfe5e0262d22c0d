"""The ways to build one stage, each a unit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatch

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Concat,
    Gather,
    GlobalMaxPool,
    GlobalSumPool,
    GroupedMatMul,
    MatMul,
    Multiply,
    MultiThreshold,
    Op,
    Quantizer,
    Ratio,
    Requant,
    Table,
    TopK,
    TwoSlope,
    Window,
    WindowReduce,
    WinogradProduct,
)
from hwc.compiler.graph.errors import HwcError
from hwc.compiler.map.stages import Stage
from hwc.hw.unit import Unit
from hwc.hw.units.activation import Activation
from hwc.hw.units.add import AddUnit
from hwc.hw.units.centroids.unit import CentroidMatVec
from hwc.hw.units.concat import ConcatUnit
from hwc.hw.units.gather.unit import GatherUnit
from hwc.hw.units.global_pool import GlobalPool
from hwc.hw.units.lookups.unit import LookupMatVec
from hwc.hw.units.matvec.unit import MatVec
from hwc.hw.units.nm.unit import NMMatVec
from hwc.hw.units.ratio import RatioUnit
from hwc.hw.units.reduce import Reduce
from hwc.hw.units.select import SelectUnit
from hwc.hw.units.shift.unit import ShiftMatVec
from hwc.hw.units.skip.unit import SkipMatVec
from hwc.hw.units.sparse.unit import SparseMatVec
from hwc.hw.units.table import TableUnit
from hwc.hw.units.times import TimesUnit
from hwc.hw.units.window.unit import LineBuffer
from hwc.hw.units.winograd.unit import Winograd

__all__ = ["PIPELINED", "MappingError", "candidates", "interval", "tiles_in"]

Tile = tuple[int, ...]

PIPELINED = 6
"""Levels between registers that units aim at even if the clock allows more: routing is unknown."""


class MappingError(HwcError):
    """A network cannot be put on a board."""

    exit_code = 2


def interval(unit: Unit) -> int:
    """Cycles per frame that the busiest process of a unit needs."""
    return max(p.firings for p in unit.schedule().processes)


def tiles_in(unit: Unit) -> tuple[Tile, ...]:
    """The tile of each input port, in order."""
    return tuple(layout.tile for layout in unit.inputs().values())


def candidates(
    stage: Stage,
    wanted: Collection[Tile],
    levels: int,
    near: int | None = None,
    *,
    asked: bool = False,
) -> list[Unit]:
    """Units for ``stage`` whose paths stay within ``levels``; ``near``: cycles a frame about which
    to look closely; ``asked``: a form is asked for, so that those are offered too whose speed
    depends on data: what they promise costs more than what is promised without.

    ``wanted`` are the tiles that the readers of the stage could take; units that can give
    any tile offer those, so that no converter is needed.
    """
    found: list[Unit] = []
    deepest = None
    for unit in _offers(stage.op, stage, _Wish(wanted, min(levels, PIPELINED), near, asked)):
        depth = unit.levels()
        if depth <= levels:
            found.append(unit)
        deepest = depth if deepest is None else min(deepest, depth)
    if not found:
        why = (
            f"its shortest path has {deepest} levels, the clock allows {levels}: lower --clock-mhz"
            if deepest is not None
            else "no unit takes this shape"
        )
        raise MappingError(f"nothing can build {stage.tensor!r} ({type(stage.op).__name__}): {why}")
    return found


@dataclass(frozen=True)
class _Wish:
    """What is asked of the units of a stage; see :func:`candidates`."""

    tiles: Collection[Tile]
    levels: int
    near: int | None
    asked: bool


@singledispatch
def _offers(op: Op, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    raise MappingError(f"{stage.tensor!r}: there is no unit for {type(op).__name__}")


@_offers.register(MatMul)
@_offers.register(GroupedMatMul)
def _(
    op: MatMul | GroupedMatMul,
    stage: Stage,
    wish: _Wish,
) -> Iterator[Unit]:
    kind, act = stage.sources[0].type, stage.activation
    folds = []
    for unit in MatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near):
        folds.append(unit.fold)
        yield unit
    yield from NMMatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)
    yield from ShiftMatVec.candidates(op, kind, act, folds)
    if wish.asked:
        yield from SkipMatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)
    yield from SparseMatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)
    yield from CentroidMatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)
    yield from LookupMatVec.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)


@_offers.register
def _(op: WinogradProduct, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    kind, act = stage.sources[0].type, stage.activation
    yield from Winograd.candidates(op, kind, act, max_levels=wish.levels, near=wish.near)


@_offers.register
def _(op: Window, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    yield from LineBuffer.candidates(op, stage.sources[0].type, wish.tiles)


@_offers.register
def _(op: WindowReduce, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    yield from Reduce.candidates(op, stage.sources[0].type)


@_offers.register(GlobalSumPool)
@_offers.register(GlobalMaxPool)
def _(
    op: GlobalSumPool | GlobalMaxPool,
    stage: Stage,
    wish: _Wish,
) -> Iterator[Unit]:
    yield from GlobalPool.candidates(op, stage.sources[0].type)


@_offers.register(MultiThreshold)
@_offers.register(Requant)
@_offers.register(TwoSlope)
def _(
    op: Quantizer,
    stage: Stage,
    wish: _Wish,
) -> Iterator[Unit]:
    kind = stage.sources[0].type
    for tile in _pointwise(kind.shape, wish.tiles):
        yield Activation(op, kind, tile, max_levels=wish.levels)


@_offers.register
def _(op: Add, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    types = tuple(s.type for s in stage.sources)
    for tile in _pointwise(types[0].shape, wish.tiles):
        yield AddUnit(op, types, tile)


@_offers.register
def _(op: Multiply, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    first, second = (s.type for s in stage.sources)
    for tile in _pointwise(first.shape, wish.tiles):
        yield TimesUnit(op, (first, second), tile)


@_offers.register
def _(op: Ratio, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    dividend, divisor = (s.type for s in stage.sources)
    for tile in _pointwise(dividend.shape, wish.tiles):
        yield RatioUnit(op, (dividend, divisor), tile)


@_offers.register
def _(op: Table, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    kind = stage.sources[0].type
    for tile in _pointwise(kind.shape, wish.tiles):
        yield TableUnit(op, kind, tile, max_levels=wish.levels)


@_offers.register
def _(op: Gather, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    yield from GatherUnit.candidates(op, stage.sources[0].type)


@_offers.register
def _(op: Concat, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    yield from ConcatUnit.candidates(op, tuple(s.type for s in stage.sources))


@_offers.register(ArgMax)
@_offers.register(TopK)
def _(op: ArgMax | TopK, stage: Stage, wish: _Wish) -> Iterator[Unit]:
    yield from SelectUnit.candidates(op, stage.sources[0].type)


def _pointwise(shape: tuple[int, ...], wanted: Iterable[Tile]) -> Iterator[Tile]:
    """Tiles of an elementwise unit: powers of two of lanes and pixels, and what readers take."""
    seen: dict[Tile, None] = {}
    head = (1,) * (len(shape) - 1)
    lanes = 1
    while lanes < shape[-1]:
        seen[*head, lanes] = None
        lanes *= 2
    seen[*head, shape[-1]] = None
    for tile in wanted:
        if len(tile) == len(shape):
            seen[tile] = None
    if head:
        for pixels in (2, 4):
            if pixels <= shape[-2]:
                seen[*head[:-1], pixels, shape[-1]] = None
    yield from seen
