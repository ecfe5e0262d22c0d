"""Structured pruning as a step of a recipe: whole channels go, and the layers become smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwc.models.compress.method import Method, Work
from hwc.models.curvature import curvature
from hwc.models.pruning import channels as scores
from hwc.models.pruning.channels import Budget, chosen, makers_of, positions
from hwc.models.pruning.dependencies import Channels, Labels
from hwc.models.pruning.dependency_walk import channels_of
from hwc.models.pruning.lasso import refit, response_gram, select
from hwc.models.pruning.mask import PruningError, chain_of
from hwc.models.pruning.remove import CONVOLUTIONS, NORMS, remove
from hwc.models.pruning.surgeon import some_rows

__all__ = ["ChannelPruning", "cut", "cut_weakest", "groups_of", "reader_of", "whole"]


@dataclass(frozen=True)
class ChannelPruning(Method):
    """Channels go for good, with everything that depends on them, until the network has `keep` of
    its MACs (or `of = "parameters"`). `round_to` keeps whole multiples, such as a folding factor.

    `by` says which: "taylor" (what the loss would rise by, all layers together), "magnitude" (|w|,
    every group loses the same share), "gamma" (network slimming: `sparse_epochs` of training with
    `rate` * |gamma| come first), "lasso" (as many as by magnitude, those that the next layer's
    response misses least, whose weights are then fitted).
    """

    keep: float = 0.5
    of: Literal["macs", "parameters"] = "macs"
    by: Literal["taylor", "magnitude", "gamma", "lasso"] = "taylor"
    round_to: int = 1
    rate: float = 1e-4
    sparse_epochs: int = 10
    epochs: int = 10
    lr: float = 1e-3

    strength: ClassVar = ("keep", 0.9, 0.05)

    def __post_init__(self) -> None:
        super().__post_init__()
        Budget(self.keep, None, self.round_to)

    def refuses(self, layer: nn.Module) -> str | None:
        return whole(layer)

    def apply(self, work: Work) -> None:
        if self.by == "gamma":
            norms = [m.weight for m in work.model.modules() if isinstance(m, NORMS)]
            work.train(
                self.sparse_epochs,
                self.lr,
                penalty=lambda: self.rate * sum((g.abs().sum() for g in norms), torch.zeros(())),
            )
        example = work.data.first(2)
        channels = channels_of(work.model, example)
        groups = groups_of(work, channels)
        where = positions(work.model, example) if self.of == "macs" else None
        budget = Budget(self.keep, where, self.round_to)
        gone = chosen(work.model, channels, groups, self._scores(work, channels, groups), budget)
        if self.by == "lasso":
            cut_by_lasso(work, channels, groups, gone)
        else:
            cut(work.model, channels, gone, example)
        work.train(self.epochs, self.lr)

    def _scores(self, work: Work, channels: Channels, groups: list[Labels]) -> dict[int, float]:
        match self.by:
            case "gamma":
                return scores.gamma(work.model, channels, groups)
            case "taylor":
                named = dict(work.model.named_parameters())
                found = curvature(work, list(named.values()))
                return scores.taylor(work.model, channels, dict(zip(named, found, strict=True)))
            case _:
                return scores.magnitude(work.model, channels)


def whole(layer: nn.Module) -> str | None:
    """Why channels of a layer cannot be taken out, or None."""
    if chain_of(layer):
        return "has a mask or a quantizer already; channels go before anything else"
    return None


def groups_of(work: Work, channels: Channels) -> list[Labels]:
    """The groups of channels that the step's layers put out. PruningError names a layer of which
    none may go, and why."""
    found, treated = [], set()
    for group in channels.groups():
        makers = set(makers_of(channels, group))
        if makers <= set(work.layers):
            found.append(group)
            treated |= makers
    depthwise = {
        name
        for name, layer in work.layers.items()
        if getattr(layer, "groups", 1) == getattr(layer, "in_channels", 0) > 1
    }
    for name in work.layers:
        if name not in treated | depthwise:
            raise PruningError(
                f"channels of layer {name!r} have to stay ({_why(channels, name, work)}); name it "
                f'in except = ["{name}"]'
            )
    return found


def _why(channels: Channels, name: str, work: Work) -> str:
    for use, labels in channels.uses.items():
        if use.module == name and use.makes:
            roots = channels.roots(labels).tolist()
            if reasons := [channels.fixed[r] for r in roots if r in channels.fixed]:
                return reasons[0]
            makers = {n for r in roots for n in makers_of(channels, np.array([r]))}
            return f"they are added to those of {', '.join(sorted(makers - set(work.layers)))}"
    return "its weight or input is not understood"


def cut_weakest(work: Work, power: int, weak: Callable[[NDArray[np.float64]], Labels]) -> None:
    """Remove from every group the channels whose places `weak(loads)` gives; loads are sums of
    |w|**power of the weights that make a channel. The strongest of a group stays."""
    example = work.data.first(2)
    channels = channels_of(work.model, example)
    sums, gone = scores.loads(work.model, channels, power), []
    for group in groups_of(work, channels):
        load = np.array([sums[int(root)] for root in group])
        gone += [int(group[i]) for i in weak(load) if i != load.argmax()]
    cut(work.model, channels, np.array(sorted(gone), np.int64), example)


def cut(model: nn.Module, channels: Channels, gone: Labels, example: Tensor) -> None:
    """Remove the classes, and see whether the network still runs."""
    remove(model, channels, gone)
    try:
        with torch.no_grad():
            model.eval()(example)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise PruningError(
            f"the network's forward does not run with fewer channels ({first}): it has sizes "
            "written into it; use nn.Flatten and sizes of tensors instead"
        ) from None


def cut_by_lasso(work: Work, channels: Channels, groups: list[Labels], gone: Labels) -> None:
    """Of every group as many as `gone` has, but those that its one reader misses least."""
    example = work.data.first(2)
    anchors = [(makers_of(channels, g)[0], int(np.isin(g, gone).sum())) for g in groups]
    for maker, count in anchors:
        if not count:
            continue
        present = channels_of(work.model, example)
        (group,) = (g for g in present.groups() if maker in makers_of(present, g))
        reader = reader_of(work.model, present, group)
        if reader is None:
            order = scores.magnitude(work.model, present)
            lost = sorted(group.tolist(), key=lambda r: (order[r], r))[:count]
            cut(work.model, present, np.array(lost), example)
            continue
        layer = work.model.get_submodule(reader)
        rows = some_rows(layer, work.inputs_of(reader))
        weight = layer.weight.detach().flatten(1)  # pyright: ignore
        (labels,) = (v for u, v in present.uses.items() if u.module == reader and u.axis == 1)
        per = weight.shape[1] // len(labels)  # kernel positions of a channel
        own = np.searchsorted(group, np.repeat(present.roots(labels), per))
        columns = torch.from_numpy(own)
        keep = select(response_gram(rows, weight, columns), len(group) - count)
        new = refit(rows, weight, keep[columns])
        cut(work.model, present, group[~keep.numpy()], example)
        with torch.no_grad():
            layer.weight.copy_(new.reshape(layer.weight.shape))  # pyright: ignore


def reader_of(model: nn.Module, channels: Channels, group: Labels) -> str | None:
    """The one Linear or convolution without groups that reads the whole group and nothing else."""
    inside, found = set(group.tolist()), []
    for use, labels in channels.uses.items():
        if use.axis != 1 or use.makes:
            continue
        roots = set(channels.roots(labels).tolist())
        if inside & roots:
            layer = model.get_submodule(use.module)
            fine = roots == inside and getattr(layer, "groups", 1) == 1
            found.append(
                use.module if fine and isinstance(layer, (nn.Linear, *CONVOLUTIONS)) else None
            )
    return found[0] if len(found) == 1 else None
