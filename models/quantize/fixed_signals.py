"""Activations and errors in 16-bit fixed point while a network trains (Gupta et al. 2015).

Inner products are exact and are rounded once, where they leave a layer; so are the errors that
enter it on the way back. The weights and their updates are the business of `FixedSGD`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hwc.models.quantize.stochastic import Fixed

__all__ = ["fixed_signals"]

FIRST_STREAM = 1 << 16
"""Streams of random bits below are those of the optimizer."""


class _Rounded(torch.autograd.Function):
    """x in fixed point, its gradient too."""

    @staticmethod
    def forward(ctx, x: Tensor, signals: "_Signals", stream: int) -> Tensor:
        ctx.signals, ctx.stream = signals, stream
        return signals.rounded(x, signals.activations, stream)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        signals = ctx.signals
        return signals.rounded(grads[0], signals.errors, ctx.stream + 1), None, None


@dataclass
class _Signals:
    activations: Fixed
    errors: Fixed
    seed: int
    stochastic: bool
    step: int = field(default=0, init=False)

    def rounded(self, x: Tensor, fixed: Fixed, stream: int) -> Tensor:
        return fixed.rounded(x, self.stochastic, self.seed, stream, self.step)


@contextmanager
def fixed_signals(
    model: nn.Module,
    layers: list[nn.Module],
    activations: Fixed,
    errors: Fixed,
    seed: int = 0,
    stochastic: bool = True,
) -> Iterator[None]:
    """While this lasts and `model` is in training mode, what `layers` put out is rounded to
    `activations` and the gradients that come back to them to `errors`."""
    signals = _Signals(activations, errors, seed, stochastic)

    def count(module: nn.Module, args: object) -> None:
        signals.step += module.training

    def hook(stream: int):
        def rounded(module: nn.Module, args: object, output: Tensor) -> Tensor:
            if not module.training:
                return output
            return _Rounded.apply(output, signals, stream)  # pyright: ignore[reportReturnType]

        return rounded

    handles = [model.register_forward_pre_hook(count)]
    for number, layer in enumerate(layers):
        handles.append(layer.register_forward_hook(hook(FIRST_STREAM + 2 * number)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
