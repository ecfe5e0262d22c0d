"""`model.pt`: a source graph with its tensors, sample inputs and measured accuracy in one file.

Usually a torch archive of plain dicts, lists, strings, numbers and tensors. Loading never runs code
from the file: the pickle inside may name nothing but tensors, and `weights_only=True` reads it.
After compression an entropy-coded file (`hwc.models.coding.small`), which `load` reads too.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwc.compiler.source import Source, SourceError, from_record, to_record
from hwc.models.archive import LIMIT, CheckpointError, array, check_archive
from hwc.models.capture import InputMap, capture
from hwc.models.coding import small
from hwc.models.coding.errors import CodingError
from hwc.models.coding.shared import Hash
from hwc.models.quantize.snap import snap

FORMAT, VERSION = "hwc", 1
SAMPLES = 128  # how many samples a checkpoint carries unless told otherwise
FIELDS = {
    "format", "version", "name", "data", "graph", "tensors", "samples", "labels", "accuracy",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a `model.pt` holds.

    `samples` maps input names to raw integers (int64, batch first, torch layout), `labels` are
    int64 (batch,) or None. `accuracy` has fractions under "fake_quant" and possibly "float". `data`
    names the data set it was trained on (the test set of a built-in one is `load_data(data)`),
    `name` the network.
    """

    source: Source
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None
    name: str | None = None

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        return self.source.tensors

    def __post_init__(self) -> None:
        """Check that samples, labels and accuracies fit the source."""
        names = {item.name for item in self.source.inputs}
        if self.samples and set(self.samples) != names:
            raise CheckpointError(
                f"samples for {sorted(self.samples)}, but the inputs are {sorted(names)}"
            )
        counts = set()
        for item in self.source.inputs if self.samples else ():
            x = self.samples[item.name]
            counts.add(len(x))
            if x.dtype != np.int64 or x.shape[1:] != item.shape or len(x) == 0:
                raise CheckpointError(
                    f"samples of {item.name!r} must be int64 "
                    f"(n, {', '.join(map(str, item.shape))}) with n >= 1, got {x.dtype} {x.shape}"
                )
            if x.min() < item.lo or x.max() > item.hi:
                raise CheckpointError(
                    f"samples of {item.name!r} must lie in {item.lo}..{item.hi}, "
                    f"got {x.min()}..{x.max()}"
                )
        if self.labels is not None:
            counts.add(len(self.labels))
            if not self.samples or self.labels.ndim != 1 or self.labels.dtype != np.int64:
                raise CheckpointError("labels must be int64 (n,), one per sample")
        if len(counts) > 1:
            raise CheckpointError(f"samples and labels must be as many, got {sorted(counts)}")
        for key, value in self.accuracy.items():
            if not 0 <= value <= 1:
                raise CheckpointError(f"accuracy {key!r} must be a fraction 0..1, got {value}")


def save(
    module: nn.Module,
    example_input: Tensor | Sequence[Tensor],
    path: str | Path,
    samples: tuple[Any, Any] | None = None,
    *,
    inputs: InputMap | Sequence[InputMap | None] | None = None,
    accuracy: Mapping[str, float] | None = None,
    data: str | None = None,
    name: str | None = None,
    limit: int | None = SAMPLES,
) -> Checkpoint:
    """Snap and capture any supported module and write it to `path`; returns what was written.

    `samples=(x, labels)`: raw integers as they arrive at the hardware, or real values on the grid
    of the input; for several inputs `x` is a tuple. `labels` may be None. The first `limit` are
    kept (None: all). `inputs`: see `capture`. An existing file is replaced, in one step.
    """
    source = capture(snap(module), example_input, inputs)
    x, labels = samples if samples is not None else (None, None)
    checkpoint = Checkpoint(
        source,
        {} if x is None else raw_samples(source, x, limit),
        None if labels is None else np.asarray(labels)[:limit].astype(np.int64),
        dict(accuracy or {}),
        data,
        name,
    )
    write(checkpoint, path)
    return checkpoint


def raw_samples(source: Source, x: Any, limit: int | None) -> dict[str, np.ndarray]:
    """Samples by input name as raw integers."""
    parts = x if isinstance(x, (tuple, list)) else (x,)
    if len(parts) != len(source.inputs):
        raise CheckpointError(
            f"the network has {len(source.inputs)} inputs, samples were given for {len(parts)}"
        )
    raw = {}
    for item, part in zip(source.inputs, parts, strict=True):
        values = np.asarray(part)[:limit]
        if values.dtype.kind not in "iub":
            assert item.scale is not None  # capture gives every input a scale
            real, values = values, np.rint(values / item.scale)
            if not np.array_equal(values * item.scale, real):
                raise CheckpointError(
                    f"samples of {item.name!r} are not multiples of its scale {item.scale}; "
                    "pass the raw integers"
                )
        raw[item.name] = values.astype(np.int64)
    return raw


