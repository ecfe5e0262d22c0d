"""Capture of what moves, joins or selects elements."""

from torch.fx import Node

from hwc.compiler.source import ArgMax, Concat, Flatten, Reshape, TopK
from hwc.models.capture.walk import Capture, Value


def same(c: Capture, node: Node) -> Value:
    """Dropout in evaluation mode and copies: nothing."""
    return next(v for v in c.args(node).values() if isinstance(v, Value))


def convert(c: Capture, node: Node) -> Value:
    """To a float type: nothing. To an integer type it would round."""
    before, after = node.all_input_nodes[0].meta["val"].dtype, node.meta["val"].dtype
    if not after.is_floating_point and after != before:
        c.fail(node, f"converts to {after}, which rounds; use hwc.models.QuantAct")
    return same(c, node)


def reshape(c: Capture, node: Node) -> Value:
    """Of several reshapes in a row only the last counts, and none if it restores the shape."""
    shape, x = c.shape(node), same(c, node)
    by_name = {done.name: done for done in c.nodes}
    while x.name in by_name and isinstance(by_name[x.name].op, (Reshape, Flatten)):
        x = Value(by_name[x.name].args[0])
    if shape == c.shapes[x.name]:
        return x
    return c.emit(node, Flatten() if len(shape) == 1 else Reshape(shape), x)


def concat(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if not all(isinstance(x, Value) and x.constant is None for x in a["tensors"]):
        c.fail(node, "constants cannot be concatenated with activations")
    return c.emit(node, Concat(a["dim"] % node.meta["val"].ndim), *a["tensors"])


def arg_max(c: Capture, node: Node) -> Value:
    a = c.args(node)
    if a["dim"] is None or a["dim"] % node.args[0].meta["val"].ndim != 1:  # pyright: ignore
        c.fail(node, f"dim={a['dim']} is not supported; use dim=1")
    best = c.emit(node, ArgMax(), a["self"])
    positions = c.shapes[best.name][1:]
    return best if a["keepdim"] or not positions else c.emit(node, Reshape(positions), best)


def top_k(c: Capture, node: Node) -> Value:
    a = c.args(node)
    rank = node.args[0].meta["val"].ndim  # pyright: ignore
    if a["dim"] % rank != 1 or not a["largest"] or not a["sorted"]:
        c.fail(node, "only the sorted largest along dim=1 are supported")
    return c.emit(node, TopK(int(a["k"])), a["self"])
