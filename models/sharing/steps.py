"""Weight sharing as steps of a recipe."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hwc.models.compress.method import CALIBRATION, Method, Work
from hwc.models.compress.training import entering
from hwc.models.curvature import fisher
from hwc.models.pruning.mask import latent_of, mask_of, quantized
from hwc.models.pruning.surgeon import no_rows, some_rows
from hwc.models.quantize.power_of_two import PowerOfTwoWeight
from hwc.models.quantize.weight import quantize_weight
from hwc.models.sharing.codebook import share, share_bins, share_by_mixture, share_constrained
from hwc.models.sharing.hashed import share_by_hash
from hwc.models.sharing.mixture import Mixture
from hwc.models.sharing.response import Response
from hwc.models.sharing.vectors import share_pieces, share_rows

__all__ = [
    "Hash",
    "KMeans",
    "PowerOfTwo",
    "ProductQuantization",
    "ResidualQuantization",
    "SoftSharing",
    "UniformBins",
]


@dataclass(frozen=True)
class _Sharing(Method):
    """What methods of sharing have in common: they come after masks and before nothing else."""

    def refuses(self, layer: nn.Module) -> str | None:
        if quantized(layer):
            return "is quantized already; a step that shares comes before one that quantizes"
        return None


@dataclass(frozen=True)
class KMeans(_Sharing):
    """k values for the weights of every layer, and training of these values.

    With `hessian` an error counts as much as the loss bends (Choi et al. 2017); with `rate` above 0
    the values and who has which are those of least error + rate * bits of an ideal code (ECSQ), the
    error in units of the layer's mean square weight.
    """

    k: int = 16
    bits: int = 8
    hessian: bool = False
    rate: float = 0.0
    epochs: int = 10
    lr: float = 2e-4

    strength: ClassVar = ("k", 64, 2)

    def apply(self, work: Work) -> None:
        for name, layer in work.layers.items():
            importance = fisher(work, name) if self.hessian else None
            if self.rate > 0:
                share_constrained(layer, self.k, self.rate, importance, self.bits)
            else:
                share(layer, self.k, importance, self.bits)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class UniformBins(_Sharing):
    """The means of uniform bins, as wide in every layer: `width` times the root mean square of all
    weights together; the bin about 0 gives 0. Training of the means (Choi et al. 2017)."""

    width: float = 1.0
    bits: int = 8
    hessian: bool = False
    epochs: int = 10
    lr: float = 2e-4

    strength: ClassVar = ("width", 0.25, 6.0)

    def apply(self, work: Work) -> None:
        kept = [layer.weight.detach().flatten() for layer in work.layers.values()]  # pyright: ignore
        together = torch.cat(kept)
        width = self.width * float(together[together != 0].square().mean().sqrt())
        for name, layer in work.layers.items():
            share_bins(layer, width, fisher(work, name) if self.hessian else None, self.bits)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class _Words(_Sharing):
    """Words of whole pieces of rows, one of `k` each, and training of the words."""

    k: int = 32
    bits: int = 8
    epochs: int = 10
    lr: float = 2e-4

    strength: ClassVar = ("k", 64, 4)

    def refuses(self, layer: nn.Module) -> str | None:
        if mask_of(layer) is not None:
            return "is pruned, and words do not keep zeros"
        return super().refuses(layer)

    def share(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Give the layer its words."""
        raise NotImplementedError

    def apply(self, work: Work) -> None:
        generator = work.generator()
        for layer in work.layers.values():
            self.share(layer, generator)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class ProductQuantization(_Words):
    """Rows in pieces of `length` weights, each one of the `k` words of its place. With `response`
    words and codes minimize the error of the layer's response, layer by layer, each on what the
    quantized ones before it give (Q-CNN)."""

    length: int = 4
    response: bool = False

    def refuses(self, layer: nn.Module) -> str | None:
        row = layer.weight[0].numel()  # pyright: ignore
        if row % self.length:
            return f"has rows of {row} weights, which {self.length} does not divide"
        return super().refuses(layer) or (no_rows(layer) if self.response else None)

    def share(self, layer: nn.Module, generator: torch.Generator) -> None:
        pieces = layer.weight[0].numel() // self.length  # pyright: ignore
        share_pieces(layer, pieces, self.k, generator, self.bits)

    def apply(self, work: Work) -> None:
        if not self.response:
            super().apply(work)
            return
        generator = work.generator()
        images = work.data.first(CALIBRATION)  # those that `inputs_of` is about
        for name, layer in work.layers.items():
            whole = latent_of(work.teacher.get_submodule(name)).detach().flatten(1)
            target = some_rows(layer, entering(work.teacher, name, images)) @ whole.T
            response = Response(some_rows(layer, work.inputs_of(name)), target)
            pieces = whole.shape[1] // self.length
            share_pieces(layer, pieces, self.k, generator, self.bits, response)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class ResidualQuantization(_Words):
    """Rows as sums of `stages` words, each one of `k`."""

    stages: int = 4

    def share(self, layer: nn.Module, generator: torch.Generator) -> None:
        share_rows(layer, self.stages, self.k, generator, self.bits)


