from pathlib import Path

import numpy as np
import pytest
import torch

from astra.analysis.first_action import first_action_losses, without_later_actions
from astra.datasets import DatasetWriter, Episode, LeRobotDataset, Windows, compute_statistics
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.actions import DiscreteActionsConfig


@pytest.fixture
def dataset(tmp_path: Path) -> LeRobotDataset:
    random = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "data", fps=10.0) as writer:
        for length in (3, 9, 5):
            columns = {
                "observation.state": random.normal(size=(length, 2)).astype(np.float32),
                "action": random.uniform(-1, 1, (length, 2)).astype(np.float32),
            }
            writer.add(Episode(instruction="go", columns=columns, fps=10.0))
    return LeRobotDataset.open(tmp_path / "data")


def built(dataset: LeRobotDataset, window: int | None, chunk_size: int) -> Astra:
    torch.manual_seed(0)
    config = AstraConfig(
        layers=1, heads=2, width=16, window=window, chunk_size=chunk_size, actions=DiscreteActionsConfig(bins=8)
    )
    statistics = compute_statistics(dataset, range(3), reference_state=None, chunk_size=chunk_size)
    return config.build(dataset.spec, statistics).eval()


def test_the_loss_is_that_of_the_first_action_at_every_timestep_with_its_history(dataset: LeRobotDataset) -> None:
    policy = built(dataset, window=None, chunk_size=3)
    losses = first_action_losses(policy, dataset, [0, 1], timesteps=9)
    for index, episode in enumerate((0, 1)):
        length = int(dataset.lengths[episode])
        whole = Windows(dataset, [episode], timesteps=length, chunk_size=3, stride=length).batch(np.array([0]))
        with torch.no_grad():
            outputs = policy.run_trunk(policy.query_inputs(whole, torch.arange(3)), context_out=False)
            first = policy.head(outputs.unflatten(1, (length, 3, 2)))[0, :, 0]
            expected = policy.head.loss(first, whole.actions[0, :length]).mean()
        assert losses[index] == pytest.approx(float(expected), abs=1e-5)


def test_the_history_is_no_longer_than_asked_for(dataset: LeRobotDataset) -> None:
    whole = built(dataset, window=None, chunk_size=1)
    one = built(dataset, window=1, chunk_size=1)
    assert first_action_losses(one, dataset, [1], 4) == pytest.approx(
        first_action_losses(one, dataset, [1], 1), abs=1e-5
    )
    assert abs(first_action_losses(whole, dataset, [1], 4) - first_action_losses(whole, dataset, [1], 1)).max() > 1e-4


def test_actions_of_the_past_stay_and_those_of_the_future_go(dataset: LeRobotDataset) -> None:
    batch = Windows(dataset, [1, 2], timesteps=4, chunk_size=3, ending=True).batch(np.array([0, 6, 10]))
    kept = without_later_actions(batch)
    assert kept.action_valid.sum(1).tolist() == [1, 4, 2]
    assert (batch.action_valid.sum(1) > kept.action_valid.sum(1)).all()
