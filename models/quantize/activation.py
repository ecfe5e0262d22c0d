"""Activation quantizers as modules. Their scales are powers of two.

The scale of a `QuantAct` is chosen while the first training batches pass and then held, so that
batch-norm in front of it learns against a fixed grid; evaluation mode never changes it. Quantizers
that meet in an add share one `PowerOfTwoScale` object.
"""

import torch
from torch import Tensor, nn

from hwc.compiler.graph.errors import HwcError
from hwc.models.quantize.quantizers import bipolar, quant, round_mantissa

EXPONENTS = range(-16, 9)


class PowerOfTwoScale(nn.Module):
    """A scale `2**e`: the one of least summed squared quantization error over the first `settle`
    batches observed.

    `value` is the 0-d scale. With `start` given and `settle=0` it is a constant.
    """

    value: Tensor
    errors: Tensor
    batches: Tensor

    def __init__(self, start: float = 2.0**-3, settle: int = 50):
        super().__init__()
        snapped = float(round_mantissa(torch.tensor(float(start)), 1))
        if not start > 0 or snapped != start:
            raise HwcError(
                f"PowerOfTwoScale: start must be a power of two, got {start}; use {snapped}"
            )
        self.settle = settle
        self.register_buffer("value", torch.tensor(float(start)))
        self.register_buffer("errors", torch.zeros(len(EXPONENTS), dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def observe(self, x: Tensor, lo: int, hi: int) -> None:
        """Add the errors a batch would have under every exponent and take the best so far."""
        if int(self.batches) >= self.settle:
            return
        for i, exponent in enumerate(EXPONENTS):
            step = torch.tensor(2.0**exponent, dtype=x.dtype)
            self.errors[i] += (quant(x, step, lo, hi) - x).square().mean()
        self.batches += 1
        # A new tensor, not an update in place: an earlier use wants the old one to go backward.
        best = EXPONENTS[int(self.errors.argmin())]
        self.value = torch.full_like(self.value, 2.0**best)

    def extra_repr(self) -> str:
        return f"value={float(self.value)}, settle={self.settle}"


class QuantAct(nn.Module):
    """Integer activations of 1..16 bits: codes `0..2**bits - 1`, or with `signed`
    `-2**(bits-1)..2**(bits-1) - 1`.

    Unsigned it is a ReLU as well (codes below 0 clip). `scale` shares the scale of another
    quantizer, which an add wants of its inputs.
    """

    def __init__(self, bits: int, signed: bool = False, scale: PowerOfTwoScale | None = None):
        super().__init__()
        if not 1 <= bits <= 16:
            raise HwcError(f"QuantAct: bits must be 1..16, got {bits}")
        if signed and bits == 1:
            raise HwcError(
                "QuantAct: a signed activation needs 2 bits or more; for +1/-1 use BipolarAct"
            )
        self.bits, self.signed = bits, signed
        self.lo = -(2 ** (bits - 1)) if signed else 0
        self.hi = self.lo + 2**bits - 1
        self.scale = PowerOfTwoScale() if scale is None else scale

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale.observe(x, self.lo, self.hi)
        return quant(x, self.scale.value, self.lo, self.hi)

    def extra_repr(self) -> str:
        return f"bits={self.bits}, signed={self.signed}"


class BipolarAct(nn.Module):
    """`+scale` where `x >= 0`, else `-scale`, with the clipped straight-through gradient of
    `bipolar`."""

    scale: Tensor

    def __init__(self, scale: float = 1.0):
        super().__init__()
        if not scale > 0:
            raise HwcError(f"BipolarAct: scale must be positive, got {scale}")
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return bipolar(x, self.scale)


class QuantInput(nn.Module):
    """The input of a network: raw integers `lo..hi` whose real value is `raw * scale` (uint8
    images: 0..255, 1/256).

    The module takes the real values; on such values it is the identity. It tells the compiler what
    arrives at the hardware.
    """

    scale: Tensor

    def __init__(self, scale: float = 2.0**-8, lo: int = 0, hi: int = 255):
        super().__init__()
        if not scale > 0 or lo >= hi:
            raise HwcError(
                f"QuantInput: needs scale > 0 and lo < hi, got scale={scale}, lo={lo}, hi={hi}"
            )
        self.lo, self.hi = lo, hi
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return quant(x, self.scale, self.lo, self.hi)

    def extra_repr(self) -> str:
        return f"scale={float(self.scale)}, lo={self.lo}, hi={self.hi}"
