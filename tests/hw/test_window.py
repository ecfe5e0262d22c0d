"""The line buffer: random windows, full rate, the earliest window, folds and what they cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwc.compiler.graph import GraphError, Type, Window
from hwc.hw.unit import UnitError
from hwc.hw.units.window.plan import carries, legal_lanes
from hwc.hw.units.window.unit import LineBuffer, WindowFold
from hwc.sim.timing import Timer

from .solo import check, firings, interval, solo

U4 = Type((1,), 0, 15)
SAME = (1, 1, 1, 1)


def random_buffer(rng: np.random.Generator) -> LineBuffer:
    """Any legal line buffer over a small map."""

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    while True:
        height, width = (
            (pick(1, 2), pick(40, 70)) if rng.random() < 0.25 else (pick(1, 7), pick(1, 9))
        )
        channels = pick(1, 6)
        kernel = (pick(1, 4), pick(1, 4)) if height > 2 else (1, pick(1, 5))
        stride = (pick(1, 3), pick(1, 3)) if rng.random() < 0.6 else (1, 1)
        most = 2 * (rng.random() < 0.6)
        top = bottom = 0
        if height > 2:
            top, bottom = pick(0, most), pick(0, most)
        padding = (top, bottom, pick(0, most), pick(0, most))
        dilation = (pick(1, 2), pick(1, 2)) if rng.random() < 0.3 else (1, 1)
        groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        lo, hi, bipolar = [(0, 3, False), (-4, 3, False), (-1, 1, True), (0, 1, False)][pick(0, 3)]
        op = Window(kernel, stride, padding, dilation, groups, (0, lo, hi, -1)[pick(0, 3)])
        x = Type((height, width, channels), lo, hi, bipolar)
        try:
            y = op.infer(x)
        except GraphError:
            continue
        if y.size > 1500:
            continue
        taps = (1, kernel[1], kernel[0] * kernel[1])[pick(0, 2)]
        lanes = int(rng.choice(list(legal_lanes(op, channels))))
        span = (kernel[0] - 1) * dilation[0] + 1
        rows = span + pick(0, 2) if rng.random() < 0.3 else 0
        fold = WindowFold(lanes, pick(1, min(width, 4)), pick(1, min(y.shape[1], 4)), taps, rows)
        if rng.random() < 0.3 and 1 < kernel[1] <= taps:
            fold = WindowFold(lanes, taps=taps, rows=rows, shift=True)
            if padding[2] >= (kernel[1] - 1) * dilation[1] + 1:
                continue
        return LineBuffer(op, x, fold)


@pytest.mark.parametrize("seed", range(24))
def test_random(seed: int) -> None:
    buffer = random_buffer(np.random.default_rng(seed))
    check(buffer, seed, stall=0.3 * (seed % 3))


@pytest.mark.parametrize("seed", range(12))
def test_random_shift(seed: int) -> None:
    """Shift registers under strides, dilations and padding on either side."""
    rng = np.random.default_rng(seed)
    kernel, dilation = (int(rng.integers(1, 4)), int(rng.integers(2, 4))), int(rng.integers(1, 3))
    left, right = (int(n) for n in rng.integers(0, (kernel[1] - 1) * dilation + 1, 2))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    top, bottom = (int(n) for n in rng.integers(0, 2, 2))
    op = Window(kernel, stride, (top, bottom, left, right), (1, dilation), 1, -1)
    x = U4.with_shape((5, 9, int(rng.integers(1, 5))))
    taps = kernel[1] if seed % 2 else kernel[0] * kernel[1]
    fold = WindowFold(int(rng.integers(1, x.shape[2] + 1)), taps=taps, shift=True)
    check(LineBuffer(op, x, fold), seed, batch=3, stall=0.3 * (seed % 2))


@pytest.mark.parametrize("seed", range(12))
def test_random_ring(seed: int) -> None:
    """One-row kernels over several long rows, the windows mostly slower than the loader."""
    rng = np.random.default_rng(seed)
    ring = 0
    while not ring:
        shape = tuple(int(n) for n in rng.integers((1, 90, 1), (4, 150, 4)))
        kernel = int(rng.integers(1, 5))
        padding = (0, 0, int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        op = Window((1, kernel), (1 + seed % 2, int(rng.integers(1, 4))), padding)
        taps = (1, 1, kernel)[seed % 3]
        fold = WindowFold(1, int(rng.integers(1, 3)), int(rng.integers(1, 3)), taps)
        buffer = LineBuffer(op, U4.with_shape(shape), fold)
        ring = buffer.plan.ring
        if ring:
            check(buffer, seed, batch=2, stall=0.3 * (seed % 2))


def test_ring_words_of_several_columns_are_free_as_a_whole() -> None:
    x, op = U4.with_shape((1, 150, 1)), Window((1, 2))
    buffer = LineBuffer(op, x, WindowFold(1, pixels_in=2))
    assert buffer.plan.ring
    assert buffer.plan.banks == 2
    for seed in range(3):
        check(buffer, seed, batch=2, stall=0.5)


MAPS = (
    ((28, 28), Window((3, 3), padding=SAME)),
    ((28, 28), Window((5, 5))),
    ((28, 28), Window((2, 2), (2, 2), groups=4)),
    ((28, 28), Window((3, 3), (2, 2), SAME)),
    ((28, 28), Window((1, 1), (2, 2))),
    ((8, 8), Window((3, 3), padding=SAME, groups=4)),
    ((1, 200), Window((1, 5), (1, 2), (0, 0, 2, 2))),
    ((1, 200), Window((1, 8), (1, 4))),
    ((7, 7), Window((7, 7))),
)


@pytest.mark.parametrize(("size", "op"), MAPS)
def test_full_rate(size: tuple[int, int], op: Window) -> None:
    """The busier half never waits: what is lost where frames meet stays within 2 %."""
    x = U4.with_shape((*size, 4))
    kh, kw = op.kernel
    for taps, pixels in itertools.product(sorted({1, kw, kh * kw}), (1, 2)):
        if pixels <= op.infer(x).shape[1]:
            buffer = LineBuffer(op, x, WindowFold(4, pixels, pixels, taps))
            assert interval(buffer) <= firings(buffer) * 1.02, buffer


@pytest.mark.parametrize(("taps", "shift"), [(1, False), (3, False), (9, False), (9, True)])
def test_first_window_is_not_late(taps: int, shift: bool) -> None:
    """The first beat leaves as soon as the last pixel that it needs is written."""
    x = U4.with_shape((8, 10, 2))
    buffer = LineBuffer(Window((3, 3), padding=SAME), x, WindowFold(2, taps=taps, shift=shift))
    needed = 10 + 2  # row 1, column 1
    timing = Timer(solo(buffer), 1).run()
    load_fires = 1 + (needed - 1)  # the queue in front takes a cycle
    emitted = load_fires + 1
    visible = emitted + buffer.latency + 1
    assert timing.cycles["y"][0] == visible


def test_windows_of_padding_wait_for_their_frame() -> None:
    """No beat of a frame that does not come, even if none of its pixels would be needed."""
    x = U4.with_shape((2, 3, 1))
    buffer = LineBuffer(Window((1, 1), padding=(2, 1, 1, 2), fill=9), x, WindowFold(1))
    check(buffer, 1, batch=3, stall=0.4)


def test_channels_pass_through_one_by_one() -> None:
    """With all taps in parallel a beat waits for its own channels only."""
    x = U4.with_shape((4, 5, 8))
    buffer = LineBuffer(Window((3, 3)), x, WindowFold(2, taps=9))
    cycles = Timer(solo(buffer), 1).run().cycles["y"]
    loads = (2 * 5 + 2) * 4  # beats before the window's last pixel
    assert cycles[:4].tolist() == [loads + c + 1 + buffer.latency + 2 for c in range(4)]


def test_rows_let_the_loader_run_ahead() -> None:
    """Slots beyond the window's rows only hold more; fewer than its rows are refused."""
    x, op = U4.with_shape((6, 6, 1)), Window((3, 3))
    taken = []
    for rows in (3, 4, 5):
        buffer = LineBuffer(op, x, WindowFold(1, rows=rows))
        check(buffer, rows, batch=3)
        taken.append(Timer(solo(buffer), 3).run().cycles["x"][-1])
    assert taken[0] > taken[1] > taken[2]
    with pytest.raises(UnitError, match=r"spans 3 rows, so rows must be 0 .* got 2"):
        LineBuffer(op, x, WindowFold(1, rows=2))


