from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astra.datasets import LeRobotDataset, Windows
from astra.trajectory import Trajectory

LENGTHS = (7, 1, 4, 12)
SLOW_FIXTURE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def window_by_hand(dataset: LeRobotDataset, episode: int, start: int, T: int, chunk_size: int) -> Trajectory:
    """Build one window timestep by timestep."""
    columns = dataset.episode(episode).columns
    A = T + chunk_size - 1
    length = len(columns["action"])

    def padded(column: str, timesteps: int) -> torch.Tensor:
        zeros = np.zeros_like(columns[column][0])
        rows = [columns[column][start + t] if start + t < length else zeros for t in range(timesteps)]
        return torch.from_numpy(np.stack(rows))[None]

    valid = torch.tensor([[start + timestep < length for timestep in range(A)]])
    return Trajectory(
        instructions=(dataset.instructions[episode],),
        states={column: padded(column, T) for column in ("observation.state", "observation.gripper")},
        images={"observation.image": padded("observation.image", T).permute(0, 1, 4, 2, 3)},
        valid=valid[:, :T],
        actions=padded("action", A),
        action_valid=valid,
    )


def assert_equal(batch: Trajectory, expected: Sequence[Trajectory]) -> None:
    assert batch.instructions == tuple(window.instructions[0] for window in expected)
    for column in ("observation.state", "observation.gripper"):
        assert torch.equal(batch.states[column], torch.cat([window.states[column] for window in expected]))
    frames = torch.cat([window.images["observation.image"] for window in expected])
    assert torch.equal(batch.images["observation.image"], frames)
    for part in ("valid", "actions", "action_valid"):
        assert torch.equal(getattr(batch, part), torch.cat([getattr(window, part) for window in expected]))


@SLOW_FIXTURE
@given(data=st.data(), T=st.integers(1, 15), chunk_size=st.integers(1, 6), stride=st.integers(1, 5))
def test_windows_equal_those_made_by_hand(
    dataset: LeRobotDataset, data: st.DataObject, T: int, chunk_size: int, stride: int
) -> None:
    episodes = data.draw(st.lists(st.integers(0, 3), min_size=1, unique=True))
    windows = Windows(dataset, episodes, timesteps=T, chunk_size=chunk_size, stride=stride)
    places = [(episode, start) for episode in episodes for start in range(0, LENGTHS[episode], stride)]
    assert len(windows) == len(places)
    indices = data.draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=9))
    longest = min(T, max(LENGTHS[episode] - start for episode, start in (places[index] for index in indices)))
    expected = [window_by_hand(dataset, *places[index], longest, chunk_size) for index in indices]
    assert_equal(windows.batch(np.array(indices)), expected)


def test_one_timestep_makes_every_frame_a_window(dataset: LeRobotDataset) -> None:
    windows = Windows(dataset, timesteps=1)
    batch = windows.batch(np.arange(len(windows)))
    assert len(windows) == sum(LENGTHS)
    assert batch.valid.all()
    assert torch.equal(batch.actions[:, 0], torch.from_numpy(np.array(dataset.columns["action"])))


def test_a_batch_is_not_a_view_of_the_dataset(dataset: LeRobotDataset) -> None:
    windows = Windows(dataset, timesteps=2)
    windows.batch(np.arange(3)).actions.zero_()
    assert windows.batch(np.arange(3)).actions.abs().sum() > 0


@pytest.mark.parametrize(("timesteps", "chunk_size", "stride"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_sizes_are_at_least_one(dataset: LeRobotDataset, timesteps: int, chunk_size: int, stride: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1 each"):
        Windows(dataset, timesteps=timesteps, chunk_size=chunk_size, stride=stride)


@pytest.mark.parametrize("chosen", [[], [4], [-1]])
def test_episodes_exist(dataset: LeRobotDataset, chosen: list[int]) -> None:
    with pytest.raises(ValueError, match="each from 0 to 3"):
        Windows(dataset, chosen, timesteps=1)


def test_windows_that_end_at_each_timestep_hold_what_came_before_it(dataset: LeRobotDataset) -> None:
    T, chunk_size = 4, 3
    windows = Windows(dataset, [0, 2], timesteps=T, chunk_size=chunk_size, ending=True)
    ends = [(episode, end) for episode in (0, 2) for end in range(LENGTHS[episode])]
    assert len(windows) == len(ends)
    for index, (episode, end) in enumerate(ends):
        first = max(end - T + 1, 0)
        length = end - first + 1
        batch = windows.batch(np.array([index]))
        assert int(windows.lengths(np.array([index]))[0]) == batch.num_timesteps == length
        by_hand = window_by_hand(dataset, episode, first, length, chunk_size)
        assert_equal(batch, [by_hand])
        assert batch.counted.nonzero().tolist() == [[0, length - 1]]


def test_a_batch_of_ending_windows_pads_the_shorter_ones_at_their_end(dataset: LeRobotDataset) -> None:
    batch = Windows(dataset, [0], timesteps=4, ending=True).batch(np.array([1, 5]))
    assert batch.valid.tolist() == [[True, True, False, False], [True, True, True, True]]
    assert batch.counted.tolist() == [[False, True, False, False], [False, False, False, True]]
    assert not batch.states["observation.state"][0, 2:].any()
