"""Which channels of a network stand and fall together (the dependency graph of Fang et al. 2023).

Every channel that a layer puts out gets a label. Labels travel through the exported graph
(`dependency_walk`): an add unites those of its summands one by one, a concatenation puts them side
by side, a depthwise convolution hands them on, flattening repeats each for its positions. A
parameter's axis that is indexed by channels notes their labels: removing a label removes its places
in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Channels", "Labels", "Use"]

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Use:
    """An axis of a parameter or buffer that is indexed by channels. `makes` says that its layer
    puts these channels out (axis 0 of a weight)."""

    module: str
    tensor: str
    axis: int
    makes: bool = False


@dataclass
class Channels:
    """The channels of a network: `uses` has a label for every index of a use; labels of one class
    (`root`) are removed together. `fixed` says why a class has to stay."""

    parent: list[int] = field(default_factory=list)
    uses: dict[Use, Labels] = field(default_factory=dict)
    fixed: dict[int, str] = field(default_factory=dict)

    def new(self, count: int) -> Labels:
        """Labels of so many channels that nothing is known of yet."""
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, label: int) -> int:
        """The representative of a label's class."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def roots(self, labels: Labels) -> Labels:
        return np.array([self.root(int(x)) for x in labels], np.int64)

    def unite(self, a: Labels, b: Labels) -> None:
        """Channel by channel."""
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            one, two = sorted((self.root(x), self.root(y)))
            if one == two:
                continue
            self.parent[two] = one
            if two in self.fixed:
                self.fixed.setdefault(one, self.fixed.pop(two))

    def fix(self, labels: Labels, why: str) -> None:
        for label in labels.tolist():
            self.fixed.setdefault(self.root(label), why)

    def use(self, use: Use, labels: Labels) -> None:
        """Note an axis; one that is used again has the same channels."""
        if use in self.uses:
            self.unite(self.uses[use], labels)
        else:
            self.uses[use] = labels

    def groups(self) -> list[Labels]:
        """The classes that may go, in groups that appear in the same uses: the outputs of a layer,
        or of layers whose outputs are added. In the order of the network."""
        where: dict[int, set[Use]] = {}
        for use, labels in self.uses.items():
            for root in set(self.roots(labels).tolist()):
                where.setdefault(root, set()).add(use)
        found: dict[frozenset[Use], list[int]] = {}
        for root in sorted(where):
            if root not in self.fixed and any(use.makes for use in where[root]):
                found.setdefault(frozenset(where[root]), []).append(root)
        return [np.array(roots, np.int64) for roots in found.values()]
