"""Points that move by their actions: the contrastive loss must learn which segments belong together.

It does not need the dynamics for this; the last test shows how little is enough.
"""

import pytest
import torch

from astra.contrastive_dynamics.info_nce import info_nce
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.actions import ContinuousActionsConfig
from tests.contrastive_dynamics.made import SPEC, STATISTICS, moves

CONFIG = ContrastiveConfig(cdl_fraction=1.0, replace_prob=0.3)


@pytest.fixture(scope="module")
def learned() -> tuple[Astra, ContrastiveDynamics, float]:
    """Train a policy and a head for 90 updates; return them and the retrieval accuracy of untrained ones."""
    torch.manual_seed(0)
    policy = AstraConfig(layers=2, heads=2, width=32, actions=ContinuousActionsConfig()).build(SPEC, STATISTICS)
    contrastive = ContrastiveDynamics(CONFIG, policy)
    before = accuracy(policy, contrastive)
    optimizer = torch.optim.AdamW([*policy.parameters(), *contrastive.parameters()], lr=3e-3)
    for update in range(90):
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
    one_segment = ContrastiveConfig(cdl_fraction=1.0, replace_prob=1e-9, negatives=1)
    embeddings = contrastive.embed(
        policy, trajectory, one_segment.draw(trajectory), contrastive.perturb(trajectory.actions)
    )
    scores = (embeddings[:, 1:] * embeddings[:, :1]).sum(-1)
    assert (scores[:, 0] > scores[:, 1]).float().mean() > 0.85


@torch.no_grad()
def test_segments_by_themselves_tell_a_foreign_one_without_any_dynamics(
    learned: tuple[Astra, ContrastiveDynamics, float],
) -> None:
    """Every product of Eq. 2 contains the anchor: summed random features of its segments recognize foreign ones."""
    _, contrastive, _ = learned
    torch.manual_seed(0)
    trajectory = moves(128, 3, seed=10_000)
    contrast = CONFIG.draw(trajectory)
    states = trajectory.states["place"][contrast.rows[contrast.states // 3] % 128, contrast.states % 3]
    both = torch.cat([trajectory.actions, contrastive.perturb(trajectory.actions)])
    features = [
        torch.cos(segments @ torch.randn(2, 256) + 6.3 * torch.rand(256)).sum(2)
        for segments in (states, both.flatten(0, 1)[contrast.actions])
    ]
    _, metrics = info_nce(torch.cat(features, dim=-1), normalize=True)
    assert metrics["retrieval_accuracy"] > 0.9
