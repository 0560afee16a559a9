from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from astra.datasets import Episode
from astra.datasets.episode import check_episode, is_camera

Make = Callable[..., Episode]


def changed(episode: Episode, **columns: np.ndarray) -> Episode:
    return replace(episode, columns={**episode.columns, **columns})


def test_whole_episodes_pass(make_episode: Make) -> None:
    check_episode(make_episode(0, camera=True), 0)
    assert len(make_episode(0, length=3)) == 3


def test_cameras_are_reported_by_their_names() -> None:
    assert is_camera("observation.image")
    assert is_camera("observation.images.wrist")
    assert not is_camera("observation.image_features")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_episode_column_and_timestep(make_episode: Make, bad: float) -> None:
    episode = make_episode(0)
    episode.columns["observation.state"][3, 1] = bad
    with pytest.raises(ValueError, match=r"episode 41, column 'observation\.state': NaN or infinite .* timestep 3"):
        check_episode(episode, 41)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("observation.state", np.zeros((4, 3), np.float32), "got 4 timesteps, but 'action' has 5"),
        ("observation.state", np.zeros((5, 3)), "got float64"),
        ("observation.state", np.zeros(5, np.float32), "expected float32 vectors"),
        ("observation.image", np.zeros((5, 6, 9, 3), np.float32), "expected uint8 frames"),
        ("observation.image", np.zeros((5, 3, 6, 9), np.uint8), "expected uint8 frames"),
        ("reward", np.zeros((5, 1), np.float32), "starts with 'observation.'"),
    ],
)
def test_columns_of_another_form_are_refused(make_episode: Make, column: str, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_episode(changed(make_episode(0), **{column: values}), 2)
    assert str(caught.value).startswith(f"episode 2, column {column!r}")


def test_an_episode_needs_actions_an_instruction_and_a_timestep(make_episode: Make) -> None:
    with pytest.raises(ValueError, match="no 'action'"):
        check_episode(replace(make_episode(0), columns={"observation.state": np.zeros((5, 3), np.float32)}), 0)
    with pytest.raises(ValueError, match="no timesteps"):
        check_episode(make_episode(0, length=0), 0)
