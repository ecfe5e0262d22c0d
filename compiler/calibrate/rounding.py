"""Rounding of weights to codes: each to the nearest, or with second-order compensation.

Layerwise Optimal Brain Surgeon (Hassibi & Stork 1993) with "to a grid point" in the place of "to
zero": the squared error of a layer's outputs is a quadratic form of the weight errors with the
Hessian H = 2 X X^T of its inputs, the same for every output. Moving weight q to its grid point
costs least if all weights that are still free change by

    dw = -(w_q - quant(w_q)) / [H^-1]_qq * (H^-1 e_q).

Weights are fixed in order of falling H_qq. Row q of the upper Cholesky factor U of H^-1, divided by
U_qq, is H^-1 e_q / [H^-1]_qq of the weights that are free at step q, so one factorization serves
all steps (as in Frantar et al. 2022, GPTQ).
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from hwc.compiler.calibrate.layers import Floats, columns
from hwc.compiler.source import SourceOp

__all__ = ["Moments", "nearest", "output_error", "retargeted", "second_order"]

Ints = NDArray[np.int64]

DAMPING = 0.01
"""Share of the mean diagonal added to H: inputs that hardly vary stay harmless."""

RIDGE = 0.05
"""The same where weights are fitted to another input: larger, lest few frames be overfitted."""

BLOCK = 64
"""Columns whose updates to the columns behind the block are applied at once."""


class Moments:
    """Of each group of a layer's inputs X, and of those of the float network F: X X^T and F X^T, as
    sums over all frames and positions. `centred`: of both less their means, right where a bias
    makes up for the error of the mean."""

    def __init__(self, op: SourceOp, kernel: tuple[int, ...], centred: bool = False) -> None:
        self._op, self._kernel, self._centred = op, kernel, centred
        self._sums: list[Floats] | None = None
        self._count = 0

    def add(self, x: np.ndarray, exact: np.ndarray) -> None:
        """Take in some frames of the layer's input, (frames, *shape)."""
        rows, wanted = (columns(self._op, v, self._kernel) for v in (x, exact))
        self._count += rows.shape[1]
        part = [
            rows.swapaxes(1, 2) @ rows,
            wanted.swapaxes(1, 2) @ rows,
            rows.sum(axis=1),
            wanted.sum(axis=1),
        ]
        known = self._sums
        self._sums = part if known is None else [a + b for a, b in zip(known, part, strict=True)]

    def matrices(self) -> tuple[Floats, Floats]:
        """2 X X^T and 2 F X^T, each (G, K, K)."""
        assert self._sums is not None
        square, cross, x, f = self._sums
        if self._centred:
            square = square - x[:, :, None] * x[:, None, :] / self._count
            cross = cross - f[:, :, None] * x[:, None, :] / self._count
        return 2 * square, 2 * cross


def retargeted(weight: Floats, hessian: Floats, cross: Floats) -> Floats:
    """Weights W' (N, K) under which the layer's input X gives nearly what W gives on F.

    The ridge regression W' = W + W (F X^T - X X^T) (X X^T + damping)^-1: errors of the layers
    before are corrected as far as a linear map can.
    """
    damping = RIDGE * float(np.diag(hessian).mean())
    if damping <= 0:
        return weight
    damped = hessian + damping * np.eye(len(hessian))
    wanted = weight @ (cross - hessian)
    return weight + scipy.linalg.solve(damped, wanted.T, assume_a="pos").T


def nearest(weight: Floats, scale: Floats, most: int) -> Ints:
    """clip(round_half_even(weight / scale), -most, most); the scale broadcasts."""
    return np.clip(np.rint(weight / scale), -most, most).astype(np.int64)


def second_order(weight: Floats, scale: Floats, most: int, hessian: Floats) -> Ints:
    """Codes of the rows of `weight` (N, K) with scales (N, 1), for one H (K, K).

    Rows that compensation does not improve (clipping can undo it) are rounded to the nearest.
    """
    codes = nearest(weight, scale, most)
    diagonal = np.diag(hessian)
    damping = DAMPING * float(diagonal.mean())
    if damping <= 0:
        return codes
    damped = hessian + damping * np.eye(len(hessian))
    order = np.argsort(-diagonal, kind="stable")
    factor = _inverse_factor(damped[np.ix_(order, order)])
    moved = np.empty_like(codes)
    moved[:, order] = _compensated(weight[:, order], scale, most, factor)
    before, after = (output_error(weight, c * scale, hessian) for c in (codes, moved))
    return np.where((after < before)[:, None], moved, codes)


def output_error(weight: Floats, quantized: np.ndarray, hessian: Floats) -> Floats:
    """Squared error of each output, (N,), summed over what `hessian` = 2 X X^T was made from."""
    error = weight - quantized
    return np.einsum("nk,nk->n", error @ hessian, error) / 2


def _inverse_factor(hessian: Floats) -> Floats:
    """Upper U with U^T U = H^-1."""
    factor = scipy.linalg.cho_factor(hessian, lower=True)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(hessian)))
    return scipy.linalg.cholesky((inverse + inverse.T) / 2, lower=False)


def _compensated(weight: Floats, scale: Floats, most: int, factor: Floats) -> Ints:
    w, size = weight.copy(), weight.shape[1]
    codes = np.empty(w.shape, np.int64)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        errors = np.empty((len(w), stop - start))
        for q in range(start, stop):
            codes[:, q] = nearest(w[:, q], scale[:, 0], most)
            error = (w[:, q] - codes[:, q] * scale[:, 0]) / factor[q, q]
            w[:, q:stop] -= error[:, None] * factor[q, q:stop]
            errors[:, q - start] = error
        w[:, stop:] -= errors @ factor[start:stop, stop:]
    return codes
