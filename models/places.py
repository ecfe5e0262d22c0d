"""Where modules stand in a network."""

from torch import nn

__all__ = ["places_of"]


def places_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children by name; unlike `named_children` a module with two names comes twice, so that
    whoever replaces children reaches every place."""
    return [(name, child) for name, child in module._modules.items() if child is not None]
