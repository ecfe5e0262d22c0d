"""The program that picks candidates, against trying every combination."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from hwc.compiler.map.problem import Choice, Joint, Problem


def link(a, b):
    """Equal tiles are free, others dear and often the slowest; two steps down are impossible."""
    if a == b:
        return (0.0, 0.0), 0
    if b[0] - a[0] < -2:
        return None
    return (float(9 * abs(a[0] - b[0])), 1.0), 11 * b[0]


def random_problem(rng, layers, choices, limit):
    stages = []
    for layer in range(layers):
        options = []
        for _ in range(choices):
            work = int(rng.integers(1, 40))
            tiles = tuple((int(t),) for t in rng.integers(1, 5, 2))
            cost = (float(rng.integers(1, 90) + 200 / work), float(rng.integers(0, 3)))
            options.append(Choice(cost, work, tiles[:1] if layer else (), tiles[1]))
        stages.append(options)
    joints = [Joint(i, i + 1, 0, link) for i in range(layers - 1)]
    if layers > 3:  # a fork: the first stage feeds the last one too, through the same port type
        stages[-1] = [
            Choice(c.cost, c.interval, (*c.inputs, c.inputs[0]), c.output) for c in stages[-1]
        ]
        joints.append(Joint(0, layers - 1, 1, link))
    return Problem(stages, joints, limit)


def brute(problem, interval):
    """The least weighted cost over all combinations, or None."""
    best = None
    weights = 1 / np.maximum(np.array(problem.limits), 1)
    for picks in itertools.product(*(range(len(s)) for s in problem.stages)):
        chosen = [s[p] for s, p in zip(problem.stages, picks, strict=True)]
        used = np.sum([c.cost for c in chosen], 0)
        worst = max(c.interval for c in chosen)
        for joint in problem.joints:
            found = link(chosen[joint.src].output, chosen[joint.dst].inputs[joint.port])
            if found is None:
                break
            used = used + found[0]
            worst = max(worst, found[1])
        else:
            if worst <= interval and np.all(used <= problem.limits):
                cost = float(used @ weights)
                best = cost if best is None else min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_cheapest_is_what_trying_everything_finds(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, 4, 5, (220.0, 9.0))
    for interval in problem.intervals()[::3]:
        expected = brute(problem, interval)
        found = problem.cheapest(interval)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            cost = sum(u / max(m, 1) for u, m in zip(found.used, problem.limits, strict=True))
            assert expected * (1 - 1e-9) <= cost <= expected * 1.006
            assert found.interval <= interval
            assert all(u <= m + 1e-6 for u, m in zip(found.used, problem.limits, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_fastest_is_the_smallest_interval_that_is_feasible(seed):
    problem = random_problem(np.random.default_rng(100 + seed), 4, 5, (150.0, 7.0))
    feasible = [i for i in problem.intervals() if brute(problem, i) is not None]
    found = problem.fastest()
    assert (found.interval if found else None) == (min(feasible) if feasible else None)


def test_fifty_layers_of_sixty_choices_take_seconds():
    problem = random_problem(np.random.default_rng(3), 50, 60, (4000.0, 60.0))
    began = time.perf_counter()
    assert problem.fastest() is not None
    assert time.perf_counter() - began < 20
