"""Product quantization that keeps a layer's response (Q-CNN: Wu et al. 2016, arXiv 1512.06473).

Words and who has which minimize `|T - X W^T|^2`: T is what the float layer gives, X what the
quantized layers before this one hand it, so that errors are made up for and do not add up.
"""

import torch
from torch import Tensor

__all__ = ["corrected"]

RIDGE = 1e-6
"""Of the mean square of the inputs: words of unused inputs have no unique value."""


def corrected(
    rows: Tensor, target: Tensor, words: Tensor, codes: Tensor, rounds: int = 5
) -> tuple[Tensor, Tensor]:
    """(words, codes) of least response error that coordinate descent finds from those given.

    rows (P, K) enter, target (P, N) should leave; words (s, k, K / s), codes (N, s). Place by place
    each word becomes the least-squares one for the outputs that have it (as it was, if none has),
    then each output takes the word that leaves it the least error.
    """
    x, t = rows.double(), target.double()
    words, codes = words.double().clone(), codes.clone()
    places, k, length = words.shape
    gram, cross = x.T @ x / len(x), x.T @ t / len(x)
    gram.diagonal().add_(RIDGE * gram.diagonal().mean() + 1e-12)
    weight = words[torch.arange(places), codes].reshape(len(codes), -1)
    for _ in range(rounds):
        before, old = codes.clone(), words.clone()
        for m in range(places):
            at = slice(m * length, (m + 1) * length)
            own = gram[at, at]
            # What the other places leave to this one, as X_m^T R.
            left = cross[at] - gram[at] @ weight.T + own @ weight[:, at].T
            sums = torch.zeros(length, k, dtype=x.dtype).index_add_(1, codes[:, m], left)
            counts = torch.bincount(codes[:, m], minlength=k)
            used = counts > 0
            words[m, used] = torch.linalg.solve(own, sums[:, used] / counts[used]).T
            cost = (words[m] @ own * words[m]).sum(1) - 2 * left.T @ words[m].T
            codes[:, m] = cost.argmin(1)
            weight[:, at] = words[m, codes[:, m]]
        if torch.equal(codes, before) and torch.allclose(words, old, rtol=1e-9, atol=0):
            break
    return words.to(rows.dtype), codes
