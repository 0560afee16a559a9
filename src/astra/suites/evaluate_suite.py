"""Measure a policy in a suite, beside controls that have a wrong prompt.

    policy     the policy
    no-op      does nothing
    expert     knows the goals
    swapped    the policy with the instruction of the task's next goal, or of another task of the same scene
    shuffled   the policy with the prompt of another episode of the task, instruction and pictures together
    blank      the policy with its own prompt, whose pictured objects are black and have boxes of zeros
    blind      the policy with its own prompt, whose camera frames and objects' crops are black
    no-history the policy with its own prompt, which attends to the present timestep only

All agents play the same seeds. What the policy scores above `swapped` or `shuffled` comes from its prompt, above
`blank` from the pictures in it, above `blind` from what it sees, and above `no-history` from the timesteps before.
"""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from astra.environments.suite import Suite, Task
from astra.evaluation.agents import Agent, BlindAgent, ExpertAgent, NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import Evaluation, evaluate
from astra.parallel.processes import in_main
from astra.policies.policy import Policy
from astra.storage.config_json import from_json, to_json
from astra.suites.attention import draw_attention
from astra.suites.config import EvaluationConfig
from astra.suites.controls import blank, prompts_of, shuffled, swapped

RATE_TOLERANCE = 0.05
"""Largest difference between two rates that count as equal, as a share."""


def evaluate_suite(
    policy: Policy[Any],
    suite: Suite,
    folder: Path,
    config: EvaluationConfig,
    *,
    options: Any = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Evaluation]:
    """Play the episodes of all agents, write results, videos and pictures, and return the results by agent.

    Args:
        policy: Policy to measure.
        suite: Suite in which it is measured.
        folder: Folder of the policy's results; those of each other agent go to a folder in it.
        config: Number of episodes, agents and processes.
        options: Options of the suite; None: those in which the policy can act.
        provenance: Further entries of eval_info.json.

    Raises:
        ValueError: if the policy does not fit the suite, or the suite has no such level, task, control or expert.
    """
    options = suite.options_for(policy.spec) if options is None else options
    _warn_of_rate(policy, suite, options)
    chosen = suite.choose(options, _levels(suite, config), config.tasks)
    cases = cases_of(suite, chosen, config)
    agents = {name: _agent(name, suite, policy) for name in config.agents}
    controls = _controls(suite, options, chosen, config, cases)
    build = partial(suite.build, options)
    evaluations = {}
    for name, agent in agents.items():
        evaluations[name] = evaluate(
            agent,
            build,
            controls.get(name, cases),
            folder=folder if name == "policy" else folder / name,
            name=name,
            num_envs=min(config.num_envs, suite.max_envs or config.num_envs),
            workers=config.workers,
            cluster=config.cluster,
            num_videos=config.videos,
            provenance={
                "suite": suite.name,
                "success_counts": suite.success,
                "options": to_json(options),
                **(provenance or {}),
            },
        )
    if config.videos:
        in_main(lambda: draw_attention(policy, build, cases[0], folder))
    return evaluations


def cases_of(suite: Suite, chosen: Sequence[tuple[str, Task]], config: EvaluationConfig) -> list[Case]:
    """Return the episodes of each task in turn, with the same seeds for each task."""
    return [
        Case(
            seed=config.seed + number // len(task.goals),
            options=task.goals[number % len(task.goals)].reset,
            group=level or task.group,
            success_at_end=suite.success == "at the last step",
        )
        for level, task in chosen
        for number in range(config.episodes_of(level))
    ]


def cases_again(suite: Suite, options: Any, rows: Sequence[Mapping[str, Any]]) -> list[Case]:
    """Return the cases of episodes that were played before, from their rows in eval_info.json."""
    cases = []
    for row in rows:
        level = row.get("group", "") if suite.levels else ""
        (task,) = (task for task in suite.tasks(options, level) if task.name == row["task"])
        asked = row["environment_instruction"]
        goal = next((goal for goal in task.goals if goal.instruction == asked), task.goals[0])
        config = EvaluationConfig(seed=row["seed"], episodes=1)
        cases += cases_of(suite, [(level, replace(task, goals=(goal,)))], config)
    return cases


def options_again(suite: Suite, info: Mapping[str, Any]) -> Any:
    """Return the options of an evaluation from its eval_info.json."""
    return from_json(suite.options, info["options"], "options")


def _warn_of_rate(policy: Policy[Any], suite: Suite, options: Any) -> None:
    """Warn if the environment does not act at the rate of the policy's demonstrations."""
    trained, rate = policy.spec.fps, suite.spec(options).fps
    if not math.isclose(trained, rate, rel_tol=RATE_TOLERANCE):
        warnings.warn(
            f"the policy learned from {trained:g} timesteps per second, but {suite.name} has {rate:g}: its actions are "
            f"not made for this rate. Train it on demonstrations at {rate:g} per second, or change the environment",
            stacklevel=2,
        )


def _levels(suite: Suite, config: EvaluationConfig) -> tuple[str, ...]:
    """Return the chosen levels.

    Raises:
        ValueError: for a level at which policies are not measured.
    """
    if config.episodes_at and not suite.levels:
        raise ValueError(f"{suite.name} has no levels: leave out --episodes-at {' '.join(config.episodes_at)}")
    for level in (*config.levels, *config.episodes_at):
        if suite.levels and level not in suite.levels:
            raise ValueError(f"{suite.name} is measured at the levels {', '.join(suite.levels)}, not at {level!r}")
    return config.levels


def _agent(name: str, suite: Suite, policy: Policy[Any]) -> Agent | Policy[Any]:
    if name == "no-op":
        return NoOp()
    if name == "blind":
        return BlindAgent(policy)
    if name == "no-history":
        return without_history(policy)
    if name != "expert":
        return policy
    if suite.make_expert is None:
        raise ValueError(f"{suite.name} has no expert: leave it out of --agents")
    return ExpertAgent(suite.make_expert)


def without_history(policy: Policy[Any]) -> Policy[Any]:
    """Return the policy with the same weights that attends to the present timestep only.

    Raises:
        ValueError: if the policy has no window of timesteps.
    """
    config: Any = policy.config
    if "window" not in {field.name for field in fields(config)}:
        raise ValueError(f"{type(policy).__name__} has no window of timesteps to cut: leave no-history out of --agents")
    cut = copy.copy(policy)
    cut.config = replace(config, window=1)
    return cut


def _controls(
    suite: Suite, options: Any, chosen: Sequence[tuple[str, Task]], config: EvaluationConfig, cases: Sequence[Case]
) -> dict[str, list[Case]]:
    """Return the cases of agents that do not play the policy's."""
    wanted = [name for name in config.agents if name in ("swapped", "shuffled", "blank")]
    if unknown := [name for name in wanted if name not in suite.controls]:
        has = ", ".join(suite.controls) or "none"
        raise ValueError(f"{suite.name} has no control {unknown[0]!r}; its controls are {has}")
    controls = {"expert": [replace(case, options={**case.options, **suite.expert_reset}) for case in cases]}
    if "swapped" in wanted:
        controls["swapped"] = swapped(cases, chosen, config)
    if "shuffled" in wanted or "blank" in wanted:
        prompts = in_main(lambda: prompts_of(partial(suite.build, options), cases))
        if "shuffled" in wanted:
            names = [task.name for level, task in chosen for _ in range(config.episodes_of(level))]
            controls["shuffled"] = shuffled(cases, prompts, names)
        if "blank" in wanted:
            controls["blank"] = blank(cases, prompts)
    return controls
