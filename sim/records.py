"""Records of the timing engine: what lies where in its one array of integers.

``m[p + TIME]`` is the field TIME of the process at address p. All data share one array because
numba counts references to each array in each call, which cost ten times the work itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# A process. CODE to CODE_END are its segments, runs of firings that use the same ports and ask for
# nothing new of its links; they cover one frame or, if masks depend on data, all frames. The first
# segment of a frame is a single firing.
FIRINGS = 0  # a frame
QUOTA = 1  # firings at most
CODE, CODE_END = 2, 3
LINKS, LINKS_END = 4, 5  # addresses of the processes it waits for
WAKE, WAKE_END = 6, 7  # addresses of the processes to look at after it went on
HISTORY, HISTORY_SIZE = 8, 9  # ring of its firing times: 1 if nobody waits for it
GATE = 10  # address of its stall rule, or 0
FRAMES = 11  # per frame START, END and SHAPE
TIME = 12  # of the last firing
AT = 13  # current segment
LEFT = 14  # firings left in it
DONE = 15  # firings
FRAME = 16
LOOK = 17  # whether something has changed that it may have waited for
REASON, CULPRIT = 18, 19  # why it does not go on, and the queue or process to blame
STARVED, CROWDED, WAITED = 20, 21, 22  # cycles lost to beats, room and links
DIGEST = 23
PROCESS = 24

START, END, SHAPE = 0, 1, 2
"""Per frame: cycles of the first and the last firing, and a digest of all in between."""
FRAME_SIZE = 3

# A segment: its pattern and length, then for each link the firings needed.
PATTERN, LENGTH, NEEDS = 0, 1, 2

# A pattern: the queues taken from and given to, each with the cycles from firing to visibility.
# With at most one of each and nothing special about them, FAST_TAKE and FAST_GIVE are these two, a
# queue of VOID standing in for none; else they are 0. STEP is the cycles that a firing takes: 0 if
# it is skipped.
TAKES_END, GIVES_END = 0, 1
FAST_TAKE, FAST_GIVE, FAST_LATE = 2, 3, 4
STEP = 5
USES = 6
USE_SIZE = 2

# A queue. RING holds from when each beat in it is visible, then SIZE further when it was popped.
RING, SIZE = 0, 1
ENDLESS = 2  # 1 if it never lacks room
LOG_IN, LOG_OUT = 3, 4  # where to keep all visible and pop cycles, or 0
PUSHED, POPPED = 5, 6
TAIL, HEAD = 7, 8  # addresses in RING of the next push and pop
MAKER, TAKER = 9, 10
QUEUE = 11

KEY, SHIFT, SINGLE, THRESHOLD = 0, 1, 2, 3
"""A stall rule, see hwc.sim.stalls.Gate."""


FINISHED, EMPTY, FULL, WAITS = 0, 1, 2, 3
"""Why a process does not go on: its frames are done; no beat; no room; a link."""


class Heap:
    """Collects records and tells their addresses. Address 0 stays unused: it means none."""

    def __init__(self) -> None:
        self._parts: list[Ints] = [np.zeros(1, np.int64)]
        self.size = 1

    def add(self, values: object) -> int:
        """Append values; the address of the first one."""
        part = np.asarray(values, np.int64).reshape(-1)
        address = self.size
        self._parts.append(part)
        self.size += len(part)
        return address

    def array(self) -> Ints:
        return np.concatenate(self._parts)
