"""Data sets in folders of the user: IDX files, an npz, or CIFAR-10's binary batches.

IDX (MNIST, Fashion-MNIST): `train-images*`, `train-labels*`, `t10k-images*` or `test-images*`,
`...-labels*`, each optionally `.gz`. npz: arrays `x_train`, `y_train`, `x_test`, `y_test`, images
uint8 (N,H,W), (N,C,H,W) or (N,H,W,C). CIFAR-10: `data_batch_*.bin` and `test_batch.bin`. Sizes are
checked before anything large is allocated.
"""

import gzip
import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from hwc.models.data.sets import DataError, Dataset

LIMIT = 4 << 30  # bytes of one array; a lying header must not exhaust the memory
CIFAR_RECORD = 1 + 3 * 32 * 32


def read_folder(path: Path) -> Dataset:
    """The data set in a folder (or one .npz file), by what files are there."""
    if path.is_file():
        if path.suffix == ".npz":
            return read_npz(path)
        raise DataError(
            f"{path}: pass an .npz file or a folder, not a {path.suffix or 'plain'} file"
        )
    archives = sorted(path.glob("*.npz"))
    if list(path.glob("train-images*")):
        return read_idx_folder(path, path.name)
    if (path / "test_batch.bin").exists() or list(path.glob("data_batch_*.bin")):
        return read_cifar10(path)
    if len(archives) == 1:
        return read_npz(archives[0])
    if archives:
        raise DataError(f"{path}: holds {len(archives)} .npz files; pass the one you mean")
    raise DataError(
        f"{path}: no data found; expected IDX files (train-images-idx3-ubyte[.gz], ...), one .npz "
        "with x_train, y_train, x_test, y_test, or CIFAR-10's data_batch_*.bin and test_batch.bin"
    )


def read_idx(path: Path) -> np.ndarray:
    """One IDX file of unsigned bytes, optionally gzipped."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or not 1 <= head[3] <= 4:
                raise DataError(f"{path}: not an IDX file (starts with {head.hex() or 'nothing'})")
            if head[2] != 8:
                raise DataError(
                    f"{path}: IDX type 0x{head[2]:02x}; only 0x08, unsigned bytes, is read"
                )
            sizes = file.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise DataError(f"{path}: truncated within the header")
            shape = struct.unpack(f">{head[3]}I", sizes)
            count = math.prod(shape)
            if count > LIMIT:
                raise DataError(f"{path}: header promises {shape}, more than {LIMIT} bytes")
            data = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if len(data) != count:
        more = "more" if len(data) > count else f"only {len(data)} bytes"
        raise DataError(
            f"{path}: header promises {shape}, {count} bytes, but the file holds {more}"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape).copy()


def read_idx_folder(path: Path, name: str) -> Dataset:
    """The four files of an MNIST-like folder."""

    def one(*patterns: str) -> np.ndarray:
        found = [file for pattern in patterns for file in sorted(path.glob(pattern))]
        if not found:
            raise DataError(f"{path}: no file {' or '.join(patterns)}")
        return read_idx(found[0])

    def images(x: np.ndarray) -> np.ndarray:
        return x[:, None] if x.ndim == 3 else x

    return Dataset(
        name,
        images(one("train-images*")),
        one("train-labels*").astype(np.int64),
        images(one("t10k-images*", "test-images*")),
        one("t10k-labels*", "test-labels*").astype(np.int64),
    )


def read_npz(path: Path) -> Dataset:
    """An npz archive with the four arrays; objects are refused, never unpickled."""
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LIMIT:
            raise DataError(f"{path}: unpacks to {total} bytes, more than {LIMIT}")
        with np.load(path, allow_pickle=False) as archive:
            for key in ("x_train", "y_train", "x_test", "y_test"):
                if key not in archive:
                    raise DataError(
                        f"{path}: no array {key}; it holds {', '.join(archive) or 'none'}"
                    )
                arrays[key] = archive[key]
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for key in ("y_train", "y_test"):
        y = arrays[key]
        if not np.issubdtype(y.dtype, np.integer):
            raise DataError(f"{path}: {key} must hold integer classes, got {y.dtype}")
        arrays[key] = y.astype(np.int64).reshape(-1)
    x_train, x_test = channels_first(arrays["x_train"]), channels_first(arrays["x_test"])
    return Dataset(path.stem, x_train, arrays["y_train"], x_test, arrays["y_test"])


def channels_first(x: np.ndarray) -> np.ndarray:
    """(N, H, W) or (N, H, W, C) to (N, C, H, W); the channels are the axis of 1 or 3, the second
    one if both are."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x


def read_cifar10(path: Path) -> Dataset:
    """CIFAR-10's binary version: records of a label and 3x32x32 bytes."""

    def read(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for file in files:
            try:
                data = np.fromfile(file, dtype=np.uint8)
            except OSError as error:
                raise DataError(f"{file}: cannot be read: {error}") from None
            if data.size == 0 or data.size % CIFAR_RECORD:
                raise DataError(
                    f"{file}: {data.size} bytes is not a whole number "
                    f"of {CIFAR_RECORD}-byte records"
                )
            parts.append(data.reshape(-1, CIFAR_RECORD))
        records = np.concatenate(parts)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)

    train, test = sorted(path.glob("data_batch_*.bin")), path / "test_batch.bin"
    if not train or not test.exists():
        raise DataError(f"{path}: CIFAR-10 needs data_batch_*.bin and test_batch.bin")
    x_train, y_train = read(train)
    x_test, y_test = read([test])
    return Dataset(path.name, x_train, y_train, x_test, y_test)
