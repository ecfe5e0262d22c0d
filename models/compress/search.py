"""The smallest network within a drop of accuracy: bisection over the strength of a recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwc.compiler.graph.errors import HwcError
from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Method
from hwc.models.compress.recipe import Recipe

if TYPE_CHECKING:
    from hwc.models.compress.driver import Compressed, Run

TRIES = 6


def strength_of(method: Method) -> tuple[str, float, float] | None:
    """What is searched of a method; nothing where every layer is given its own density."""
    return None if getattr(method, "densities", ()) else method.strength


def scaled(recipe: Recipe, t: float) -> Recipe:
    """The recipe with every declared strength at the share `t` between its mildest and strongest
    value; whole numbers stay whole."""
    steps = []
    for step in recipe.steps:
        method = step.method
        if (strength := strength_of(method)) is not None:
            name, mild, strong = strength
            value = mild + t * (strong - mild)
            if isinstance(getattr(method, name), int):
                value = round(value)
            method = replace(method, **{name: value})
        steps.append(replace(step, method=method))
    return replace(recipe, steps=tuple(steps))


def smallest(run: Run, recipe: Recipe, max_drop: float, tries: int = TRIES) -> Compressed:
    """The smallest file among the tries whose validation accuracy is at most `max_drop` below the
    float network's. A try that a method refuses, such as one that leaves nothing, does not fit.
    CompressError if even the mildest strength loses more."""
    if not 0 <= max_drop < 1:
        raise CompressError(f"max_drop must be a share 0..1 (0.005 for 0.5 %), got {max_drop}")
    if all(strength_of(step.method) is None for step in recipe.steps):
        names = ", ".join(step.name for step in recipe.steps)
        raise CompressError(f"max_drop needs a method with a strength to search; none of {names}")
    if recipe.validation == 0 and run.eval_fn is None:
        raise CompressError("max_drop needs a validation split; set validation = 0.1 in the recipe")
    best: Compressed | None = None
    notes: list[dict[str, Any]] = []
    low, high, t = 0.0, 1.0, 0.0
    for k in range(tries):
        try:
            made = run.compress(scaled(recipe, t))
        except HwcError as error:
            if k == 0:
                raise
            fits = False
            notes.append({"strength": t, "fits": fits, "refused": str(error)})
        else:
            drop = made.report.validation["float"] - made.report.validation["compressed"]
            fits = drop <= max_drop + 1e-12
            size = made.report.file_bytes
            notes.append({"strength": t, "drop": drop, "file_bytes": size, "fits": fits})
            if fits and (best is None or size < best.report.file_bytes):
                best = made
        if k == 0:
            if not fits:
                break
            t = 1.0
            continue
        low, high = (t, high) if fits else (low, t)
        if low == high:
            break
        t = (low + high) / 2
    if best is None:
        raise CompressError(
            f"even at the mildest strength validation accuracy drops by {notes[0]['drop']:.2%}, "
            f"more than {max_drop:.2%}; train longer, or allow more"
        )
    return replace(best, report=replace(best.report, tries=tuple(notes)))
