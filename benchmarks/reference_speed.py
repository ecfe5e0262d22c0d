"""Speed of the integer reference against a naive one, on the layers of LeNet-5 (4-bit weights).

Naive: im2col in int64, then NumPy's int64 `@` on the whole batch. Both give the same integers,
which is checked. Prints one line per layer with a weight matrix, their sum, and a run of the whole
network. Times are the best of several, taken in turns, in microseconds per sample.

    python benchmarks/reference_speed.py [--batch 256] [--repeat 30]
"""

import argparse
import time
from collections.abc import Callable

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
    Reshape,
    Type,
    run,
)
from hwc.compiler.graph.frozen import IntNd


def lenet5(rng: np.random.Generator) -> Graph:
    """LeNet-5 on 28x28 bytes: weights in [-7, 7], activations of 4 bits, thresholds at random."""

    def dense(*shape: int) -> Dense:
        return Dense(rng.integers(-7, 8, shape))

    def quant(channels: int, reach: int) -> MultiThreshold:
        return MultiThreshold(np.sort(rng.integers(-reach, reach, (channels, 15)), axis=1))

    nodes = (
        Node("conv1", Conv2d(dense(6, 5, 5, 1), padding=(2, 2, 2, 2)), ("image",)),
        Node("quant1", quant(6, 6000), ("conv1",)),
        Node("pool1", MaxPool2d((2, 2), (2, 2)), ("quant1",)),
        Node("conv2", Conv2d(dense(16, 5, 5, 6)), ("pool1",)),
        Node("quant2", quant(16, 1000), ("conv2",)),
        Node("pool2", MaxPool2d((2, 2), (2, 2)), ("quant2",)),
        Node("flat", Reshape((400,)), ("pool2",)),
        Node("dense1", MatMul(dense(120, 400)), ("flat",)),
        Node("quant3", quant(120, 1000), ("dense1",)),
        Node("dense2", MatMul(dense(84, 120)), ("quant3",)),
        Node("quant4", quant(84, 500), ("dense2",)),
        Node("dense3", MatMul(dense(10, 84)), ("quant4",)),
        Node("digit", ArgMax(), ("dense3",)),
    )
    return Graph((("image", Type((28, 28, 1), 0, 255)),), nodes, ("digit",)).verify()


def naive(op: Conv2d | MatMul, x: IntNd) -> IntNd:
    """The layer by int64 im2col and NumPy's int64 matmul."""
    if isinstance(op, Conv2d):
        x = op.window.reference(x)
        x = x.reshape(*x.shape[:3], -1)
    return x @ op.weight.dense().reshape(op.weight.shape[0], -1).T


def best(functions: list[Callable[[], IntNd]], repeat: int) -> list[float]:
    """Shortest seconds of each function, called in turns so that all meet the same machine."""
    times = [[] for _ in functions]
    for _ in range(repeat):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Speed of the integer reference on LeNet-5")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=30)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    graph = lenet5(rng)
    image = rng.integers(0, 256, (options.batch, 28, 28, 1))
    values = run(graph, image, taps=("image", *(node.name for node in graph.nodes)))
    total = np.zeros(2)
    print(f"batch {options.batch}, microseconds per sample\n")
    print(f"{'layer':<8}{'MACs':>9}{'naive':>10}{'reference':>11}{'ratio':>8}")
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, Conv2d | MatMul):
            continue
        x = values[node.args[0]]
        assert np.array_equal(naive(op, x), values[node.name]), node.name
        pair = [lambda op=op, x=x: naive(op, x), lambda op=op, x=x: op.reference(x)]
        slow, fast = np.array(best(pair, options.repeat)) / options.batch * 1e6
        total += slow, fast
        macs = values[node.name][0].size * op.weight.size // op.weight.shape[0]
        print(f"{node.name:<8}{macs:>9}{slow:>10.2f}{fast:>11.2f}{slow / fast:>7.1f}x")
    print(f"{'sum':<17}{total[0]:>10.2f}{total[1]:>11.2f}{total[0] / total[1]:>7.1f}x")
    (whole,) = best([lambda: run(graph, image)["digit"]], options.repeat)
    print(f"\nwhole network, all ops: {whole / options.batch * 1e6:.2f}")


if __name__ == "__main__":
    main()
