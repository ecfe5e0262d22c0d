"""The layers of a network that compression is about, by qualified name."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hwc.models.compress.errors import CompressError
from hwc.models.compress.recipe import Recipe, Step
from hwc.models.pruning.mask import Mask, chain_of, latent_of
from hwc.models.quantize.fixed_weight import FixedWeight
from hwc.models.quantize.weight import WeightQuantizer

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every layer with weights that a method may treat, in the order of the modules."""
    return {name: m for name, m in model.named_modules() if isinstance(m, KINDS)}


def named_by(patterns: Sequence[str], name: str) -> bool:
    """Whether one of the patterns means this layer."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def matching(patterns: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    """Names that fit any pattern; a pattern without a match is an error."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise CompressError(
                f"{where}: no layer is called {pattern!r}; the layers are {', '.join(names)}"
            )
    return [name for name in names if named_by(patterns, name)]


def treated(
    step: Step, number: int, model: nn.Module, left: Sequence[str] = ()
) -> dict[str, nn.Module]:
    """The layers that a step treats, less those that the recipe has `left` as they are, by
    patterns. CompressError for one that its method cannot."""
    found = layers_of(model)
    where = f"step {number} ({step.name})"
    excepted = matching(step.excepted, list(found), f"{where}: except")
    excepted += [name for name in found if named_by(left, name)]
    chosen = {
        name: found[name]
        for name in matching(step.layers, list(found), f"{where}: layers")
        if name not in excepted
    }
    for name, layer in chosen.items():
        if reason := step.method.refuses(layer):
            raise CompressError(
                f"{where}: layer {name!r} ({type(layer).__name__}) {reason}; name it in "
                f'except = ["{name}"] if it is to stay as it is'
            )
    if not chosen:
        raise CompressError(f"{where}: every layer is excepted")
    return chosen


def others_of(model: nn.Module) -> dict[str, nn.Module]:
    """Modules with matrices that no method treats, such as transposed convolutions."""
    return {
        name: m
        for name, m in model.named_modules()
        if not isinstance(m, (*KINDS, parametrize.ParametrizationList))
        and any(p.ndim > 1 for p in m.parameters(recurse=False))
    }


def calls_of(model: nn.Module, images: Tensor) -> tuple[Tensor, set[str]]:
    """What the network gives, and the layers that play a part in it: modules that are called, or
    weights that the output depends on."""
    layers, called = layers_of(model), set[str]()
    handles = [
        layer.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, layer in layers.items()
    ]
    try:
        given = model(images)
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(given, Tensor) and given.requires_grad:
        latents = {name: latent_of(layer) for name, layer in layers.items()}
        latents = {name: latent for name, latent in latents.items() if latent.requires_grad}
        grads = torch.autograd.grad(given.sum(), list(latents.values()), allow_unused=True)
        called |= {name for name, grad in zip(latents, grads, strict=True) if grad is not None}
    return given, called


def check_coverage(recipe: Recipe, model: nn.Module) -> None:
    """Refuse a recipe that leaves a layer alone without saying so."""
    names, others = list(layers_of(model)), others_of(model)
    if not names:
        raise CompressError("the network has no Linear, Conv1d or Conv2d layer")
    for name, layer in layers_of(model).items():
        for part in chain_of(layer):
            if not isinstance(part, (Mask, WeightQuantizer)):
                raise CompressError(
                    f"layer {name!r}: its weight is made by {type(part).__name__}; settle it with "
                    "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
                )
    said = set(matching(recipe.excepted, [*names, *others], "except"))
    for name, module in others.items():
        if name not in said:
            raise CompressError(
                f"layer {name!r} ({type(module).__name__}) is one that no method treats; name it "
                f'in the recipe\'s except = ["{name}"] if it is to stay as it is'
            )
    for number, step in enumerate(recipe.steps, 1):
        said |= set(matching(step.layers, names, f"step {number} ({step.name}): layers"))
        said |= set(matching(step.excepted, names, f"step {number} ({step.name}): except"))
    if left := [name for name in names if name not in said]:
        raise CompressError(
            f"no step treats layer {left[0]!r}; add it to a step, or to the recipe's "
            f'except = ["{left[0]}"] if it is to stay as it is'
        )


def free(layer: nn.Module) -> None:
    """Make the values of a weight that came in quantized a plain parameter again."""
    if isinstance(next(iter(chain_of(layer)), None), FixedWeight):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