def write(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint; the same checkpoint gives the same bytes."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": checkpoint.name,
        "data": checkpoint.data,
        "graph": to_record(checkpoint.source),
        "tensors": {
            name: torch.from_numpy(np.array(value)) for name, value in checkpoint.tensors.items()
        },
        "samples": {
            name: torch.from_numpy(smallest(value)) for name, value in checkpoint.samples.items()
        },
        "labels": None if checkpoint.labels is None else torch.from_numpy(checkpoint.labels.copy()),
        "accuracy": {key: float(value) for key, value in checkpoint.accuracy.items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    put(path, buffer.getvalue())


def put(path: str | Path, data: bytes) -> None:
    """Write or replace a file in one step; raises CheckpointError."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def smallest(values: np.ndarray) -> np.ndarray:
    """The same integers in the smallest type that holds them."""
    for dtype in (np.uint8, np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if values.min() >= info.min and values.max() <= info.max:
            return values.astype(dtype)
    return values.copy()


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint, trusting nothing in it; raises CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if is_small(path):
        return read_small(path)
    check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the reader
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: damaged: {first}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: a torch file, but no hwc checkpoint; "
            "write one with hwc.models.save(module, example_input, path)"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: format version {content.get('version')!r}; this hwc reads version {VERSION}"
        )
    try:
        return from_content(content)
    except (SourceError, CheckpointError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a field of an unforeseen kind
        raise CheckpointError(f"{path}: damaged: {type(error).__name__}: {error}") from None


def is_small(path: Path) -> bool:
    """Is it an entropy-coded file (`hwc.models.coding.small`)?"""
    try:
        with path.open("rb") as file:
            return file.read(len(small.MAGIC)) == small.MAGIC
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def read_small(path: Path) -> Checkpoint:
    """The checkpoint in an entropy-coded file; raises CheckpointError."""
    try:
        if path.stat().st_size > LIMIT:
            raise CheckpointError(f"larger than {LIMIT} bytes")
        content = small.decode(path.read_bytes())
        check_notes(content.name, content.data, content.accuracy)
        samples = {name: value.astype(np.int64) for name, value in content.samples.items()}
        return Checkpoint(
            content.source, samples, content.labels, content.accuracy, content.data, content.name
        )
    except (SourceError, CheckpointError, CodingError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a field of an unforeseen kind
        raise CheckpointError(f"{path}: damaged: {type(error).__name__}: {error}") from None


def encode_small(
    checkpoint: Checkpoint,
    hashes: Sequence[Hash] = (),
    known: Mapping[str, small.Packed] | None = None,
) -> small.Written:
    """The entropy-coded form of a checkpoint, with the samples that it holds. `hashes` are those
    by which some of its weights may share values, `known` as in `small.encode`."""
    content = small.Content(
        checkpoint.source,
        checkpoint.samples,
        checkpoint.labels,
        checkpoint.accuracy,
        checkpoint.data,
        checkpoint.name,
    )
    return small.encode(content, hashes, known)


def save_small(
    checkpoint: Checkpoint,
    path: str | Path,
    samples: int = 0,
    hashes: Sequence[Hash] = (),
    known: Mapping[str, small.Packed] | None = None,
) -> small.Written:
    """Write a checkpoint entropy-coded, with its first `samples` samples and labels.

    `load` reads it back to an equal source: every tensor bit for bit, but that negative zeros
    become zeros. The same checkpoint gives the same bytes.
    """
    kept = {name: x[:samples] for name, x in checkpoint.samples.items() if samples}
    labels = checkpoint.labels[:samples] if checkpoint.labels is not None and kept else None
    written = encode_small(replace(checkpoint, samples=kept, labels=labels), hashes, known)
    put(path, written.data)
    return written


def from_content(content: dict[str, Any]) -> Checkpoint:
    """The checkpoint in a loaded dict of the right version."""
    if set(content) != FIELDS:
        raise CheckpointError(
            f"must have the fields {sorted(FIELDS)}, got {sorted(map(str, content))}"
        )
    tensors = {key: array(f"tensor {key}", value) for key, value in content["tensors"].items()}
    samples = {key: whole(f"samples of {key}", value) for key, value in content["samples"].items()}
    labels = content["labels"]
    check_notes(content["name"], content["data"], content["accuracy"])
    return Checkpoint(
        from_record(content["graph"], tensors),
        samples,
        None if labels is None else whole("labels", labels),
        content["accuracy"],
        content["data"],
        content["name"],
    )


def whole(what: str, value: object) -> np.ndarray:
    """A tensor of integers as int64; CheckpointError for other types."""
    found = array(what, value)
    if found.dtype.kind not in "iu":
        raise CheckpointError(f"{what} must be integers, got {found.dtype}")
    return found.astype(np.int64)


def check_notes(name: object, data: object, accuracy: object) -> None:
    """Raise CheckpointError unless the first two are strings or None and the last maps strings to
    finite numbers."""
    for key, value in (("name", name), ("data", data)):
        if not isinstance(value, (str, type(None))):
            raise CheckpointError(f"{key} must be a string, got {type(value).__name__}")
    if not isinstance(accuracy, dict) or not all(
        isinstance(k, str) and isinstance(v, float) and math.isfinite(v)
        for k, v in accuracy.items()
    ):
        raise CheckpointError("accuracy must map strings to numbers")
