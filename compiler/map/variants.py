"""The several ways to compute a layer: what was chosen, and why the others were not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwc.compiler.graph import Conv2d, Graph, convolutions, winograd
from hwc.compiler.map.candidates import MappingError
from hwc.compiler.map.problem import Choice, Cost, shares
from hwc.compiler.map.stages import Stage
from hwc.hw.resources import Resources
from hwc.hw.unit import Unit
from hwc.hw.units.winograd.toom import LARGEST

__all__ = ["Other", "check_layers", "only", "others", "parse", "tiled"]

TILED = "winograd"
"""What the forms of convolutions in tiles begin with; the size of a tile follows."""

SIZES = (2, 3, 4)
"""Rows, and columns, of a tile."""


@dataclass(frozen=True)
class Other:
    """A way that a layer was not built: its cheapest unit that is fast enough, if there is one."""

    variant: str
    why: str
    resources: Resources | None = None
    interval: int | None = None


def parse(texts: Sequence[str]) -> dict[str, str]:
    """``layer=variant`` texts of ``--unit``."""
    found: dict[str, str] = {}
    for text in texts:
        layer, _, variant = (part.strip() for part in text.rpartition("="))
        if not layer or not variant:
            raise MappingError(f"--unit {text!r} must be LAYER=FORM, such as fc1=codebook")
        if layer in found:
            raise MappingError(f"--unit {text!r}: {layer!r} has a form already")
        found[layer] = variant
    return found


def tiled(graph: Graph, units: Mapping[str, str]) -> tuple[Graph, dict[str, str]]:
    """The graph (before :func:`hardware`) with the convolutions in tiles for which ``units`` say
    ``winograd2`` or the like, and the forms that are left to choose.

    MappingError if such a layer is no convolution that can be.
    """
    legal = convolutions(graph)
    forms = {f"{TILED}{m}": m for m in SIZES}
    sizes: dict[str, int] = {}
    for layer, form in units.items():
        if not form.startswith(TILED):
            continue
        if form not in forms:
            raise MappingError(f"--unit {layer}={form}: there is {', '.join(forms)}")
        if layer not in legal:
            there = ", ".join(legal) or "none"
            raise MappingError(
                f"--unit {layer}={form}: tiles are for convolutions of stride 1 and one group, "
                f"with quadratic kernels and no dilation; of these there is {there}"
            )
        op = legal[layer].op
        assert isinstance(op, Conv2d)
        window = forms[form] + op.weight.shape[1] - 1
        if window > LARGEST:
            raise MappingError(
                f"--unit {layer}={form}: windows are {window} rows high, at most {LARGEST} can be"
            )
        sizes[layer] = forms[form]
    left = {layer: form for layer, form in units.items() if layer not in sizes}
    return (winograd(graph, sizes) if sizes else graph), left


def check_layers(stages: Sequence[Stage], units: Mapping[str, str]) -> None:
    """MappingError if a layer that is to have a form is none of the stages'."""
    known = [name for stage in stages for name in stage.layers]
    for layer, variant in units.items():
        if layer not in known:
            raise MappingError(
                f"--unit {layer}={variant}: there is no layer {layer!r}; there are "
                f"{', '.join(known)}"
            )


def only(stage: Stage, offers: Sequence[Unit], units: Mapping[str, str]) -> list[Unit]:
    """The offers of the variant that is asked for; all of them if none is.

    MappingError, with what there is, if none is of that variant.
    """
    wanted = {name: units[name] for name in stage.layers if name in units}
    found = [unit for unit in offers if all(unit.variant == v for v in wanted.values())]
    if not found:
        there = dict.fromkeys(unit.variant for unit in offers if unit.variant)
        (layer, variant), *_ = wanted.items()
        raise MappingError(
            f"--unit {layer}={variant}: nothing builds it in this form; "
            + (f"there is {', '.join(there)}" if there else "it has one form only")
        )
    return found


def others(
    pick: int, offers: Sequence[Unit], choices: Sequence[Choice], cycles: int, budget: Cost
) -> tuple[Other, ...]:
    """For each variant but that of ``offers[pick]`` its cheapest offer within ``cycles`` a frame.

    ``choices`` say what the offers cost; cheapest is the least sum of shares of ``budget``.
    """

    def share(k: int) -> float:
        return shares(choices[k].cost, budget)

    by_variant: dict[str, list[int]] = {}
    for k, unit in enumerate(offers):
        by_variant.setdefault(unit.variant, []).append(k)
    found: list[Other] = []
    for variant, mine in by_variant.items():
        if variant == offers[pick].variant:
            continue
        quick = [k for k in mine if choices[k].interval <= cycles]
        if not quick:
            fastest = min(choices[k].interval for k in mine)
            found.append(Other(variant, f"takes {fastest:,} cycles a frame at least"))
            continue
        best = min(quick, key=share)
        ratio = share(best) / max(share(pick), 1e-12)
        why = f"takes {ratio:.2f} times the share of the board"
        if ratio < 1:
            why += " alone, but more with the converters that its tiles need"
        found.append(Other(variant, why, offers[best].resources(), choices[best].interval))
    return tuple(found)
