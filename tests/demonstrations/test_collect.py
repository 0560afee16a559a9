import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.datasets import LeRobotDataset
from astra.datasets.sentences import read_sentences
from astra.demonstrations import collect as module
from astra.demonstrations.collect import CollectConfig, collect, demonstrate
from astra.environments.environment import EnvironmentObservation
from astra.environments.seeds import EVALUATION, LATER, ROLLOUTS
from astra.environments.suite import Demonstration, Goal, Suite, Task
from astra.environments.tabletop.environment import ACTIONS, FRAMES, OBJECTS, Tabletop, TabletopConfig
from astra.environments.tabletop.suite import SUITE, TabletopOptions
from astra.evaluation.agents import ExpertAgent
from astra.evaluation.episode import Case
from astra.evaluation.rollout import rollout
from astra.experiments import EXPERIMENTS
from astra.parallel.interruption import Terminated, sigterm_raises
from astra.suites.config import EvaluationConfig
from tests.evaluation.line_world import Chain, Line

TASKS = ("visual_manipulation", "follow_order", "sweep_without_exceeding")


def demonstrated(task: str, seed: int, *, frames: bool = False) -> Demonstration:
    goal = Goal(reset={"level": "train", "task": task})
    shown = demonstrate(SUITE, TabletopOptions(frames=frames), goal, seed)
    assert shown is not None
    return shown


