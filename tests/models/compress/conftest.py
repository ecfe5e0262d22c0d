"""A small trained network on scikit-learn's 8x8 digits."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwc.models import load_data
from hwc.models.compress.recipe import Training
from hwc.models.compress.training import Trainer
from hwc.models.data import Dataset


def mlp(data: Dataset, width: int = 24) -> Any:
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(int(np.prod(data.shape)), width),
            act1=nn.ReLU(),
            fc2=nn.Linear(width, data.classes),
        )
    )


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="session")
def trained(digits: Dataset) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mlp(digits)
    Trainer(model, None, digits, Training(), 0)(15, 1e-2)
    return model
