"""Which stage a long command is in, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["Clock", "Step", "steps"]

Step = Callable[[str], None]
"""Called with the name of the stage that begins."""


class Clock:
    """Seconds of each stage, in order; stages of the same name add up."""

    def __init__(self, listener: Step | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._listener = listener
        self._name: str | None = None
        self._began = 0.0

    def __call__(self, name: str) -> None:
        """End the current stage and begin the next."""
        self.stop()
        self._name, self._began = name, time.perf_counter()
        if self._listener is not None:
            self._listener(name)

    def stop(self) -> None:
        """End the current stage."""
        if self._name is not None:
            spent = time.perf_counter() - self._began
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + spent
        self._name = None


@contextmanager
def steps(*, quiet: bool = False) -> Iterator[Step]:
    """A spinner on stderr that names the stage; nothing if ``quiet`` or not a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda name: None
        return
    with console.status("starting") as status:
        yield lambda name: status.update(name)
