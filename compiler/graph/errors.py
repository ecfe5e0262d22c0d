"""Errors a user can meet. Each message names the thing, the rule, the value and what would work."""


class HwcError(ValueError):
    """Base of every error that is about what the user gave, never about a bug of ours."""


class GraphError(HwcError):
    """An integer graph, op, weight or input value breaks a rule of the integer language."""
