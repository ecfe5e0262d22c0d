"""Adaptive binary range coding of integer matrices, many contexts mixed into one probability.

Every decision (is it zero? then the bits of which level it is) is coded with a probability mixed
from counters of its contexts: its row, its column, its neighbours, how full row and column are.
Counters and mixing weights learn as they go, so nothing but the code itself is stored; the decoder
runs the same function and learns the same. Integers only: every machine takes the same decisions.

The mixing in the logistic domain follows Mahoney's PAQ (2005), the coding of weights as a zero
flag and levels with contexts DeepCABAC (Wiedemann et al. 2020).
"""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwc.models.coding.errors import CodingError

Ints = NDArray[np.int64]

LOGIT = 256  # of the logistic domain: this many steps are one natural unit
SPAN = 10 * LOGIT  # probabilities reach 1 / (1 + e**10), which costs 65 bits for a million zeros
FINE, COARSE = 22, 12  # bits of a counter's probability, and of it as an index of `stretch`
LIMIT = 255  # observations after which a counter forgets the old ones
CAUTIOUS = 2  # a counter of n observations counts n / (n + CAUTIOUS)
RATE = 14  # learning rate of the mixing weights, as a power of two: smaller is faster
FLAG_INPUTS, LEVEL_INPUTS = 7, 6
FILLS = 12  # classes of how full something is


@cache
def tables() -> tuple[Ints, Ints]:
    """(stretch, squash): ln(p / (1 - p)) of a coarse probability, and back to 16 bits."""
    with localcontext() as context:
        context.prec = 20
        half = 1 << (COARSE - 1)
        upper = [
            int((Decimal(2 * i + 1) / (4 * half - 2 * i - 1)).ln() * LOGIT)
            for i in range(half, 2 * half)
        ]
        tail = [65536 / (1 + (-Decimal(x) / LOGIT).exp()) for x in range(SPAN + 1)]
    top = [min(int(p), 65535) for p in tail]
    squash = [65536 - p for p in top[:0:-1]] + top
    stretch = [-x for x in reversed(upper)] + upper
    return np.array(stretch, np.int64), np.array(squash, np.int64)


@njit(cache=True)
def _code(bit, p, decoding, coder, data):
    """Code one bit of which 1 has the probability p / 65536; `coder` is low, high, word, place."""
    low, high = coder[0], coder[1]
    middle = low + ((high - low) * p >> 16)
    if decoding:
        bit = 1 if coder[2] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        if decoding:
            byte = data[coder[3]] if coder[3] < len(data) else 0
            coder[2] = (coder[2] << 8 & 0xFFFFFFFF) | byte
        else:
            data[coder[3]] = high >> 24
        coder[3] += 1
        low = low << 8 & 0xFFFFFFFF
        high = (high << 8 & 0xFFFFFFFF) | 255
    coder[0], coder[1] = low, high
    return bit


@njit(cache=True)
def _decide(bit, inputs, context, chance, seen, mix, logits, tabs, decoding, coder, data):
    """Predict from the counters `context`, code the bit, and let counters and weights learn."""
    stretch, squash = tabs
    dot = 0
    for i in range(inputs):
        c = context[i]
        n = seen[c]
        logits[i] = stretch[chance[c] >> (FINE - COARSE)] * n // (n + CAUTIOUS)
        dot += mix[i] * logits[i]
    x = min(max(dot >> 16, -SPAN), SPAN)
    p = min(max(squash[x + SPAN], 1), 65535)
    bit = _code(bit, p, decoding, coder, data)
    error = (bit << 16) - p
    for i in range(inputs):
        mix[i] += (logits[i] * error) >> RATE
        c = context[i]
        n = seen[c]
        chance[c] += 2 * ((bit << FINE) - (bit << 10) - chance[c]) // (2 * n + 3)
        if n < LIMIT:
            seen[c] = n + 1
    return bit


@njit(cache=True)
def _fill(count, of):
    """Class 0..FILLS - 1 of a share: logarithmic, 0 if nothing was seen."""
    if of == 0:
        return 0
    share = (count << 12) // of
    k = 1
    while share > 16 and k < FILLS - 1:
        share = share * 5 >> 3
        k += 1
    return k


@njit(cache=True)
def _kind(level, levels):
    """0 for a zero, 1 for a level of the lower half, 2 of the upper."""
    return 0 if level < 0 else (1 if 2 * level < levels else 2)