@dataclass(frozen=True)
class SoftSharing(_Sharing):
    """Soft weight-sharing: training under a mixture of Gaussians over the weights of all layers,
    `tau` / images times its negative log likelihood; then each weight is the mean of the component
    most responsible for it, or 0; then training of these values for `tune` epochs."""

    components: int = 16
    zero: float = 0.99
    tau: float = 0.005
    mixture_lr: float = 5e-4
    bits: int = 8
    epochs: int = 30
    lr: float = 5e-4
    tune: int = 5

    strength: ClassVar = ("tau", 0.0005, 0.05)

    def apply(self, work: Work) -> None:
        latents = [latent_of(layer) for layer in work.layers.values()]
        largest = max(float(latent.detach().abs().max()) for latent in latents)
        spread = float(torch.cat([x.detach().flatten() for x in latents]).std())
        mixture = Mixture(self.components, self.zero, 0.6 * largest, spread)
        share = self.tau / len(work.data.x_train)

        def make(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
            own = {"params": list(mixture.parameters()), "lr": self.mixture_lr}
            return torch.optim.Adam([{"params": parameters}, own], lr=lr)

        def weights() -> list[Tensor]:
            return [layer.weight for layer in work.layers.values()]  # pyright: ignore

        work.train(
            self.epochs, self.lr, optimizer=make, penalty=lambda: share * mixture.penalty(weights())
        )
        mixture.merge()
        for layer in work.layers.values():
            share_by_mixture(layer, mixture, self.bits)
        work.train(self.tune, self.lr)


@dataclass(frozen=True)
class Hash(_Sharing):
    """HashedNets: one value for `ratio` weights, chosen by a hash, and long training of them."""

    ratio: float = 8.0
    bits: int = 8
    epochs: int = 40
    lr: float = 1e-3

    strength: ClassVar = ("ratio", 2.0, 64.0)

    def refuses(self, layer: nn.Module) -> str | None:
        if mask_of(layer) is not None:
            return "is pruned, and a hash does not keep zeros"
        return super().refuses(layer)

    def apply(self, work: Work) -> None:
        for number, layer in enumerate(work.layers.values()):
            share_by_hash(layer, self.ratio, work.seed + number, self.bits)
        work.train(self.epochs, self.lr)


@dataclass(frozen=True)
class PowerOfTwo(_Sharing):
    """0 and +-2**e times a scale, nearest in `space`, while training."""

    bits: int = 4
    per_channel: bool = False
    space: Literal["value", "log"] = "value"
    epochs: int = 10
    lr: float = 5e-4

    strength: ClassVar = ("bits", 4, 2)

    def apply(self, work: Work) -> None:
        for layer in work.layers.values():
            quantizer = PowerOfTwoWeight(self.bits, self.per_channel, self.space == "log")
            quantize_weight(layer, quantizer)
        work.train(self.epochs, self.lr)
