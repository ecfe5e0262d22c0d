"""Handlers of ONNX operators by family: `function(walk, node)` returns the node's outputs."""
