"""The comparison of a float forward with the integers counts what it should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hwc.compiler.graph import Dense, Graph, MatMul, Node
from hwc.compiler.lower import LowerError, agree, lower
from hwc.compiler.source import ArgMax, Conv, Flatten, Linear, Source


def small(net: Any) -> tuple[Source, str, str, str]:
    """A convolution, a quantizer and a linear layer."""
    x = net.input(2, 5, 5)
    q = net.quant(net.op(Conv(), x, net.weight(3, 2, 3, 3)), -8, 7, 0.25)
    y = net.op(Linear(), net.op(Flatten(), q), net.weight(4, 27))
    return net.source(y, net.op(ArgMax(), y)), x, q, y


def test_counts_values_and_samples(net: Any) -> None:
    source, _, q, y = small(net)
    report = agree(source, lower(source), net.samples(source, 70))
    assert report.samples == 70
    assert [(d.name, d.total) for d in report.outputs] == [(y, 280), (source.outputs[1], 70)]
    assert [(d.name, d.total) for d in report.activations] == [(q, 70 * 27)]
    assert report.differing == 0
    assert report.activation_rate == 0
    assert f"{q}: 0 of 1890 differ" in str(report)


def test_sees_a_wrong_graph(net: Any) -> None:
    source, _, _, y = small(net)
    lowered = lower(source)
    op = lowered.graph.node(y).op
    assert isinstance(op, MatMul)
    weight = op.weight.dense().copy()
    weight[0, 0] += 1
    nodes = tuple(
        Node(n.name, MatMul(Dense(weight)), n.args) if n.name == y else n
        for n in lowered.graph.nodes
    )
    broken = replace(lowered, graph=Graph(lowered.graph.inputs, nodes, lowered.graph.outputs))
    assert agree(source, broken, net.samples(source, 30)).differing > 0


def test_compares_with_a_torch_forward(net: Any) -> None:
    source, x, q, y = small(net)
    lowered = lower(source)
    t = {name: torch.from_numpy(value.copy()) for name, value in source.tensors.items()}
    w1, w2 = (node.args[0] for node in source.nodes if node.name in source.constants)

    def forward(inputs, dtype=torch.float64):
        a = torch.from_numpy(inputs[x] / 256).to(dtype)
        a = F.conv2d(a, t[w1].to(dtype))
        a = torch.clamp(torch.round(a / 0.25), -8, 7) * 0.25
        b = F.linear(a.flatten(1), t[w2].to(dtype))
        return {q: a, y: b, source.outputs[1]: b.argmax(1, keepdim=True)}

    samples = net.samples(source, 50)
    assert agree(source, lowered, samples, forward=forward).differing == 0
    shifted = agree(
        source, lowered, samples, forward=lambda x: forward({n: v + 9 for n, v in x.items()})
    )
    assert shifted.activation_rate > 0
    with pytest.raises(LowerError, match=f"forward gave no output '{y}'"):
        agree(source, lowered, samples, forward=lambda _: {})


def test_float32_differences_are_counted(net: Any) -> None:
    """Sums right beside a tie: float32 rounds some of them across."""
    x = net.input(1, scale=2.0**-30, lo=0, hi=2**31)
    q = net.quant(x, 0, 1, 2.0)
    source = net.source(q)
    codes = np.array([[2**30 - 1], [2**30], [2**30 + 1], [2**30 + 2**10]])
    lowered = lower(source)
    assert agree(source, lowered, {x: codes}).differing == 0
    assert agree(source, lowered, {x: codes}, np.float32).differing == 1
