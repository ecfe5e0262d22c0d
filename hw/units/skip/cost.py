"""What a product that skips zero activations costs, and its longest path."""

from __future__ import annotations

from hwc.hw.resources import Resources
from hwc.hw.units.control import control_resources
from hwc.hw.units.matvec.cost import (
    plan_levels,
    product_resources,
    sum_resources,
    weight_resources,
)
from hwc.hw.units.parts import adder_levels, step_bits
from hwc.hw.units.skip.plan import SkipPlan

__all__ = ["skip_levels", "skip_resources"]


def skip_levels(plan: SkipPlan) -> float:
    """Longest path between registers of datapath and control, in LUT and carry levels."""
    address = adder_levels(step_bits(plan.words)) + plan.rom.levels
    return max(plan_levels(plan), address, 7)


def skip_resources(plan: SkipPlan) -> Resources:
    """Estimated primitives of datapath and control, queues excluded."""
    total = control_resources(plan.schedule()) + weight_resources(plan)
    total += product_resources(plan) + sum_resources(plan)
    return total + (plan.spec.resources() if plan.spec else Resources.zero())
