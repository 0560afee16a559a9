import math

import pytest
import torch

from astra.contrastive_dynamics.info_nce import info_nce, score_alone

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


def test_scores_alone_are_products_with_the_learned_vector_by_hand() -> None:
    w = torch.tensor([1.0, -1.0])  # scores -1, 1, -1, 1 and 1, -3, 0, -1
    loss, metrics = score_alone(EMBEDDINGS, w)
    negatives = [(-1, 1), (0, -1)]
    real = [(-1, 1), (1, -3)]
    costs = [
        math.log(math.exp(score) + sum(map(math.exp, others))) - score
        for scores, others in zip(real, negatives, strict=True)
        for score in scores
    ]
    assert loss == pytest.approx(sum(costs) / 4, rel=1e-6)
    assert metrics["retrieval_accuracy"] == 1 / 4, "the second anchor as recorded is above both its negatives"
    assert metrics["similarity_negative"] == pytest.approx((-1 + 1 + 0 - 1) / 4 / 2**0.5, rel=1e-6)


def test_scores_alone_do_not_depend_on_what_candidates_share_with_the_anchor() -> None:
    embeddings, w = torch.randn(1, 4, 8), torch.randn(8)
    moved = embeddings.clone()
    moved[0, 0] = embeddings[0, 1]  # the positive equals its anchor
    rates = [score_alone(each[:, [1, 1, 2, 3]], w)[0] for each in (embeddings, moved)]
    assert torch.equal(*rates)
    assert info_nce(moved)[0] < info_nce(embeddings)[0]
    unit, long = (score_alone(scale * embeddings, w, normalize=True)[0] for scale in (1, 9))
    torch.testing.assert_close(unit, long)
