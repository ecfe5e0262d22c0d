"""Merging of like units as a step of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hwc.models.compress.method import Method, Work
from hwc.models.pruning.channel_steps import cut, groups_of, reader_of, whole
from hwc.models.pruning.channels import Budget, makers_of
from hwc.models.pruning.dependencies import Channels, Labels
from hwc.models.pruning.dependency_walk import channels_of
from hwc.models.pruning.mask import PruningError
from hwc.models.pruning.merging import merged

__all__ = ["Merging"]


@dataclass(frozen=True)
class Merging(Method):
    """Data-free merging of like units: every layer of the step keeps the share `keep` of its
    outputs, whose outgoing weights take over those of the others. Between a layer and its one
    reader there must be nothing that treats channels differently, such as batch-norm."""

    keep: float = 0.5
    epochs: int = 0
    lr: float = 5e-4

    strength: ClassVar = ("keep", 0.95, 0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        Budget(self.keep, None)

    def refuses(self, layer: nn.Module) -> str | None:
        return whole(layer)

    def apply(self, work: Work) -> None:
        example = work.data.first(2)
        groups_of(work, channels_of(work.model, example))
        for name in work.layers:
            channels = channels_of(work.model, example)
            (group,) = (g for g in channels.groups() if name in makers_of(channels, g))
            reader = self._alike(work.model, channels, group, name)
            self._merge(work.layers[name], work.model.get_submodule(reader), channels, group, work)
        work.train(self.epochs, self.lr)

    def _alike(self, model: nn.Module, channels: Channels, group: Labels, name: str) -> str:
        """The reader of a layer's channels, if all of them are treated alike on the way."""
        inside = set(group.tolist())
        meets = {u for u, v in channels.uses.items() if inside & set(channels.roots(v).tolist())}
        reader = reader_of(model, channels, group)
        fine = {(name, "weight", 0), (name, "bias", 0), (reader, "weight", 1)}
        if reader is None or any((u.module, u.tensor, u.axis) not in fine for u in meets):
            raise PruningError(
                f"merging: the outputs of layer {name!r} do not go straight to one Linear or "
                f'convolution; name it in except = ["{name}"]'
            )
        return reader

    def _merge(
        self, layer: nn.Module, reader: nn.Module, channels: Channels, group: Labels, work: Work
    ) -> None:
        weight, bias = layer.weight.detach().flatten(1), layer.bias  # pyright: ignore
        if isinstance(bias, Tensor):
            weight = torch.cat([weight, bias.detach()[:, None]], 1)
        units, read = len(weight), reader.weight.detach()  # pyright: ignore
        # (outputs * positions, units): a flattened unit has several columns of its own.
        columns = read.reshape(len(read), units, -1).permute(0, 2, 1)
        left, new, _ = merged(
            weight, columns.reshape(-1, units), units - max(round(self.keep * units), 1)
        )
        with torch.no_grad():
            back = new.reshape(len(read), -1, units).permute(0, 2, 1)
            reader.weight.copy_(back.reshape(read.shape))  # pyright: ignore
        cut(work.model, channels, group[~left.numpy()], work.data.first(2))
