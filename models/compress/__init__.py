"""Compression of PyTorch networks by recipes."""

from hwc.models.compress.driver import Compressed, compress
from hwc.models.compress.errors import CompressError
from hwc.models.compress.method import Method, Work
from hwc.models.compress.recipe import Recipe, Step, load_recipe, parse
from hwc.models.compress.report import Report

__all__ = [
    "CompressError",
    "Compressed",
    "Method",
    "Recipe",
    "Report",
    "Step",
    "Work",
    "compress",
    "load_recipe",
    "parse",
]
