import pytest

from astra.environments.tabletop.environment import TabletopConfig
from astra.environments.tabletop.expert import BinnedExpert, TabletopExpert
from astra.environments.tabletop.prompt_blind import PromptBlind
from astra.evaluation.agents import ExpertAgent, NoOp
from astra.evaluation.episode import Case
from astra.evaluation.rollout import rollout
from astra.suites.tabletop_controls import ControlsConfig, Row, controls_table, measure_controls

CASES = [Case(seed=seed, options={"task": task}) for seed in range(2) for task in ("rotate", "rearrange_then_restore")]


@pytest.mark.parametrize("expert", [TabletopExpert, BinnedExpert])
def test_the_expert_succeeds_in_the_rollouts_of_an_evaluation(expert: type) -> None:
    results = rollout(ExpertAgent(expert), TabletopConfig(level="L2").build, CASES, num_envs=2)
    assert [(result.success, result.task) for result in results] == [(True, case.options["task"]) for case in CASES]
    assert all(result.scores == {"goals": 1.0} for result in results)


def test_the_prompt_blind_and_no_op_baselines_play_too() -> None:
    for agent in (ExpertAgent(PromptBlind), NoOp()):
        results = rollout(agent, TabletopConfig().build, CASES, num_envs=2)
        assert [(result.seed, result.task) for result in results] == [(c.seed, c.options["task"]) for c in CASES]
        assert all(len(result.actions) == result.timesteps for result in results)
        assert not results[1].success


def test_the_table_shows_rates_with_intervals_by_task_and_by_level() -> None:
    agents = {"expert": 10, "expert in bins": 9, "prompt-blind": 1, "no-op": 0}
    rows = [
        Row(level="L1", task=task, episodes=10, steps=1.0, successes=agents, demonstrations_per_second=60.0)
        for task in ("rotate", "twist")
    ]
    lines = controls_table(rows).splitlines()
    assert lines[2] == "| L1 | rotate | 1.0 | 100 [72, 100] | 90 [60, 98] | 10 [2, 40] | 0 [0, 28] |"
    assert lines[-1] == "| L1 | all | 1.0 | 100 [84, 100] | 90 [70, 97] | 10 [3, 30] | 0 [0, 16] |"


def test_refuses_unknown_levels_and_no_episodes() -> None:
    with pytest.raises(ValueError, match="no level 'L0'"):
        measure_controls(ControlsConfig(levels=("L0",)))
    with pytest.raises(ValueError, match="--episodes must be at least 1, got 0"):
        measure_controls(ControlsConfig(episodes=0))
