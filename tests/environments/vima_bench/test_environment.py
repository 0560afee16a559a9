"""VIMA-Bench: tests against the package if it is installed, and the message if it is not."""

import sys
from pathlib import Path

import numpy as np
import pytest

from astra.environments.vima_bench.environment import VIEWS, VimaBenchConfig, tasks_of
from astra.environments.vima_bench.expert import VimaExpert, demonstrate
from astra.environments.vima_bench.package import is_installed, vima_bench
from astra.objects import placeholders

needs_vima_bench = pytest.mark.skipif(
    "not is_installed()",
    reason="needs VIMA-Bench, which docs/vima-bench.md says how to install",
)


def test_a_missing_package_is_an_error_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "vima_bench"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "vima_bench.env", None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(ValueError, match=r"VIMA-Bench is not installed: .*docs/vima-bench.md"):
        VimaBenchConfig().build()
    assert not is_installed()
    assert "gym" not in sys.modules
    assert "kornia" not in sys.modules


def test_an_unknown_level_lists_the_known_ones():
    with pytest.raises(ValueError, match="no level 'L5'; it has train, L1, L2, L3, L4"):
        tasks_of("L5")


@needs_vima_bench
def test_the_levels_have_the_tasks_of_the_paper():
    assert [len(tasks_of(level)) for level in ("train", "L1", "L2", "L3", "L4")] == [13, 13, 13, 12, 4]
    with pytest.raises(
        ValueError, match=r"level L4 has no task 'rotate'; it has sweep_without_touching, novel_adj_and"
    ):
        VimaBenchConfig(task="rotate", level="L4").build()


@needs_vima_bench
def test_the_import_restores_gym_and_kornia():
    vima_bench()
    assert "kornia" not in sys.modules
    assert "gym" not in sys.modules


@needs_vima_bench
def test_an_episode_fits_the_spec_and_equal_seeds_are_equal():
    environment = VimaBenchConfig(task="rotate").build()
    try:
        with pytest.raises(ValueError, match="one environment per process"):
            VimaBenchConfig().build()
        first, info = environment.reset(seed=3, options={"expert": True})
        assert info["is_success"] is False
        assert environment.observation_space.contains(first)
        assert set(environment.prompt_pictures) == set(placeholders(environment.instruction))
        pictures = environment.prompt_pictures
        assert environment.max_timesteps == environment.expert_steps + 2
        for view, (height, width) in VIEWS.items():
            boxes = first[f"observation.objects.{view}.boxes"][first[f"observation.objects.{view}.valid"]]
            assert len(boxes) > 0
            assert (boxes[:, 0] < width).all()
            assert (boxes[:, 1] < height).all()
        with pytest.raises(ValueError, match="outside the workspace"):
            environment.step(environment.no_op_action() + 1)
        solved = environment.step(VimaExpert(3).act(environment))
        assert solved[2]
        assert solved[4]["is_success"]
        assert environment.frame().shape == (256, 256, 3)

        again, _ = environment.reset(seed=3)
        for name, values in first.items():
            np.testing.assert_array_equal(again[name], values)
        for name, shown in environment.prompt_pictures.items():
            np.testing.assert_array_equal(shown["top"]["crops"], pictures[name]["top"]["crops"])
        _, _, done, _, info = environment.step(environment.no_op_action())
        assert not done
        assert not info["is_success"]
    finally:
        environment.close()


@needs_vima_bench
def test_the_order_of_objects_does_not_reveal_their_role():
    """The package numbers the goal first and the target second."""
    environment = VimaBenchConfig(task="visual_manipulation").build()
    try:
        places = []
        for seed in range(12):
            observation, _ = environment.reset(seed=seed, options={"expert": True})
            x, y = VimaExpert(seed).act(environment)[:2]
            boxes = observation["observation.objects.top.boxes"]
            distances = np.hypot(boxes[:, 0] - 256 * (y + 0.5), boxes[:, 1] - 128 * (x - 0.25) / 0.5)
            valid = observation["observation.objects.top.valid"].astype(bool)
            places.append(int(np.where(valid, distances, np.inf).argmin()))
        assert len(set(places)) == 3, places
    finally:
        environment.close()


@needs_vima_bench
def test_expert_demonstrations_also_succeed_from_the_centers_of_bins():
    import torch

    from astra.tokenizers.actions import DiscreteActionsConfig
    from astra.trajectory import Statistics, VectorStatistics

    config = VimaBenchConfig(task="rotate")
    shown = demonstrate(config, 0)
    assert shown is not None
    environment = config.build()
    try:
        spec = environment.spec_of_trajectories
        low, high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        ends = VectorStatistics(mean=low, std=high - low, min=low, max=high)
        bins = DiscreteActionsConfig().build(spec, Statistics(states={}, actions=ends), 8)
        actions = bins.centers(bins.bins(torch.from_numpy(shown.columns["action"]))).double().numpy()
        environment.reset_once(0)
        assert environment.step(actions[0])[4]["is_success"]
    finally:
        environment.close()


@needs_vima_bench
@pytest.mark.slow
def test_demonstrations_of_two_processes_make_a_dataset(tmp_path: Path):
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.collect import CollectConfig, collect
    from astra.environments.vima_bench.suite import SUITE, VimaBenchOptions

    tasks = ("visual_manipulation", "sweep_without_exceeding")
    config = CollectConfig(episodes=4, output=tmp_path / "data", tasks=tasks, workers=2)
    folder = collect(SUITE, config, VimaBenchOptions(actions="quaternion"))
    dataset = LeRobotDataset.open(folder)
    assert len(dataset) == 4
    assert dataset.spec.actions.bins == (50, 100, 50, 50, 50, 50) * 2
    assert dataset.columns["observation.end_effector"].sum(axis=0).min() > 0  # both end effectors
    alone = demonstrate(VimaBenchConfig(task=tasks[0], actions="quaternion"), 0)
    assert alone is not None
    np.testing.assert_array_equal(dataset.episode(0).columns["action"], alone.columns["action"])
