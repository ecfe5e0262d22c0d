"""The error of this package."""

from hwc.compiler.graph.errors import HwcError


class CompressError(HwcError):
    """A recipe, a layer or data that compression cannot work with: says which and what would."""
