"""QONNX files: those that brevitas_examples exports, and a 3-bit MLP written by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from foreign.prepared import Prepared

__all__ = ["BREVITAS", "brevitas", "kws_mlp"]

BREVITAS = tuple(
    f"{net}_{bits}"
    for net in ("tfc", "sfc", "lfc", "cnv")
    for bits in ("1w1a", "1w2a", "2w2a")
    if (net, bits) != ("lfc", "2w2a")
)
"""All variants of brevitas_examples.bnn_pynq but its ResNet-18."""

EXPORT = """
import sys, torch
from brevitas.export import export_qonnx
from brevitas_examples.bnn_pynq.models import model_with_cfg
name, path, *shape = sys.argv[1:]
torch.manual_seed(0)
torch.set_num_threads(1)
model, _ = model_with_cfg(name, pretrained=False)
x = torch.rand(20, *map(int, shape))
model.train()
with torch.no_grad():
    for _ in range(5):
        model(x)  # gives batch-norms and learned scales some statistics
model.eval()
with torch.no_grad():
    export_qonnx(model, x[:1], path)
"""


def brevitas(name: str, folder: Path) -> Prepared:
    """One of BREVITAS, exported in a process of its own: brevitas patches torch. Bytes arrive."""
    path = folder / f"{name}.onnx"
    shape = (3, 32, 32) if name.startswith("cnv") else (1, 28, 28)
    if not path.exists():
        command = [sys.executable, "-W", "ignore", "-c", EXPORT, name, str(path), *map(str, shape)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"pip install --no-deps brevitas unfoldNd dependencies==2.0.1 onnxoptimizer\n"
                f"{done.stderr[-2000:]}"
            )
    (item,) = onnx.load(str(path)).graph.input[:1]
    frames = np.random.default_rng(0).integers(0, 256, (10, *shape))
    wide = name.startswith("cnv")
    return Prepared(
        path,
        {item.name: frames},
        "random weights, random bytes",
        raw=(f"{item.name}=1/255",),
        verify_inputs=2 if wide else 10,
        oracle_frames=2 if wide else 10,
    )


def kws_mlp(folder: Path) -> Prepared:
    """490-256-256-256-12, weights and activations of 3 bits, the input of 8 (as in FINN's keyword
    spotter), batch-norm in front of every activation."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(value: object, name: str) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def quant(x: str, scale: float, bits: int, signed: bool, narrow: bool = False) -> str:
        out = f"{x}_quant"
        parts = [constant(v, f"{out}_{i}") for i, v in enumerate((scale, 0, bits))]
        attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        nodes.append(helper.make_node("Quant", [x, *parts], [out],
                                      domain="qonnx.custom_op.general", **attributes))  # fmt: skip
        return out

    def dense(x: str, inputs: int, outputs: int, name: str) -> str:
        weight = constant(rng.normal(0, 1, (inputs, outputs)), f"{name}_weight")
        product = [x, quant(weight, 0.53, 3, signed=True, narrow=True)]
        nodes.append(helper.make_node("MatMul", product, [name]))
        return name

    x = quant("mfcc", 1 / 16, 8, signed=True)
    spread = 64 / 16 / 3**0.5
    for i, (a, b) in enumerate([(490, 256), (256, 256), (256, 256)]):
        x = dense(x, a, b, f"dense{i}")
        deviation = spread * a**0.5
        statistics = [
            rng.uniform(0.5, 1.5, b), rng.normal(0, 0.5, b),
            rng.normal(0, deviation / 4, b), np.full(b, deviation**2),
        ]  # fmt: skip
        inputs = [constant(v, f"norm{i}_{j}") for j, v in enumerate(statistics)]
        nodes.append(helper.make_node("BatchNormalization", [x, *inputs], [f"norm{i}"]))
        nodes.append(helper.make_node("Relu", [f"norm{i}"], [f"relu{i}"]))
        x = quant(f"relu{i}", 0.29, 3, signed=False)
        spread = 0.6
    last = dense(x, 256, 12, "logits")
    graph = helper.make_graph(
        nodes,
        "kws",
        [helper.make_tensor_value_info("mfcc", TensorProto.FLOAT, [1, 490])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 12])],
        constants,
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("qonnx.custom_op.general", 1)]
    path = folder / "kws-mlp.onnx"
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), path)
    frames = rng.normal(0, 4 / 3**0.5, (64, 490)).astype(np.float32)
    return Prepared(path, {"mfcc": frames}, "random weights, normal inputs")
