"""A design as the timing engine sees it: processes, queues and links in flat arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwc.hw.design import Design, DesignError
from hwc.hw.schedule import Process
from hwc.sim import records
from hwc.sim.actor import Actor, by_frame, lowest
from hwc.sim.records import Heap
from hwc.sim.stalls import Stalls

__all__ = ["Conditions", "Flat", "Run"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Conditions = Mapping[str, Mapping[str, Bools]]
"""Per instance and condition: its value in every firing of all frames, one after the other."""


class Flat:
    """A design flattened once, to be timed many times with other depths or stalls.

    Parameters
    ----------
    design
        Masks and loops that depend on data make it valid for exactly ``frames`` frames.
    frames
        Frames to evaluate at most.
    conditions
        What masks look at that depend on data, and what stops loops early. Raises DesignError if a
        condition is missing. If none at all are given nothing is skipped: times are then upper
        bounds, and a design whose masks do not ask for data by themselves stays static.
    """

    def __init__(self, design: Design, frames: int, conditions: Conditions | None = None) -> None:
        self.design = design
        self.frames = frames
        self.edges = {edge.name: k for k, edge in enumerate(design.edges)}
        self.beats = np.array([design.layout(e.dst, e).beats for e in design.edges], np.int64)
        self.static = True
        self.actors: list[Actor] = []
        self.sources: dict[str, int] = {}
        self.sinks: dict[str, int] = {}
        self.maker = np.full(len(design.edges), -1, np.int64)
        self.taker = np.full(len(design.edges), -1, np.int64)
        for gate, (name, layout) in enumerate(design.inputs.items()):
            self.sources[name] = len(self.actors)
            self._outside(f"input {name}", gate, ("", name), layout.beats)
        for name, unit in design.instances.items():
            self._unit(name, list(unit.schedule().processes), unit.schedule().latency, conditions)
        for gate, (name, layout) in enumerate(design.outputs.items(), len(design.inputs)):
            self.sinks[name] = len(self.actors)
            self._outside(f"output {name}", gate, ("", name), layout.beats)
        self.patterns: list[list[int]] = []
        self.program = self._program()

    def _outside(self, name: str, gate: int, end: tuple[str, str], beats: int) -> None:
        actor = Actor(name, beats, gate)
        always = np.ones(beats, bool)
        for k, edge in enumerate(self.design.edges):
            if edge.src == end:
                self.maker[k] = len(self.actors)
                actor.gives.append((k, 0, always))
            elif edge.dst == end:
                self.taker[k] = len(self.actors)
                actor.takes.append((k, always))
        self.actors.append(actor)

    def _unit(
        self,
        name: str,
        processes: list[Process],
        latency: Mapping[str, int],
        conditions: Conditions | None,
    ) -> None:
        base = len(self.actors)
        number = {p.name: base + i for i, p in enumerate(processes)}
        given = None if conditions is None else conditions.get(name, {})
        for p in processes:
            actor = Actor(f"{name}.{p.name}", p.firings)
            masks = {port: self._mask(name, p, port, given) for port in (*p.takes, *p.gives)}
            if p.stops and given is not None:
                actor.skipped = np.concatenate(
                    [p.skipped(part) for part in self._frames(name, p, p.stops, given)]
                )
            for k, edge in enumerate(self.design.edges):
                if edge.dst[0] == name and edge.dst[1] in p.takes:
                    self.taker[k] = number[p.name]
                    actor.takes.append((k, masks[edge.dst[1]]))
                if edge.src[0] == name and edge.src[1] in p.gives:
                    self.maker[k] = number[p.name]
                    actor.gives.append((k, latency[edge.src[1]], masks[edge.src[1]]))
            for src in p.needs:
                need = p.need(src)
                actor.needs.append((number[src], need))
            self.actors.append(actor)

    def _mask(self, name: str, p: Process, port: str, given: Mapping[str, Bools] | None) -> Bools:
        asked = p.conditions_of(port, stops=given is not None)
        if not asked:
            return p.mask(port)
        parts = self._frames(name, p, asked, given or {})
        return np.concatenate([p.mask(port, part) for part in parts])

    def _frames(
        self, name: str, p: Process, asked: tuple[str, ...], given: Mapping[str, Bools]
    ) -> list[dict[str, Bools]]:
        """The conditions asked for, frame by frame."""
        self.static = False
        return by_frame(name, {c: given.get(c, ()) for c in asked}, self.frames, p.firings)

    def process(self, number: int) -> int:
        """Address of a process."""
        return 1 + number * records.PROCESS

    def queue(self, number: int) -> int:
        """Address of a queue."""
        return self.process(len(self.actors)) + number * records.QUEUE

    def void(self, side: int) -> int:
        """Address of the queue that stands for no take (0) or no give (1)."""
        return self.queue(len(self.maker) + side)

    def _program(self) -> Ints:
        """Everything that no depth, stall or number of frames changes."""
        heap = Heap()
        heap.add(np.zeros(self.void(2) - 1))
        fields: dict[int, int] = {}
        for k, actor in enumerate(self.actors):
            p = self.process(k)
            fields |= {p + records.FIRINGS: actor.firings, p + records.TIME: -1}
            counts, uses, needs, kinds = actor.segments()
            where = {use: self._pattern(heap, actor, use) for use in kinds}
            self.patterns.append(list(where.values()))
            patterns = [where[use] for use in uses.tolist()]
            code = np.column_stack([patterns, counts, *needs])
            # Before its first segment a process stands at the end of its last one.
            fields[p + records.CODE] = address = heap.add(code)
            fields[p + records.CODE_END] = address + code.size
            fields[p + records.AT] = address + code.size - code.shape[1]
            fields[p + records.LINKS] = heap.add([self.process(src) for src, _ in actor.needs])
            fields[p + records.LINKS_END] = heap.size
        for k, wake in enumerate(self._neighbours()):
            p = self.process(k)
            fields[p + records.WAKE] = heap.add([self.process(other) for other in sorted(wake)])
            fields[p + records.WAKE_END] = heap.size
        for k, ends in enumerate(zip(self.maker.tolist(), self.taker.tolist(), strict=True)):
            q = self.queue(k)
            fields[q + records.MAKER], fields[q + records.TAKER] = map(self.process, ends)
        memory = heap.array()
        memory[list(fields)] = list(fields.values())
        return memory

    def _pattern(self, heap: Heap, actor: Actor, use: int) -> int:
        takes = [(self.queue(q), 0) for b, (q, _) in enumerate(actor.takes) if use >> b & 1]
        gives = [
            (self.queue(q), late + 1)
            for b, (q, late, _) in enumerate(actor.gives, len(actor.takes))
            if use >> b & 1
        ]
        first = heap.size + records.USES
        middle = first + len(takes) * records.USE_SIZE
        last = middle + len(gives) * records.USE_SIZE
        fast = len(takes) <= 1 and len(gives) <= 1
        take, _ = takes[0] if takes else (self.void(0), 0)
        give, late = gives[0] if gives else (self.void(1), 0)
        shortcut = [take, give, late] if fast else [0, 0, 0]
        step = int(not use & actor.skips)
        uses = (v for use in (*takes, *gives) for v in use)
        return heap.add([middle, last, *shortcut, step, *uses])

    def _neighbours(self) -> list[set[int]]:
        """Per process whom to wake when it has gone on."""
        wakes: list[set[int]] = [set() for _ in self.actors]
        for a, b in zip(self.maker.tolist(), self.taker.tolist(), strict=True):
            wakes[a].add(b)
            wakes[b].add(a)
        for k, actor in enumerate(self.actors):
            for src, _ in actor.needs:
                wakes[src].add(k)
        return wakes

    def _keep(self) -> list[int]:
        """How many firing times to keep of each process, for those that wait for it."""
        keep = [1] * len(self.actors)
        for actor in self.actors:
            for src, need in actor.needs:
                per = self.actors[src].firings
                if need.max() > per:
                    raise DesignError(
                        f"{actor.name} waits for {need.max()} firings of {self.actors[src].name}, "
                        f"which has {per} a frame: the last frame would never end"
                    )
                size = 2 * per - lowest(need) if self.static else per * self.frames
                keep[src] = max(keep[src], size)
        return keep

    def build(
        self,
        depths: Mapping[str, int | None],
        watch: tuple[str, ...],
        stalls: Stalls,
        counts: Mapping[str, int],
    ) -> Run:
        """Memory for one evaluation.

        ``None`` as a depth is a queue that never lacks room; ``counts`` are the frames of outside
        streams that do not carry all.
        """
        sizes = [depths.get(edge.name, edge.depth) for edge in self.design.edges]
        rings = self.beats * (2 if self.static else self.frames)
        heap = Heap()
        heap.add(self.program[1:])
        fields: dict[int, int] = {}
        logs: dict[str, tuple[int, int]] = {}
        for k, edge in enumerate(self.design.edges):
            q, size = self.queue(k), sizes[k]
            length = int(rings[k]) if size is None else size
            fields[q + records.SIZE], fields[q + records.ENDLESS] = length, int(size is None)
            ring = heap.add(np.zeros(length))
            heap.add(np.full(length, -1))
            fields |= {q + field: ring for field in (records.RING, records.TAIL, records.HEAD)}
            if edge.name in watch:
                empty = np.full(self.beats[k] * self.frames, -1)
                logs[edge.name] = heap.add(empty), heap.add(empty)
                fields[q + records.LOG_IN], fields[q + records.LOG_OUT] = logs[edge.name]
        for side, idle in enumerate((0, -1)):
            ring = heap.add([idle, idle])
            q = self.void(side)
            fields |= {q + field: ring for field in (records.RING, records.TAIL, records.HEAD)}
            fields[q + records.SIZE] = 1
        frames = []
        for k, size in enumerate(self._keep()):
            p = self.process(k)
            fields[p + records.HISTORY] = heap.add(np.zeros(size))
            fields[p + records.HISTORY_SIZE] = size
            fields[p + records.QUOTA] = self.actors[k].firings * self.frames
            fields[p + records.FRAMES] = heap.add(np.full(self.frames * records.FRAME_SIZE, -1))
            frames.append(fields[p + records.FRAMES])
            if self.actors[k].gate >= 0 and not stalls.idle:
                gate = stalls.gate(self.actors[k].gate, self.actors[k].gate >= len(self.sources))
                fields[p + records.GATE] = heap.add(np.array(gate, np.uint64).view(np.int64))
        for name, k in (self.sources | self.sinks).items():
            total = counts.get(name, self.frames) * self.actors[k].firings
            fields[self.process(k) + records.QUOTA] = total
        memory = heap.array()
        memory[list(fields)] = list(fields.values())
        self._slow(memory)
        return Run(self, memory, logs, frames)

    def _slow(self, memory: Ints) -> None:
        """Take the shortcut from patterns of which a stall, a log or an endless queue asks more."""
        for k, patterns in enumerate(self.patterns):
            gated = memory[self.process(k) + records.GATE]
            for pattern in patterns:
                take, give = memory[pattern + records.FAST_TAKE : pattern + records.FAST_LATE]
                special = memory[take + records.LOG_OUT] | memory[take + records.ENDLESS]
                if gated or special or memory[give + records.LOG_IN]:
                    memory[pattern + records.FAST_TAKE] = 0


class Run:
    """Memory of one evaluation and where in it the answers are."""

    def __init__(
        self, flat: Flat, memory: Ints, logs: dict[str, tuple[int, int]], frames: list[int]
    ) -> None:
        self.flat = flat
        self.memory = memory
        self._logs = logs
        self._frames = frames

    def processes(self, field: int) -> Ints:
        """One field of all processes."""
        first = self.flat.process(0) + field
        return self.memory[first : self.flat.queue(0) : records.PROCESS]

    def queue(self, name: str, field: int) -> int:
        return int(self.memory[self.flat.queue(self.flat.edges[name]) + field])

    def frames(self, field: int) -> Ints:
        """START or END of every frame and process, ``int[frames, processes]``; a view is not."""
        length = self.flat.frames * records.FRAME_SIZE
        rows = [self.memory[at + field : at + length : records.FRAME_SIZE] for at in self._frames]
        return np.stack(rows, axis=1)

    def log(self, name: str) -> tuple[Ints, Ints]:
        """Visible and pop cycles of a watched edge, ``int[frames, beats]``, views."""
        beats = int(self.flat.beats[self.flat.edges[name]])
        length = beats * self.flat.frames
        views = (self.memory[at : at + length] for at in self._logs[name])
        visible, taken = (view.reshape(self.flat.frames, beats) for view in views)
        return visible, taken
