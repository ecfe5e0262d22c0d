"""`hwc verify`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def verify(
    bundle: Annotated[Path, typer.Argument(help="A folder that `hwc build` wrote.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the memory's delays.")] = 1,
    cocotb: Annotated[
        bool, typer.Option("--cocotb", help="Run the bundle's cocotb testbench instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a bundle's own driver against its own RTL on a simulated board.

    The golden vectors go through the AXI shell with a quick memory, a late and busy one, injected
    bus errors and a reset, or through the serial shell with damaged, lost and added bytes; every
    integer has to be right and every error noticed.
    """
    from hwc.compiler.progress import steps
    from hwc.compiler.system import verify_bundle

    if cocotb:
        return _cocotb(bundle, seed, as_json)
    with steps(quiet=as_json) as step:
        step("driver and shell on a simulated board")
        found = verify_bundle(bundle, Path("build") / "cache", seed)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    quick, slow = found.quick, found.slow
    lines = [
        f"{found.frames} golden frames through driver, shell and network: every integer right",
        f"Network  latency {quick.latency} cycles, predicted {found.predicted['latency']}",
    ]
    if quick.interval is not None:
        lines[1] += f"; interval {quick.interval:.2f}, predicted {found.predicted['interval']}"
    if slow is not None:
        lines.append(f"Batch    {quick.cycles} cycles; {slow.cycles} with a late and busy memory")
    lines.append(f"Errors   {len(found.errors)} injected, all noticed, the batch after each right")
    Console().print("\n".join(lines), soft_wrap=True, highlight=False)


def _cocotb(bundle: Path, seed: int, as_json: bool) -> None:
    from hwc.compiler.cocotb import verify_with_cocotb
    from hwc.compiler.progress import steps

    with steps(quiet=as_json) as step:
        step("the bundle's testbench under cocotb")
        found = verify_with_cocotb(bundle, Path("build") / "cache", seed)
    if as_json:
        print(json.dumps({"passed": found.passed}, indent=2))
        return
    Console().print(f"{len(found.passed)} tests passed: {', '.join(found.passed)}", highlight=False)
