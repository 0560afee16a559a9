from pathlib import Path

import numpy as np
import pytest

from astra.datasets import LeRobotDataset
from astra.demonstrations.tabletop import TabletopCollectConfig, collect_tabletop, demonstrate
from astra.environments.tabletop.environment import ACTIONS, FRAMES, OBJECTS, TabletopConfig
from astra.suites.tabletop_evaluation import world_of

TASKS = ("visual_manipulation", "follow_order", "sweep_without_exceeding")


def test_a_demonstration_solves_its_episode_when_it_is_played_again() -> None:
    episode = demonstrate("train", "pick_in_order_then_restore", 7)
    assert episode is not None
    environment = TabletopConfig(level="train").build()
    observation, _ = environment.reset(seed=7, options={"task": "pick_in_order_then_restore"})
    assert episode.instruction == environment.instruction
    info = {}
    for step, action in enumerate(episode.columns["action"]):
        for name, values in observation.items():
            np.testing.assert_array_equal(episode.columns[name][step], values)
        observation, *_, info = environment.step(action)
    assert info["is_success"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LeRobotDataset:
    """Six episodes of three tasks, with frames."""
    folder = tmp_path_factory.mktemp("tabletop") / "data"
    collect_tabletop(TabletopCollectConfig(episodes=6, output=folder, tasks=TASKS, workers=1, frames=True))
    return LeRobotDataset.open(folder)


def test_collected_episodes_are_read_back_as_they_were_seen(dataset: LeRobotDataset) -> None:
    assert len(dataset) == 6
    assert dataset.spec.actions == ACTIONS
    assert dataset.spec.objects is not None
    assert dict(dataset.spec.objects.views) == dict(OBJECTS.views)
    assert dataset.spec.objects.max_objects == OBJECTS.max_objects
    shown = [demonstrate("train", TASKS[seed % 3], seed) for seed in range(6)]
    assert dataset.lengths.tolist() == [len(episode) for episode in shown if episode is not None]


def test_a_policy_sees_the_frames_that_demonstrations_hold_bit_for_bit(dataset: LeRobotDataset) -> None:
    assert dataset.spec.images == FRAMES
    environment = world_of(dataset.spec).build()
    assert environment.spec_of_trajectories.images == FRAMES
    for number in range(3):
        episode = dataset.episode(number)
        observation, _ = environment.reset(seed=number, options={"task": TASKS[number], "level": "train"})
        for step, action in enumerate(episode.columns["action"]):
            for name, values in observation.items():
                np.testing.assert_array_equal(episode.columns[name][step], values)
            observation, *_ = environment.step(action)
    assert all(np.ptp(dataset.columns[name]) > 100 for name in FRAMES)


def test_frames_change_nothing_else(dataset: LeRobotDataset) -> None:
    plain = demonstrate("train", TASKS[0], 0)
    assert plain is not None
    filmed = dataset.episode(0).columns
    assert filmed.keys() == plain.columns.keys() | FRAMES.keys()
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(filmed[name], values)


def test_refuses_unknown_levels_and_tasks_before_it_begins(tmp_path: Path) -> None:
    for wrong in ({"level": "L9"}, {"tasks": ("follow_motion",)}, {"episodes": 0}):
        with pytest.raises(ValueError, match=r"no level|no task|needs episodes"):
            collect_tabletop(TabletopCollectConfig(**{"episodes": 2, "output": tmp_path / "data", **wrong}))
    assert not (tmp_path / "data").exists()
