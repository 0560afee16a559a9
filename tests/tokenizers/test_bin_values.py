"""Bins embedded as numbers, and the norm of words."""

import math

import pytest
import torch

from astra.objects import Objects, ObjectSpec
from astra.policies.action_heads import DiscreteHead
from astra.tokenizers.actions import DiscreteActions, DiscreteActionsConfig
from astra.tokenizers.vision.objects import ObjectConfig
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

WIDTH = 128
SPEC = TrajectorySpec(
    states={},
    actions=ActionSpec(
        names=("x", "angle", "grip"),
        low=(0.0, -3.0, 0.0),
        high=(1.0, 3.0, 1.0),
        binary=(False, False, True),
        periodic=(False, True, False),
    ),
)


def build(**options: int | bool) -> DiscreteActions:
    low, high = torch.tensor(SPEC.actions.low), torch.tensor(SPEC.actions.high)
    actions = VectorStatistics(mean=low + 0.3 * (high - low), std=(high - low) / 5, min=low, max=high)
    config = DiscreteActionsConfig(bins=60, **options)  # pyright: ignore[reportArgumentType]
    return config.build(SPEC, Statistics(states={}, actions=actions), WIDTH)


def tokens_of_all_bins(actions: DiscreteActions, n: int) -> torch.Tensor:
    values = actions.centers(torch.arange(60)[:, None].expand(-1, 3).clamp(max=actions.counts - 1))
    return actions(values)[:, n]


def test_tokens_of_neighboring_bins_are_similar_and_those_of_far_ones_are_not() -> None:
    tokens = tokens_of_all_bins(build(token_frequencies=8), 0)
    similarity = torch.cosine_similarity(tokens[:, None], tokens[None], dim=-1)
    assert similarity.diagonal(1).min() > 0.9
    assert similarity.diagonal(30).max() < 0.7
    strangers = tokens_of_all_bins(build(), 0)
    assert torch.cosine_similarity(strangers[1:], strangers[:-1], dim=-1).max() < 0.4


def test_the_last_bin_of_an_angle_is_next_to_its_first_but_not_that_of_a_position() -> None:
    actions = build(token_frequencies=8)
    position, angle = (tokens_of_all_bins(actions, n) for n in (0, 1))
    assert torch.cosine_similarity(angle[0], angle[-1], dim=0) > 0.9
    assert torch.cosine_similarity(position[0], position[-1], dim=0) < 0.7


@torch.no_grad()
def test_every_bin_of_every_dimension_has_a_token_of_its_own_as_long_as_an_embedding() -> None:
    actions = build(token_frequencies=8)
    tokens = torch.cat([tokens_of_all_bins(actions, n) for n in range(3)]).unique(dim=0)
    assert len(tokens) == 60 + 60 + 2
    strangers = tokens_of_all_bins(build(), 0)
    assert tokens.norm(dim=-1).mean() == pytest.approx(strangers.norm(dim=-1).mean().item(), rel=0.2)


@torch.no_grad()
def test_scaled_heads_start_near_the_uniform_distribution_whatever_their_frequencies() -> None:
    outputs, values = torch.randn(500, 3, WIDTH), torch.rand(500, 3)
    excess = {}
    for scaled in (False, True):
        actions = build(head_frequencies=24, head_scaled=scaled)
        head = DiscreteHead(actions, WIDTH, 0.0)
        excess[scaled] = head.loss(head(outputs), values)[:, 0].mean().item() - math.log(60)
    assert excess[False] > 1
    assert abs(excess[True]) < 0.4


def test_objects_start_as_long_as_words_with_the_norm_of_words() -> None:
    spec = ObjectSpec(views={"top": (64, 64)}, max_objects=3)
    crops = torch.randint(256, (4, 3, 32, 32, 3), dtype=torch.uint8)
    valid = torch.tensor([[True, True, False]]).expand(4, 3)
    views = {"top": Objects(crops=crops, boxes=60 * torch.rand(4, 3, 4), valid=valid)}
    norms = {}
    for scaled in (False, True):
        tokens, _ = ObjectConfig().build(spec, WIDTH, scaled=scaled)(views)
        assert not tokens[:, 2].any()
        norms[scaled] = tokens[:, :2].norm(dim=-1).mean().item()
    assert norms[False] > 4
    assert norms[True] == pytest.approx(0.554, abs=0.01)
