"""Products with constant matrices: Gemm, MatMul, and the contraction both are."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from hwc.compiler.onnx.node import Node
from hwc.compiler.onnx.ops.arithmetic import real
from hwc.compiler.onnx.reshaping import reshaped
from hwc.compiler.onnx.values import Constant, Value
from hwc.compiler.onnx.walk import Walk
from hwc.compiler.source import Conv, Linear, Reshape

__all__ = ["contract", "gemm", "gemm_of", "matmul", "matmul_of"]


def contract(
    walk: Walk, node: Node, x: Value, axis: int, weight: Constant, bias: Constant | None = None
) -> Value:
    """Sum over ONNX axis `axis` of x with weight (N, K); the result has N there.

    A Linear if there are no other axes but the batch, else a convolution of kernel 1.
    """
    shape = walk.shape(x)
    if walk.is_batch(x, axis):
        walk.mixes(f"the product sums over the batch, axis {axis}")
    n, k = weight.value.shape
    node.check(k == shape[axis], f"weight has {k} rows for {shape[axis]} features")
    positions = [a for a in range(x.rank) if a != axis and x.axes[a] and shape[a] > 1]
    positions.sort(key=lambda a: x.axes[a] or 0)
    y = walk.arranged(x, [axis, *positions])
    merged = len(positions) > 2
    if merged:
        y = y.renamed(walk.move(y.name, Reshape((k, prod(shape[a] for a in positions)))))
    rank = 1 if merged else len(positions)
    ones = (1,) * rank
    names = [walk.weight(weight.moved(lambda w: w.reshape(n, k, *ones)), "weight")]
    if bias is not None:
        names.append(walk.weight(bias.moved(lambda b: np.broadcast_to(b.ravel(), (n,))), "bias"))
    op = Conv(ones, (0, 0) * rank, ones) if rank else Linear()
    name = walk.emit(op, y.name, *names)
    if merged:
        name = walk.move(name, Reshape((n, *(shape[a] for a in positions))))
    return replace(y, name=name, coding=None, dtype=np.dtype(np.float32))


def gemm(walk: Walk, node: Node) -> Value:
    """alpha * A' B' + beta * C; A or B and C are constants. C may broadcast along any axis."""
    beta = node.float("beta", 1.0)
    left = isinstance(node.operand(0), Constant)
    weight = node.constant(0, "A") if left else node.constant(1, "B")
    bias = node.optional(2, "C")
    if bias is not None and beta != 1:
        bias = bias.times(beta)
    return gemm_of(walk, node, real(walk, node, 1 if left else 0), weight, bias, left=left)


def gemm_of(
    walk: Walk, node: Node, x: Value, weight: Constant, bias: Constant | None, *, left: bool
) -> Value:
    """alpha * A' B' + bias of real values with the node's attributes; A is the weight if left."""
    alpha = node.float("alpha", 1.0)
    ta, tb = node.flag("transA", False), node.flag("transB", False)
    node.check(weight.value.ndim == 2 and x.rank == 2, "A and B must have two axes")
    # The weight as (outputs, features): A' is (M, K), B' is (K, N).
    if ta if left else not tb:
        weight = weight.moved(np.transpose)
    if alpha != 1:
        weight = weight.times(alpha)
    if tb if left else ta:
        x = replace(x, axes=x.axes[::-1])
    axis = 0 if left else 1
    inside = bias is not None and _along(bias.value, axis)
    y = contract(walk, node, x, axis, weight, bias if inside else None)
    return y if bias is None or inside else walk.affine(y, 1.0, bias.value)


def _along(bias: np.ndarray, axis: int) -> bool:
    """True if the bias of a two-axis result varies along `axis` only."""
    shape = (1,) * (2 - bias.ndim) + bias.shape
    return len(shape) == 2 and shape[1 - axis] == 1


def matmul(walk: Walk, node: Node) -> Value:
    """One factor is a constant; a stack of matrices for as large a stack of the activation's
    becomes a grouped convolution."""
    left = isinstance(node.operand(0), Constant)
    weight = node.constant(0, "A") if left else node.constant(1, "B")
    return matmul_of(walk, node, real(walk, node, 1 if left else 0), weight, left=left)


def matmul_of(walk: Walk, node: Node, x: Value, weight: Constant, *, left: bool) -> Value:
    """weight @ x if left, else x @ weight, with numpy's rules for vectors and stacks."""
    vector = weight.value.ndim == 1
    if vector:
        weight = weight.moved(lambda w: w[None, :] if left else w[:, None])
    node.check(weight.value.ndim >= 2 and x.rank >= 1, "factors must have one axis or more")
    single = x.rank == 1
    axis = (x.rank - 2 if left else x.rank - 1) if not single else 0
    extra = weight.value.ndim - 2
    stacked = prod(weight.value.shape[:-2]) > 1
    if stacked:
        node.check(not single, "a stack of matrices times a vector is not supported")
        return _stacked(walk, node, x, weight, left=left, vector=vector)
    matrix = weight.moved(lambda w: w.reshape(w.shape[-2:]))
    if not left:
        matrix = matrix.moved(np.transpose)
    y = contract(walk, node, x, axis, matrix)
    shape = list(walk.shape(y))
    if vector:
        del shape[axis]
        y = reshaped(walk, y, tuple(shape))
    missing = extra + 2 - max(x.rank, 2)
    return replace(y, axes=(None,) * max(missing, 0) + y.axes)


def _stacked(
    walk: Walk, node: Node, x: Value, weight: Constant, *, left: bool, vector: bool
) -> Value:
    """x (..., S, P, K) @ weight (S, K, N): a convolution of kernel 1 in S groups."""
    weight = weight if left else weight.moved(lambda w: np.swapaxes(w, -1, -2))
    stack = weight.value.shape[:-2]
    while stack and stack[0] == 1:
        stack = stack[1:]
    n, k = weight.value.shape[-2:]
    rank, shape = x.rank, walk.shape(x)
    features, position = (rank - 2, rank - 1) if left else (rank - 1, rank - 2)
    over = list(range(rank - 2 - len(stack), rank - 2))
    node.check(
        not vector and bool(over) and over[0] >= 0 and stack == tuple(shape[a] for a in over),
        f"weight {weight.value.shape} does not stack along the axes of {shape}",
    )
    if any(walk.is_batch(x, a) for a in over):
        walk.mixes("each sample has a weight of its own")
    rest = [a for a in range(rank) if a not in (*over, features, position) and x.axes[a] != 0]
    node.check(all(shape[a] == 1 for a in rest), "only one stack of matrices is supported")
    groups, length = prod(stack), shape[position]
    y = walk.arranged(x, [*over, features, position])
    y = y.renamed(walk.move(y.name, Reshape((groups * k, length))))
    w = weight.moved(lambda w: w.reshape(groups * n, k, 1))
    name = walk.emit(Conv((1,), (0, 0), (1,), groups), y.name, walk.weight(w, "weight"))
    return y.plain(walk.move(name, Reshape((*stack, n, length))))
