"""The queue against a model, in each of its forms: not one cycle may depend on the form."""

from __future__ import annotations

import gc
import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from hwc.hw.queue import Form, Queue, queue_form


def drive(queue: Queue, cycles: int, seed: int, eager: float) -> list[tuple[int, int, int]]:
    """Random give, push and pop, within the rules, against a model; ``(credit, valid, head)``.

    ``eager`` is how likely a beat is popped. Pushes follow their reservation by 0 to 3 cycles.
    """
    rng = random.Random(seed)
    seen: list[tuple[int, int, int]] = []

    async def bench(ctx: Any) -> None:
        room, promised, number = queue.depth, deque[int](), 0
        level: deque[int] = deque()
        for _ in range(cycles):
            assert ctx.get(queue.credit) == (room > 0)
            assert ctx.get(queue.valid) == bool(level)
            head = ctx.get(queue.head) if level else 0
            if level:
                assert head == level[0]
            seen.append((ctx.get(queue.credit), ctx.get(queue.valid), head))
            give = room > 0 and rng.random() < 0.6
            if give:
                promised.append(rng.randint(0, 3))
            push = bool(promised) and promised[0] == 0
            promised = deque(max(0, wait - 1) for wait in promised)
            pop = bool(level) and rng.random() < eager
            data = rng.getrandbits(queue.width)
            for port, value in (("give", give), ("push", push), ("pop", pop)):
                ctx.set(getattr(queue, port), int(value))
            ctx.set(queue.data, data)
            if push:
                promised.popleft()
                number += 1
            room += pop - give
            if pop:
                level.popleft()
            if push:
                level.append(data)
            await ctx.tick()
        assert number > queue.depth

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def forms(depth: int) -> list[Form]:
    return ["ff"] if depth == 1 else ["lutram", "bram"]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 16])
def test_against_a_model(depth: int) -> None:
    all_seen: list[tuple[int, int, int]] = []
    for eager in (0.2, 0.6, 0.95):
        traces = [drive(Queue(9, depth, form), 300, depth, eager) for form in forms(depth)]
        assert all(trace == traces[0] for trace in traces)
        all_seen += traces[0]
    assert {credit for credit, _, _ in all_seen} == {0, 1}
    assert {valid for _, valid, _ in all_seen} == {0, 1}


def test_wide() -> None:
    drive(Queue(200, 5, "bram"), 200, 1, 0.5)


@pytest.mark.parametrize("form", ["lutram", "bram"])
@pytest.mark.parametrize("latency", [0, 1, 4])
def test_full_rate_needs_latency_plus_two(form: Form, latency: int) -> None:
    """A producer that pushes ``latency`` after it reserves, and a consumer that always pops."""

    def beats(depth: int) -> int:
        queue, popped = Queue(8, depth, form), 0

        async def bench(ctx: Any) -> None:
            nonlocal popped
            late = deque([0] * latency)
            for _ in range(100):
                give = ctx.get(queue.credit)
                late.append(give)
                ctx.set(queue.give, give)
                ctx.set(queue.push, late.popleft())
                pop = ctx.get(queue.valid)
                ctx.set(queue.pop, pop)
                popped += pop
                await ctx.tick()

        simulator = Simulator(queue)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        return popped

    assert beats(latency + 2) == 100 - latency - 1
    assert beats(latency + 1) < 100 - latency - 1


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_what_a_queue_must_be() -> None:
    with pytest.raises(ValueError, match="at least one beat of one bit, not 0 of 8"):
        Queue(8, 0)
    with pytest.raises(ValueError, match="not 2 of 0"):
        Queue(0, 2)
    gc.collect()  # Amaranth complains of both as they die: here, where it is expected


def test_form_follows_the_size() -> None:
    assert queue_form(8, 1) == "ff"
    assert queue_form(8, 64) == "lutram"
    assert queue_form(1, 512) == "lutram"
    assert queue_form(64, 512) == "bram"
