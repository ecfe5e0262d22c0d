"""`hwc doctor`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is missing on this machine and the command that fixes it.

    Exit code 3 if something required is missing.
    """
    from hwc.compiler.doctor import check_all

    console = Console()
    checks = []
    for check in check_all():
        checks.append(check)
        if as_json:
            continue
        word = (
            "[green]ok[/]"
            if check.ok
            else "[red]missing[/]"
            if check.required
            else "[yellow]absent[/]"
        )
        note = "" if check.ok else f" (for {check.purpose})"
        console.print(
            f"{word:<20}{escape(check.name):<16} {escape(check.found + note)}", soft_wrap=True
        )
        if check.fix:
            console.print(f"{'':<28}[bold]{escape(check.fix)}[/]", soft_wrap=True)
    missing = [check.name for check in checks if check.required and not check.ok]
    if as_json:
        print(
            json.dumps({"ok": not missing, "checks": [asdict(check) for check in checks]}, indent=2)
        )
    else:
        console.print(
            f"Missing: {', '.join(missing)}" if missing else "Everything required is there."
        )
    if missing:
        raise typer.Exit(3)
