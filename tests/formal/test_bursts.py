"""Bursts are legal, in place and complete; turns are fair."""

from __future__ import annotations

import pytest

from hwc.hw.shell import arbiter, bursts, walker
from hwc.sim.formal import prove

from .burst_proof import WalkerProof
from .channel_proof import ArbiterProof, ChannelProof
from .look import broken, holds, red

pytestmark = pytest.mark.slow

RUNS = [(1, 0), (5, 0), (16, 0), (40, 0), (1, 2), (5, 3), (40, 1)]
"""Words of a frame, and of the gap behind it."""
STREAMS = [((5,), False), ((40,), True), ((5, 3), False), ((20, 1, 7), True)]
"""Words of each stream's frame, and whether short bursts are asked for."""
COUNTS = [1, 2, 3, 5, 8]


@pytest.mark.parametrize(("words", "gap"), RUNS)
def test_walker(words: int, gap: int) -> None:
    holds(WalkerProof(words, gap))
    result = prove(WalkerProof(words, gap), depth=20, mode="cover", limit=60)
    assert result.proved, str(result)


@pytest.mark.parametrize(("gap", "within"), [(0, 5), (3, 4)])
def test_the_next_burst_is_there_soon(gap: int, within: int) -> None:
    """In the first 16 cycles; a cycle less is too few."""
    assert prove(WalkerProof(5, gap, within=within), depth=16).proved
    red(prove(WalkerProof(5, gap, within=within - 1), depth=16), "soon")


@pytest.mark.parametrize(
    ("gap", "old", "new", "name"),
    [
        (0, "_least(_least(left, page), self.most)", "_least(left, self.most)", "page"),
        (0, "PAGE - self.addr[3:12]", "PAGE - self.addr[3:11]", "page"),
        (0, "_least(_least(left, page), ", "_least(page, ", "nothing_before_start"),
        (0, "left.eq(left - self.size)", "left.eq(left - self.most)", "not_more_than_asked"),
        (0, "(self.size << 3)", "(self.size << 2)", "aligned"),
        (0, "term.eq(term << 1)", "term.eq(term << 2)", "not_more_than_asked"),
        (3, "place.eq(place + self.stride)", "place.eq(place + self.stride - 8)", "in_place"),
        (3, "(left == 0) & (rest != 0)", "(rest != 0)", "in_place"),
    ],
)  # fmt: skip
def test_broken_walkers_are_found(gap: int, old: str, new: str, name: str) -> None:
    module = broken(walker, old, new)
    red(prove(WalkerProof(5, gap, module=module, inside=False), depth=20), name)


@pytest.mark.parametrize(("words", "eager"), STREAMS)
def test_channel(words: tuple[int, ...], eager: bool) -> None:
    """The order of heads in the first 10 cycles, the rest for ever."""
    holds(ChannelProof(words, eager=eager))
    assert prove(ChannelProof(words, eager=eager, inside=False), depth=10).proved
    result = prove(ChannelProof(words, eager=eager, inside=False), depth=24, mode="cover")
    assert result.proved, str(result)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("& (w.size <= r)", "", "room"),
        ("& ~self.hold", "", "not_held"),
        ("& (under_way < UNDER_WAY)", "& (under_way <= UNDER_WAY)", "under_way"),
        ("with m.If(self.valid & self.ready)", "with m.If(self.valid)", "stays"),
        ("self.len.eq(walker.size - 1)", "self.len.eq(walker.size)", "page"),
        ("order.w_data.eq(self.asked)", "order.w_data.eq(walkers[0].size)", "head_is_oldest"),
        ("(under_way == 0) & ~self.valid", "~self.valid", "idle"),
        ("under_way + self.issue - self.ended", "under_way + self.issue", "idle"),
    ],
)
def test_broken_channels_are_found(old: str, new: str, name: str) -> None:
    """With two bursts under way at most, so that few cycles are enough."""
    module = broken(bursts, old, new, "UNDER_WAY = 8", "UNDER_WAY = 2")
    red(prove(ChannelProof((5, 3), eager=True, module=module, inside=False), depth=16), name)


@pytest.mark.parametrize("count", COUNTS)
def test_arbiter(count: int) -> None:
    holds(ArbiterProof(count))
    result = prove(ArbiterProof(count), depth=count + 3, mode="cover")
    assert result.proved, str(result)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("last.eq(self.grant)", "last.eq(0)", "fair_2"),
        ("in reversed(range(1, self.count + 1))", "in range(1, self.count + 1)", "fair_1"),
        ("(k + i) % self.count]", "(k + i + 1) % self.count]", "only_who_asks"),
        ("self.requests.any()", "self.requests.all()", "valid_iff_asked"),
    ],
)
def test_broken_arbiters_are_found(old: str, new: str, name: str) -> None:
    module = broken(arbiter, old, new)
    red(prove(ArbiterProof(3, module=module, inside=False), depth=12), name)
