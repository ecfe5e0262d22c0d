"""Speed of the integer reference against a naive one, on the layers of LeNet-5 (4-bit weights).

Naive: im2col in int64, then NumPy's int64 `@` on the whole batch. Both give the same integers,
which is checked. Writes docs/reference_speed.md.

    python benchmarks/reference_speed.py [--batch 256] [--repeat 20]
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from hwc.compiler.graph import (
    ArgMax,
    Conv2d,
    Dense,
    Graph,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Op,
    Reshape,
    Type,
    run,
)
from hwc.compiler.graph.frozen import IntNd

HEAD = """# Speed of the integer reference

Made by `python benchmarks/reference_speed.py`. Microseconds a sample in batches of {batch}, the
best of several runs taken in turns. *Naive*: im2col in int64, then NumPy's int64 `@`. *Reference*:
`run()`, exact int64 as well: it multiplies in float32 or float64 where the sum of |w| times the
largest |x| proves that every partial sum is exact, and im2col takes several output columns at a
time. That both are equal is checked. *BLAS*: float32 `@` of operands that are laid out already, so
without im2col, conversion and integers as result: how fast nothing that multiplies with it can be.

"""
NETS = {
    "LeNet-5 (20, 50, 500), as in the compression literature": ((20, 50), (500,), 0),
    "LeNet-5 (6, 16, 120, 84), as in LeCun et al. 1998": ((6, 16), (120, 84), 2),
}
"""Maps of the two convolutions, hidden layers, padding of the first convolution."""


def lenet5(
    rng: np.random.Generator, maps: tuple[int, int], hidden: tuple[int, ...], pad: int
) -> Graph:
    """LeNet-5 on 28x28 bytes: weights in [-7, 7], activations of 4 bits, thresholds at random."""
    nodes: list[Node] = []

    def add(name: str, op: Op) -> None:
        nodes.append(Node(name, op, (nodes[-1].name if nodes else "image",)))

    def dense(*shape: int) -> Dense:
        return Dense(rng.integers(-7, 8, shape))

    def quant(channels: int, reach: int) -> MultiThreshold:
        return MultiThreshold(np.sort(rng.integers(-reach, reach, (channels, 15)), axis=1))

    add("conv1", Conv2d(dense(maps[0], 5, 5, 1), padding=(pad, pad, pad, pad)))
    add("quant1", quant(maps[0], 6000))
    add("pool1", MaxPool2d((2, 2), (2, 2)))
    add("conv2", Conv2d(dense(maps[1], 5, 5, maps[0])))
    add("quant2", quant(maps[1], 1000))
    add("pool2", MaxPool2d((2, 2), (2, 2)))
    side = ((24 + 2 * pad) // 2 - 4) // 2
    sizes = (maps[1] * side * side, *hidden, 10)
    add("flat", Reshape((sizes[0],)))
    for k, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        add(f"dense{k}", MatMul(dense(outputs, inputs)))
        if k < len(sizes) - 1:
            add(f"quant{k + 2}", quant(outputs, 1000))
    add("digit", ArgMax())
    return Graph((("image", Type((28, 28, 1), 0, 255)),), tuple(nodes), ("digit",)).verify()


def operands(op: Conv2d | MatMul, x: IntNd) -> tuple[IntNd, IntNd]:
    """The matrices of a layer."""
    if isinstance(op, Conv2d):
        x = op.window.reference(x)
        x = x.reshape(*x.shape[:3], -1)
    return x.reshape(-1, x.shape[-1]), op.weight.dense().reshape(op.weight.shape[0], -1).T


def naive(op: Conv2d | MatMul, x: IntNd) -> IntNd:
    """The layer by int64 im2col and NumPy's int64 matmul."""
    a, b = operands(op, x)
    y = a @ b
    return y.reshape(len(x), -1, y.shape[-1])


def best(functions: list[Callable[[], np.ndarray]], repeat: int) -> list[float]:
    """Shortest seconds of each function, called in turns so that all meet the same machine."""
    times = [[] for _ in functions]
    for _ in range(repeat):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def line(name: str, macs: float, slow: float, fast: float, bare: float) -> str:
    """A row of a table."""
    ratios = f"{slow / fast:.1f} | {bare:.2f} | {slow / bare:.1f}"
    return f"| {name} | {macs:,.0f} | {slow:.2f} | {fast:.2f} | {ratios} |\n"


def table(title: str, graph: Graph, image: IntNd, repeat: int) -> str:
    """The layers with weights of one network, their sum, and a run of all of it."""
    values = run(graph, image, taps=("image", *(node.name for node in graph.nodes)))
    text = (
        f"## {title}\n\n| layer | MACs | naive | reference | ratio | BLAS | ratio |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
    )
    total, scale = np.zeros(4), 1e6 / len(image)
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, Conv2d | MatMul):
            continue
        x = values[node.args[0]]
        y = values[node.name]
        assert np.array_equal(naive(op, x).reshape(y.shape), y), node.name
        a, b = (m.astype(np.float32) for m in operands(op, x))
        ways = [
            lambda op=op, x=x: naive(op, x),
            lambda op=op, x=x: op.reference(x),
            lambda a=a, b=b: a @ b,
        ]
        row = np.array(
            [y[0].size * op.weight.size // len(b.T), *np.array(best(ways, repeat)) * scale]
        )
        total += row
        text += line(node.name, *row)
    text += line("sum", *total)
    (whole,) = best([lambda: run(graph, image)["digit"]], repeat)
    return f"{text}\nThe whole network, pools and thresholds included: {whole * scale:.1f}.\n\n"


def main() -> None:
    """Writes and prints the tables."""
    parser = argparse.ArgumentParser(description="Speed of the integer reference on LeNet-5")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("docs/reference_speed.md"))
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (options.batch, 28, 28, 1))
    text = HEAD.format(batch=options.batch)
    for title, shape in NETS.items():
        text += table(title, lenet5(rng, *shape), image, options.repeat)
    print(text)
    options.out.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
