"""Names, instructions, scenes and options of Meta-World, which need no simulator."""

import importlib.metadata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from astra.environments.metaworld.environment import MetaWorldOptions
from astra.environments.metaworld.simulator import Simulator
from astra.environments.metaworld.suite import SUITE
from astra.environments.metaworld.tasks import MT10, MT50, TASKS, find_tasks
from astra.suites.config import EvaluationConfig
from astra.suites.controls import swapped
from astra.suites.evaluate_suite import cases_again, cases_of


def test_there_are_50_tasks_with_instructions_of_their_own() -> None:
    assert len(MT50) == len(TASKS) == len({task.instruction for task in MT50}) == 50
    assert len(set(MT10)) == 10
    assert set(MT10) <= set(TASKS)


def test_the_page_lists_every_task_with_its_instruction_and_scene(repository: Path) -> None:
    page = (repository / "docs/metaworld.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 6]
    listed = [tuple(cell.strip() for cell in row.strip("|").split("|"))[:3] for row in rows]
    assert [row for row in listed if row[0] in TASKS] == [(task.name, task.instruction, task.scene) for task in MT50]


def test_sets_and_names_with_or_without_the_version_are_found() -> None:
    assert [task.name for task in find_tasks(("mt10",))] == list(MT10)
    assert find_tasks(("mt50", "reach")) == MT50
    assert [task.name for task in find_tasks(("reach-v3", "drawer-open"))] == ["reach", "drawer-open"]


def test_an_unknown_task_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ValueError, match=r"no task 'draw-open'; did you mean drawer-open or .*\?"):
        MetaWorldOptions(known_tasks=("draw-open",))
    with pytest.raises(ValueError, match=r"no task 'mt5'; did you mean mt50"):
        MetaWorldOptions(known_tasks=("mt5",))
    with pytest.raises(ValueError, match=r"no task 'juggle'; it has mt10, mt50, assembly"):
        MetaWorldOptions(known_tasks=("juggle",))
    with pytest.raises(ValueError, match="metaworld has no task 'draw-open'; did you mean drawer-open"):
        SUITE.choose(MetaWorldOptions(), (), ("draw-open",))
    with pytest.raises(ValueError, match="at least one task"):
        MetaWorldOptions(known_tasks=())
    with pytest.raises(ValueError, match="--max-timesteps must be at least 1 and at most 500, got 501"):
        MetaWorldOptions(max_timesteps=501)


def test_a_set_of_tasks_is_chosen_by_its_name() -> None:
    assert {task.name for _, task in SUITE.choose(MetaWorldOptions(), (), ("mt10",))} == set(MT10)


def test_the_control_swapped_tells_another_task_of_the_same_scene_if_there_is_one() -> None:
    options = MetaWorldOptions(known_tasks=("mt10",))
    chosen = SUITE.choose(options)
    cases = cases_of(SUITE, chosen, EvaluationConfig(episodes=1))
    told = {case.options["task"]: case.instruction for case in swapped(cases, chosen, EvaluationConfig(episodes=1))}
    assert told["drawer-open"] == TASKS["drawer-close"].instruction
    assert told["drawer-close"] == TASKS["drawer-open"].instruction
    assert told["reach"] == TASKS["push"].instruction
    assert told["push"] == told["pick-place"] == TASKS["reach"].instruction
    assert all(told[name] != TASKS[name].instruction for name in MT10)
    alone = SUITE.choose(replace(options, known_tasks=("reach",)))
    with pytest.raises(ValueError, match="the policy knows one goal of reach"):
        swapped(cases[:1], alone, EvaluationConfig(episodes=1))


def test_results_are_grouped_by_scene_and_can_be_played_again() -> None:
    options = MetaWorldOptions(known_tasks=("mt10",))
    chosen = SUITE.choose(options)
    cases = cases_of(SUITE, chosen, EvaluationConfig(episodes=2))
    assert Counter(case.group for case in cases) == {
        "puck": 6,
        "drawer": 4,
        "window": 4,
        "door": 2,
        "button seen from above": 2,
        "peg and hole": 2,
    }
    rows = [
        {
            "group": case.group,
            "task": case.options["task"],
            "seed": case.seed,
            "environment_instruction": TASKS[case.options["task"]].instruction,
        }
        for case in cases
    ]
    assert cases_again(SUITE, options, rows) == cases


def test_a_missing_or_other_version_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    module = "astra.environments.metaworld.simulator.version"
    monkeypatch.setattr(module, missing)
    with pytest.raises(ValueError, match=r"Meta-World is not installed; run pip install \"metaworld==3.1.1\""):
        Simulator(MT50[0])
    monkeypatch.setattr(module, lambda name: "2.0.0")
    with pytest.raises(ValueError, match=r"Meta-World 2.0.0 is installed.*; run pip install \"metaworld==3.1.1\""):
        Simulator(MT50[0])
