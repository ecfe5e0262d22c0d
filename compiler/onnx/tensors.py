"""Tensors of a file as arrays, with bounds on what is believed and where data may come from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from hwc.compiler.onnx.errors import OnnxError

__all__ = ["MOST_ELEMENTS", "Tensors", "check_size"]

MOST_ELEMENTS = 1 << 27
"""Largest tensor that is accepted or made: 512 MiB of float32."""

MOST_SIDE = 1 << 31


def check_size(what: str, shape: tuple[int, ...]) -> None:
    """Refuse shapes that no network for an FPGA has, before anything is allocated."""
    if any(n < 0 or n >= MOST_SIDE for n in shape) or math.prod(shape) > MOST_ELEMENTS:
        raise OnnxError(
            f"{what}: shape {shape} must have at most {MOST_ELEMENTS} elements in sizes >= 0"
        )


class Tensors:
    """Reads TensorProtos; external data only from files below `folder`, links resolved."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def array(self, proto: onnx.TensorProto, what: str) -> np.ndarray:
        """The values: float types narrower than 32 bits become float32, 4-bit integers keep their
        type. Raises OnnxError."""
        shape = tuple(proto.dims)
        check_size(what, shape)
        kind = proto.data_type
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        except (KeyError, ValueError, TypeError):
            raise OnnxError(f"{what}: element type {kind} is unknown") from None
        if dtype.kind not in "fiub" and dtype.name not in CUSTOM:
            raise OnnxError(f"{what}: element type {dtype.name} is not supported; use real numbers")
        if proto.HasField("segment"):
            raise OnnxError(f"{what}: segmented tensors are not supported; store them whole")
        if proto.data_location == onnx.TensorProto.EXTERNAL:
            array = self._external(proto, shape, dtype, what)
        else:
            try:
                array = numpy_helper.to_array(proto)
            except (ValueError, TypeError, OverflowError, IndexError) as error:
                raise OnnxError(f"{what}: the data does not fit shape {shape}: {error}") from None
        if array.shape != shape:
            raise OnnxError(f"{what}: the data has shape {array.shape}, declared is {shape}")
        return array.astype(np.float32) if dtype.name in NARROW else array

    def _external(
        self, proto: onnx.TensorProto, shape: tuple[int, ...], dtype: np.dtype, what: str
    ) -> np.ndarray:
        entries = {entry.key: entry.value for entry in proto.external_data}
        place = entries.get("location", "")
        if self.folder is None or not place:
            raise OnnxError(f"{what}: external data needs a location and a model read from a file")
        folder = self.folder.resolve()
        try:
            path = (folder / place).resolve()
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
            inside = path.is_relative_to(folder) and not Path(place).is_absolute()
            size = path.stat().st_size if inside and path.is_file() else None
        except (OSError, ValueError) as error:
            raise OnnxError(f"{what}: external data {place!r}: {error}") from None
        if not inside:
            raise OnnxError(
                f"{what}: external data {place!r} lies outside the model's folder; "
                "store it beside the model"
            )
        if size is None:
            raise OnnxError(f"{what}: external data {place!r} is missing beside the model")
        bits = BITS.get(dtype.name, 8 * dtype.itemsize)
        need = (math.prod(shape) * bits + 7) // 8
        if length not in (-1, need) or offset < 0 or offset + need > size:
            raise OnnxError(
                f"{what}: external data {place!r} has {size} bytes; {need} are needed at {offset}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read(need)
        whole = onnx.TensorProto(data_type=proto.data_type, dims=shape, raw_data=raw)
        return numpy_helper.to_array(whole)


BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4}
NARROW = frozenset({"float16", "bfloat16"})
CUSTOM = frozenset({"int4", "uint4", "int2", "uint2", "bfloat16"})
