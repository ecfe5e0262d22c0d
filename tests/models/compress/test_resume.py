"""Interrupted runs: what goes on from a kept step gives what the whole run gives."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from hwc.models.compress import CompressError, compress, parse

THEN = '\n[[step]]\nmethod = "finetune"\nepochs = 1\n'
FEW = 'method = "few_multiplications"\nform = '


def network(dropped: float) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(64, 12),
                act1=nn.ReLU(),
                drop=nn.Dropout(dropped),
                fc2=nn.Linear(12, 10),
            )
        )


@pytest.mark.parametrize(
    ("step", "dropped"),
    [
        ('method = "magnitude"', 0.3),
        ('method = "binary"\nform = "stochastic"', 0.0),
        (f'{FEW}"ternary"', 0.0),
        (f'{FEW}"binary"', 0.0),
        ('method = "loss_aware"', 0.0),
        ('method = "loss_aware"\nlevels = 3\nper_channel = true', 0.0),
    ],
)
def test_from_a_kept_step_on_nothing_is_different(step, dropped, digits, tmp_path):
    """Neither the draws of dropout and of stochastic weights nor what Adam saw of the curvature."""
    recipe = parse(f"[[step]]\n{step}\nepochs = 1\nlr = 0.01{THEN}")
    some = digits.fewer(300)
    whole = compress(network(dropped), recipe, some, progress=False, resume=tmp_path)
    (second,) = tmp_path.glob("step2-*.pt")
    second.unlink()
    (first,) = tmp_path.glob("step1-*.pt")
    kept = first.stat().st_mtime_ns
    resumed = compress(network(dropped), recipe, some, progress=False, resume=tmp_path)
    assert first.stat().st_mtime_ns == kept  # found, not done again
    assert resumed.written.data == whole.written.data
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_folder_that_takes_no_files_is_said(digits, tmp_path, monkeypatch):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    recipe = parse('[[step]]\nmethod = "magnitude"\nepochs = 0')
    with pytest.raises(CompressError, match=r"resume folder .*: cannot be written: .*No space"):
        compress(network(0.0), recipe, digits.fewer(300), progress=False, resume=tmp_path)
