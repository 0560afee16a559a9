"""Points that move by their actions: contrast must teach what belongs together, or these tests fail."""

import pytest
import torch

from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.actions import ContinuousActionsConfig
from tests.contrastive_dynamics.made import SPEC, STATISTICS, moves

CONFIG = ContrastiveConfig(cdl_fraction=1.0, replaced=0.3)


@pytest.fixture(scope="module")
def learned() -> tuple[Astra, ContrastiveDynamics, float]:
    """A policy and a head after 150 updates, and how often the untrained ones were right."""
    torch.manual_seed(0)
    policy = AstraConfig(layers=2, heads=2, width=32, actions=ContinuousActionsConfig()).build(SPEC, STATISTICS)
    contrastive = ContrastiveDynamics(CONFIG, policy)
    before = accuracy(policy, contrastive)
    optimizer = torch.optim.AdamW([*policy.parameters(), *contrastive.parameters()], lr=3e-3)
    for update in range(150):
        trajectory = moves(32, 3, seed=update)
        loss, _ = contrastive(policy, trajectory, CONFIG.draw(trajectory))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return policy, contrastive, before


@torch.no_grad()
def accuracy(policy: Astra, contrastive: ContrastiveDynamics) -> float:
    trajectory = moves(128, 3, seed=10_000)
    _, metrics = contrastive(policy, trajectory, CONFIG.draw(trajectory))
    return float(metrics["retrieval_accuracy"])


def test_retrieval_is_learned(learned: tuple[Astra, ContrastiveDynamics, float]) -> None:
    policy, contrastive, before = learned
    after = accuracy(policy, contrastive)
    assert before < 0.6
    assert after > before + 0.3


@torch.no_grad()
def test_one_wrong_transition_scores_lower_than_the_true_trajectory(
    learned: tuple[Astra, ContrastiveDynamics, float],
) -> None:
    policy, contrastive, _ = learned
    trajectory = moves(128, 3, seed=20_000)
    one_segment = ContrastiveConfig(cdl_fraction=1.0, replaced=1e-9, negatives=1)
    embeddings = contrastive.embed(
        policy, trajectory, one_segment.draw(trajectory), contrastive.perturb(trajectory.actions)
    )
    scores = (embeddings[:, 1:] * embeddings[:, :1]).sum(-1)
    assert (scores[:, 0] > scores[:, 1]).float().mean() > 0.85
