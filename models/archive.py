"""What of a torch file is looked at before, and just after, torch reads it: nothing is trusted."""

import pickletools
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwc.compiler.graph.errors import HwcError

LIMIT = 16 << 30  # bytes of a file; larger is not a network for an FPGA
# All that a pickle of tensors, dicts and numbers imports, as pickletools prints it.
HARMLESS = re.compile(
    r"torch \w+Storage|torch\._utils _rebuild_(tensor_v2|parameter)|collections OrderedDict"
)
DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


class CheckpointError(HwcError):
    """A file that is not a sound hwc checkpoint, or samples that do not fit the network."""


def check_archive(path: Path) -> None:
    """Refuse what is no torch archive, packs or repeats members, or pickles more than tensors."""
    try:
        size = path.stat().st_size
        if size > LIMIT:
            raise CheckpointError(f"{path}: {size} bytes; at most {LIMIT} are read")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) != len(entries):
                raise CheckpointError(f"{path}: damaged: a member occurs twice")
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                    raise CheckpointError(
                        f"{path}: member {entry.filename} is compressed or larger than the file"
                    )
            pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"{path}: a zip file, but no torch file")
            names = global_names(archive.read(pickles[0]))
            if (spoiled := archive.testzip()) is not None:
                raise CheckpointError(f"{path}: damaged: the checksum of {spoiled} does not fit")
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and pickletools raise many kinds on damaged input
        raise CheckpointError(f"{path}: not an hwc checkpoint, or damaged: {error}") from None
    foreign = sorted(name for name in names if not HARMLESS.fullmatch(name))
    if foreign:
        listed = ", ".join(name.replace(" ", ".") for name in foreign[:3])
        raise CheckpointError(
            f"{path}: holds pickled Python objects ({listed}), which are never loaded; "
            "in the program that has the module call hwc.models.save(module, example_input, path)"
        )


def global_names(pickle: bytes) -> set[str]:
    """All "module name" a pickle would import, without running it."""
    names = set()
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            names.add(f"an {opcode.name} opcode")  # torch.save does not write these
    return names


def array(what: str, value: object) -> np.ndarray:
    """A tensor of the file as an array; refuses views that claim more elements than are stored."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
        raise CheckpointError(f"{what} must be a dense tensor, got {type(value).__name__}")
    if value.dtype not in DTYPES:
        raise CheckpointError(f"{what}: dtype {value.dtype} is not supported")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise CheckpointError(f"{what}: shape {tuple(value.shape)} is larger than what is stored")
    if value.dtype == torch.bfloat16:
        value = value.float()
    return value.detach().contiguous().numpy()
