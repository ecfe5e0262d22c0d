"""Choosing one candidate for every stage, as a mixed-integer linear program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

__all__ = ["Choice", "Joint", "Problem", "Solution", "shares"]

Tile = tuple[int, ...]
Cost = tuple[float, ...]
"""Resources used, in the order of ``Problem.limits``."""


def shares(used: Cost, limits: Cost) -> float:
    """Sum over all resources of the shares of ``limits`` that are used."""
    return sum(u / max(most, 1) for u, most in zip(used, limits, strict=True))


@dataclass(frozen=True)
class Choice:
    """One way to build a stage: what it costs, how long a frame takes, how beats travel."""

    cost: Cost
    interval: int
    inputs: tuple[Tile, ...]
    output: Tile


@dataclass(frozen=True)
class Joint:
    """An edge between stages: from the output of ``src`` to input ``port`` of ``dst``.

    ``link(a, b)`` gives cost and interval of what has to stand between an output tile ``a`` and
    an input tile ``b``, or None if nothing can.
    """

    src: int
    dst: int
    port: int
    link: Callable[[Tile, Tile], tuple[Cost, int] | None]


@dataclass(frozen=True)
class Solution:
    """The chosen candidate of each stage, and the resources they use with their converters."""

    picks: tuple[int, ...]
    used: Cost
    interval: int


class Problem:
    """Stages with candidates, joints between them, and a limit per resource."""

    def __init__(
        self, stages: Sequence[Sequence[Choice]], joints: Sequence[Joint], limits: Cost
    ) -> None:
        self.stages = stages
        self.joints = joints
        self.limits = limits
        self._links: list[Mapping[tuple[Tile, Tile], tuple[Cost, int] | None]] = []
        for joint in joints:
            outs = dict.fromkeys(c.output for c in stages[joint.src])
            ins = dict.fromkeys(c.inputs[joint.port] for c in stages[joint.dst])
            self._links.append({(a, b): joint.link(a, b) for a in outs for b in ins})

    def intervals(self) -> list[int]:
        """Every interval that the network as a whole could have, ascending."""
        found = {c.interval for choices in self.stages for c in choices}
        found |= {link[1] for links in self._links for link in links.values() if link}
        floor = max(min(c.interval for c in choices) for choices in self.stages)
        return sorted(i for i in found if i >= floor)

    def fastest(self) -> Solution | None:
        """The solution with the smallest interval, the cheapest among those."""
        steps = self.intervals()
        best = self.cheapest(steps[-1]) if steps else None
        if best is None:
            return None
        lo, hi = 0, len(steps) - 1
        while lo < hi:
            middle = (lo + hi) // 2
            found = self.cheapest(steps[middle])
            if found is None:
                lo = middle + 1
            else:
                best, hi = found, middle
        return best

    def cheapest(self, interval: int) -> Solution | None:
        """The cheapest solution in which nothing needs more than ``interval`` cycles a frame.

        Cheapest in the sum of the used fractions of every limited resource. None if there is
        none. Each edge carries one flow variable per pair of tiles, so the relaxation is tight.
        """
        columns: list[Cost] = []
        offset: list[int] = []
        alive: list[bool] = []
        for choices in self.stages:
            offset.append(len(columns))
            columns += [c.cost for c in choices]
            alive += [c.interval <= interval for c in choices]
        binaries = len(columns)
        rows: list[tuple[int, int, float]] = []
        low: list[float] = []
        high: list[float] = []

        def row(entries: list[tuple[int, float]], lo: float, hi: float) -> None:
            rows.extend((len(low), column, value) for column, value in entries)
            low.append(lo)
            high.append(hi)

        for start, choices in zip(offset, self.stages, strict=True):
            row([(start + i, 1.0) for i in range(len(choices))], 1, 1)
        for joint, links in zip(self.joints, self._links, strict=True):
            leaving: dict[Tile, list[int]] = {}
            entering: dict[Tile, list[int]] = {}
            for (a, b), link in links.items():
                if link is None or link[1] > interval:
                    continue
                leaving.setdefault(a, []).append(len(columns))
                entering.setdefault(b, []).append(len(columns))
                columns.append(link[0])
                alive.append(True)
            for flows, stage, tile in (
                (leaving, joint.src, lambda c: c.output),
                (entering, joint.dst, lambda c, port=joint.port: c.inputs[port]),
            ):
                groups: dict[Tile, list[tuple[int, float]]] = {}
                for i, choice in enumerate(self.stages[stage]):
                    groups.setdefault(tile(choice), []).append((offset[stage] + i, -1.0))
                for key, entries in groups.items():
                    row([*((f, 1.0) for f in flows.get(key, [])), *entries], 0, 0)
        costs = np.array(columns, float).reshape(len(columns), len(self.limits))
        for k, limit in enumerate(self.limits):
            used = np.flatnonzero(costs[:, k])
            row([(int(c), float(costs[c, k])) for c in used], -np.inf, limit)
        weights = (costs / np.maximum(np.array(self.limits, float), 1)).sum(1) + 1e-9
        r, c, v = zip(*rows, strict=True)
        matrix = coo_array((v, (r, c)), shape=(len(low), len(columns)))
        integrality = np.zeros(len(columns))
        integrality[:binaries] = 1
        result = milp(
            weights,
            # The annotations of SciPy say float where its documentation says array.
            constraints=LinearConstraint(matrix.tocsr(), low, high),  # pyright: ignore[reportArgumentType]
            bounds=Bounds(0, np.array(alive, float)),  # pyright: ignore[reportArgumentType]
            integrality=integrality,
            # A limit in nodes, not in seconds: the same network has to give the same design.
            options={"node_limit": 2000, "mip_rel_gap": 0.005},
        )
        if result.x is None:
            return None
        picks = []
        for start, choices in zip(offset, self.stages, strict=True):
            picks.append(int(np.argmax(result.x[start : start + len(choices)])))
        return self._solution(picks)

    def _solution(self, picks: list[int]) -> Solution:
        used = np.zeros(len(self.limits))
        interval = 0
        for pick, choices in zip(picks, self.stages, strict=True):
            used += choices[pick].cost
            interval = max(interval, choices[pick].interval)
        for joint, links in zip(self.joints, self._links, strict=True):
            a = self.stages[joint.src][picks[joint.src]].output
            b = self.stages[joint.dst][picks[joint.dst]].inputs[joint.port]
            link = links[a, b]
            assert link is not None
            used += link[0]
            interval = max(interval, link[1])
        return Solution(tuple(picks), tuple(float(u) for u in used), interval)
