"""ONNX files, float, QDQ and QONNX, as float source graphs, and integer graphs as QONNX files."""

from hwc.compiler.onnx.errors import OnnxError
from hwc.compiler.onnx.export.write import to_qonnx, write_qonnx
from hwc.compiler.onnx.imported import Imported, Port
from hwc.compiler.onnx.inputs import Raw
from hwc.compiler.onnx.load import load_onnx, read_onnx

__all__ = [
    "Imported",
    "OnnxError",
    "Port",
    "Raw",
    "load_onnx",
    "read_onnx",
    "to_qonnx",
    "write_qonnx",
]
