"""The schedule of automated gradual pruning (Zhu & Gupta 2017, arXiv 1710.01878)."""

from hwc.models.pruning.mask import PruningError

__all__ = ["density_at"]


def density_at(step: int, steps: int, final: float, start: float = 1.0) -> float:
    """Density before update `step` of a ramp of `steps`: `final + (start - final) * (1 - t)**3`
    with t = step / steps, and `final` from the end of the ramp on. Fast at first, when much can go,
    and slow at the end."""
    if not 0 <= final <= start <= 1:
        raise PruningError(f"densities must be 0 <= final <= start <= 1, got {final} and {start}")
    t = min(max(step / steps, 0.0), 1.0) if steps > 0 else 1.0
    return final + (start - final) * (1 - t) ** 3
