"""Finds the sites of quantizers in a source, and what depends on what (see `plan`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.layers import is_linear
from hwc.compiler.calibrate.needs import (
    code_bits,
    gives_codes,
    mixes,
    moves,
    shares_scale,
    takes_codes,
)
from hwc.compiler.calibrate.plan import Layer, Plan, Rescale
from hwc.compiler.source import (
    Add,
    Affine,
    ArgMax,
    AvgPool,
    BatchNorm,
    Concat,
    Function,
    GlobalAvgPool,
    HardTanh,
    Multiply,
    PRelu,
    Relu,
    Softmax,
    Source,
    SourceNode,
    Threshold,
    TopK,
)

__all__ = ["place"]

SUM_BITS = 12
"""Bits of sums that go to other channels and then to the host, or are compared: one scale must do
for all channels, but 8 bits would be coarse for what needs no multiplication any more."""


@dataclass(frozen=True)
class _Origin:
    """A layer, or a site, that a value is made from: whether nothing but clips, sums and pools lies
    in between, and how many elements were averaged."""

    name: str
    layer: bool
    plain: bool
    count: int


def place(source: Source, config: Config) -> Plan:
    """The plan for a source; nothing is changed yet."""
    return _Placer(source, config).plan()


class _Placer:
    def __init__(self, source: Source, config: Config) -> None:
        self.source, self.config = source, config
        self.nodes = {n.name: n for n in source.nodes if n.name not in source.constants}
        self.inputs = {i.name: i for i in source.inputs}
        self.bits: dict[str, int] = {}
        self.parent: dict[str, str] = {}  # union-find over sites
        self.known: dict[str, float] = {}  # scales of sites that are there already

    def plan(self) -> Plan:
        wants = [node for node in self.nodes.values() if self._takes(node)]
        for value in [*self.inputs, *(n.name for n in self.nodes.values() if gives_codes(n.op))]:
            if self._known_scale(value) is not None:
                self._site(value, 0)
        for item in self.inputs.values():
            readers = [n for n in self.source.consumers(item.name) if not gives_codes(n.op)]
            if item.scale is None and readers:
                self._site(item.name, self.config.input_bits)
        for node in wants:
            sites = [self._site(a, code_bits(node.op, self.config), node) for a in self._xs(node)]
            for site in sites[1:] if shares_scale(node.op) else []:
                self._unite(sites[0], site)
        for node in self.nodes.values():
            if mixes(self.source, node) and self._apart(node.args[0]):
                self._site(node.args[0], SUM_BITS)
        plan = Plan(bits=self.bits, classes={s: self._root(s) for s in self.parent})
        for site, scale in self.known.items():
            plan.fixed.setdefault(plan.classes[site], scale)
        for node in wants:
            if is_linear(node.op):
                plan.layers[node.name] = Layer(node.name, self._class_of(node.args[0]))
        for site in self.bits:
            self._trace(plan, site, plan.classes[site])
        for node in self.nodes.values():
            if isinstance(node.op, (ArgMax, TopK)):
                for origin in self._origins(node.args[0]):
                    if origin.layer:
                        plan.layers[origin.name].compared = True
        return plan

    def _apart(self, value: str) -> bool:
        """True if the channels of a value have scales or offsets of their own."""
        while self._begin(value, False) not in self.parent and value in self.nodes:
            op = self.nodes[value].op
            if is_linear(op) or isinstance(op, (PRelu, Affine, BatchNorm)):
                return True
            if not (moves(op) or isinstance(op, (Relu, HardTanh))):
                return False
            value = self.nodes[value].args[0]
        return False

    def _takes(self, node: SourceNode) -> bool:
        return takes_codes(self.source, node)

    def _xs(self, node: SourceNode) -> tuple[str, ...]:
        count = node.op.activations
        return node.args if count is None else node.args[:count]

    def _site(self, value: str, bits: int, reader: SourceNode | None = None) -> str:
        """The site that `value` comes from; a new quantizer, or a wider one, if it takes one."""
        site = self._begin(value, reader is not None and isinstance(reader.op, Add))
        if site not in self.parent:
            self.parent[site] = site
            scale = self._known_scale(site)
            if scale is not None:
                self.known[site] = scale
        if site not in self.known:
            low = self.config.input_bits if self._raw(site) else 0
            self.bits[site] = max(bits, low, self.bits.get(site, 0))
        return site

    def _begin(self, value: str, summed: bool) -> str:
        """Back through what only moves elements. A Concat stands for its first part, for all have
        one scale; so does an Add whose sum goes straight into another (`summed`)."""
        while value in self.nodes:
            op = self.nodes[value].op
            if not (moves(op) or isinstance(op, Concat) or (summed and isinstance(op, Add))):
                break
            value = self.nodes[value].args[0]
        return value

    def _known_scale(self, site: str) -> float | None:
        """The scale of a site that holds integers of one scale already."""
        if site in self.inputs:
            return self.inputs[site].scale
        node = self.nodes[site]
        if not gives_codes(node.op):
            return None
        if isinstance(node.op, Threshold):
            return 1.0
        scale = np.unique(self.source.tensors[node.args[1]].astype(np.float64))
        return float(scale[0]) if scale.size == 1 else None

    def _raw(self, site: str) -> bool:
        """True if no weight lies between an input and the site: it keeps the input's bits."""
        while site in self.nodes:
            node = self.nodes[site]
            if self._takes(node) or gives_codes(node.op):
                return False
            site = node.args[0]
        return True

    def _class_of(self, value: str) -> str:
        return self._root(self._begin(value, False))

    def _root(self, site: str) -> str:
        while self.parent[site] != site:
            site = self.parent[site]
        return site

    def _unite(self, a: str, b: str) -> None:
        self.parent[self._root(b)] = self._root(a)

    def _trace(self, plan: Plan, site: str, down: str) -> None:
        """Note what a quantizer's codes are made of."""
        for origin in self._origins(site):
            if origin.layer:
                layer = plan.layers[origin.name]
                layer.plain &= origin.plain
                if down not in layer.results:
                    layer.results.append(down)
            elif origin.plain and origin.name in self.parent:
                rescale = Rescale(self._root(origin.name), down, site, origin.count)
                if rescale not in plan.rescales:
                    plan.rescales.append(rescale)

    def _origins(self, value: str, plain: bool = True, count: int = 1) -> Iterator[_Origin]:
        """The layers and sites that `value` is made from, back to the nearest ones."""
        if value not in self.nodes:
            return
        node = self.nodes[value]
        op = node.op
        if isinstance(op, (Function, Multiply)) or (isinstance(op, Softmax) and self._takes(node)):
            return
        if is_linear(op):
            yield _Origin(value, True, plain, count)
            return
        if isinstance(op, AvgPool):
            count *= int(np.prod(op.kernel))
        if isinstance(op, GlobalAvgPool):
            count *= int(np.prod(self.source.shapes[node.args[0]][1:]))
        plain &= self._takes(node) or moves(op) or isinstance(op, (Relu, PRelu, HardTanh))
        for arg in self._xs(node):
            begin = self._begin(arg, isinstance(op, Add))
            integers = self._takes(node) or moves(op)
            if begin in self.known or (integers and begin in self.parent):
                yield _Origin(begin, False, plain, count)
            else:
                yield from self._origins(arg, plain, count)
