import math

import pytest
import torch

from astra.contrastive_dynamics.info_nce import info_nce

EMBEDDINGS = torch.tensor(
    [
        [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0], [1.0, 0.0]],  # products 4, 2, 1
        [[1.0, 0.0], [0.0, 3.0], [2.0, 2.0], [-1.0, 0.0]],  # products 0, 2, -1
    ]
)
"""Embeddings of two anchors, each with its positive and two negatives."""


def test_the_loss_is_that_of_equation_2_by_hand() -> None:
    first = -math.log(math.exp(4) / (math.exp(4) + math.exp(2) + math.exp(1)))
    second = -math.log(1 / (1 + math.exp(2) + math.exp(-1)))
    loss, metrics = info_nce(EMBEDDINGS)
    assert loss == pytest.approx((first + second) / 2, rel=1e-6)
    assert metrics["retrieval_accuracy"] == 0.5
    assert metrics["similarity_positive"] == pytest.approx((4 / 5 + 0) / 2, rel=1e-6)
    cosines = 2 / 5**0.5, 1 / 5**0.5, 1 / 2**0.5, -1.0
    assert metrics["similarity_negative"] == pytest.approx(sum(cosines) / 4, rel=1e-6)


def test_temperature_and_normalization_by_hand() -> None:
    loss, _ = info_nce(EMBEDDINGS[:1], temperature=0.5, normalize=True)
    scores = [2 * cosine for cosine in (4 / 5, 2 / 5**0.5, 1 / 5**0.5)]
    assert loss == pytest.approx(-scores[0] + math.log(sum(map(math.exp, scores))), rel=1e-6)


def test_large_products_overflow_nothing_and_half_precision_is_left() -> None:
    loss, _ = info_nce(100 * EMBEDDINGS.bfloat16())
    assert loss.dtype == torch.float32
    assert loss == pytest.approx(10_000, rel=0.01)  # (0 + 2e4) / 2: the second anchor's negative is nearer
