"""Finding the chain that is worth most in a heap, and the one that finishes it.

Worth is in LUTs: prices say, per kind of bit, what it will still cost to add it up. A chain is
worth the bits it takes less its LUTs and the bits it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from hwc.hw.dot.heap import CONST, DIRECT, INVERTED, Block, Chain, Column, support

__all__ = ["best_chain", "finishing_chain", "plain_adder"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHAIN_PRICE = 0.1
"""Of two plans alike, the one with fewer and longer chains wastes fewer carry positions."""


class _Shapes:
    """The blocks worth trying, as arrays over shapes; 1 is either kind of single wire."""

    def __init__(self) -> None:
        shapes: list[tuple[int, tuple[int, ...], tuple[int, ...]]]
        shapes = [(1, (n,), ()) for n in range(6)]
        for count in (2, 3):
            for low in combinations_with_replacement(range(5), count):
                if sum(low) <= 5 and low.count(0) <= 1:
                    shapes.append((2, low, ()))
        three = [((1,) * 5, ()), ((1,) * 3, (1, 1)), ((1,) * 4, ()), ((1, 1), (1, 1))]
        three += [((1, 1, 1, 2), ()), ((0, *(1,) * 4), ()), ((1,) * 3, (1,)), ((1,), (1, 1, 1))]
        self.all = shapes + [(3, low, high) for low, high in three]
        self.needs = np.zeros((len(self.all), 2, 6), np.int64)
        for index, (_, *parts) in enumerate(self.all):
            for offset, part in enumerate(parts):
                for kind in part:
                    self.needs[index, offset, kind] += 1
        inputs = (self.needs * np.arange(6)).sum(2)
        self.inputs = np.stack([inputs[:, 0], inputs.sum(1), inputs.sum(1)], 1)
        columns = np.array([n for n, _, _ in self.all])
        self.inside = np.arange(3) < columns[:, None]
        self.groups = [np.flatnonzero(columns == n) for n in (1, 2, 3)]
        self.slices = [slice(int(g[0]), int(g[-1]) + 1) for g in self.groups]


_SHAPES = _Shapes()


def _worth(heap: Ints, prices: Floats) -> tuple[Floats, Floats]:
    """Worth [column, shape] of the blocks that fit (else -inf), and of a carry input with each."""
    shapes, width = _SHAPES, len(heap)
    padded = np.concatenate([heap, np.zeros((2, 8), np.int64)])
    near = np.stack([padded[i : i + width] for i in range(3)], 1)[:, None]
    held = near[:, :, :2, :6].copy()
    held[..., INVERTED] += near[:, :, :2, DIRECT]
    fits = (held >= shapes.needs).all((2, 3))
    # Inverted wires cannot go to the carry pins, so the LUTs take them first.
    plain = np.zeros((width, len(shapes.all), 3), np.int64)
    plain[:, :, :2] = np.maximum(shapes.needs[..., INVERTED] - near[:, :, :2, INVERTED], 0)
    constants = np.zeros((len(shapes.all), 3), np.int64)
    constants[:, :2] = shapes.needs[..., CONST]
    direct = near[..., DIRECT] > plain
    constant = (near[..., CONST] > constants) & ~direct
    inside = shapes.inside & (np.arange(width)[:, None, None] + np.arange(3) < width)
    taken = direct * prices[DIRECT] + constant * prices[CONST] - prices[DIRECT]
    luts = shapes.inputs + direct > 0
    worth = ((taken - luts) * inside).sum(2) + (shapes.needs * prices[:6]).sum((1, 2))
    worth += plain.sum(2) * (prices[DIRECT] - prices[INVERTED])
    spare = near[:, :, 0, DIRECT] > plain[:, :, 0] + 1
    return np.where(fits, worth, -np.inf), spare * prices[DIRECT]


def best_chain(heap: Sequence[Column], prices: Sequence[float]) -> Chain | None:
    """The chain of most worth, or None if no chain is worth anything."""
    array, price = np.array(heap), np.array(prices)
    width = len(heap)
    worth, carry = _worth(array, price)
    inner, outer = [], []
    for group in _SHAPES.slices:
        for found, values in ((inner, worth[:, group]), (outer, worth[:, group] + carry[:, group])):
            pick = values.argmax(1)
            best = values[np.arange(width), pick]
            found.append(list(zip(best.tolist(), (pick + group.start).tolist(), strict=True)))
    # after[c]: the best that a chain with a carry into column c can still do, and how.
    after: list[tuple[float, int]] = [(0.0, -1)] * (width + 3)
    most, start, first = 0.0, -1, -1
    for column in range(width - 1, -1, -1):
        after[column] = (-prices[DIRECT], -1)
        for n in range(3):
            rest = after[min(column + n + 1, width)][0]
            value, shape = inner[n][column]
            after[column] = max(after[column], (value + rest, shape))
            value, shape = outer[n][column]
            if value + rest - CHAIN_PRICE > most + 1e-9:
                most, start, first = value + rest - CHAIN_PRICE, column, shape
    if start < 0:
        return None
    blocks = [_block(heap, start, first)]
    carried = bool(carry[start, first])
    column = start + blocks[0].width
    while column < width and after[column][1] >= 0:
        blocks.append(_block(heap, column, after[column][1]))
        column += blocks[-1].width
    return Chain(start, DIRECT if carried else -1, tuple(blocks))


def _block(heap: Sequence[Column], column: int, shape: int) -> Block:
    """The shape at a column with its single wires and carry pins settled."""
    columns, *parts = _SHAPES.all[shape]
    left = [list(bits) for bits in heap[column : column + columns]]
    kinds: list[tuple[int, ...]] = []
    for bits, part in zip([*left, [0] * 8], parts, strict=False):
        taken = []
        for kind in part:
            kind = DIRECT if kind == INVERTED and not bits[INVERTED] else kind
            bits[kind] -= 1
            taken.append(kind)
        kinds.append(tuple(taken))
    return Block(kinds[0], kinds[1], tuple(_pin(bits) for bits in left))


def _pin(bits: Column) -> int:
    return DIRECT if bits[DIRECT] > 0 else CONST if bits[CONST] > 0 else -1


def plain_adder(heap: Sequence[Column]) -> Chain:
    """A chain of two bits a column, from the lowest column of several bits up.

    One goes to a carry pin and the other through a LUT, so that plain wires become fewer and
    whatever waits to be computed becomes a plain wire.
    """
    start = next(c for c in range(len(heap)) if sum(heap[c]) > 1)
    blocks = []
    for bits in heap[start:]:
        left, pin = list(bits), _pin(bits)
        if pin >= 0:
            left[pin] -= 1
        found = [kind for kind in (DIRECT, INVERTED, *range(2, 6), CONST) if left[kind]]
        blocks.append(Block(tuple(found[:1]), (), (pin,)))
    return Chain(start, -1, tuple(blocks))


def finishing_chain(heap: Sequence[Column]) -> Chain | None:
    """The cheapest single chain that leaves at most one bit a column, or None.

    It starts at the lowest column of several bits; without any it is empty.
    """
    width = len(heap)
    start = next((c for c in range(width) if sum(heap[c]) > 1), width)
    if start == width:
        return Chain(width, -1, ())
    found = []
    for carry in (False, True):
        for count in range(1, min(3, width - start) + 1):
            block = _exact(heap, start, count, False, carry)
            if block is None:
                continue
            moves = carry or any(kind >= 0 for kind in block.direct)
            rest = _rest(heap, start + count, moves)
            if rest is not None:
                found.append(Chain(start, DIRECT if carry else -1, (block, *rest)))
    return min(found, key=lambda chain: (chain.luts + chain.passes, chain.width), default=None)


def _rest(heap: Sequence[Column], column: int, carry: bool) -> tuple[Block, ...] | None:
    """Blocks that take every bit from a column up, where a carry may come in."""
    width = len(heap)
    blocks: list[Block] = []
    while column < width and (carry or any(sum(bits) > 1 for bits in heap[column:])):
        for count in range(1, min(3, width - column) + 1):
            block = _exact(heap, column, count, carry, False)
            if block is not None:
                break
        else:
            return None
        blocks.append(block)
        column += block.width
        carry = True
    return tuple(blocks)


def _exact(
    heap: Sequence[Column], column: int, width: int, carry: bool, spare: bool
) -> Block | None:
    """The block of ``width`` columns that takes every bit there, if there is one.

    ``carry``: a carry may come in from below; ``spare``: one plain bit is for the carry input.
    """
    left = [list(bits) for bits in heap[column : column + width]]
    if spare:
        if not left[0][DIRECT] or sum(left[0]) < 2:
            return None
        left[0][DIRECT] -= 1
    open_top = column + width == len(heap)
    kinds = [_kinds(bits) for bits in left]
    alone = not carry and not spare and not any(kinds[2:])
    if alone and _fits(kinds, 6, width, open_top):
        return Block(tuple(kinds[0]), tuple(_at(kinds, 1)), (-1,) * width)
    direct = tuple(_pin(bits) for bits in left)
    for bits, kind in zip(left, direct, strict=True):
        if kind >= 0:
            bits[kind] -= 1
    kinds = [_kinds(bits) for bits in left]
    if any(kinds[2:]) or not _fits(kinds, 5, width, open_top):
        return None
    return Block(tuple(kinds[0]), tuple(_at(kinds, 1)), direct)


def _fits(kinds: list[list[int]], wires: int, width: int, open_top: bool) -> bool:
    low, high = kinds[0], _at(kinds, 1)
    if sum(map(support, low)) + sum(map(support, high)) > wires:
        return False
    return open_top or len(low) + 2 * len(high) < 1 << width


def _at(kinds: list[list[int]], index: int) -> list[int]:
    return kinds[index] if index < len(kinds) else []


def _kinds(bits: Column) -> list[int]:
    return [kind for kind in range(8) for _ in range(bits[kind])]
