from pathlib import Path

import numpy as np
import pytest


def test_mirroring_twice_changes_nothing() -> None:
    from astra.demonstrations.convert import mirrored

    states = np.random.default_rng(0).uniform(0, 512, (5, 5))
    np.testing.assert_allclose(mirrored(mirrored(states)), states)


def test_central_goal_is_its_own_mirror_image_and_the_other_is_not() -> None:
    from astra.demonstrations.convert import mirrored
    from astra.environments.pusht.geometry import CENTER, LOWER_RIGHT

    def image(goal: tuple[float, float, float]) -> np.ndarray:
        return mirrored(np.array([[0.0, 0.0, *goal]]))[0, 2:]

    np.testing.assert_allclose(image(CENTER), CENTER)
    assert not np.allclose(image(LOWER_RIGHT), LOWER_RIGHT)


@pytest.mark.simulator
def test_mirrored_actions_cover_the_goal_as_the_demonstrated_ones_do(shared_data: Path) -> None:
    """The board, the walls and the T are symmetric: replayed open loop, both reach the same coverage."""
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.demonstrations.convert import mirrored
    from astra.environments.pusht.environment import PushTConfig
    from astra.environments.pusht.geometry import BOARD

    recorded = np.load(shared_data / "pusht" / "pusht_cchi_v7_lowdim.npz")
    end = recorded["episode_ends"][0]
    states, actions = recorded["state"][:end].astype(np.float64), recorded["action"][:end]

    def replay(start: np.ndarray, targets: np.ndarray) -> float:
        environment = PushTConfig(max_timesteps=len(targets) + 1).build()
        environment.reset(seed=0, options={"state": start})
        return max(environment.step(target)[4]["coverage"] for target in targets)

    coverage = replay(states[0], actions)
    assert coverage > 0.85
    assert replay(mirrored(states)[0], BOARD - actions[:, ::-1]) == pytest.approx(coverage, abs=0.02)


@pytest.mark.simulator
def test_human_demonstrations_become_what_the_environment_observes(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    pytest.importorskip("zarr", reason="needs the extra `zarr`")
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.environment import PushTConfig

    store = shared_data / "pusht" / "pusht_cchi_v7_replay.zarr.tar"
    dataset = LeRobotDataset.open(convert_pusht_zarr(store, tmp_path / "human", mirror=True))
    assert len(dataset) == 2 * 206
    assert int(dataset.lengths.sum()) == 2 * 25_650
    offered = PushTConfig().build().spec_of_trajectories
    assert dict(dataset.spec.states) == dict(offered.states)
    assert dataset.spec.actions == offered.actions
    assert dataset.spec.suite == "pusht"
    first = np.load(shared_data / "pusht" / "pusht_cchi_v7_lowdim.npz")["state"][0]
    observation, _ = PushTConfig().build().reset(seed=0, options={"state": first})
    for name, values in observation.items():
        np.testing.assert_allclose(dataset.columns[name][0], values, atol=1e-3)


def test_moved_demonstrations_begin_after_they_last_leave_the_board() -> None:
    from astra.demonstrations.convert import moved

    states = np.array([[200.0, 300.0, 356.0, 330.0, np.pi / 4]] * 6)
    states[:, 0] += 10 * np.arange(6)
    actions = np.full((6, 2), 250.0, np.float32)
    states[1, 0] = 104.0  # the agent, outside the left wall once it is moved
    actions[2, 1] = 90.0  # its target, above the board
    kept, targets = moved(states, actions, (-100.0, -100.0))
    np.testing.assert_allclose(kept, states[3:] - np.array([100.0, 100.0, 100.0, 100.0, 0.0]))
    np.testing.assert_array_equal(targets, actions[3:] - 100.0)
    states[5, 3] = 107.0  # the T, at the end
    assert len(moved(states, actions, (-100.0, -100.0))[0]) == 0


@pytest.mark.simulator
def test_demonstrations_of_the_second_goal_end_in_the_first_one_after_the_move(
    shared_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("zarr", reason="needs the extra `zarr`")
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.geometry import CENTER, keypoints

    folder = shared_data / "pusht"
    stores = folder / "pusht_cchi_v7_replay.zarr.tar", folder / "pusht_keypoint_x356_y356.zarr.tar"
    dataset = LeRobotDataset.open(convert_pusht_zarr(stores[0], tmp_path / "both", lower_right=stores[1]))
    assert len(dataset) == 206 + 151
    assert dataset.spec.instructions == ("push the T to the center",)
    corners = dataset.columns["observation.environment_state"]
    lengths = np.asarray(dataset.lengths)
    added = corners[int(lengths[:206].sum()) :]
    assert added.min() >= 7
    assert added.max() <= 504
    last = corners[np.cumsum(lengths)[206:] - 1]
    assert np.abs(last - keypoints(CENTER)).mean() < 10


@pytest.mark.simulator
def test_converted_demonstrations_hide_the_t_as_play_does(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="needs the extra `zarr`")
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.suite import BLINKING, options_for

    store = shared_data / "pusht" / "pusht_cchi_v7_replay.zarr.tar"
    dataset, again = (
        LeRobotDataset.open(convert_pusht_zarr(store, tmp_path / name, hidden=BLINKING)) for name in ("one", "two")
    )
    visible = dataset.columns["observation.visible"]
    assert visible.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(visible, again.columns["observation.visible"])
    assert (dataset.columns["observation.environment_state"].any(1) == (visible[:, 0] == 1)).all()
    assert options_for(dataset.spec).hidden == BLINKING


def test_demonstrations_are_not_moved_to_the_goal_that_they_have(tmp_path: Path) -> None:
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.geometry import LOWER_RIGHT

    with pytest.raises(ValueError, match="have the same goal"):
        convert_pusht_zarr(tmp_path, tmp_path / "out", goal=LOWER_RIGHT, lower_right=tmp_path)


def test_goal_that_is_not_its_own_mirror_image_cannot_be_mirrored(tmp_path: Path) -> None:
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.geometry import LOWER_RIGHT

    with pytest.raises(ValueError, match="not its own mirror image"):
        convert_pusht_zarr(tmp_path, tmp_path / "out", goal=LOWER_RIGHT, mirror=True)
