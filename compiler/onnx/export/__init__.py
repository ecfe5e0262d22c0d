"""Integer graphs as QONNX files."""
