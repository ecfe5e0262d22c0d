"""The networks of `hwc train`, a family a file.

All end in plain integer logits of one scale, so that argmax over the accumulators is the class.
"""

from hwc.compiler.graph.errors import HwcError
from hwc.models.zoo import cnv, lenet, mlp, residual
from hwc.models.zoo.net import Net

__all__ = ["NETS", "Net", "net"]

NETS: dict[str, Net] = {
    each.name: each for family in (mlp, lenet, residual, cnv) for each in family.NETS
}


def net(name: str) -> Net:
    """The network of that name."""
    if name not in NETS:
        raise HwcError(f"no network {name!r}; the networks are {', '.join(NETS)}")
    return NETS[name]
