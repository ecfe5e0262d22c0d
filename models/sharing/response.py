"""Product quantization that keeps a layer's response (Q-CNN: Wu et al. 2016, arXiv 1512.06473).

Words and who has which minimize `|T - X W^T|^2`: T is what the float layer gives, X what the
quantized layers before this one hand it, so that errors are made up for and do not add up.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Response", "corrected"]

RIDGE = 1e-6
"""Of the mean square of the inputs: words of unused inputs have no unique value, so that words are
pulled to the plain ones, by as many weights as they stand for."""


@dataclass(frozen=True, eq=False)
class Response:
    """What enters a layer, rows (P, K), and what should leave it, target (P, N)."""

    rows: Tensor
    target: Tensor

    def error(self, weight: Tensor) -> float:
        """Mean square of what a weight (N, K) misses."""
        given = self.rows.double() @ weight.detach().double().T
        return float((self.target.double() - given).square().mean())

    def corrected(self, words: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """`corrected` for this layer."""
        return corrected(self.rows, self.target, words, codes)


def corrected(
    rows: Tensor,
    target: Tensor,
    words: Tensor,
    codes: Tensor,
    rounds: int = 5,
    ridge: float = RIDGE,
) -> tuple[Tensor, Tensor]:
    """(words, codes) of least response error that coordinate descent finds from those given.

    rows (P, K) enter, target (P, N) should leave; words (s, k, K / s), codes (N, s). Place by place
    each word becomes the least-squares one for the outputs that have it (as it was, if none has),
    then each output takes the word that leaves it the least error. What falls with every step is
    the response error plus `ridge` (of the mean square of the inputs) times the squared way of
    every output's words from those given; the latter begins at 0, so that the response error never
    ends above that of the start. What meets an input that is 0 in all rows is free, and becomes 0.
    """
    x, t = rows.double(), target.double()
    places, k, length = words.shape
    idle = (rows == 0).all(0).reshape(places, 1, length)
    plain, codes = torch.where(idle, 0.0, words.double()), codes.clone()
    words = plain.clone()
    gram, cross = x.T @ x / len(x), x.T @ t / len(x)
    pull = ridge * gram.diagonal().mean() + 1e-12
    weight = words[torch.arange(places), codes].reshape(len(codes), -1)
    for _ in range(rounds):
        before, old = codes.clone(), words.clone()
        for m in range(places):
            at = slice(m * length, (m + 1) * length)
            own = gram[at, at]
            pulled = own + pull * torch.eye(length, dtype=x.dtype)
            # What the other places leave to this one, as X_m^T R.
            left = cross[at] - gram[at] @ weight.T + own @ weight[:, at].T
            sums = torch.zeros(length, k, dtype=x.dtype).index_add_(1, codes[:, m], left)
            counts = torch.bincount(codes[:, m], minlength=k)
            used = counts > 0
            mean = sums[:, used] / counts[used] + pull * plain[m, used].T
            words[m, used] = torch.linalg.solve(pulled, mean).T
            way = pull * (words[m] - plain[m]).square().sum(1)
            cost = (words[m] @ own * words[m]).sum(1) + way - 2 * left.T @ words[m].T
            codes[:, m] = cost.argmin(1)
            weight[:, at] = words[m, codes[:, m]]
        if torch.equal(codes, before) and torch.allclose(words, old, rtol=1e-9, atol=0):
            break
    return words.to(rows.dtype), codes
