"""Every board file: found by its name, complete, and consistent with its part."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import hwc.boards
from hwc.boards.board import BoardError, Nextpnr, Serial, get, names

PARTS = {
    # LUT6, FF, DSP48, BRAM36 from the product tables of AMD DS180, DS190, DS891 and DS987.
    "xc7z020": (53_200, 106_400, 220, 140),
    "xc7a35t": (20_800, 41_600, 90, 50),
    "xc7a100t": (63_400, 126_800, 240, 135),
    "xczu7ev": (230_400, 460_800, 1_728, 312),
    "xck26": (117_120, 234_240, 1_248, 144),
}
OTHERS = {
    # LUT4 (two for a LUT6), FF, kbit of block RAM from Lattice FPGA-DS-02008 and FPGA-DS-02012.
    "iCE40UP5K": (5_280, 5_280, 120),
    "LFE5U-85F": (83_640, 83_640, 3_744),
}


def test_every_file_is_a_board() -> None:
    files = {path.stem for path in Path(hwc.boards.__path__[0]).glob("*.py")}
    assert {name.replace("-", "_") for name in names()} == files - {"__init__", "board"}
    assert "pynq-z2" in names()


@pytest.mark.parametrize("name", names())
def test_board_is_complete(name: str) -> None:
    board = get(name)
    assert board.name == name
    assert board.title
    assert board.url.startswith("https://")
    assert 0 < board.clock_mhz <= board.max_clock_mhz
    assert board.stream_bits % 8 == 0
    assert isinstance(board.flow, Nextpnr) or board.part.startswith("xc")
    if isinstance(board.host, Serial):
        assert board.stream_bits == 8
        assert board.clock_mhz * 1e6 / board.host.baud >= 8
        with pytest.raises(BoardError, match="runs on the oscillator"):
            board.levels(board.clock_mhz / 2)


@pytest.mark.parametrize("name", names())
def test_budget_is_that_of_the_part(name: str) -> None:
    board = get(name)
    budget = board.budget
    if family := re.match(r"xc7[az]\d+t?|xczu7ev|xck26", board.part):
        lut, ff, dsp, bram36 = PARTS[family.group()]
        assert (budget.lut, budget.ff, budget.dsp, budget.bram18) == (lut, ff, dsp, 2 * bram36)
    else:
        lut4, ff, kbits = next(v for part, v in OTHERS.items() if board.part.startswith(part))
        assert (budget.lut, budget.ff, budget.dsp) == (lut4 // 2, ff, 0)
        assert budget.bram18 == kbits // 18


def test_an_unknown_board_lists_the_legal_names() -> None:
    with pytest.raises(BoardError, match=r"no board is called 'pynq-z3'; there are: arty.*pynq-z2"):
        get("pynq-z3")


@pytest.mark.parametrize("name", ["board", "pynq_z2", "__init__", "../board", ""])
def test_only_the_listed_names_are_boards(name: str) -> None:
    with pytest.raises(BoardError, match="there are"):
        get(name)


def test_levels_fall_as_the_clock_rises() -> None:
    board = replace(get("pynq-z2"), ns_fixed=1.0, ns_per_level=0.9)
    assert board.levels() == board.levels(board.clock_mhz)
    # (period - 1 ns) / 0.9 ns, rounded down.
    assert [board.levels(mhz) for mhz in (50, 100, 125, 200)] == [21, 10, 7, 4]
    assert replace(board, ns_fixed=4.9).levels(200) == 1


@pytest.mark.parametrize("clock", [0, -100, 200.5, float("nan")])
def test_an_impossible_clock_is_refused(clock: float) -> None:
    with pytest.raises(BoardError, match=r"pynq-z2: the clock must be above 0 and at most 200 MHz"):
        get("pynq-z2").levels(clock)
