"""Pass: convolutions and pools become windows followed by products or reductions."""

from hwc.compiler.graph.graph import Graph, Node
from hwc.compiler.graph.linear import Conv1d, Conv2d, MatMul
from hwc.compiler.graph.op import Op
from hwc.compiler.graph.pool import GlobalMaxPool, GlobalSumPool, MaxPool2d, SumPool2d, WindowReduce
from hwc.compiler.graph.shape import Reshape
from hwc.compiler.graph.types import Type
from hwc.compiler.graph.window import Window

Steps = list[tuple[str, Op]]
"""Ops in series, each with the suffix its node's name gets (the last one: the node's own name)."""


def expand(graph: Graph, keep: tuple[type[Op], ...] = ()) -> Graph:
    """The same graph with Window, GroupedMatMul, WindowReduce, MatMul for convolutions and pools.

    An unpadded 1x1 convolution of stride 1 and one group becomes a MatMul. A node keeps its name,
    type and values; the nodes before it are called `<name>_map` (Reshape to (1, L, C)),
    `<name>_window` and `<name>_flat` (before a Reshape back), with a number if that is taken.
    Ops whose class is in `keep` stay as they are. The result is verified.
    """
    names = set(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        steps: Steps = [("", node.op)]
        if node.args and not isinstance(node.op, keep):
            steps = _steps(node.op, graph.types[node.args[0]])
        args = node.args
        for suffix, op in steps[:-1]:
            name = free_name(f"{node.name}_{suffix}", names)
            nodes.append(Node(name, op, args))
            args = (name,)
        nodes.append(Node(node.name, steps[-1][1], args))
    return Graph(graph.inputs, tuple(nodes), graph.outputs).verify()


def _steps(op: Op, x: Type) -> Steps:
    """What makes `op`, whose first input has type `x`: the op itself if it is none of ours."""
    match op:
        case Conv2d():
            if op.pointwise:
                return [("", MatMul(op.weight.reshape((op.weight.shape[0], op.weight.shape[3]))))]
            return [("window", op.window), ("flat", op.product)]
        case Conv1d():
            flat = _steps(op.as_2d, x)
            if op.as_2d.pointwise:
                return flat
            y = op.infer(x)
            return [("map", Reshape((1, *x.shape))), *flat, ("", Reshape(y.shape))]
        case MaxPool2d():
            return [("window", op.window(x)), ("", WindowReduce("max"))]
        case SumPool2d():
            return [("window", op.window(x)), ("", WindowReduce("sum"))]
        case GlobalMaxPool():
            return _global(x, WindowReduce("max"))
        case GlobalSumPool():
            return _global(x, WindowReduce("sum"))
    return [("", op)]


def _global(x: Type, reduce: WindowReduce) -> Steps:
    """One window over the whole map; any axes before the last two are joined to one."""
    channels = x.shape[-1]
    kernel = (x.size // channels // x.shape[-2], x.shape[-2])
    steps: Steps = [
        ("window", Window(kernel, groups=channels)),
        ("flat", reduce),
        ("", Reshape((channels,))),
    ]
    if len(x.shape) != 3:
        steps.insert(0, ("map", Reshape((*kernel, channels))))
    return steps


def free_name(name: str, names: set[str]) -> str:
    """`name`, or `name2`, `name3` ... if taken; the result is added to `names`."""
    free, count = name, 1
    while free in names:
        count += 1
        free = f"{name}{count}"
    names.add(free)
    return free
