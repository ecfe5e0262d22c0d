"""The two operators: values, half-way cases, gradients, and one node each in an export."""

import numpy as np
import pytest
import torch

from hwc.models.quantize.quantizers import bipolar, ceil_mantissa, quant, round_mantissa


def scalar(value: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(value, dtype=dtype)


def test_quant_rounds_half_to_even_and_clips():
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 9.0, -9.0]) * 0.25
    codes = quant(x, scalar(0.25), -4, 3) / 0.25
    assert codes.tolist() == [-2, -2, 0, 0, 2, 2, 3, 3, -4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quant_is_the_closed_form(dtype):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 7, 3)) * 4
    scale = 2.0 ** rng.integers(-3, 2, size=(7, 1))
    got = quant(torch.tensor(x, dtype=dtype), torch.tensor(scale, dtype=dtype), -3, 5)
    x = np.asarray(x, dtype=str(dtype).removeprefix("torch."))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.numpy(), np.clip(np.rint(x / scale), -3, 5) * scale)


def test_quant_passes_gradients_within_half_a_step_of_the_codes():
    scale, lo, hi = 0.5, -2, 3
    x = torch.tensor([-1.26, -1.25, 0.0, 0.3, 1.75, 1.76], requires_grad=True)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    quant(x, scalar(scale), lo, hi).backward(upstream)
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 0.0]


def test_bipolar_takes_zero_as_plus():
    x = torch.tensor([-1.0, -1e-30, -0.0, 0.0, 1e-30, 2.0])
    assert bipolar(x, scalar(0.5)).tolist() == [-0.5, -0.5, 0.5, 0.5, 0.5, 0.5]


def test_bipolar_gradient_is_scaled_and_clipped_at_one():
    x = torch.tensor([-1.5, -1.0, 0.0, 0.7, 1.0, 1.001], requires_grad=True)
    bipolar(x, scalar(0.5)).backward(torch.full((6,), 3.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.5, 1.5, 1.5, 1.5, 0.0]


def test_bipolar_scale_per_channel():
    x = torch.tensor([[1.0, -1.0], [-2.0, 0.0]])
    assert bipolar(x, torch.tensor([[0.25], [2.0]])).tolist() == [[0.25, -0.25], [-2.0, 2.0]]


def test_operators_are_sound():
    """PyTorch's own checks: schema, fake kernel, autograd registration."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(quant, (x, scalar(0.5), -2, 1), test_utils=checks)
    torch.library.opcheck(bipolar, (x, scalar(0.5)), test_utils=checks)


def test_export_keeps_one_node_each():
    class Both(torch.nn.Module):
        def forward(self, x):
            return bipolar(quant(x, torch.tensor(0.5), -2, 1), torch.tensor(2.0))

    graph = torch.export.export(Both(), (torch.randn(2, 3),)).graph
    calls = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    assert [call for call in calls if call.startswith("hwc.")] == [
        "hwc.quant.default",
        "hwc.bipolar.default",
    ]
    assert not [c for c in calls if "round" in c or "clamp" in c or "where" in c or "div" in c]


def test_round_mantissa():
    x = torch.tensor([0.0, 1.0, 8.4, 8.5, 9.5, 15.49, 15.5, -0.3, 1e-3], dtype=torch.float64)
    expected = [0.0, 1.0, 8.0, 8.0, 10.0, 15.0, 16.0, -10 * 2.0**-5, 8 * 2.0**-13]
    assert round_mantissa(x, 4).tolist() == expected
    assert round_mantissa(torch.tensor([1.49, 1.5, 3.0, 0.2]), 1).tolist() == [1.0, 2.0, 4.0, 0.25]


def test_ceil_mantissa_never_rounds_down():
    x = torch.tensor([8.0, 8.01, 15.01, 1.0])
    assert ceil_mantissa(x, 4).tolist() == [8.0, 9.0, 16.0, 1.0]
