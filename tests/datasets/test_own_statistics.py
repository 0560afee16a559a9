"""Datasets of a mixture with statistics of their own: common units for training, and one dataset's units for acting."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset, Windows, compute_statistics
from astra.datasets.mixture import MixedWindows
from astra.datasets.own_statistics import ActionUnits, in_common_units, units_of, with_units
from astra.datasets.statistics import joint_statistics
from astra.experiments.mixture import in_first_units
from astra.policies.astra import Astra, AstraConfig
from astra.policies.checkpoint import load_policy, save_policy
from astra.policies.policy import Policy, PolicyConfig
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActions, DiscreteActionsConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.states import StateConfig
from astra.trajectory import ActionSpec

STATE, FORCE = "observation.state", "observation.force"
SPECS = {
    "meters": ActionSpec(
        names=("x", "turn", "gripper"),
        low=(-0.2, -np.pi, 0.0),
        high=(0.3, np.pi, 1.0),
        binary=(False, False, True),
        periodic=(False, True, False),
    ),
    "millimeters": ActionSpec(
        names=("gripper", "x", "turn", "lift"),
        low=(-1.0, 100.0, -np.pi, 0.0),
        high=(1.0, 900.0, np.pi, 50.0),
        binary=(True, False, False, False),
        periodic=(False, False, True, False),
    ),
}


def write(folder: Path, name: str) -> LeRobotDataset:
    """Write three episodes of a robot; states and actions fill a part of their range."""
    random, spec = np.random.default_rng(len(name)), SPECS[name]
    low, span = np.array(spec.low), np.array(spec.high) - spec.low
    with DatasetWriter(folder / name, fps=10.0, actions=spec) as writer:
        for length in (8, 12, 9):
            actions = low + span * random.uniform(0.2, 0.9, (length, len(spec)))
            actions[:, spec.binary] = low[[*spec.binary]] + span[[*spec.binary]] * random.integers(0, 2, (length, 1))
            columns = {STATE: random.normal(500.0 if name == "millimeters" else 0.3, 40.0, (length, 2))}
            columns |= {FORCE: random.normal(size=(length, 1))} if name == "meters" else {}
            columns = {key: values.astype(np.float32) for key, values in {**columns, "action": actions}.items()}
            writer.add(Episode(instruction="lift", columns=columns, fps=10.0))
    return LeRobotDataset.open(folder / name)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LeRobotDataset]:
    folder = tmp_path_factory.mktemp("data")
    return {f"data/{name}": write(folder, name) for name in SPECS}


def mixed(
    datasets: dict[str, LeRobotDataset], config: PolicyConfig, kind: ActionUnits
) -> tuple[MixedWindows, Policy[Any]]:
    """Return windows of the mixture in common units, and a policy for them."""
    episodes = range(3)
    units = {name: (dataset.spec.actions, units_of(dataset, episodes, kind)) for name, dataset in datasets.items()}
    common = {name: in_common_units(dataset, units[name][1]) for name, dataset in datasets.items()}
    windows = MixedWindows(
        {name: Windows(each, timesteps=4, chunk_size=config.chunk_size) for name, each in common.items()}
    )
    statistics = joint_statistics([(each, episodes) for each in common.values()], windows.spec)
    torch.manual_seed(0)
    policy = config.build(windows.spec, with_units(statistics, windows.spec.actions, units))
    return windows, policy.eval()


SMALL = AstraConfig(layers=1, heads=2, width=16, chunk_size=2)
STATES = StateConfig(proprioception=ProprioceptionConfig(frequencies=2))
CONFIGS: list[tuple[PolicyConfig, ActionUnits]] = [
    (replace(SMALL, states=STATES), "bounds"),
    (replace(SMALL, actions=DiscreteActionsConfig(bins=20, range="quantiles")), "quantiles"),
    (replace(SMALL, actions=ContinuousActionsConfig()), "deviations"),
]


@pytest.mark.parametrize(("config", "kind"), CONFIGS)
def test_a_policy_sees_and_does_the_same_in_common_units_and_in_those_of_a_dataset(
    datasets: dict[str, LeRobotDataset], config: PolicyConfig, kind: ActionUnits, tmp_path: Path
) -> None:
    windows, policy = mixed(datasets, config, kind)
    save_policy(policy, tmp_path / "policy")
    first = np.cumsum([0, *(len(source) for source in windows.sources)])
    for number, (name, dataset) in enumerate(datasets.items()):
        own = load_policy(tmp_path / "policy", statistics=name.removeprefix("data/"))
        common = windows.batch(np.array([first[number] + 1, first[number] + 5]))
        # The same windows with the numbers that were recorded, where the dataset has them.
        raw = Windows(dataset, timesteps=4, chunk_size=config.chunk_size).batch(np.array([1, 5]))
        actions = common.actions.clone()
        places = [windows.spec.actions.names.index(dimension) for dimension in dataset.spec.actions.names]
        actions[:, :, places] = raw.actions
        recorded = replace(common, states={**common.states, **raw.states}, actions=actions)
        expected, found = policy.loss(common).behavior_cloning, own.loss(recorded).behavior_cloning
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        spec = dataset.spec.actions
        assert [own.spec.actions.low[place] for place in places] == list(spec.low)
        assert [own.spec.actions.high[place] for place in places] == list(spec.high)
        assert not own.statistics.datasets
    assert in_first_units(policy).spec == load_policy(tmp_path / "policy").spec


def test_the_bins_of_a_dataset_are_those_that_it_has_alone(datasets: dict[str, LeRobotDataset]) -> None:
    windows, policy = mixed(datasets, CONFIGS[0][0], "bounds")
    first = np.cumsum([0, *(len(source) for source in windows.sources)])
    for number, dataset in enumerate(datasets.values()):
        alone = DiscreteActionsConfig().build(dataset.spec, compute_statistics(dataset), 4)
        raw = Windows(dataset, timesteps=4, chunk_size=2).batch(np.arange(6))
        common = windows.batch(first[number] + np.arange(6))
        places = [windows.spec.actions.names.index(dimension) for dimension in dataset.spec.actions.names]
        assert isinstance(policy, Astra)
        assert isinstance(policy.actions, DiscreteActions)
        found = policy.actions.bins(common.actions)[..., places]
        valid = raw.action_valid
        assert torch.equal(found[valid], alone.bins(raw.actions)[valid])
        assert len(found[valid][:, dataset.spec.actions.names.index("x")].unique()) > 5  # nothing is squeezed
        states = common.states[STATE][raw.valid]
        assert states.abs().max() < 4


def test_training_keeps_the_units_and_acting_names_a_dataset(
    datasets: dict[str, LeRobotDataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(dataset.folder) for dataset in datasets.values()]
    command = ["train", "own-data", "--dataset", folders[0], "--mixture", folders[1], "--statistics", "own"]
    command += ["--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--policy.chunk-size", "4"]
    command += ["--training.batch-size", "4", "--training.updates", "2", "--validation", "0.3"]
    assert main([*command, "--output", str(tmp_path / "run")]) == 0
    assert main([*command, "--output", str(tmp_path / "run"), "--resume"]) == 0
    assert load_policy(tmp_path / "run").spec.actions.low[0] == pytest.approx(-0.2)
    other = load_policy(tmp_path / "run", statistics="millimeters")
    assert other.spec.actions.low[:3] == pytest.approx((100.0, -np.pi, -1.0))
    assert 400 < float(other.statistics.states[STATE].mean[0]) < 600
    with pytest.raises(ValueError, match=r"statistics of .*meters, .*millimeters, got --statistics feet"):
        load_policy(tmp_path / "run", statistics="feet")
    for acting in (["evaluate"], ["export", "--output", str(tmp_path / "step")]):
        assert main([acting[0], str(tmp_path / "run"), *acting[1:], "--statistics", "feet"]) == 2
        assert "got --statistics feet" in capsys.readouterr().err
    assert main([*command[:4], "--statistics", "own", "--output", str(tmp_path / "one")]) == 2
    assert "--statistics own is for several datasets" in capsys.readouterr().err
    assert main([*command, "--policy.reference-state", STATE, "--output", str(tmp_path / "two")]) == 2
    assert "train with absolute actions" in capsys.readouterr().err