@njit(cache=True)
def _matrix(grid, zeros, levels, period, decoding, data, coder, tabs):
    """Code `grid` in place: -1 for a zero, else a level."""
    rows, columns = grid.shape
    depth = 0
    while (1 << depth) < levels:
        depth += 1
    nodes = 1 << depth
    # Counters: each block of the two arrays belongs to one input.
    flag_base = np.zeros(FLAG_INPUTS + 1, np.int64)
    sizes = np.array([1, rows, columns, 256, FILLS * FILLS, FILLS * FILLS, 81])
    for i in range(FLAG_INPUTS):
        flag_base[i + 1] = flag_base[i] + sizes[i]
    level_base = np.zeros(LEVEL_INPUTS + 1, np.int64)
    sizes = np.array([nodes, nodes * 27, nodes * 9, rows + nodes, columns + nodes, nodes * 9])
    for i in range(LEVEL_INPUTS):
        level_base[i + 1] = level_base[i] + sizes[i]
    flag_chance = np.full(flag_base[-1], 1 << (FINE - 1))
    flag_seen = np.zeros(flag_base[-1], np.int64)
    level_chance = np.full(level_base[-1], 1 << (FINE - 1))
    level_seen = np.zeros(level_base[-1], np.int64)
    flag_mix = np.full((8, FLAG_INPUTS), 65536 * 3 // 10)
    level_mix = np.full((depth + 1, LEVEL_INPUTS), 65536 * 3 // 10)
    logits = np.zeros(8, np.int64)
    context = np.zeros(8, np.int64)
    column_count = np.zeros(columns, np.int64)
    total = 0
    for r in range(rows):
        row_count = 0
        age = 0
        while (1 << age) < r + 1 and age < 7:
            age += 1
        for c in range(columns):
            west = _kind(grid[r, c - 1], levels) if c > 0 else 0
            west2 = _kind(grid[r, c - 2], levels) if c > 1 else 0
            north = _kind(grid[r, c - period], levels) if c >= period else 0
            north_east = _kind(grid[r, c - period + 1], levels) if c >= period > 1 else 0
            north_west = _kind(grid[r, c - period - 1], levels) if c > period else 0
            above = _kind(grid[r - 1, c], levels) if r > 0 else 0
            level = grid[r, c]
            nonzero = 1
            if zeros:
                around = column_count[c]
                places = 1
                for d in (1, period, period - 1, period + 1):
                    if d > 0 and c >= d:
                        around += column_count[c - d]
                        places += 1
                    if d > 0 and c + d < columns:
                        around += column_count[c + d]
                        places += 1
                near = (
                    (west > 0)
                    + 2 * (north > 0)
                    + 4 * (north_east > 0)
                    + 8 * (north_west > 0)
                    + 16 * (west2 > 0)
                    + 32 * (above > 0)
                )
                fill_row = _fill(row_count, c)
                fill_column = _fill(column_count[c], r)
                fill_around = _fill(around, r * places)
                context[0] = 0
                context[1] = flag_base[1] + r
                context[2] = flag_base[2] + c
                context[3] = flag_base[3] + near
                context[4] = flag_base[4] + fill_row * FILLS + fill_column
                context[5] = flag_base[5] + fill_row * FILLS + fill_around
                context[6] = flag_base[6] + west + 3 * north + 9 * north_east + 27 * north_west
                nonzero = _decide(
                    1 if level >= 0 else 0,
                    FLAG_INPUTS,
                    context,
                    flag_chance,
                    flag_seen,
                    flag_mix[age],
                    logits,
                    tabs,
                    decoding,
                    coder,
                    data,
                )
            if nonzero:
                node = 1
                for d in range(depth):
                    bit = level >> (depth - 1 - d) & 1
                    context[0] = level_base[0] + node - 1
                    context[1] = level_base[1] + (node - 1) * 27 + west + 3 * north + 9 * above
                    context[2] = level_base[2] + (node - 1) * 9 + north_east + 3 * north_west
                    context[3] = level_base[3] + (r if d == 0 else rows + node - 1)
                    context[4] = level_base[4] + (c if d == 0 else columns + node - 1)
                    context[5] = level_base[5] + (node - 1) * 9 + west2 + 3 * west
                    bit = _decide(
                        bit,
                        LEVEL_INPUTS,
                        context,
                        level_chance,
                        level_seen,
                        level_mix[d],
                        logits,
                        tabs,
                        decoding,
                        coder,
                        data,
                    )
                    node = 2 * node + bit
                level = node - nodes
                if level >= levels:
                    return False
                column_count[c] += 1
                row_count += 1
                total += 1
            else:
                level = -1
            grid[r, c] = level
    return True


def encode(grid: np.ndarray, levels: int, period: int) -> bytes:
    """The code of a matrix of -1 (zero) and levels 0..levels - 1.

    `period` is a distance along a row at which neighbours are alike: the width of the image whose
    pixels the columns are, else 1. Whether there are zeros is not part of the code.
    """
    grid = np.array(grid, np.int64)
    if grid.ndim != 2 or grid.size == 0 or grid.min() < -1 or grid.max() >= levels:
        raise CodingError(f"a matrix of -1..{levels - 1} is needed, got shape {grid.shape}")
    data = np.zeros(grid.size * 18 // 8 * max(1, levels.bit_length()) + 64, np.uint8)
    coder = np.array([0, 0xFFFFFFFF, 0, 0])
    _matrix(grid, bool((grid < 0).any()), levels, period, False, data, coder, tables())
    # The fewest bytes such that these and zeros behind them lie within the last interval.
    low, high = int(coder[0]), int(coder[1])
    size = int(coder[3])
    for extra in range(5):
        step = 1 << (32 - 8 * extra)
        word = -(-low // step) * step
        if word <= high:
            data[size : size + extra] = list(word.to_bytes(4, "big")[:extra])
            return data[: size + extra].tobytes()
    raise AssertionError("an interval of the range coder holds a word of 32 bits")


def decode(
    data: bytes, shape: tuple[int, int], zeros: bool, levels: int, period: int
) -> np.ndarray:
    """The matrix that `encode` coded; any bytes give some matrix, or CodingError."""
    grid = np.zeros(shape, np.int64)
    array = np.frombuffer(data, np.uint8).copy()  # writable: one compiled function serves both
    word = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    coder = np.array([0, 0xFFFFFFFF, word, 4])
    if not _matrix(grid, zeros, levels, period, True, array, coder, tables()):
        raise CodingError("bits of a level that does not exist")
    return grid
