"""Tensors as bytes: integer codes on a grid where there is one, else plain numbers.

A weight that the graph quantizes is stored as its codes; its scale is another tensor. Any other
tensor whose values are whole multiples of some 2**e is stored as these multiples.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hwc.models.coding import codes, integers
from hwc.models.coding.bits import ByteReader, varint, zigzag
from hwc.models.coding.errors import CodingError
from hwc.models.coding.shared import Hash

DTYPES = ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "|b1")
PLAIN, DYADIC, SCALED, SPARSE = range(4)
LONGEST = 1 << 60  # integer that the codes of levels hold
MOST_BITS = 40  # of a multiple of 2**e; beyond, plain floats are as short


@dataclass(frozen=True)
class Grid:
    """A weight's quantizer: the name of its scale and the axis along which that runs."""

    scale: str
    axis: int | None


@dataclass(frozen=True)
class Packed:
    """A tensor's bytes and what takes how many bits."""

    data: bytes
    code: str
    parts: Counter[str]


def pack(
    value: np.ndarray,
    scale: tuple[int, int | None, np.ndarray] | None,
    periods: Iterable[int],
    hashes: Sequence[Hash] = (),
) -> Packed:
    """Code a tensor. `scale` is (place, axis, values) of the quantizer's scale, `periods` and
    `hashes` as in `integers.encode`. Negative zeros become zeros."""
    dtype = value.dtype.newbyteorder("<").str
    if dtype not in DTYPES:
        raise CodingError(f"a tensor of dtype {value.dtype} cannot be stored")
    shape = b"".join(varint(n) for n in (value.ndim, *value.shape))
    options = [_plain(value)]
    whole = None if scale is None else scaled(value, scale[2], scale[1])
    if whole is not None and scale is not None:
        # A multiple of the scale is one of 2**e too: the longer codes need not be tried.
        place, axis, _ = scale
        head = varint(place) + varint(0 if axis is None else axis + 1)
        options.append((SCALED, head, integers.encode(whole, periods, hashes)))
    else:
        if value.dtype.kind == "f" and 4 * np.count_nonzero(value) < 3 * value.size:
            options.append(_sparse(value, periods))
        if (dyadic := multiples(value)) is not None:
            exponent, multiple = dyadic
            head = varint(zigzag(exponent))
            options.append((DYADIC, head, integers.encode(multiple, periods)))
    kind, head, coded = min(options, key=lambda o: len(o[1]) + len(o[2].data))
    start = bytes([DTYPES.index(dtype) << 2 | kind]) + shape + head
    data = start + varint(len(coded.data)) + coded.data
    parts = Counter(coded.parts)
    parts["header"] = 8 * len(data) - parts.total()
    return Packed(data, coded.code, parts)


def unpack(reader: ByteReader, before: list[np.ndarray]) -> np.ndarray:
    """The next tensor; `before` are those already read, for their scales. Raises CodingError."""
    head = reader.byte()
    dtype, kind = DTYPES[min(head >> 2, len(DTYPES) - 1)], head & 3
    count = reader.varint()
    if count > codes.MOST_DIMS or head >> 2 >= len(DTYPES):
        raise CodingError(f"a tensor of {count} dimensions, kind {head}")
    shape = tuple(reader.varint() for _ in range(count))
    exponent, place, axis = 0, len(before), -1
    if kind == DYADIC:
        exponent = reader.signed()
        if not -1100 <= exponent <= 1100:
            raise CodingError(f"a grid of 2**{exponent}")
    elif kind == SCALED:
        place, axis = reader.varint(), reader.varint() - 1
    data = reader.take(reader.varint())
    if kind == PLAIN:
        if min(shape, default=1) < 1 or prod(shape) * np.dtype(dtype).itemsize != len(data):
            raise CodingError(f"{len(data)} bytes for a tensor of shape {shape}")
        value = np.frombuffer(data, dtype).reshape(shape)
        return value.astype(value.dtype.newbyteorder("="))
    if kind == SPARSE:
        return _unpack_sparse(ByteReader(data), dtype, shape)
    whole = integers.decode(data, shape)
    native = np.dtype(dtype).newbyteorder("=")
    with np.errstate(over="ignore"):
        if kind == DYADIC:
            if native.kind != "f":
                return whole.astype(native)
            return np.ldexp(whole.astype(np.float64), exponent).astype(native)
        if kind != SCALED or place >= len(before):
            raise CodingError("a tensor on a grid that is not known")
        return whole.astype(native) * along(before[place], whole.ndim, axis).astype(native)


