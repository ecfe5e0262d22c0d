"""Queues keep their contract for ever, whatever producer and consumer do within the rules."""

from __future__ import annotations

import pytest

from hwc.hw import queue
from hwc.hw.queue import Form
from hwc.sim.formal import prove

from .look import broken, holds, red
from .queue_proof import QueueProof

MEMORIES: tuple[Form, Form] = ("lutram", "bram")
FF: Form = "ff"
SIZES = [(8, 1, FF), (200, 1, FF)] + [
    (width, depth, form)
    for form in MEMORIES
    for width, depth in ((8, 2), (1, 3), (9, 4), (8, 5), (200, 7), (8, 16), (8, 32))
]


def test_smallest() -> None:
    """One proof in the default lane, so that the way to the solver stays open."""
    holds(QueueProof(4, 3, "bram"))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "depth", "form"), SIZES)
def test_contract(width: int, depth: int, form: Form) -> None:
    holds(QueueProof(width, depth, form))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "depth", "form"), [s for s in SIZES if s[1] <= 7])
def test_every_corner_is_reachable(width: int, depth: int, form: Form) -> None:
    result = prove(QueueProof(width, depth, form), depth=2 * depth + 3, mode="cover", limit=60)
    assert result.proved, str(result)


BROKEN = [
    ("room - self.give + self.pop", "room - (self.give & ~self.pop)", "credit_iff_room"),
    ("level + self.push - self.pop", "level + (self.push & ~self.pop)", "valid_iff_held"),
    ("self.credit.eq(room != 0)", "self.credit.eq(1)", "credit_iff_room"),
    ("self.valid.eq(level != 0)", "self.valid.eq((level != 0) & ~self.push)", "valid_iff_held"),
    ("write.en.eq(self.push)", "write.en.eq(self.push & (level != 3))", "order"),
    ("Mux(put == self.depth - 1, 0, put + 1)", "put + 1", "order"),
    ("after.eq(Mux(self.pop,", "after.eq(Mux(self.pop & ~self.push,", "order"),
    ("transparent_for=(write,)", "", "order"),
    ("read.addr.eq(after)", "read.addr.eq(get)", "order"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "name"), BROKEN)
def test_broken_queues_are_found(old: str, new: str, name: str) -> None:
    kind = broken(queue, old, new).Queue
    red(prove(QueueProof(2, 5, "bram", kind=kind, inside=False), depth=20, limit=60), name)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["lutram", "bram"])
def test_without_credits_it_overflows(form: Form) -> None:
    """What the proofs assume of the producer is needed."""
    design = QueueProof(2, 4, form, obey=False, inside=False)
    red(prove(design, depth=20, limit=60), "overflow")


@pytest.mark.slow
def test_a_register_that_does_not_wait_is_found() -> None:
    kind = broken(
        queue,
        "m.If(self.push):\n                m.d.sync += self.head",
        "m.If(1):\n                m.d.sync += self.head",
    ).Queue
    red(prove(QueueProof(2, 1, "ff", kind=kind, inside=False), depth=9, limit=60), "data_stays")
