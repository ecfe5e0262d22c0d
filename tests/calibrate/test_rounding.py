"""Second-order rounding against brute force, and the moments it is made from."""

from itertools import product

import numpy as np
import pytest

from hwc.compiler.calibrate.layers import canonical, columns, restore
from hwc.compiler.calibrate.rounding import (
    Moments,
    nearest,
    output_error,
    retargeted,
    second_order,
)
from hwc.compiler.source import Conv, ConvTranspose, Linear, Source, SourceNode, evaluate
from hwc.compiler.source.source import Input


def problem(seed: int, rows: int, size: int, rank: int) -> tuple[np.ndarray, ...]:
    """Weights, scales, and the Hessian of correlated inputs."""
    rng = np.random.default_rng(seed)
    x = (
        rng.normal(size=(200, rank)) @ rng.normal(size=(rank, size))
        + rng.normal(size=(200, size)) / 5
    )
    w = rng.normal(size=(rows, size))
    return w, np.full((rows, 1), 0.4), 2 * x.T @ x


def brute(w: np.ndarray, scale: np.ndarray, most: int, hessian: np.ndarray) -> np.ndarray:
    """The least output error of each row over all codes next to the weights."""
    best = []
    for row, s in zip(w, scale[:, 0], strict=True):
        low = np.clip(np.floor(row / s), -most, most - 1)
        every = np.array([low + d for d in product((-1, 0, 1, 2), repeat=len(row))])
        every = np.clip(every, -most, most)
        errors = output_error(np.broadcast_to(row, every.shape), every * s, hessian)
        best.append(errors.min())
    return np.array(best)


def test_a_diagonal_hessian_means_nearest() -> None:
    w, scale, _ = problem(0, 10, 30, 3)
    hessian = np.diag(np.random.default_rng(1).uniform(0.1, 9, 30))
    assert (second_order(w, scale, 7, hessian) == nearest(w, scale, 7)).all()


def test_two_inputs_reach_the_closed_form() -> None:
    """With two weights the second must take on the first's error times H_12 / H_22."""
    hessian = np.array([[4.0, 1.5], [1.5, 1.0]])
    damped = hessian + 0.01 * 2.5 * np.eye(2)
    w = np.array([[1.3, 0.2], [-0.7, 2.4], [0.45, -0.45]])
    first = np.rint(w[:, 0])
    second = np.rint(w[:, 1] + (w[:, 0] - first) * damped[0, 1] / damped[1, 1])
    found = second_order(w, np.ones((3, 1)), 7, hessian)
    plain = nearest(w, np.ones((3, 1)), 7)
    chosen = np.stack([first, second], axis=1)
    better = output_error(w, chosen, hessian) < output_error(w, plain, hessian)
    assert better.any()
    assert (found == np.where(better[:, None], chosen, plain)).all()


@pytest.mark.parametrize("seed", range(5))
def test_it_is_near_the_brute_force_optimum_and_beats_nearest(seed: int) -> None:
    w, scale, hessian = problem(seed, 6, 5, 2)
    least = brute(w, scale, 7, hessian).sum()
    found = output_error(w, second_order(w, scale, 7, hessian) * scale, hessian)
    plain = output_error(w, nearest(w, scale, 7) * scale, hessian)
    assert (found <= plain).all()
    assert least * (1 - 1e-9) <= found.sum() <= 3.1 * least  # greedy: not the optimum itself
    assert found.sum() < 0.6 * plain.sum()


@pytest.mark.parametrize("most", [1, 2])
def test_rows_that_clipping_spoils_are_rounded_to_the_nearest(most: int) -> None:
    worse = 0
    for seed in range(20):
        w, scale, hessian = problem(seed, 8, 12, 2)
        found = output_error(w, second_order(w, scale, most, hessian) * scale, hessian)
        plain = output_error(w, nearest(w, scale, most) * scale, hessian)
        assert (found <= plain * (1 + 1e-12)).all()
        worse += int((found >= plain * (1 - 1e-12)).sum())
    assert worse > 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    w, scale, hessian = problem(7, 8, 40, 10)
    blocked = second_order(w, scale, 7, hessian)
    for size in (1, 7, 1000):
        monkeypatch.setattr("hwc.compiler.calibrate.rounding.BLOCK", size)
        assert (second_order(w, scale, 7, hessian) == blocked).all()


def test_codes_stay_inside_and_dead_inputs_are_harmless() -> None:
    w, scale, hessian = problem(2, 5, 12, 4)
    hessian[3], hessian[:, 3] = 0, 0
    codes = second_order(3 * w, scale, 3, hessian)
    assert abs(codes).max() <= 3
    assert (codes[:, 3] == nearest(3 * w, scale, 3)[:, 3]).all()
    assert (second_order(w, scale, 7, np.zeros((12, 12))) == nearest(w, scale, 7)).all()


OPS = [
    (Linear(), (6,), (4, 6)),
    (Conv((2, 1), (1, 0, 2, 1), (1, 2), 2), (4, 7, 9), (6, 2, 3, 2)),
    (Conv((1,), (1, 1), (1,), 3), (3, 8), (3, 1, 3)),
    (ConvTranspose((2, 1), (1, 0, 0, 1), (1, 0), (1, 2), 2), (4, 5, 6), (4, 3, 3, 2)),
    (ConvTranspose((3,), (2, 2), (0,), (1,), 1), (2, 5), (2, 3, 2)),
]


@pytest.mark.parametrize(("op", "shape", "weight_shape"), OPS, ids=lambda v: str(v)[:24])
def test_columns_times_weights_are_the_layer(op, shape, weight_shape) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, *shape)), rng.normal(size=weight_shape)
    node = SourceNode("y", op, ("x", "w"))
    y = evaluate(Source((Input("x", shape),), (node,), ("y",), {"w": w}), {"x": x})["y"]
    form = canonical(op, w)
    assert (restore(op, form, w.shape) == w).all()
    rows = form.reshape(*form.shape[:2], -1)
    got = columns(op, x, w.shape[2:]) @ rows.swapaxes(1, 2)  # (G, frames * positions, N)
    got = np.moveaxis(got, 0, 1).reshape(3, *y.shape[2:], y.shape[1])
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), y, atol=1e-12)


def test_moments_add_up_and_centre() -> None:
    rng = np.random.default_rng(0)
    x, f = rng.normal(1, 1, size=(2, 10, 5))
    for centred in (False, True):
        moments = Moments(Linear(), (), centred)
        moments.add(x[:4], f[:4])
        moments.add(x[4:], f[4:])
        square, cross = moments.matrices()
        a, b = (v - v.mean(axis=0) if centred else v for v in (x, f))
        np.testing.assert_allclose(square[0], 2 * a.T @ a, atol=1e-12)
        np.testing.assert_allclose(cross[0], 2 * b.T @ a, atol=1e-12)


def test_weights_are_fitted_to_the_input_they_will_see() -> None:
    rng = np.random.default_rng(1)
    f = rng.normal(size=(500, 6))
    mix = np.eye(6) + rng.normal(size=(6, 6)) / 20
    moments, same = Moments(Linear(), ()), Moments(Linear(), ())
    moments.add(f @ mix, f)
    same.add(f, f)
    w = rng.normal(size=(3, 6))
    for m, ideal in ((same, w), (moments, w @ np.linalg.inv(mix).T)):
        square, cross = (v[0] for v in m.matrices())
        found = retargeted(w, square, cross)
        assert abs(found - ideal).max() <= 0.08 * abs(w - ideal).max()
    assert (retargeted(w, np.zeros((6, 6)), np.zeros((6, 6))) == w).all()
