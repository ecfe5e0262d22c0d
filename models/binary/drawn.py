"""What quantizers that draw while training have in common."""

from typing import Any, cast

import torch
from torch import Tensor

from hwc.models.quantize.weight import WeightQuantizer

__all__ = ["Drawn"]


class Drawn(WeightQuantizer):
    """The state of `generator` is part of the network's, so that training goes on as if it had not
    been interrupted; quantizers with one generator have one in a copy as well, of its own."""

    generator: torch.Generator

    def get_extra_state(self) -> Tensor:
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        self.generator.set_state(state)

    def copied_generator(self, memo: dict[int, Any]) -> torch.Generator:
        """The generator for a deep copy, in the same state."""
        made = memo.setdefault(id(self.generator), self.generator.clone_state())
        return cast("torch.Generator", made)
