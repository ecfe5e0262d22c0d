"""The driver in C of a bundle: its sources, constants and golden vectors as headers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hwc.host
from hwc.host.packing import Stream

__all__ = ["write_c_driver"]

GOLDEN_BYTES = 1 << 20
"""Of golden records, about: a header is some four times as long, and compiled on the board."""
LINE = 24
"""Numbers in a line."""

Bytes = NDArray[np.uint8]


def write_c_driver(target: Path, manifest: dict[str, Any]) -> None:
    """Write the folder `target`, inside or beneath a bundle whose manifest and `golden/` this is.

    `target` is a folder of a folder of the bundle, as `driver/c`: golden vectors are read from
    `target.parents[1]`. It gets the sources of host/c, `hwc_bundle.h` and `hwc_golden.h`.
    """
    target.mkdir(parents=True)
    source = Path(hwc.host.__file__).parent / "c"
    for path in sorted([*source.glob("*.c"), *source.glob("*.h")]):
        shutil.copyfile(path, target / path.name)
    (target / "hwc_bundle.h").write_text(_bundle(manifest))
    (target / "hwc_golden.h").write_text(_golden(target.parents[1], manifest))


def _bundle(manifest: dict[str, Any]) -> str:
    """Constants; the initializer of `struct hwc_bundle`; where each stream lies in its record."""
    shell, cycles = manifest["shell"], manifest["cycles"]
    fields = {
        "HASH": f"0x{int(shell['hash'], 16):08x}",
        "INPUT_STRIDE": shell["input_stride"],
        "OUTPUT_STRIDE": shell["output_stride"],
        "ADDRESS_BITS": shell["address_bits"],
        "LATENCY": cycles["latency"],
        "INTERVAL": cycles["most"],
        "CLOCK_KHZ": round(manifest["clock_mhz"] * 1000),
    }
    lines = [f"#define HWC_BUNDLE_BASE UINT64_C(0x{shell['base']:x})"]
    lines += [f"#define HWC_BUNDLE_{name} UINT32_C({value})" for name, value in fields.items()]
    names = [f"HWC_BUNDLE_{name}" for name in fields]
    lines.append("#define HWC_BUNDLE \\\n    { \\\n        " + ", \\\n        ".join(names))
    lines[-1] += " \\\n    }"
    for name, section in {**manifest["inputs"], **manifest["outputs"]}.items():
        lines.append("")
        for key, value in section["memory"].items():
            lines.append(f"#define HWC_{key.upper()}_{name} UINT32_C({value})")
    return _header("HWC_BUNDLE_H", "Constants of this bundle, see hwc.h.", lines)


def _golden(bundle: Path, manifest: dict[str, Any]) -> str:
    """Records in and out, and which bytes of a record out mean something: 1, padding: 0."""
    shell = manifest["shell"]
    most = max(1, GOLDEN_BYTES // (shell["input_stride"] + shell["output_stride"]))
    records: list[Bytes] = []
    for side in ("inputs", "outputs"):
        streams = [Stream.of(name, section) for name, section in manifest[side].items()]
        values = [_values(bundle, manifest, stream)[:most] for stream in streams]
        records.append(np.zeros((len(values[0]), shell[f"{side[:-1]}_stride"]), np.uint8))
        for stream, frames in zip(streams, values, strict=True):
            stream.pack(frames, records[-1])
    lines = [f"#define HWC_GOLDEN_FRAMES {len(records[0])}"]
    mask = _mask(manifest)
    for name, array in zip(("input", "output", "mask"), (*records, mask), strict=True):
        lines += ["", f"static const uint8_t hwc_golden_{name}[{array.size}] = {{"]
        lines += [*_rows(array.ravel()), "};"]
    return _header("HWC_GOLDEN_H", "Golden vectors of this bundle as records.", lines)


def _values(bundle: Path, manifest: dict[str, Any], stream: Stream) -> NDArray[Any]:
    """Golden integers (frames, size) of a stream."""
    values = np.load(bundle / manifest["golden"][stream.name]["file"], allow_pickle=False)
    return values.reshape(len(values), -1)


def _mask(manifest: dict[str, Any]) -> Bytes:
    mask = np.zeros(manifest["shell"]["output_stride"], np.uint8)
    for name, section in manifest["outputs"].items():
        stream = Stream.of(name, section)
        end = stream.offset + len(stream.order) * stream.element
        mask[stream.offset : end] = np.repeat(stream.order >= 0, stream.element)
    return mask


def _rows(values: Bytes) -> Iterator[str]:
    for start in range(0, len(values), LINE):
        yield "    " + ", ".join(map(str, values[start : start + LINE])) + ","


def _header(guard: str, title: str, lines: list[str]) -> str:
    head = [f"/* {title} */", f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", ""]
    return "\n".join([*head, *lines, "", "#endif", ""])
