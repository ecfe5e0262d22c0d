"""Soft weight-sharing (Nowlan & Hinton 1992; Ullrich, Meeds, Welling 2017, arXiv 1702.04008).

While the network trains, its weights are drawn to the components of a mixture of Gaussians that is
learned with them; one component stays at 0 with a large fixed share. Afterwards every weight
becomes the mean of the component that is most responsible for it.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hwc.models.sharing.indirect import SharingError

__all__ = ["Mixture"]


class Mixture(nn.Module):
    """`components` Gaussians with means, standard deviations and shares that are learned, and one
    at 0 whose share is `zero`.

    Gamma priors with (shape, rate) on the precisions keep deviations from collapsing: `tight` on
    that of the zero component, `loose` on the others.
    """

    tight = (5e3, 2.0)
    loose = (250.0, 0.1)

    def __init__(self, components: int, zero: float, reach: float, deviation: float):
        super().__init__()
        if components < 1 or not 0 < zero < 1 or not (reach > 0 and deviation > 0):
            raise SharingError(
                f"a mixture needs components >= 1, 0 < zero < 1 and positive reach and deviation; "
                f"got {components}, {zero}, {reach}, {deviation}"
            )
        self.zero = zero
        self.means = nn.Parameter(torch.linspace(-reach, reach, components))
        self.logs = nn.Parameter(torch.full((components + 1,), math.log(deviation)))
        self.shares = nn.Parameter(torch.zeros(components))

    def logits(self, weights: Tensor) -> Tensor:
        """(n, components + 1): log of share times density; the zero component is the first."""
        means = torch.cat([self.means.new_zeros(1), self.means])
        rest = torch.log_softmax(self.shares, 0) + math.log(1 - self.zero)
        shares = torch.cat([rest.new_full((1,), math.log(self.zero)), rest])
        z = (weights.flatten()[:, None] - means) * torch.exp(-self.logs)
        return shares - self.logs - 0.5 * math.log(2 * math.pi) - 0.5 * z.square()

    def penalty(self, weights: Iterable[Tensor]) -> Tensor:
        """Negative log likelihood of the weights, and of the precisions under their priors."""
        total = sum((-torch.logsumexp(self.logits(w), 1).sum() for w in weights), torch.zeros(()))
        precision = torch.exp(-2 * self.logs)
        for part, (shape, rate) in ((precision[:1], self.tight), (precision[1:], self.loose)):
            total = total - ((shape - 1) * part.log() - rate * part).sum()
        return total

    @torch.no_grad()
    def merge(self) -> None:
        """Join neighbours whose means are nearer than half the sum of their deviations."""
        order = torch.argsort(self.means)
        means, logs, shares = self.means[order], self.logs[1:][order], self.shares.softmax(0)[order]
        kept: list[list[float]] = []
        for m, s, p in zip(means.tolist(), logs.exp().tolist(), shares.tolist(), strict=True):
            if kept and m - kept[-1][0] < 0.5 * (s + kept[-1][1]):
                old = kept[-1]
                both = old[2] + p
                kept[-1] = [(old[0] * old[2] + m * p) / both, max(old[1], s), both]
            else:
                kept.append([m, s, p])
        table = torch.tensor(kept)
        self.means = nn.Parameter(table[:, 0])
        self.logs = nn.Parameter(torch.cat([self.logs[:1], table[:, 1].log()]))
        self.shares = nn.Parameter(table[:, 2].log())

    @torch.no_grad()
    def assigned(self, weights: Tensor) -> Tensor:
        """Of each weight the component that is most responsible: 0 the zero one, else 1 + which."""
        return self.logits(weights).argmax(1).reshape(weights.shape)
