import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from astra.datasets import LeRobotDataset
    from astra.policies.policy import Policy


@pytest.fixture
def dataset(tmp_path: Path) -> "LeRobotDataset":
    """Write four episodes whose first action is the first state, and whose second dimension never changes."""
    from astra.datasets import DatasetWriter, Episode, LeRobotDataset

    first = np.array([-0.9, -0.4, 0.1, 0.6], np.float32)
    with DatasetWriter(tmp_path / "data", fps=5.0) as writer:
        for value in first:
            states = np.linspace(value, 0.9, 3, dtype=np.float32)[:, None]
            columns = {"observation.state": states, "action": np.concatenate([states, 0 * states], axis=1)}
            writer.add(Episode(instruction="go", columns=columns, fps=5.0))
    return LeRobotDataset.open(tmp_path / "data")


def made(dataset: "LeRobotDataset", act: Callable[[torch.Tensor], Sequence[float]]) -> "Policy[Any]":
    """Build an untrained policy whose actions are given by a function."""
    from astra.datasets import compute_statistics
    from astra.policies.astra import AstraConfig

    statistics = compute_statistics(dataset, range(4))
    policy = AstraConfig(layers=1, heads=1, width=8).build(dataset.spec, statistics).eval()

    def chosen(state: Any, observation: Any) -> tuple[torch.Tensor, Any]:
        return torch.tensor([act(row) for row in observation.states["observation.state"]]), state

    policy.act = chosen  # pyright: ignore[reportAttributeAccessIssue]
    return policy


def test_the_error_is_reported_with_the_share_of_episodes_within_tolerance(dataset: "LeRobotDataset") -> None:
    from astra.analysis.open_loop import open_loop_error

    low, high = dataset.spec.actions.low[0], dataset.spec.actions.high[0]
    shift = 0.06 * (high - low)
    policy = made(dataset, lambda state: [float(state[0]) + (shift if state[0] > 0 else 0), 0.0])
    result = open_loop_error(policy, dataset, range(4), within=0.05)
    (dimension,) = result.dimensions  # the other one never changes
    assert dimension.name == dataset.spec.actions.names[0]
    assert dimension.error == pytest.approx(shift / 2, rel=1e-4)
    assert dimension.near.value == result.all_near.value == 0.5
    assert open_loop_error(policy, dataset, range(4), within=0.07).all_near.value == 1.0
    assert result.teacher_forced_accuracy is not None
    assert 0 <= result.teacher_forced_accuracy <= 1


def test_a_policy_that_acts_as_demonstrated_is_always_near(dataset: "LeRobotDataset") -> None:
    from astra.analysis.open_loop import open_loop_error

    policy = made(dataset, lambda state: [float(state[0]), 0.0])
    result = open_loop_error(policy, dataset, [1, 3], within=0.001)
    assert result.all_near.value == 1.0
    assert result.dimensions[0].error == pytest.approx(0, abs=1e-6)


def test_a_periodic_dimension_is_measured_the_shorter_way_around() -> None:
    from astra.analysis.open_loop import absolute_errors
    from astra.trajectory import ActionSpec

    actions = ActionSpec(
        names=("angle", "x"), low=(-180, -180), high=(180, 180), binary=(False, False), periodic=(True, False)
    )
    chosen, demonstrated = torch.tensor([[179.0, 179.0], [10, 10]]), torch.tensor([[-179.0, -179.0], [-20, -20]])
    assert absolute_errors(chosen, demonstrated, actions).tolist() == [[2, 358], [30, 30]]


def test_other_demonstrations_and_impossible_shares_are_refused(dataset: "LeRobotDataset") -> None:
    from astra.analysis.open_loop import open_loop_error

    policy = made(dataset, lambda state: [0.0, 0.0])
    with pytest.raises(ValueError, match="within"):
        open_loop_error(policy, dataset, [0], within=0)
    other = replace(dataset, spec=replace(dataset.spec, states={"observation.other": 1}))
    with pytest.raises(ValueError, match=r"it has observation\.other, which is not expected; no observation\.state"):
        open_loop_error(policy, other, [0], within=0.1)


@pytest.mark.parametrize(("validation", "trained", "message"), [(0.25, 2, "would have used 3"), (0, 4, "held out")])
def test_only_the_dataset_of_the_training_is_split(
    dataset: "LeRobotDataset", validation: float, trained: int, message: str
) -> None:
    from astra.analysis.split import Split

    split = Split(dataset=dataset.folder, validation=validation, seed=3, training_episodes=trained)
    with pytest.raises(ValueError, match=message):
        split.held_out(dataset)
    right = Split(dataset=dataset.folder, validation=0.25, seed=3, training_episodes=3)
    assert right.held_out(dataset) == dataset.split_episodes(0.25, 3)[1]


def test_the_split_is_read_from_the_run_of_a_checkpoint(tmp_path: Path) -> None:
    from astra.analysis.split import Split, read_split

    policy = tmp_path / "run" / "checkpoints" / "000003" / "policy"
    policy.mkdir(parents=True)
    (policy / "config.json").write_text(json.dumps({"policy": "astra"}))
    described = {"dataset": "data/here", "episodes": 90, "validation": 0.1}
    (tmp_path / "run" / "config.json").write_text(json.dumps({"training": {"seed": 7}, "description": described}))
    wanted = Split(dataset=Path("data/here"), validation=0.1, seed=7, training_episodes=90)
    assert read_split(policy) == read_split(tmp_path / "run") == wanted


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"training": {"seed": 7}}, "lacks 'description'"),
        ({"training": {"seed": "7"}, "description": {"dataset": "d", "episodes": 1}}, "training.seed is"),
        ({"training": {"seed": 7}, "description": {"dataset": ["d"], "episodes": 1}}, "description.dataset is"),
        ({"training": {"seed": 7}, "description": {"dataset": "d", "episodes": 1, "validation": "x"}}, "validation"),
        ([], "expected an object"),
    ],
)
def test_a_damaged_configuration_of_a_run_is_one_message(tmp_path: Path, config: Any, message: str) -> None:
    from astra.analysis.split import read_split

    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message) as error:
        read_split(tmp_path)
    assert "copy the run's own config.json" in str(error.value)
