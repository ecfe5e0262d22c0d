"""Small integer networks that the mapping tests build."""

from __future__ import annotations

import numpy as np

from hwc.compiler.graph import (
    Add,
    ArgMax,
    Binary,
    Conv2d,
    Dense,
    Gather,
    GlobalSumPool,
    Graph,
    MatMul,
    MaxPool2d,
    MultiThreshold,
    Node,
    Requant,
    Reshape,
    Table,
    Type,
)


def thresholds(rng, op, x, levels, lo=0, step=1):
    """Thresholds spread over the values that ``op`` really takes on random inputs."""
    sample = rng.integers(x.lo, x.hi + 1, (32, *x.shape))
    if x.bipolar:
        sample = np.where(sample > 0, 1, -1)
    y = op.reference(sample)
    y = y.reshape(-1, y.shape[-1])
    table = np.sort(np.quantile(y, (np.arange(levels) + 1) / (levels + 1), axis=0).T, axis=1)
    down = tuple(bool(b) for b in rng.integers(0, 2, y.shape[-1]))
    return MultiThreshold(np.round(table).astype(np.int64), down, lo, step)


def residual_block(seed=0, height=7, width=9, channels=5, bits=4):
    """Stem, a block of two 3x3 convolutions with a skip, max pool, global pool, classes."""
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    half = 1 << (bits - 1)

    def conv(cin, cout, k, stride=(1, 1)):
        pad = (k // 2,) * 4
        return Conv2d(Dense(rng.integers(-half, half, (cout, k, k, cin))), stride, pad)

    image = Type((height, width, 3), 0, 255)
    stem = conv(3, channels, 3)
    act = Type((height, width, channels), 0, top)
    first, second = conv(channels, channels, 3), conv(channels, channels, 3)
    wide = 16 * Type((1,), 0, top).hi
    join = Requant([37], [5], 7, 0, top)
    nodes = [
        Node("stem", stem, ("image",)),
        Node("stem_act", thresholds(rng, stem, image, top), ("stem",)),
        Node("one", first, ("stem_act",)),
        Node("one_act", thresholds(rng, first, act, top), ("one",)),
        Node("two", second, ("one_act",)),
        Node("two_act", Requant([40] * channels, [wide] * channels, 8, -wide, wide), ("two",)),
        Node("sum", Add((1, 2)), ("two_act", "stem_act")),
        Node("sum_act", join, ("sum",)),
        Node("pool", MaxPool2d((2, 2), (2, 2)), ("sum_act",)),
        Node("mean", GlobalSumPool(), ("pool",)),
        Node("classes", MatMul(Dense(rng.integers(-half, half, (4, channels)))), ("mean",)),
        Node("best", ArgMax(), ("classes",)),
    ]
    return Graph((("image", image),), tuple(nodes), ("classes", "best")).verify()


def binary_mlp(seed=0, sizes=(50, 13, 11, 4)):
    """Binary weights and activations, thresholds of both directions, integer classes."""
    rng = np.random.default_rng(seed)
    x = Type((5, 5, 2), 0, 255)
    nodes = [Node("flat", Reshape((50,)), ("image",))]
    last, kind = "flat", x.with_shape((50,))
    for i, (n, k) in enumerate(zip(sizes[1:], sizes, strict=False)):
        op = MatMul(Binary(rng.choice([-1, 1], (n, k))))
        nodes.append(Node(f"fc{i}", op, (last,)))
        last = f"fc{i}"
        if i < len(sizes) - 2:
            act = thresholds(rng, op, kind, 1, -1, 2)
            nodes.append(Node(f"act{i}", act, (last,)))
            kind = act.infer(op.infer(kind))
            last = f"act{i}"
    return Graph((("image", x),), tuple(nodes), (last,)).verify()


def rearranged(seed=0, height=5, width=6, channels=4):
    """Convolutions with what moves between them: upsampling, a table per channel, a slice, an
    exchange of rows and columns, channels in another order before the classes."""
    rng = np.random.default_rng(seed)
    image = Type((height, width, 3), 0, 255)
    pad = (1, 1, 1, 1)
    stem = Conv2d(Dense(rng.integers(-4, 4, (channels, 3, 3, 3))), (1, 1), pad)
    big = np.arange(height * width * channels).reshape(height, width, channels)
    big = big.repeat(2, 0).repeat(2, 1)
    wide = Conv2d(Dense(rng.integers(-4, 4, (6, 3, 3, channels))), (1, 1), pad)
    shape = (2 * height, 2 * width, 6)
    cut = np.arange(big.size // channels * 6).reshape(shape)[1:-2, 3:, 1:5]
    turn = np.arange(cut.size).reshape(cut.shape).transpose(1, 0, 2)
    first = np.arange(cut.size).reshape(turn.shape).transpose(2, 0, 1).ravel()
    curve = np.round(np.linspace(-3, 3, 6)[:, None] * np.sin(np.arange(-64, 64) / 20) * 5)
    nodes = [
        Node("stem", stem, ("image",)),
        Node("stem_act", thresholds(rng, stem, image, 15), ("stem",)),
        Node("up", Gather(big, big.shape), ("stem_act",)),
        Node("wide", wide, ("up",)),
        Node("wide_act", Requant([21] * 6, [9] * 6, 6, -64, 63), ("wide",)),
        Node("curve", Table(curve.astype(int), -64), ("wide_act",)),
        Node("cut", Gather(cut, cut.shape), ("curve",)),
        Node("turn", Gather(turn, turn.shape), ("cut",)),
        Node("first", Gather(first, first.shape), ("turn",)),
        Node("classes", MatMul(Dense(rng.integers(-4, 4, (3, cut.size)))), ("first",)),
    ]
    return Graph((("image", image),), tuple(nodes), ("classes", "turn")).verify()
