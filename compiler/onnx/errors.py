"""Errors of the ONNX front end: each names the node, its operator, the rule and a way out."""

from hwc.compiler.graph.errors import HwcError

__all__ = ["BatchError", "OnnxError"]


class OnnxError(HwcError):
    """A file that cannot be read, or a network that the source language cannot express."""


class BatchError(OnnxError):
    """An operation mixes the samples of the batch, if axis 0 of the inputs is the batch."""
