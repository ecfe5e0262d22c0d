"""Codebooks of vectors, and hashing."""

import numpy as np
import pytest
import torch
from torch import nn

from hwc.models.hashing import hash32
from hwc.models.pruning.mask import set_mask
from hwc.models.sharing.hashed import share_by_hash
from hwc.models.sharing.indirect import SharingError
from hwc.models.sharing.kmeans import vector_kmeans
from hwc.models.sharing.vectors import share_pieces, share_rows


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def layer(kind: type[nn.Linear | nn.Conv2d], *shape: int) -> nn.Linear | nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(*shape)  # pyright: ignore


def test_vector_kmeans_finds_clusters_and_is_a_fixed_point() -> None:
    centers = torch.tensor([[0.0, 0], [9, 0], [0, 9]])
    rows = centers.repeat(20, 1) + 0.1 * torch.randn(60, 2, generator=generator())
    c, z = vector_kmeans(rows, 3, generator())
    assert torch.equal(z.reshape(20, 3), z[:3].expand(20, 3))
    assert len(set(z[:3].tolist())) == 3
    for j in range(3):
        torch.testing.assert_close(c[j], rows[z == j].mean(0))
    assert torch.equal(z, torch.cdist(rows, c).argmin(1))
    same, _ = vector_kmeans(torch.ones(5, 2), 3, generator())
    assert torch.equal(same, torch.ones(3, 2))
    with pytest.raises(SharingError, match=r"7 centroids for 5 vectors: 1\.\.5"):
        vector_kmeans(torch.ones(5, 2), 7, generator())


def test_pieces_of_rows_come_from_their_own_words() -> None:
    fc = layer(nn.Linear, 12, 40)
    made = share_pieces(fc, 3, 8, generator())
    dense = fc.weight.detach().reshape(40, 3, 4)
    for j in range(3):
        assert len(torch.unique(dense[:, j], dim=0)) <= 8
    words = made.words.detach()
    for i in range(40):
        for j in range(3):
            near = torch.round(words[j, made.codes[i, j]] / made.scale) * made.scale
            torch.testing.assert_close(dense[i, j], near)
    with pytest.raises(SharingError, match="5 pieces do not divide the 12"):
        share_pieces(layer(nn.Linear, 12, 40), 5, 8, generator())


def test_as_many_words_as_rows_lose_nothing_but_rounding() -> None:
    fc = layer(nn.Conv2d, 3, 10, 3)
    before = fc.weight.detach().clone()  # pyright: ignore
    made = share_pieces(fc, 1, 10, generator())
    assert fc.weight.shape == before.shape  # pyright: ignore
    assert float((fc.weight.detach() - before).abs().max()) <= float(made.scale) / 2 + 1e-6  # pyright: ignore


def test_every_stage_of_a_residual_codebook_brings_rows_nearer() -> None:
    errors = []
    for stages in (1, 2, 4):
        fc = layer(nn.Linear, 12, 40)
        before = fc.weight.detach().clone()  # pyright: ignore
        made = share_rows(fc, stages, 4, generator())
        assert made.codes.shape == (40, stages)
        errors.append(float((fc.weight.detach() - before).square().sum()))  # pyright: ignore
    assert errors[0] > errors[1] > errors[2]


def test_the_hash_is_even_fixed_and_its_bits_are_all_in_use() -> None:
    h = hash32(np.arange(1 << 16), 7)
    assert h[:3].tolist() == [_slow(i, 7) for i in range(3)]
    assert hash32(np.array([2**32 - 1]), 7).tolist() == [_slow(2**32 - 1, 7)]
    assert len(np.unique(h)) == 1 << 16, "the hash is a bijection"
    ones = [(h >> b & 1).mean() for b in range(32)]
    assert max(abs(m - 0.5) for m in ones) < 0.02
    assert (h != hash32(np.arange(1 << 16), 8)).mean() > 0.99


def _slow(x: int, seed: int) -> int:
    x ^= seed
    for factor, shift in ((0x7FEB352D, 15), (0x846CA68B, 16)):
        x ^= x >> 16
        x = x * factor % 2**32
        x ^= x >> shift
    return x


def test_hashed_weights_are_signed_copies_of_few_values() -> None:
    fc = layer(nn.Linear, 30, 20)
    size = fc.weight.detach().std()  # pyright: ignore
    made = share_by_hash(fc, 8, seed=3)
    assert made.values.numel() == 75
    assert len(torch.unique(fc.weight.detach().abs())) <= 75  # pyright: ignore
    assert float(fc.weight.detach().std() / size) == pytest.approx(1, abs=0.2)  # pyright: ignore
    shared = torch.bincount(made.places.flatten(), minlength=75)
    assert 2 <= shared.min()
    assert shared.max() <= 20
    weights = torch.arange(600.0).reshape(20, 30)
    (fc.weight * weights).sum().backward()  # pyright: ignore
    expected = torch.zeros(75).index_add_(
        0, made.places.flatten(), (weights * made.signs).flatten()
    )
    assert made.values.grad is not None
    torch.testing.assert_close(made.values.grad, expected)
    with pytest.raises(SharingError, match=r"ratio must be 1\.\.600, got 0\.5"):
        share_by_hash(layer(nn.Linear, 30, 20), 0.5, 0)


def test_pruned_layers_are_refused() -> None:
    fc = layer(nn.Linear, 12, 4)
    set_mask(fc, torch.tensor([[True] * 6 + [False] * 6] * 4))
    with pytest.raises(SharingError, match="do not keep pruned weights 0"):
        share_rows(fc, 1, 2, generator())