def test_refused_folds() -> None:
    x = U4.with_shape((6, 6, 6))
    grouped = Window((3, 3), groups=2)
    with pytest.raises(UnitError, match=r"got 4 and 3; legal: \[1, 3, 6\]"):
        LineBuffer(grouped, x, WindowFold(4))
    with pytest.raises(UnitError, match=r"got 2; legal: \[1, 3, 9\]"):
        LineBuffer(grouped, x, WindowFold(3, taps=2))
    with pytest.raises(UnitError, match=r"pixels must be 1\.\.4, got 5"):
        LineBuffer(grouped, x, WindowFold(3, pixels=5))
    with pytest.raises(UnitError, match=r"pixels_in must be 1\.\.6, got 0"):
        LineBuffer(grouped, x, WindowFold(3, pixels_in=0))


def test_candidates_give_the_wanted_tile() -> None:
    x, op = U4.with_shape((12, 12, 8)), Window((3, 3), padding=SAME)
    for tile in ((1, 1, 1, 1, 8), (1, 1, 1, 9, 2), (1, 4, 1, 3, 5), (1, 2, 1, 9, 8)):
        found = list(LineBuffer.candidates(op, x, [tile, (1, 1, 1, 2, 8), (8,)]))
        assert found
        assert {b.outputs()["y"].tile for b in found} == {tile}
        # One of them loads fast enough not to slow the windows down.
        emits = found[0].schedule().process("emit").firings
        assert min(firings(b) for b in found) == emits
    depthwise = Window((3, 3), padding=SAME, groups=8)
    for found in LineBuffer.candidates(depthwise, x, [(1, 1, 4, 9, 1)]):
        assert found.inputs()["x"].tile == (1, 1, 4)
    folds = {b.fold for b in LineBuffer.candidates(op, x)}
    assert {f.taps for f in folds} == {1, 3, 9}
    assert {f.lanes for f in folds} == {1, 2, 3, 4, 8}


