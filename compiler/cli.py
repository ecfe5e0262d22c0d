"""The command `hwc`: one module in `commands/` each, errors without tracebacks, exit codes.

0 done; 1 the model or another input; 2 build or verification (and, by custom, wrong usage);
3 the environment; 130 interrupted. Whatever is heavy (torch, amaranth, numpy) is imported inside
the command that needs it, so that `hwc --help` is instant.
"""

import functools
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from hwc.compiler.commands.boards import boards
from hwc.compiler.commands.build import build
from hwc.compiler.commands.compress import compress
from hwc.compiler.commands.doctor import doctor
from hwc.compiler.commands.train import train
from hwc.compiler.commands.verify import verify

COMMANDS: tuple[Callable[..., None], ...] = (train, compress, build, verify, boards, doctor)

INTERRUPTED = 130
TERMINATED = 143


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, with errors a user can meet shown as one message and turned into an exit code.

    A bug of ours stays a traceback.
    """

    @functools.wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            _complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except ValueError as error:
            # Imported here since it brings numpy with it.
            from hwc.compiler.graph.errors import HwcError

            if not isinstance(error, HwcError):
                raise
            _complain(str(error))
            raise typer.Exit(getattr(error, "exit_code", 1)) from None

    return run


def _complain(message: str) -> None:
    Console(stderr=True).print(f"[bold red]hwc:[/] {escape(message)}", soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hwc {version('hwc-fpga')}")
        raise typer.Exit


def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """From a PyTorch network to a compressed, verified FPGA accelerator."""


def application() -> typer.Typer:
    """The command line with every command."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in COMMANDS:
        app.command()(guarded(command))
    return app


def main() -> None:
    """Run the process's arguments and exit."""
    # As an exception, a termination removes half-written output on its way out, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    application()(prog_name="hwc")


if __name__ == "__main__":
    main()
