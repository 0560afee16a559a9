from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from astra.datasets import DatasetWriter, Episode, LeRobotDataset, compute_statistics


def test_statistics_are_those_of_numpy_over_the_chosen_episodes(
    dataset: LeRobotDataset, episodes: list[Episode]
) -> None:
    statistics = compute_statistics(dataset, (0, 3))
    assert statistics.states.keys() == {"observation.state", "observation.gripper"}
    found = {**statistics.states, "action": statistics.actions}
    for column, vector in found.items():
        values = np.concatenate([episodes[index].columns[column] for index in (0, 3)]).astype(np.float64)
        for name in ("mean", "std", "min", "max"):
            expected = torch.tensor(getattr(values, name)(axis=0), dtype=torch.float32)
            torch.testing.assert_close(getattr(vector, name), expected, rtol=1e-6, atol=0)


def test_relative_actions_are_those_of_the_horizon_less_the_state_where_they_are_predicted(
    tmp_path: Path,
) -> None:
    state = np.arange(6, dtype=np.float32)[:, None] * np.array([1.0, -1.0], dtype=np.float32)
    action = state**2
    columns = {"observation.state": state, "observation.other": state[:, :1], "action": action}
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(Episode(instruction="square", columns=columns, fps=5.0))
        writer.add(Episode(instruction="square", columns={name: c[:1] for name, c in columns.items()}, fps=5.0))
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert compute_statistics(dataset, reference_state="observation.other").relative_actions == {}
    statistics = compute_statistics(dataset, reference_state="observation.state", chunk_size=3)
    assert statistics.relative_actions.keys() == {"observation.state"}
    pairs = [(t, t + h) for t in range(6) for h in range(3) if t + h < 6] + [(0, 0)]
    expected = np.stack([action[future] - state[now] for now, future in pairs])
    found = statistics.relative_actions["observation.state"]
    np.testing.assert_allclose(found.mean, expected.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.max, expected.max(0))


def test_a_constant_dimension_is_normalized_to_zero(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    episode = make_episode(0, length=50)
    episode.columns["observation.state"][:, 1] = np.float32(1234.567)
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    statistics = compute_statistics(LeRobotDataset.open(tmp_path / "data")).states["observation.state"]
    assert statistics.std[1] == 1
    normalized = (torch.from_numpy(episode.columns["observation.state"]) - statistics.mean) / statistics.std
    assert torch.equal(normalized[:, 1], torch.zeros(50))


def test_a_small_but_changing_dimension_keeps_its_deviation(
    tmp_path: Path, make_episode: Callable[..., Episode]
) -> None:
    episode = make_episode(0, length=50)
    episode.columns["observation.state"][:, 1] *= 1e-8
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    statistics = compute_statistics(LeRobotDataset.open(tmp_path / "data")).states["observation.state"]
    assert 0 < statistics.std[1] < 1e-7


def test_quantiles_of_actions_leave_a_single_outlier_out(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    episode = make_episode(0, length=300)
    right = episode.columns["action"][:, 0].copy()
    episode.columns["action"][17, 0] = 1e4
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    actions = compute_statistics(LeRobotDataset.open(tmp_path / "data")).actions
    assert actions.low_quantile is not None
    assert actions.high_quantile is not None
    assert actions.max[0] == 1e4
    assert right.min() <= actions.low_quantile[0] < actions.high_quantile[0] <= right.max()


def test_a_dimension_that_differs_by_rounding_alone_is_constant(
    tmp_path: Path, make_episode: Callable[..., Episode]
) -> None:
    episode = make_episode(0, length=50)
    values = episode.columns["observation.state"][:, 1]
    values[:] = np.float32(1234.567)
    values[::2] = np.nextafter(values[::2], np.float32(np.inf))
    assert 0 < values.std(dtype=np.float64) < 1e-3
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        writer.add(episode)
    assert compute_statistics(LeRobotDataset.open(tmp_path / "data")).states["observation.state"].std[1] == 1
