"""Constants that meet activations: numbers, scalars, one value per channel."""

import torch
from torch import Tensor
from torch.fx import Node

from hwc.models.capture.walk import Capture, Constant, Value


def number(value) -> Tensor:
    """A constant operand as a tensor."""
    if isinstance(value, Constant):
        return value.value
    if isinstance(value, Value):
        assert value.constant is not None
        return value.constant
    return torch.tensor(float(value), dtype=torch.float64)


def vector(c: Capture, node: Node, value, rank: int) -> tuple[Constant, int | None]:
    """A constant that broadcasts against `rank` axes (batch included) along one of them at most:
    flat, and that axis."""
    if isinstance(value, Value) and value.constant is None:
        c.fail(node, "a scale computed from activations is not supported; scales must be constant")
    tensor = number(value)
    name = value.name if isinstance(value, Constant) else ""
    wide = [i for i, n in enumerate(tensor.shape) if n != 1]
    if not wide:
        return Constant(name, tensor.reshape(())), None
    if len(wide) > 1:
        c.fail(
            node,
            f"constant of shape {tuple(tensor.shape)} varies along several axes; "
            "use a scalar or one value per channel",
        )
    return Constant(name, tensor.reshape(-1)), wide[0] + rank - tensor.ndim
