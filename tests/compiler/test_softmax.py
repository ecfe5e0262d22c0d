"""Networks with a softmax inside, from PyTorch and from ONNX, built and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from hwc.compiler.build import Options, build
from hwc.compiler.calibrate import Config
from hwc.compiler.lower import agree, lower
from hwc.compiler.network import load_network
from hwc.compiler.source import evaluate


class Gated(nn.Module):
    """A softmax over hidden units chooses among the rows of the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 12), nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.softmax(self.first(x), 1))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data: Any = load_digits()
    return data.data.astype(np.float32) / 16, data.target


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> Gated:
    torch.manual_seed(0)
    x, labels = (torch.from_numpy(a[:1200]) for a in digits)
    model = Gated()
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture
def file(trained: Gated, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Path:
    """The network as a float ONNX file, with samples to calibrate it by."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Gemm", ["x", "first.weight", "first.bias"], ["a"], transB=1),
        helper.make_node("Softmax", ["a"], ["g"], axis=1),
        helper.make_node("Gemm", ["g", "last.weight", "last.bias"], ["y"], transB=1),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "gated",
        [helper.make_tensor_value_info("x", kind, ["N", 64])],
        [helper.make_tensor_value_info("y", kind, ["N", 10])],
        [onnx.numpy_helper.from_array(v.numpy(), k) for k, v in trained.state_dict().items()],
    )
    path = tmp_path / "gated.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    np.savez(tmp_path / "calib.npz", x=digits[0][:300])
    return path


def test_calibrated_digits_are_recognized(
    file: Path, trained: Gated, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    x, labels = digits
    network = load_network(file, str(file.parent / "calib.npz"), Config.of("w8a8"))
    lowered = lower(network.source)
    assert agree(network.source, lowered, {"x": x[1200:]}).differing == 0
    quantized = evaluate(network.source, {"x": x[1200:]})[network.source.outputs[0]]
    with torch.no_grad():
        real = trained(torch.from_numpy(x[1200:])).numpy()
    rates = [float((y.argmax(1) == labels[1200:]).mean()) for y in (real, quantized)]
    assert rates[0] > 0.8
    assert abs(rates[0] - rates[1]) < 0.01


@pytest.mark.slow
def test_built_for_a_board(file: Path, tmp_path: Path) -> None:
    report = build(
        Options(
            file,
            "pynq-z2",
            tmp_path / "out",
            verify_inputs=20,
            calib=str(tmp_path / "calib.npz"),
            quantization=Config.of("w8a8"),
            work=tmp_path / "cache",
        )
    )
    assert report.verified is not None
    assert report.verified.mismatches == report.verified.cycle_errors == 0
    kinds = {op for layer in report.layers for op in layer.op.split(" + ")}
    assert {"Ratio", "Table", "WindowReduce", "Gather", "Add", "MatMul"} <= kinds
