"""Copies of networks that share nothing with their original."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

M = TypeVar("M", bound=nn.Module)


def copy_of(model: M) -> M:
    """A deep copy. Parametrized modules get a class of their own: `copy.deepcopy` lets both share
    it, and removing a parametrization from one would then take the weight of the other."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if parametrize.is_parametrized(module):
            shared = type(module)
            own = type(shared.__name__, shared.__bases__, dict(vars(shared)))
            module.__class__ = own  # pyright: ignore[reportAttributeAccessIssue]
    return copied