def test_a_demonstration_solves_its_episode_when_it_is_played_again() -> None:
    shown = demonstrated("pick_in_order_then_restore", 7)
    environment = TabletopConfig(level="train").build()
    observation, _ = environment.reset(seed=7, options={"task": "pick_in_order_then_restore"})
    assert shown.instruction == environment.instruction
    info = {}
    for step, action in enumerate(shown.columns["action"]):
        for name, values in observation.items():
            np.testing.assert_array_equal(shown.columns[name][step], values)
        observation, *_, info = environment.step(action)
    assert info["is_success"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LeRobotDataset:
    """Six episodes of three tasks, with frames."""
    folder = tmp_path_factory.mktemp("tabletop") / "data"
    collect(SUITE, CollectConfig(episodes=6, output=folder, tasks=TASKS, workers=1), TabletopOptions(frames=True))
    return LeRobotDataset.open(folder)


def test_collected_episodes_are_read_back_as_they_were_seen(dataset: LeRobotDataset) -> None:
    assert len(dataset) == 6
    assert dataset.spec.actions == ACTIONS
    assert dataset.spec.objects is not None
    assert dict(dataset.spec.objects.views) == dict(OBJECTS.views)
    assert dataset.spec.objects.max_objects == OBJECTS.max_objects
    shown = [demonstrated(TASKS[seed % 3], seed) for seed in range(6)]
    assert dataset.lengths.tolist() == [len(episode.columns["action"]) for episode in shown]


def test_a_dataset_names_its_suite(dataset: LeRobotDataset) -> None:
    assert json.loads((dataset.folder / "meta/info.json").read_text())["astra"]["suite"] == "tabletop"
    assert dataset.spec.suite == "tabletop"


def test_a_policy_sees_the_frames_that_demonstrations_hold_bit_for_bit(dataset: LeRobotDataset) -> None:
    assert dataset.spec.images == FRAMES
    environment = SUITE.build(SUITE.options_for(dataset.spec))
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
    plain = demonstrated(TASKS[0], 0)
    filmed = dataset.episode(0).columns
    assert filmed.keys() == plain.columns.keys() | FRAMES.keys()
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(filmed[name], values)


def test_refuses_unknown_levels_and_tasks_before_it_begins(tmp_path: Path) -> None:
    for wrong in ({"level": "L9"}, {"tasks": ("follow_motion",)}, {"episodes": 0}):
        with pytest.raises(ValueError, match=r"no level|no task|--episodes must be at least 1, got 0"):
            collect(SUITE, CollectConfig(**{"episodes": 2, "output": tmp_path / "data", **wrong}))
    with pytest.raises(ValueError, match="tabletop has no expert"):
        collect(replace(SUITE, make_expert=None), CollectConfig(episodes=2, output=tmp_path / "data"))
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
@pytest.mark.simulator
def test_workers_change_nothing_in_the_collected_data(tmp_path: Path) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.environments.pusht.suite import SUITE as PUSHT
    from astra.environments.pusht.suite import PushTDemonstrationOptions

    collected = [
        LeRobotDataset.open(
            collect(
                PUSHT,
                CollectConfig(episodes=3, output=tmp_path / str(workers), workers=workers),
                PushTDemonstrationOptions(near_goal=1.0),
            )
        )
        for workers in (1, 2)
    ]
    assert collected[0].instructions == collected[1].instructions
    for name, values in collected[0].columns.items():
        np.testing.assert_array_equal(values, collected[1].columns[name])


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Options of a suite whose expert fails with some seeds of a task."""

    failures: tuple[tuple[str, int], ...] = ()
    """Pairs of task and seed."""


def fail_with_some_seeds(options: Failing, reset: Any, seed: int) -> Demonstration | None:
    if (reset["task"], seed) in options.failures:
        return None
    columns = {"action": np.full((1, 6), seed, np.float32), "observation.state": np.zeros((1, 1), np.float32)}
    return Demonstration(instruction=reset["task"], columns=columns)


def suite_with_failures(*, equal_shares: bool) -> Suite:
    return Suite(
        name="failing",
        options=Failing,
        options_for=lambda spec: Failing(),
        build=lambda options: Tabletop(TabletopConfig()),
        tasks=lambda options, level: [Task(name=name, goals=(Goal(reset={"task": name}),)) for name in "ab"],
        demonstrate=fail_with_some_seeds,
        equal_shares=equal_shares,
    )


class _InThisProcess:
    """A pool that works in this process, with room for so many tasks."""

    def __init__(self, workers: int, shared: tuple[Any, ...]) -> None:
        self.workers, self.shared = workers, shared

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*self.shared, *arguments))
        return future


def order(suite: Suite, options: Failing, episodes: int, folder: Path, workers: int = 1) -> list[tuple[str, int]]:
    config = CollectConfig(episodes=episodes, output=folder, workers=workers, seed=4)
    dataset = LeRobotDataset.open(collect(suite, config, options))
    return [(dataset.instructions[n], int(dataset.episode(n).columns["action"][0, 0])) for n in range(len(dataset))]


@pytest.fixture
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def pool(workers: int, *, cluster: str | None, shared: tuple[Any, ...]) -> Iterator[_InThisProcess]:
        yield _InThisProcess(workers, shared)

    monkeypatch.setattr(module, "pool", pool)


FAILURES = Failing(failures=(("a", 4), ("a", 5), ("b", 5)))


@pytest.mark.usefixtures("_no_processes")
def test_one_seed_after_the_other_chooses_the_task_and_failures_are_left_out(tmp_path: Path) -> None:
    suite = suite_with_failures(equal_shares=False)
    assert order(suite, FAILURES, 4, tmp_path / "data") == [("a", 6), ("b", 7), ("a", 8), ("b", 9)]


@pytest.mark.usefixtures("_no_processes")
def test_a_suite_tells_several_sentences_for_the_instructions_that_were_demonstrated(tmp_path: Path) -> None:
    told = {"a": ("a", "do a"), "b": ("b",), "c": ("c",)}
    suite = replace(suite_with_failures(equal_shares=True), sentences=lambda options: told)
    order(suite, Failing(), 1, tmp_path / "one")
    assert read_sentences(tmp_path / "one", ["a"]) == {"a": ("a", "do a")}
    order(suite, Failing(), 2, tmp_path / "two")
    assert read_sentences(tmp_path / "two", ["a", "b"]) == {"a": ("a", "do a"), "b": ("b",)}


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize("ahead", [1, 16])
def test_tasks_with_equal_shares_repeat_failures_with_their_next_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(module, "AHEAD", ahead)
    suite = suite_with_failures(equal_shares=True)
    expected = [("b", 4), ("a", 6), ("b", 6), ("a", 7), ("a", 8), ("b", 7)]
    assert order(suite, FAILURES, 6, tmp_path / "data") == expected


@pytest.mark.parametrize("seed", [100_000, 299_999])
def test_a_first_seed_of_evaluations_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(ValueError, match=rf"got --seed {seed}, which belongs to evaluations"):
        CollectConfig(episodes=1, output=tmp_path, seed=seed)


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize("equal_shares", [False, True])
def test_seeds_of_evaluations_and_rollouts_are_left_out(tmp_path: Path, equal_shares: bool) -> None:
    suite, tried = suite_with_failures(equal_shares=equal_shares), set[int]()

    def noted(options: Failing, reset: Any, seed: int) -> Demonstration | None:
        tried.add(seed)
        assert suite.demonstrate is not None
        return suite.demonstrate(options, reset, seed)

    config = CollectConfig(episodes=8, output=tmp_path / "data", workers=1, seed=EVALUATION - 2)
    collect(replace(suite, demonstrate=noted), config, Failing())
    assert {99_998, 99_999, 300_000} <= tried
    assert not tried & set(range(100_000, 300_000))
    assert all(ROLLOUTS <= named.make().rollouts.seed < LATER for named in EXPERIMENTS.values())
    assert EvaluationConfig().seed == EVALUATION


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize("equal_shares", [False, True])
def test_a_task_is_given_up_after_50_failures_in_a_row_and_what_was_collected_is_kept(
    tmp_path: Path, equal_shares: bool
) -> None:
    suite = suite_with_failures(equal_shares=equal_shares)
    never = Failing(failures=tuple(("b", seed) for seed in range(300)))
    with pytest.raises(ValueError, match="failed 50 times in a row in b, last with the seed"):
        collect(suite, CollectConfig(episodes=200, output=tmp_path / "data", workers=1), never)
    kept = LeRobotDataset.open(tmp_path / "data")
    assert set(kept.instructions) == {"a"}


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_keeps_the_complete_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[BaseException]
) -> None:
    plain = suite_with_failures(equal_shares=False)

    def interrupted(options: Failing, reset: Any, seed: int) -> Demonstration | None:
        if seed == 7:
            signal.raise_signal(number)
        assert plain.demonstrate is not None
        return plain.demonstrate(options, reset, seed)

    config = CollectConfig(episodes=9, output=tmp_path / "data", workers=1, seed=4)
    monkeypatch.setattr(module, "AHEAD", 1)
    with pytest.raises(error), sigterm_raises():
        collect(replace(plain, demonstrate=interrupted), config, Failing())
    assert len(LeRobotDataset.open(tmp_path / "data")) == 3


class Counter(Line):
    """A line without a limit of its own, which writes every observation into the same array."""

    max_timesteps = 5

    def __init__(self) -> None:
        self.seen = np.zeros(1, np.float32)

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move by the action; only the last of five timesteps succeeds."""
        assert np.abs(action).max() <= 1, "the action is out of bounds"
        self.x, self.clock = self.x + float(action[0]), self.clock + 1
        return self._observation(), 0.0, False, False, {"is_success": self.clock == self.max_timesteps}

    def _observation(self) -> EnvironmentObservation:
        self.seen[0] = self.x
        return {"observation.state": self.seen}


class Hasty:
    """An expert whose actions are out of bounds."""

    def __init__(self, seed: int) -> None:
        del seed

    def act(self, environment: Line) -> np.ndarray:
        """Return a step to the goal at once."""
        return np.array([environment.goal - environment.x])


def suite_of_lines(build: Any, **fields: Any) -> Suite:
    return Suite(
        name="line",
        options=Failing,
        options_for=lambda spec: Failing(),
        build=build,
        tasks=lambda options, level: [Task(name="reach right")],
        make_expert=Hasty,
        **fields,
    )


def test_an_expert_is_recorded_under_the_rules_of_an_evaluation() -> None:
    suite = suite_of_lines(lambda options: Counter(), success="at the last step")
    (played,) = rollout(ExpertAgent(Hasty), Counter, [Case(seed=3, success_at_end=True)], num_envs=1)
    assert played.success
    assert played.timesteps == Counter.max_timesteps
    shown = demonstrate(suite, Failing(), Goal(), 3)
    assert shown is not None
    np.testing.assert_allclose(shown.columns["action"], played.actions, atol=1e-6)
    before = np.cumsum([shown.columns["observation.state"][0], *shown.columns["action"][:-1]], axis=0)
    np.testing.assert_allclose(shown.columns["observation.state"], before, atol=1e-6)


def test_an_instruction_that_changes_inside_a_demonstration_is_refused() -> None:
    with pytest.raises(ValueError, match="line went on from 'right' to 'left': give the suite a `demonstrate`"):
        demonstrate(suite_of_lines(lambda options: Chain()), Failing(), Goal(), 0)
    shown = demonstrate(suite_of_lines(lambda options: Chain()), Failing(), Goal(reset={"chain": (2.0,)}), 0)
    assert shown is not None
    assert shown.instruction == "right"
