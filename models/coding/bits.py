"""Bits one after the other, most significant first, and the two codes for counts built of them."""

from collections.abc import Iterable

import numpy as np

from hwc.models.coding.errors import CodingError


class BitWriter:
    """Collects bits; `to_bytes` pads the last byte with zeros."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self.bits = 0

    def write(self, value: int, width: int) -> None:
        """The `width` bits of `value`, 0 <= value < 2**width."""
        self.write_many(np.array([value]), width)

    def write_many(self, values: np.ndarray, width: int) -> None:
        """Every value in `width` bits (0..62)."""
        values = np.asarray(values, np.int64)
        if not 0 <= width <= 62:
            raise CodingError(f"width must be 0..62 bits, got {width}")
        if values.size and (values.min() < 0 or int(values.max()) >> width):
            raise CodingError(
                f"values must fit {width} bits unsigned, got {values.min()}..{values.max()}"
            )
        places = np.arange(width - 1, -1, -1)
        self.append((values[:, None] >> places & 1).astype(np.uint8).ravel())

    def append(self, bits: np.ndarray) -> None:
        """Bits that are laid out already, one a byte."""
        self._parts.append(bits)
        self.bits += len(bits)

    def gamma(self, value: int) -> None:
        """Elias' gamma code of value >= 1: as many zeros as bits follow the leading one."""
        if value < 1:
            raise CodingError(f"the gamma code starts at 1, got {value}")
        width = value.bit_length()
        self.write(0, width - 1)
        self.write(value, width)

    def to_bytes(self) -> bytes:
        bits = np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint8)
        return np.packbits(bits).tobytes()


class BitReader:
    """Reads what a BitWriter wrote; raises CodingError past the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._bits) - self.at

    def take(self, count: int) -> np.ndarray:
        """The next bits, one a byte."""
        if count > self.left:
            raise CodingError(f"{count} bits wanted, {self.left} left")
        self.at += count
        return self._bits[self.at - count : self.at]

    def read(self, width: int) -> int:
        return int(self.read_many(1, width)[0])

    def read_many(self, count: int, width: int) -> np.ndarray:
        """`count` values of `width` bits, int64."""
        if not 0 <= width <= 62:
            raise CodingError(f"width must be 0..62 bits, got {width}")
        bits = self.take(count * width).reshape(count, width).astype(np.int64)
        return bits @ (np.int64(1) << np.arange(width - 1, -1, -1, dtype=np.int64))

    def gamma(self) -> int:
        zeros = 0
        while self.read(1) == 0:
            zeros += 1
            if zeros > 62:
                raise CodingError("a gamma code of more than 62 bits")
        return 1 << zeros | self.read(zeros)


def varint(value: int) -> bytes:
    """An unsigned integer in groups of 7 bits, least significant first; the top bit says that more
    follow."""
    if value < 0:
        raise CodingError(f"varint: must be at least 0, got {value}")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value: int) -> int:
    """0, -1, 1, -2 ... as 0, 1, 2, 3 ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)


class ByteReader:
    """Reads bytes from the front; raises CodingError past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise CodingError(f"{count} bytes wanted, {self.left} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise CodingError("a varint of more than 9 bytes")

    def signed(self) -> int:
        return unzigzag(self.varint())


def join(parts: Iterable[bytes]) -> bytes:
    """Parts with their lengths in front, for `split`."""
    return b"".join(varint(len(part)) + part for part in parts)
