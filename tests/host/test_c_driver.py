"""The driver in C, compiled for this machine and for ARM, against a model of the registers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import hwc.host
from hwc.host import device as python_driver
from hwc.hw.shell.registers import IDENTITY, REGISTERS, VERSION, Control, Status

from .conftest import Built

DRIVER = Path(hwc.host.__file__).parent / "c"
HERE = Path(__file__).parent / "c"
STRICT = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
CASES = re.findall(r'^ {4}\{"(\w+)", \w+\},$', (HERE / "cases.c").read_text(), re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """A compiler, and what runs its programs here."""

    compiler: str
    runner: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def compile(self, output: Path, sources: Sequence[Path], *flags: str) -> None:
        command = [self.compiler, *STRICT, *self.flags, *flags, "-o", str(output)]
        done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def run(
        self, program: Path, *arguments: object, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.runner, str(program), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=os.environ | environment
        )


TARGETS = {
    "native": Target("cc"),
    "arm": Target(
        "arm-linux-gnueabihf-gcc", ("qemu-arm",), ("-static", "-mcpu=cortex-a9", "-mfpu=vfpv3")
    ),
}


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    found = TARGETS[request.param]
    for program in (found.compiler, *found.runner):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture(scope="module")
def cases(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("c") / "cases"
    sources = [DRIVER / "hwc.c", HERE / "cases.c", HERE / "model.c"]
    target.compile(program, sources, f"-I{DRIVER}")
    listed = target.run(program).stdout.split()
    assert listed == CASES
    return program


@pytest.mark.parametrize("case", CASES)
def test_against_the_register_model(target: Target, cases: Path, case: str) -> None:
    done = target.run(cases, case)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_bare_metal(target: Target, tmp_path: Path) -> None:
    """No library at all: nothing of hwc.o is left for the linker to find."""
    output = tmp_path / "hwc.o"
    target.compile(output, [DRIVER / "hwc.c"], "-ffreestanding", "-nostdlib", "-c")
    names = subprocess.run(["nm", "-u", str(output)], capture_output=True, text=True, check=True)
    assert [n for n in names.stdout.split() if not n.startswith(("U", "__aeabi"))] == []


def test_registers_are_those_of_the_shell() -> None:
    text = (DRIVER / "hwc.h").read_text()
    found = {name: int(value, 0) for name, value in re.findall(r"HWC_(\w+) = (\w+)", text)}
    for register in REGISTERS:
        assert found[register.name] == register.offset
    assert found["START"] == Control.START == python_driver.START
    assert found["ABORT"] == Control.ABORT == python_driver.ABORT
    assert found["CLEAR"] == Control.CLEAR == python_driver.CLEAR
    assert found["IRQ_ENABLE"] == Control.IRQ_ENABLE == python_driver.IRQ_ENABLE
    for name, here in (("BUSY", "BUSY"), ("DONE", "DONE"), ("ERROR", "FAILED")):
        assert Status[name] == found[here] == getattr(python_driver, name)
    for name, here in (("ABORTED", "STOPPED"), ("REJECTED", "REFUSED")):
        assert Status[name] == found[here] == getattr(python_driver, name)
    assert f"HWC_IDENTITY UINT32_C(0x{IDENTITY:08x})" in text
    assert f"HWC_CONTRACT UINT32_C({VERSION})" in text


@pytest.fixture(scope="module")
def selftest(target: Target, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's own sources, with a model in the place of Linux."""
    program, shipped = tmp_path_factory.mktemp("selftest") / "selftest", built.bundle / "driver/c"
    sources = [shipped / "hwc.c", shipped / "selftest.c", HERE / "golden_board.c", HERE / "model.c"]
    target.compile(program, sources, f"-I{shipped}", f"-I{HERE}")
    target.compile(
        tmp_path_factory.mktemp("linux") / "selftest",
        [shipped / "hwc.c", shipped / "selftest.c", shipped / "hwc_linux.c"],
    )
    return program


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("", 0, ""),
        ("byte", 2, "bytes differ"),
        ("hash", 3, "register 0x08 reads"),
        ("memory", 2, "a write of output stream 0 was answered with SLVERR"),
        ("silence", 2, "0 frames were finished"),
    ],
)
def test_selftest(target: Target, selftest: Path, fault: str, code: int, message: str) -> None:
    done = target.run(selftest, "/dev/uio0", "/dev/udmabuf0", "/sys/udmabuf0", FAULT=fault)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert ("every integer as expected" in done.stdout) == (code == 0)


def test_selftest_without_its_device(target: Target, built: Built, tmp_path: Path) -> None:
    shipped, program = built.bundle / "driver/c", tmp_path / "selftest"
    target.compile(program, [shipped / "hwc.c", shipped / "hwc_linux.c", shipped / "selftest.c"])
    done = target.run(program, tmp_path / "none", tmp_path / "none", "0x1000", "0x100000")
    assert done.returncode == 3
    assert "No such file" in done.stderr
    assert target.run(program).returncode == 3


def test_linux_maps_registers_and_memory(target: Target, tmp_path: Path) -> None:
    program, registers, memory = (tmp_path / name for name in ("case", "registers", "memory"))
    target.compile(program, [DRIVER / "hwc_linux.c", HERE / "linux_case.c"], f"-I{DRIVER}")
    registers.write_bytes(bytes(4096) + b"\x31\x43\x57\x48" + bytes(4092))
    memory.write_bytes(bytes(8192))
    (tmp_path / "phys_addr").write_text("0x3f400000\n")
    (tmp_path / "size").write_text("8192\n")
    done = target.run(program, registers, memory, tmp_path)
    assert (done.returncode, done.stdout) == (0, "48574331 3f400000 8192\n")
    assert registers.read_bytes()[4100:4104] == b"\xef\xcd\xab\x89"
    assert memory.read_bytes()[-1] == 0x77
    (tmp_path / "size").unlink()
    assert target.run(program, registers, memory, tmp_path).returncode == 3
