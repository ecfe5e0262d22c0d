"""Ranges against closed forms and brute force; numbers of few mantissa bits."""

import numpy as np
import pytest

from hwc.compiler.calibrate import Config
from hwc.compiler.calibrate.scales import (
    Seen,
    best_scale,
    mantissa_bits,
    round_mantissa,
    squared_error,
)
from hwc.compiler.calibrate.weights import grid, ideal_scales
from hwc.compiler.source import Conv, ConvTranspose, Linear

RNG = np.random.default_rng(0)


def test_minmax_reaches_both_ends_and_no_further() -> None:
    x = [-3.0, 0.5, 1.9]
    assert best_scale([Seen.of(x, -128, 127)], Config(ranges="minmax")) == 3 / 128
    assert best_scale([Seen.of([-1.0, 1.9], -128, 127)], Config(ranges="minmax")) == 1.9 / 127
    assert best_scale([Seen.of([0.0, 1.9], 0, 15)], Config(ranges="minmax")) == 1.9 / 15
    shared = [Seen.of([0.0, 1.9], 0, 255), Seen.of(x, -128, 127)]
    assert best_scale(shared, Config(ranges="minmax")) == 3 / 128


def test_percentile_is_numpys() -> None:
    x = RNG.normal(size=20000)
    config = Config(ranges="percentile", percentile=99.5)
    low, high = np.percentile(x, [0.5, 99.5])
    assert best_scale([Seen.of(x, -8, 7)], config) == max(high / 7, low / -8)
    assert best_scale([Seen.of(abs(x), 0, 15)], config) == np.percentile(abs(x), 99.5) / 15


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("kind", ["normal", "laplace", "relu"])
def test_mse_is_the_brute_force_optimum(bits: int, kind: str) -> None:
    x = RNG.laplace(size=4000) if kind == "laplace" else RNG.normal(size=4000)
    x = np.maximum(x, 0) if kind == "relu" else x
    lo = 0 if kind == "relu" else -(2 ** (bits - 1))
    seen = Seen.of(x, lo, lo + 2**bits - 1)
    found = best_scale([seen], Config(ranges="mse"))
    every = np.linspace(0.02, 1, 4000) * max(x.max() / seen.hi, x.min() / lo if lo else 0)
    least = min(squared_error(seen, s) for s in every)
    assert squared_error(seen, found) <= least * 1.005


def test_mse_of_a_shared_scale_weighs_both() -> None:
    a, b = Seen.of(RNG.normal(size=3000), -8, 7), Seen.of(3 * RNG.random(100), 0, 15)
    found = best_scale([a, b], Config(ranges="mse"))
    errors = [squared_error(a, s) + squared_error(b, s) for s in np.linspace(0.05, 1, 2000)]
    assert squared_error(a, found) + squared_error(b, found) <= min(errors) * 1.005


def test_gaussian_weights_get_the_step_of_max() -> None:
    """J. Max 1960: the best step for 15 levels of a Gaussian is 0.3534 standard deviations."""
    weight = np.random.default_rng(3).normal(size=(1, 400000))
    scale = ideal_scales(Linear(), weight, Config(4, 4, weight_ranges="mse"), shared=False)
    assert scale == pytest.approx([0.3534], rel=0.02)


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "mse"])
def test_zeros_have_a_scale(ranges) -> None:
    assert best_scale([Seen.of(np.zeros(5), 0, 15)], Config(ranges=ranges)) == 1.0


def test_two_bits_of_a_weight_are_clipped_and_more_are_not() -> None:
    row = RNG.normal(size=(1, 500))
    for bits, clips in ((2, True), (3, False), (8, False)):
        (scale,) = ideal_scales(Linear(), row, Config(bits, 8), False)
        assert (scale * (2 ** (bits - 1) - 1) < abs(row).max() * 0.999) == clips
    with_error = Config(4, 8, ranges="minmax", weight_ranges="mse")
    assert ideal_scales(Linear(), row, with_error, False)[0] * 7 < abs(row).max() * 0.999


def test_channels_have_their_own_scales_where_they_can() -> None:
    conv, config = np.array([1.0, 2, 4, 8]).reshape(4, 1, 1, 1), Config(weight_ranges="minmax")
    assert (ideal_scales(Conv(), conv, config, False) * 127 == [1, 2, 4, 8]).all()
    assert (ideal_scales(Conv(), conv, config, True) * 127 == [8]).all()
    turned = conv.swapaxes(0, 1)  # (C, N, 1, 1)
    assert (ideal_scales(ConvTranspose(), turned, config, False) * 127 == [1, 2, 4, 8]).all()
    grouped = ideal_scales(ConvTranspose(groups=2), conv.reshape(2, 2, 1, 1), config, False)
    assert (grouped * 127 == [8]).all()


def test_mantissas() -> None:
    x = RNG.lognormal(0, 5, 500)
    for bits in (1, 4, 8):
        near, above = round_mantissa(x, bits), round_mantissa(x, bits, up=True)
        assert (abs(near / x - 1) <= 2.0**-bits).all()
        assert (above >= x).all()
        assert (above <= x * (1 + 2.0 ** (1 - bits))).all()
        assert max(map(mantissa_bits, near)) <= bits
    assert mantissa_bits(0.75) == 2
    assert mantissa_bits(2.0**-30) == 1
    assert mantissa_bits(1 / 255) > 45


@pytest.mark.parametrize("source", [1 / 255, 0.0371, 2.0**-5])
def test_multipliers_behind_a_layer_are_short_and_no_sum_is_near_a_tie(source: float) -> None:
    ideal, result = RNG.lognormal(-4, 1, 20), 0.0371
    found = grid(ideal, source, result, True, False, Config())
    ratio = found.scale * source / result
    shift = 12 - int(np.frexp((ideal * source / result).max())[1])
    m = ratio * 2.0**shift
    assert np.allclose(m, np.rint(m), rtol=1e-12, atol=0)
    assert m.max() <= 4096
    assert (found.scale >= ideal * (1 - 1e-12)).all()
    assert (found.scale / ideal - 1 <= 1 / (np.rint(m) - 0.999)).all()
    bias = found.place(RNG.normal(size=20))
    sums = np.rint(m) * 12345 + bias / result * 2.0**shift  # multiples of 2**shift / 2 are ties
    assert np.allclose(sums % 1, 0.5, atol=1e-4)


def test_sums_that_leave_have_their_bias_on_the_grid() -> None:
    ideal, bias = np.array([0.0123, 0.4]), np.array([0.3, -7.1])
    for compared, step in ((True, 1), (False, 2.0**-8)):
        found = grid(ideal, 2.0**-5, None, True, compared, Config())
        assert max(map(mantissa_bits, found.scale)) <= 8
        codes = found.place(bias) / (found.scale / 32 * step)
        assert (codes == np.rint(codes)).all()
        assert (abs(found.place(bias) - bias) <= found.scale / 64 * step).all()