def multiples(value: np.ndarray) -> tuple[int, np.ndarray] | None:
    """(e, k) with value = k * 2**e, integers k and the largest such e; None if k is too long."""
    if value.dtype.kind != "f":
        whole = value.astype(np.int64)
        fits = bool((whole >= -LONGEST).all() and (whole <= LONGEST).all())
        return (0, whole) if fits else None
    exact = value.astype(np.float64)
    mantissa, exponent = np.frexp(exact)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    nonzero = whole != 0
    if not nonzero.any():
        return 0, np.zeros(value.shape, np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    lowest = int((exponent - 53 + trailing)[nonzero].min())
    if int(exponent[nonzero].max()) - lowest > MOST_BITS:
        return None
    return lowest, np.ldexp(exact, -lowest).astype(np.int64)


def scaled(value: np.ndarray, step: np.ndarray, axis: int | None) -> np.ndarray | None:
    """Integer codes with codes * step = value, bit for bit in the arithmetic of `unpack`."""
    if value.dtype.kind != "f":
        return None
    broad = along(step, value.ndim, -1 if axis is None else axis).astype(value.dtype)
    whole = np.rint(value / broad)
    if np.abs(whole).max(initial=0) > 1 << 20 or not np.array_equal(whole * broad, value):
        return None
    return whole.astype(np.int64)


def along(step: np.ndarray, ndim: int, axis: int) -> np.ndarray:
    """A scale shaped to broadcast along `axis` (-1: a scalar)."""
    if axis < 0:
        if step.size != 1:
            raise CodingError(f"a scale of shape {step.shape} needs an axis")
        return step.reshape(())
    if axis >= ndim:
        raise CodingError(f"a scale along axis {axis} of {ndim}")
    return step.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _plain(value: np.ndarray) -> tuple[int, bytes, codes.Coded]:
    data = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return PLAIN, b"", codes.Coded(data, "plain", Counter(indices=8 * len(data)))


def _sparse(value: np.ndarray, periods: Iterable[int]) -> tuple[int, bytes, codes.Coded]:
    """Which values are not zero, coded, then these as they are."""
    places = integers.encode(value != 0, periods)
    data = value[value != 0].astype(value.dtype.newbyteorder("<")).tobytes()
    parts = places.parts + Counter(indices=8 * len(data))
    joined = varint(len(places.data)) + places.data + data
    return SPARSE, b"", codes.Coded(joined, f"{places.code}, plain", parts)


def _unpack_sparse(reader: ByteReader, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    places = integers.decode(reader.take(reader.varint()), shape) != 0
    values = np.frombuffer(reader.take(reader.left), np.uint8)
    if places.sum() * np.dtype(dtype).itemsize != len(values) or dtype not in DTYPES[:3]:
        raise CodingError(f"{len(values)} bytes for {places.sum()} values of a sparse tensor")
    full = np.zeros(shape, np.dtype(dtype).newbyteorder("="))
    full[places] = values.view(dtype)
    return full


def in_order(names: Iterable[str], grids: Mapping[str, Grid]) -> list[str]:
    """Names with every scale before the weights that need it."""
    scales = {grid.scale for grid in grids.values()}
    names = list(names)
    return [n for n in names if n in scales] + [n for n in names if n not in scales]
