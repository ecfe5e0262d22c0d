"""Planning how a heap is added up: greedy, stage by stage, on counts of bits alike.

The time it takes does not grow with the number of lanes, so units can be costed by the thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hwc.hw.dot.heap import DIRECT, INVERTED, Block, Chain, Column, Plan, Stage
from hwc.hw.dot.search import best_chain, finishing_chain, plain_adder

__all__ = ["STRATEGIES", "Strategy", "cost", "plan"]


class Strategy(NamedTuple):
    """How greedy to be.

    ``seed``: part of the products that is computed alone in the first stage; the rest waits for
    plain bits with which it can share LUTs in chains, until stage ``patience``. ``eager``: how
    many prices of LADDER are tried in every stage; more are only tried if nothing fits.
    """

    seed: float
    patience: int
    eager: int


STRATEGIES = tuple(
    Strategy(seed, patience, eager)
    for seed in (1.0, 0.75, 0.6, 0.5, 0.4, 0.33, 0.25)
    for patience in ((1,) if seed == 1 else (2, 3, 4))
    for eager in (1, 2, 3)
)

LADDER = (0.62, 0.7, 0.85, 1.05, 1.5, 3.0)
"""Prices of a plain bit: at the first only the best counters pay, at 1.05 a plain two-operand
adder does, at the last anything that makes the heap smaller."""

PATIENCE = 3
"""Stages in a row that may leave as many bits as there were."""

SHAPES_PER_STAGE = 12
"""Different chains in one stage; what they leave over waits for the next."""


def _prices(direct: float) -> tuple[float, ...]:
    """Price per kind: what computing the bit costs alone, and what adding it will."""
    alone = (0.65, 0.5, 0.7, 0.7, 9.0)
    return (0.3, direct + 0.02, *(price + direct for price in alone), direct)


@dataclass
class _Planner:
    heap: list[Column]
    strategy: Strategy
    levels: int
    stages: list[Stage] = field(default_factory=list)
    luts: int = 0
    passes: int = 0
    bits: int = 0
    waiting: list[float] = field(default_factory=list)
    arrival: int = 0
    worst: int = 0

    def __post_init__(self) -> None:
        self.start = [list(bits) for bits in self.heap]

    def run(self) -> Plan:
        """Stages until one chain can finish."""
        last = finishing_chain(self.heap)
        fewest, idle = sum(map(sum, self.heap)), 0
        while last is None:
            self.stage(forced=idle >= PATIENCE)
            bits = sum(map(sum, self.heap))
            idle = 0 if bits < fewest else idle + 1
            fewest = min(bits, fewest)
            last = finishing_chain(self.heap)
        self.close(last)
        waiting = tuple(self.waiting)
        counts = (self.luts, self.passes, self.bits)
        return Plan(tuple(self.stages), *counts, waiting, self.worst, self.arrival)

    def stage(self, forced: bool) -> None:
        """One round of chains; bits that nobody takes wait for the next.

        ``forced``: a plain adder of two bits a column, when greed has stopped to make progress.
        """
        before = [list(bits) for bits in self.heap]
        after = [[0] * 8 for _ in self.heap]
        chains: list[tuple[Chain, int]] = []
        lazy = any(sum(bits[2:7]) for bits in self.heap)
        index = len(self.stages)
        if forced:
            chains += self.take([(plain_adder(self.heap), 1)], after)
        elif lazy and (index == 0 or index >= self.strategy.patience):
            part = self.strategy.seed if index == 0 else 1.0
            chains += self.take(self.seeds(part, False), after)
        if not forced and (index or not lazy):
            chains += self.greedy(after)
        if not chains:
            # Nothing fits: compute every waiting bit, so that all are plain wires, or just add.
            chains += self.take(self.seeds(1.0, True) or [(plain_adder(self.heap), 1)], after)
        self.push(chains, before, after)

    def greedy(self, after: list[Column]) -> list[tuple[Chain, int]]:
        """Chains by falling worth, as often as there are bits for them."""
        chains: list[tuple[Chain, int]] = []
        for level, direct in enumerate(LADDER):
            if level >= self.strategy.eager and chains:
                break
            prices = _prices(direct)
            while len(chains) < SHAPES_PER_STAGE:
                chain = best_chain(self.heap, prices)
                if chain is None:
                    break
                chains += self.take([(chain, self.copies(chain))], after)
        return chains

    def copies(self, chain: Chain) -> int:
        """How often the heap holds all that the chain takes."""
        needs: dict[tuple[int, int], int] = {}
        for key in chain.needs():
            needs[key] = needs.get(key, 0) + 1
        return min(self.heap[c][kind] // n for (c, kind), n in needs.items())

    def take(self, chains: list[tuple[Chain, int]], after: list[Column]) -> list[tuple[Chain, int]]:
        """Move bits of the heap through chains into the heap ``after`` this stage."""
        for chain, copies in chains:
            for column, kind in chain.needs():
                self.heap[column][kind] -= copies
            for column in chain.gives(len(self.heap)):
                after[column][DIRECT] += copies
        return chains

    def seeds(self, part: float, inverted: bool) -> list[tuple[Chain, int]]:
        """LUT blocks for a part of the products: three of two wires to two bits, or one LUT each.

        A kind of six wires fits in front of no carry chain, so all of its bits are computed.
        """
        found: list[tuple[Chain, int]] = []

        def block(column: int, *low: int) -> Chain:
            width = min(len(low).bit_length(), len(self.heap) - column)
            return Chain(column, -1, (Block(low, (), (-1,) * width),))

        for column, bits in enumerate(self.heap):
            for kind in range(INVERTED if inverted else 2, 7):
                total = bits[kind] if kind == 6 else round(part * bits[kind])
                if kind == 2:
                    found.append((block(column, 2, 2, 2), total // 3))
                    total = total % 3 if part == 1 else 0
                found.append((block(column, kind), total))
        return [(chain, copies) for chain, copies in found if copies]

    def push(
        self, chains: list[tuple[Chain, int]], before: list[Column], after: list[Column]
    ) -> None:
        """Append a stage, with registers before it where the path would grow too long."""
        delay = max((chain.eighths for chain, _ in chains), default=0)
        cut = self.arrival > 0 and self.arrival + delay > 8 * self.levels
        if cut:
            self.bits += sum(bits[DIRECT] + bits[INVERTED] for bits in before)
            pairs = [(sum(b[2:7]), sum(s[2:7])) for b, s in zip(before, self.start, strict=True)]
            self.waiting.append(max((left / all_ for left, all_ in pairs if all_), default=0.0))
            self.arrival = 0
        self.arrival += delay
        self.worst = max(self.worst, self.arrival)
        self.luts += sum(chain.luts * copies for chain, copies in chains)
        self.passes += sum(chain.passes * copies for chain, copies in chains)
        self.stages.append(Stage(cut, tuple(chains)))
        for bits, more in zip(self.heap, after, strict=True):
            for kind, count in enumerate(more):
                bits[kind] += count

    def close(self, last: Chain) -> None:
        """The last stage, and a LUT for each lone bit that is no plain wire yet."""
        before = [list(bits) for bits in self.heap]
        after = [[0] * 8 for _ in self.heap]
        chains = self.take([(last, 1)] if last.blocks else [], after)
        for column, bits in enumerate(self.heap):
            for kind in range(INVERTED, DIRECT):
                if bits[kind]:
                    chain = Chain(column, -1, (Block((kind,), (), (-1,)),))
                    chains += self.take([(chain, bits[kind])], after)
        if chains:
            self.push(chains, before, after)


def plan(heap: Sequence[Sequence[int]], levels: int, strategy: Strategy) -> Plan:
    """Add up a heap: ``heap[column][kind]`` bits, at most ``levels`` levels between registers."""
    return _Planner([list(bits) for bits in heap], strategy, levels).run()


def cost(p: Plan, wires: int) -> float:
    """What plans are compared by, in LUTs; ``wires`` are those of all operands."""
    return p.luts + p.passes + 0.05 * (p.bits + wires * sum(p.waiting)) + 0.1 * p.cuts
