"""Channel pruning by LASSO (He, Zhang, Sun 2017, arXiv 1707.06168).

A layer's response is Y = sum over channels i of X_i W_i^T. Which channels stay is the support of
`min over b of |Y - sum b_i X_i W_i^T|^2 / 2 + l * |b|_1` with l just large enough; the weights of
those that stay are then fitted to Y by least squares.
"""

import torch
from torch import Tensor

from hwc.models.pruning.mask import PruningError

__all__ = ["lasso", "refit", "response_gram", "select"]

ROUNDS, HALVINGS = 200, 40
RIDGE = 1e-6
"""Of the mean square of the inputs, in the refit: unused inputs have no unique weight."""


def response_gram(rows: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """(C, C): <Z_i, Z_j> / samples of the channels' parts Z_i = X_i W_i^T of the response.

    rows (samples, K) enter the layer, weight (N, K), labels (K,) say whose channel 0..C-1 a column
    is. From the products of inputs and of weights alone: the parts are never made.
    """
    x, w = rows.double(), weight.double()
    both = (x.T @ x / len(x)) * (w.T @ w)
    count = int(labels.max()) + 1
    by_row = torch.zeros(count, len(labels), dtype=both.dtype).index_add_(0, labels, both)
    return torch.zeros(count, count, dtype=both.dtype).index_add_(1, labels, by_row)


def lasso(gram: Tensor, rate: float, start: Tensor | None = None) -> Tensor:
    """b (C,) of least `b^T G b / 2 - b^T G 1 + rate * |b|_1`, by coordinate descent."""
    aim = gram.sum(1)
    b = torch.zeros(len(gram), dtype=gram.dtype) if start is None else start.clone()
    curve = gram.diagonal()
    for _ in range(ROUNDS):
        before = b.clone()
        for i in range(len(b)):
            if curve[i] <= 0:
                b[i] = 0
                continue
            rest = aim[i] - gram[i] @ b + curve[i] * b[i]
            b[i] = torch.sign(rest) * torch.relu(rest.abs() - rate) / curve[i]
        if float((b - before).abs().max()) < 1e-9:
            break
    return b


def select(gram: Tensor, count: int) -> Tensor:
    """Bool (C,): `count` channels. The rate is halved between one that drops all and 0 until the
    support has at most so many; what is missing goes to the largest |b| of the next support."""
    if not 0 < count <= len(gram):
        raise PruningError(f"{count} of {len(gram)} channels cannot stay")
    if count == len(gram):
        return torch.ones(len(gram), dtype=torch.bool)
    low, high = 0.0, float(gram.sum(1).abs().max())
    wide, narrow = torch.ones(len(gram), dtype=gram.dtype), torch.zeros(len(gram), dtype=gram.dtype)
    for _ in range(HALVINGS):
        rate = (low + high) / 2
        b = lasso(gram, rate, wide)
        if int((b != 0).sum()) <= count:
            high, narrow = rate, b
        else:
            low, wide = rate, b
        if int((narrow != 0).sum()) == count:
            break
    order = torch.where(narrow != 0, narrow.abs() + wide.abs().max() + 1, wide.abs())
    keep = torch.zeros(len(gram), dtype=torch.bool)
    keep[torch.sort(order, descending=True, stable=True).indices[:count]] = True
    return keep


def refit(rows: Tensor, weight: Tensor, keep: Tensor) -> Tensor:
    """(N, kept columns): the weight on the columns that stay (bool, (K,)) with which the response
    to these rows is nearest to that of the whole weight."""
    x, w = rows.double(), weight.double()
    square = x.T @ x / len(x)
    inner = square[keep][:, keep]
    inner.diagonal().add_(RIDGE * inner.diagonal().mean() + 1e-12)
    return torch.linalg.solve(inner, square[keep] @ w.T).T.to(weight.dtype)
