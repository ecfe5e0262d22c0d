"""16-bit fixed point with stochastic rounding (Gupta et al. 2015, arXiv 1502.02551).

Random bits come from a hash of (seed, stream, step, element), so that a rounding does not depend on
the order in which anything is computed, and a circuit with the same hash rounds the same way.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwc.compiler.graph.errors import HwcError
from hwc.models.hashing import hash32

__all__ = ["Fixed", "FixedSGD", "random_bits"]


def random_bits(shape: torch.Size, seed: int, stream: int, step: int) -> Tensor:
    """24 random bits for every element (int64, 0..2**24 - 1), a pure function of the arguments and
    the element's row-major number. `stream` is the number of the tensor that is rounded; of it and
    of `step` the low 32 bits count."""
    key = seed
    for part in (stream, step):
        key = int(hash32(np.array([part & 0xFFFFFFFF]), key)[0])
    # Hashed twice with keys of their own: once alone would give two streams the same numbers in
    # another order.
    once = hash32(np.arange(shape.numel()), key)
    twice = hash32(once, int(hash32(np.array([key]), 1)[0]))
    return torch.from_numpy((twice >> 8).astype(np.int64)).reshape(shape)


@dataclass(frozen=True)
class Fixed:
    """Fixed point <IL, FL>: `integer` bits with the sign before, `fraction` bits behind the point.

    Values are multiples of 2**-FL from -2**(IL-1) to 2**(IL-1) - 2**-FL; what is beyond saturates.
    """

    integer: int = 4
    fraction: int = 12

    def __post_init__(self) -> None:
        if not (self.integer >= 1 and self.fraction >= 0 and self.integer + self.fraction <= 24):
            raise HwcError(
                f"Fixed: 1 or more integer bits and 24 or fewer in all, "
                f"got {self.integer} and {self.fraction}"
            )

    @property
    def step(self) -> float:
        """Distance of neighbours."""
        return 2.0**-self.fraction

    def nearest(self, x: Tensor) -> Tensor:
        """Rounded half to even, saturated."""
        return self._saturated(torch.round(x.double() / self.step)).to(x.dtype)

    def stochastic(self, x: Tensor, bits: Tensor) -> Tensor:
        """Rounded down with probability 1 - (x - floor) / step, else up: unbiased but for
        saturation. `bits` as `random_bits` gives them; 24 bits of the fraction are looked at."""
        scaled = x.double() / self.step
        low = scaled.floor()
        up = (scaled - low) * 2**24 > bits  # bits uniform in 0..2**24 - 1
        return self._saturated(low + up).to(x.dtype)

    def rounded(self, x: Tensor, stochastic: bool, seed: int, stream: int, step: int) -> Tensor:
        """Stochastically with the `random_bits` of the last three, or to nearest."""
        if not stochastic:
            return self.nearest(x)
        return self.stochastic(x, random_bits(x.shape, seed, stream, step))

    def _saturated(self, codes: Tensor) -> Tensor:
        half = 2 ** (self.integer + self.fraction - 1)
        return codes.clamp(-half, half - 1) * self.step


class FixedSGD(torch.optim.Optimizer):
    """Gradient descent in which gradients, updates and weights are fixed-point numbers.

    Every step rounds the gradient, then the weight after the update: stochastically, or with
    `stochastic=False` to nearest, under which updates below half a step are lost and training
    stalls. Weights are rounded to nearest when the optimizer is made.
    """

    def __init__(self, params, lr: float, fixed: Fixed, seed: int = 0, stochastic: bool = True):
        if not lr > 0:
            raise HwcError(f"FixedSGD: lr must be positive, got {lr}")
        super().__init__(params, {"lr": lr})
        self.fixed, self.seed, self.stochastic, self.steps = fixed, seed, stochastic, 0
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.copy_(fixed.nearest(p))

    @torch.no_grad()
    def step(self, closure=None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of every parameter that has a gradient."""
        if closure is not None:
            raise HwcError("FixedSGD: a closure is not taken")
        stream = 0
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    grad = self._rounded(p.grad, stream)
                    p.copy_(self._rounded(p - group["lr"] * grad, stream + 1))
                stream += 2
        self.steps += 1

    def _rounded(self, x: Tensor, stream: int) -> Tensor:
        return self.fixed.rounded(x, self.stochastic, self.seed, stream, self.steps)
