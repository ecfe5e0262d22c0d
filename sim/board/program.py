"""A simulator's program as a partner of a conversation: a line to it, a line back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from hwc.compiler.graph.errors import HwcError
from hwc.sim import toolchain

__all__ = ["BoardFault", "Program"]


class BoardFault(HwcError):
    """The shell broke a rule of the bus, or the simulation ended."""

    exit_code = 2


class Program:
    """``command`` runs until it is closed; ``what`` it is, for errors."""

    def __init__(self, command: Sequence[str], what: str) -> None:
        self._what = what
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=toolchain.environment(),
        )

    def say(self, line: str) -> str:
        """Its answer to a line; BoardFault if there is none, or if it is a violation."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
        except (BrokenPipeError, ValueError):
            answer = ""
        if not answer or answer.startswith("violation"):
            raise BoardFault(f"{self._what}: {answer or 'the simulation has ended'}")
        return answer

    def close(self) -> None:
        """End it."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
