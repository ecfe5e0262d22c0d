"""Integer arrays as bytes, whatever their structure."""

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from hwc.models.coding import codes, shared
from hwc.models.coding.bits import ByteReader
from hwc.models.coding.codes import Coded

__all__ = ["decode", "encode"]


def encode(
    array: np.ndarray, periods: Iterable[int] = (), hashes: Sequence[shared.Hash] = ()
) -> Coded:
    """The shortest code of `codes` and `shared`; `hashes` are those that may share the
    array's values."""
    array = np.asarray(array, np.int64)
    options = [codes.encode(array, periods)]
    if array.size > 1:
        options += shared.pieces(array.reshape(codes.matrix(array.shape)))
    options += [coded for known in hashes if (coded := shared.hashed(array, known))]
    fine = [c for c in options if codes.credible(array.size, len(c.data))]
    return min(fine, key=lambda coded: len(coded.data))


def decode(data: bytes, shape: Sequence[int]) -> np.ndarray:
    """The array of `shape`; raises CodingError, and claims little memory, for other bytes."""
    codes.check_shape(shape, len(data))
    reader = ByteReader(data)
    kind = reader.byte()
    if kind == shared.PIECES:
        return shared.read_pieces(reader, codes.matrix(shape)).reshape(shape)
    if kind == shared.HASHED:
        return shared.read_hashed(reader, prod(shape)).reshape(shape)
    return codes.decode(data, shape)
