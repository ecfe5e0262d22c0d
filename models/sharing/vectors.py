"""Product and residual quantization of whole pieces of rows (Gong et al. 2014, arXiv 1412.6115)."""

import torch
from torch import Tensor, nn

from hwc.models.pruning.mask import latent_of
from hwc.models.sharing.indirect import Indirect, SharingError, replace_weight, zeros_of
from hwc.models.sharing.kmeans import vector_kmeans
from hwc.models.sharing.response import Response

__all__ = ["Product", "Residual", "share_pieces", "share_rows"]


class Product(Indirect):
    """Rows (N, K) cut into s pieces of K / s: piece j of row i is `words[j, codes[i, j]]`.

    words (s, k, K / s), codes (N, s).
    """

    codes: Tensor

    def __init__(self, words: Tensor, codes: Tensor, shape: torch.Size, bits: int = 8):
        super().__init__(words, bits)
        self.words = nn.Parameter(words.clone())
        self.register_buffer("codes", codes)
        self.shape = shape

    def dense(self) -> Tensor:
        pieces = self.words[torch.arange(self.codes.shape[1]), self.codes]  # (N, s, K / s)
        return pieces.reshape(self.shape)


class Residual(Indirect):
    """Every row is a sum of t words: `sum over t of words[t, codes[i, t]]`; words (t, k, K)."""

    codes: Tensor

    def __init__(self, words: Tensor, codes: Tensor, shape: torch.Size, bits: int = 8):
        dense = words[torch.arange(codes.shape[1]), codes].sum(1)
        super().__init__(dense, bits)
        self.words = nn.Parameter(words.clone())
        self.register_buffer("codes", codes)
        self.shape = shape

    def dense(self) -> Tensor:
        picked = self.words[torch.arange(self.codes.shape[1]), self.codes]  # (N, t, K)
        return picked.sum(1).reshape(self.shape)


def share_pieces(
    layer: nn.Module,
    pieces: int,
    k: int,
    generator: torch.Generator,
    bits: int = 8,
    response: Response | None = None,
) -> Product:
    """Product quantization of a layer's rows in so many pieces of k words each; k-means gives the
    words. With `response` words and codes are corrected for it, unless rounding to `bits` leaves
    them a greater error than it leaves plain ones."""
    rows = _rows(layer)
    if rows.shape[1] % pieces:
        raise SharingError(f"{pieces} pieces do not divide the {rows.shape[1]} weights of a row")
    words, codes = [], []
    for part in rows.split(rows.shape[1] // pieces, dim=1):
        centroids, z = vector_kmeans(part, min(k, len(part)), generator)
        words.append(centroids)
        codes.append(z)
    plain, shape = (torch.stack(words), torch.stack(codes, 1)), latent_of(layer).shape
    made = Product(*plain, shape, bits)
    if response is not None:
        corrected = Product(*response.corrected(*plain), shape, bits)
        made = min(made, corrected, key=lambda p: response.error(p.quantize(rows).flatten(1)))
    replace_weight(layer, made)
    return made


def share_rows(
    layer: nn.Module, stages: int, k: int, generator: torch.Generator, bits: int = 8
) -> Residual:
    """Residual quantization: k-means of the rows, then of what is left of them, `stages` times."""
    left = _rows(layer).clone()
    words, codes = [], []
    for _ in range(stages):
        centroids, z = vector_kmeans(left, min(k, len(left)), generator)
        left = left - centroids[z]
        words.append(centroids)
        codes.append(z)
    made = Residual(torch.stack(words), torch.stack(codes, 1), latent_of(layer).shape, bits)
    replace_weight(layer, made)
    return made


def _rows(layer: nn.Module) -> Tensor:
    if bool(zeros_of(layer).any()):
        raise SharingError(
            "words of whole pieces do not keep pruned weights 0; share scalars instead"
        )
    return layer.weight.detach().flatten(1)  # pyright: ignore