def test_shift_registers_trade_a_few_cycles_for_luts() -> None:
    x, op = U4.with_shape((28, 28, 16)), Window((3, 3), padding=SAME)
    banks = LineBuffer(op, x, WindowFold(16, taps=9))
    shift = LineBuffer(op, x, WindowFold(16, taps=9, shift=True))
    assert shift.resources().lut < banks.resources().lut / 2
    assert interval(banks) == 28 * 28
    assert interval(shift) == 28 * (28 + 1)
    assert shift in set(LineBuffer.candidates(op, x, [(1, 1, 1, 9, 16)]))
    with pytest.raises(UnitError, match="shift registers take a kernel row"):
        LineBuffer(op, x, WindowFold(16, shift=True))


def test_memory_of_a_non_overlapping_pool_is_one_set_of_rows() -> None:
    x, op = U4.with_shape((28, 28, 16)), Window((2, 2), (2, 2), groups=16)
    pool = LineBuffer(op, x, WindowFold(16, taps=4))
    assert (pool.plan.slots, pool.plan.banks) == (2, 2)
    assert pool.plan.mux_levels == (0, 0)
    assert interval(pool) == firings(pool)


def test_memory_of_one_row_is_a_ring() -> None:
    long = LineBuffer(Window((1, 9)), U4.with_shape((1, 16_000, 1)), WindowFold(1, taps=9))
    assert long.plan.depth * long.plan.banks <= 512
    assert long.resources().bram18 == 0


def test_large_memories_are_block_rams() -> None:
    op, x = Window((3, 3), padding=SAME), U4.with_shape((56, 56, 64))
    serial = LineBuffer(op, x, WindowFold(8)).resources()
    assert serial.bram18 == 3  # 3 rows x 56 pixels x 8 words of 32 bits, 512 words a block
    assert serial.lut < 300


def test_steps_of_a_loop_nest() -> None:
    loops = (("a", 3), ("b", 1), ("c", 4))
    index = np.array(list(np.ndindex(3, 1, 4)))
    value = index @ np.array([10, 5, 2])
    steps = np.diff(np.append(value, value[0] + 100)).tolist()
    inner, outer, end = carries(loops, {"a": 10, "b": 5, "c": 2}, 100)
    assert steps == [
        inner,
        inner,
        inner,
        outer,
        inner,
        inner,
        inner,
        outer,
        inner,
        inner,
        inner,
        end,
    ]
