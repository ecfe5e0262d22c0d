"""From `nn.Module` to the float source graph, through `torch.export`.

Every ATen operator that is understood is one entry of the table in `operators.py`: operator ->
small function. What depends on parameters and constants alone is evaluated; quantizers applied to
parameters stay nodes, for they say what the integer codes of a weight are.
"""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwc.compiler.source import Source
from hwc.models.capture.operators import HINTS, OPERATORS
from hwc.models.capture.walk import BATCH, Capture, CaptureError, InputMap

__all__ = ["CaptureError", "InputMap", "capture"]


def capture(
    model: nn.Module,
    example: Tensor | Sequence[Tensor],
    inputs: InputMap | Sequence[InputMap | None] | None = None,
) -> Source:
    """The source graph of `model` in evaluation mode (the model itself is left alone).

    `example` is an input (or a tuple of them) with a batch axis; only its shape and dtype matter.
    `inputs` says what raw integers arrive; without it the model must begin with `QuantInput`, or
    the example be of an integer dtype. Raises CaptureError.
    """
    examples = (example,) if isinstance(example, Tensor) else tuple(example)
    for i, x in enumerate(examples):
        if not isinstance(x, Tensor) or x.ndim < 2 or x.numel() == 0:
            raise CaptureError(
                f"example input {i} must be a tensor with a batch axis and at least one sample"
            )
    maps = (
        [inputs] * len(examples) if inputs is None or isinstance(inputs, InputMap) else list(inputs)
    )
    if len(maps) != len(examples):
        raise CaptureError(f"{len(examples)} example inputs but {len(maps)} input maps")
    batched = tuple(x[:1].detach().expand(BATCH, *x.shape[1:]).clone() for x in examples)
    model = copy.deepcopy(model).cpu().eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the network's own forward: the caller has run it
            program = without_mutation(torch.export.export(model, batched, strict=False))
    except Exception as error:  # whatever a forward method may raise
        first = str(error).strip().splitlines() or [""]
        raise CaptureError(
            f"torch.export cannot trace {type(model).__name__}: {type(error).__name__}: {first[0]}"
        ) from None
    return Capture(program, maps, OPERATORS, HINTS).source()


def without_mutation(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program itself if operators in place (`relu_`) change only what nothing else can see;
    otherwise PyTorch's functional form of it, which takes a few seconds."""
    for node in program.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
            changed = node.args[0]
            if changed.op == "placeholder" or len(changed.users) > 1 or is_view(changed.target):
                return program.run_decompositions({})
    return program


def is_view(target: object) -> bool:
    """Does the operator return (part of) an argument's memory, other than by working in place?"""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    return any(result.alias_info is not None for result in target._schema.returns)
