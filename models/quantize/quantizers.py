"""The two quantizers of the project as PyTorch operators.

`quant` and `bipolar` are `torch.library.custom_op`s, so `torch.export` keeps one node for each (an
`autograd.Function` would be inlined into clamps and rounds). Everything that quantizes, weights or
activations, calls one of the two.
"""

import torch
from torch import Tensor


@torch.library.custom_op("hwc::quant", mutates_args=())
def quant(x: Tensor, scale: Tensor, lo: int, hi: int) -> Tensor:
    """`clip(round_half_even(x / scale), lo, hi) * scale`, shape and dtype of `x`.

    `scale` is positive and broadcasts against `x`: a 0-d tensor, or all ones but one axis for a
    scale per channel. Straight-through gradient: `g` where `(lo - 1/2) * scale <= x <= (hi + 1/2) *
    scale`, else 0; none for `scale`.
    """
    return (torch.clamp(torch.round(x / scale), lo, hi) * scale).to(x.dtype)


@torch.library.custom_op("hwc::bipolar", mutates_args=())
def bipolar(x: Tensor, scale: Tensor) -> Tensor:
    """`+scale` where `x >= 0` (so at 0 and at -0.0 too), else `-scale`; shape and dtype of `x`.

    Straight-through gradient: `g * scale` where `|x| <= 1`, else 0 (Courbariaux et al. 2016;
    Rastegari et al. 2016).
    """
    return torch.where(x >= 0, scale, -scale).to(x.dtype)


@quant.register_fake
def _(x: Tensor, scale: Tensor, lo: int, hi: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@bipolar.register_fake
def _(x: Tensor, scale: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save_quant(ctx, inputs, output) -> None:
    x, scale, lo, hi = inputs
    ctx.save_for_backward(x, scale)
    ctx.lo, ctx.hi = lo, hi


def _quant_backward(ctx, grad: Tensor):
    x, scale = ctx.saved_tensors
    # The bounds are exact (scales have few mantissa bits): a latent clipped to one still learns.
    kept = (x >= (ctx.lo - 0.5) * scale) & (x <= (ctx.hi + 0.5) * scale)
    return grad * kept, None, None, None


def _save_bipolar(ctx, inputs, output) -> None:
    x, scale = inputs
    ctx.save_for_backward(x, scale)


def _bipolar_backward(ctx, grad: Tensor):
    x, scale = ctx.saved_tensors
    return grad * scale * (x.abs() <= 1), None


quant.register_autograd(_quant_backward, setup_context=_save_quant)
bipolar.register_autograd(_bipolar_backward, setup_context=_save_bipolar)


def round_mantissa(x: Tensor, bits: int) -> Tensor:
    """The nearest value `m * 2**e` with an integer `|m| < 2**bits` or a power of two; ties to even
    `m`; 0 stays 0.

    `bits=1` gives powers of two (switching at 3/4 of the upper one), `bits=4` the weight scales
    `(8..15) * 2**e`.
    """
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 2.0**bits), exponent - bits)


def ceil_mantissa(x: Tensor, bits: int) -> Tensor:
    """The least value of at most `bits` mantissa bits that is not below `x` (`x >= 0`)."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.ceil(mantissa * 2.0**bits), exponent - bits)
