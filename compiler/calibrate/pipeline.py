"""From a float source and calibration frames to a source with quantizers, ready to be lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwc.compiler.calibrate.config import Config
from hwc.compiler.calibrate.draft import Draft
from hwc.compiler.calibrate.equalize import equalize
from hwc.compiler.calibrate.fold import fold, snap_slopes
from hwc.compiler.calibrate.frames import check_frames
from hwc.compiler.calibrate.grids import solve
from hwc.compiler.calibrate.losses import Loss, table
from hwc.compiler.calibrate.needs import gives_codes, moves, takes_codes
from hwc.compiler.calibrate.observe import Observed, frame_bytes, observe
from hwc.compiler.calibrate.padding import snap_padding
from hwc.compiler.calibrate.place import place
from hwc.compiler.calibrate.plan import Plan
from hwc.compiler.calibrate.scales import Seen, best_scale, squared_error
from hwc.compiler.calibrate.walk import Walk
from hwc.compiler.source import Affine, HardTanh, Quant, Source, SourceNode

__all__ = ["Calibrated", "calibrate"]

WALK_BYTES = 512 << 20
"""Memory for the activations of all frames while weights are quantized, roughly; with more frames
than fit, evenly chosen ones are used there."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A source that lowers to integers, and what its quantizers cost."""

    source: Source
    losses: tuple[Loss, ...]

    def table(self) -> str:
        """The losses as text, a line each."""
        return table(self.losses)

    def __str__(self) -> str:
        return self.table()


def calibrate(source: Source, frames: Mapping[str, np.ndarray], config: Config) -> Calibrated:
    """Quantize a float source after training.

    `frames` holds (N, *shape) for every input: raw integers for inputs with a scale, else floats.
    Quantizers that are there already stay as they are. Batch-norms are folded, and with
    `config.equalize` channels rescaled, so inner values of the result are not those of `source`;
    its inputs and outputs are. Raises CalibrationError.
    """
    frames = check_frames(source, frames)
    source = snap_slopes(fold(source))
    if config.equalize:
        source = equalize(source)
    plan = place(source, config)
    observed = observe(source, frames, list(plan.bits))
    limits = {site: _limits(plan.bits[site], observed[site]) for site in plan.bits}
    seen = _seen(plan, observed, limits)
    ideal = {name: best_scale(values, config) for name, values in seen.items()}
    scales = solve(
        plan, ideal, lambda name, s: sum(squared_error(v, s) for v in seen[name]), config
    )
    quantized, placed = _with_quantizers(source, plan, limits, scales)
    walk = Walk(quantized, placed, plan, scales)
    walk.run(_fitting(quantized, frames), config)
    return Calibrated(walk.draft.source(), tuple(walk.losses))


def _limits(bits: int, observed: Observed) -> tuple[int, int]:
    """Codes of an activation: unsigned if nothing negative was seen."""
    if observed.low >= 0:
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _within_clip(
    source: Source, site: str, limits: tuple[int, int], scale: float
) -> tuple[int, int]:
    """The codes left behind a clip, so that the lowering finds the same in all channels."""
    node = next((n for n in source.nodes if n.name == site), None)
    if node is None or not isinstance(node.op, HardTanh):
        return limits
    lo, hi = limits
    if node.op.lo > -np.inf:
        lo = max(lo, round(Fraction(node.op.lo) / Fraction(scale)))
    if node.op.hi < np.inf:
        hi = min(hi, round(Fraction(node.op.hi) / Fraction(scale)))
    return (lo, hi) if lo < hi else limits


def _seen(
    plan: Plan, observed: Mapping[str, Observed], limits: Mapping[str, tuple[int, int]]
) -> dict[str, list[Seen]]:
    """What the quantizers of every class without a scale will see."""
    found: dict[str, list[Seen]] = {}
    for site in plan.bits:
        name, what = plan.classes[site], observed[site]
        if name not in plan.fixed:
            seen = Seen(what.low, what.high, what.sample, *limits[site])
            found.setdefault(name, []).append(seen)
    return found


def _with_quantizers(
    source: Source,
    plan: Plan,
    limits: Mapping[str, tuple[int, int]],
    scales: Mapping[str, float],
) -> tuple[Source, dict[str, Loss]]:
    """The source with a Quant at every site, and the range of each by its name."""
    draft = Draft(source)
    placed: dict[str, Loss] = {}
    tensors: dict[str, str] = {}
    for site, bits in plan.bits.items():
        group = plan.classes[site]
        if group not in tensors:
            tensors[group] = draft.unique(f"{group}.scale")
            draft.tensors[tensors[group]] = np.array(scales[group])
        name = draft.unique(f"{site}_quant")
        readers = [r for r in draft.readers(site) if _reads_codes(r, site, source)]
        lo, hi = _within_clip(source, site, limits[site], scales[group])
        names = [node.name for node in draft.nodes]
        index = names.index(site) + 1 if site in names else 0
        value = _off_ties(draft, index, plan, site, scales)
        index += value != site
        draft.insert(index, SourceNode(name, Quant(lo, hi), (value, tensors[group])))
        draft.redirect(site, name, readers)
        scale = scales[group]
        placed[name] = Loss(site, "activation", bits, lo * scale, hi * scale, 0.0)
    snap_padding(draft)
    return draft.source(), placed


def _off_ties(draft: Draft, index: int, plan: Plan, site: str, scales: Mapping[str, float]) -> str:
    """What the quantizer of a site reads: a mean of 9 codes, say, is raised a little. Then nothing
    is a tie, and a multiplier near 1/9 is exact, for which half to even would not do.

    Rounding changes where a sum is (2 j + 1) * 9 / (2 * ratio of the scales). All of these are
    multiples of 1/d, so half of that is farthest from any.
    """
    shifts = []
    for rescale in plan.rescales:
        if rescale.site == site and rescale.odd:
            up, down = scales[rescale.up], scales[rescale.down]
            d = (Fraction(down) / Fraction(up) / 2).denominator
            shifts.append(up / rescale.count / (2 * d))
    if not shifts:
        return site
    name = draft.unique(f"{site}_off_ties")
    tensors = [draft.unique(f"{name}.{what}") for what in ("scale", "shift")]
    draft.tensors |= {tensors[0]: np.array(1.0), tensors[1]: np.array(min(shifts))}
    draft.insert(index, SourceNode(name, Affine(), (site, *tensors)))
    return name


def _reads_codes(reader: SourceNode, site: str, source: Source) -> bool:
    """True if a reader of a quantized value takes the integers, not the value before."""
    inputs = [item.name for item in source.inputs if item.scale is None]
    if site in inputs:
        return not gives_codes(reader.op)
    return moves(reader.op) or takes_codes(source, reader)


def _fitting(source: Source, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As many frames, evenly chosen, as fit into memory for both networks."""
    count = len(next(iter(frames.values())))
    most = max(1, WALK_BYTES // (2 * frame_bytes(source)))
    if most >= count:
        return dict(frames)
    chosen = np.linspace(0, count - 1, most).astype(np.int64)
    return {name: x[chosen] for name, x in frames.items()}
