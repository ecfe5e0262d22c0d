"""Writing results so that a failure leaves either the old folder or the new one, never half."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwc.compiler.graph.errors import HwcError

__all__ = ["MARK", "OutputError", "claim_file", "replaced", "sha256"]

MARK = "manifest.json"
"""A folder with this file is a bundle, and may be overwritten when asked."""


class OutputError(HwcError):
    """The output folder cannot be written."""

    exit_code = 2


def sha256(data: bytes | str) -> str:
    """Hex digest of some bytes, or of a text in UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


@contextmanager
def replaced(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A scratch folder that becomes ``target`` if the block succeeds and vanishes if it fails.

    An existing ``target`` is refused, unless it is empty, or is a bundle and ``overwrite`` is set.
    """
    target = target.absolute()
    if target.exists():
        if not target.is_dir():
            raise OutputError(f"{target} is a file; name a folder with -o")
        if any(target.iterdir()):
            if not (target / MARK).is_file():
                raise OutputError(
                    f"{target} is not empty and no bundle of ours; name another folder with -o"
                )
            if not overwrite:
                raise OutputError(f"{target} holds a bundle; pass --overwrite to replace it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError(f"cannot write beside {target}: {error.strerror}") from error
    try:
        scratch.chmod(0o755)
        yield scratch
        if target.exists():
            aside = scratch.with_name(scratch.name + ".old")
            target.rename(aside)
            scratch.rename(target)
            shutil.rmtree(aside)
        else:
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def claim_file(target: Path, *, overwrite: bool) -> None:
    """Make the missing parents of `target`, which the caller will write in one step.

    OutputError if it is a folder, if it exists and `overwrite` is false, or if its folder cannot
    be made or written.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder; name a file with -o")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists; pass --overwrite or name another file with -o")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = target.with_name(f".{target.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write to {target.parent}: {error.strerror}") from error
