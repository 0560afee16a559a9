from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from astra.evaluation.agents import BlindAgent, ExpertAgent, NoOp, PolicyAgent
from astra.evaluation.episode import Case, EpisodeResult
from astra.evaluation.rollout import play, rollout

CASES = [Case(seed=seed, options={"goal": (2.0, -2.0)[seed % 2]}) for seed in range(9)]


def assert_same(first: list[EpisodeResult], second: list[EpisodeResult]) -> None:
    for one, other in zip(first, second, strict=True):
        assert (one.seed, one.task, one.instruction) == (other.seed, other.task, other.instruction)
        assert (one.success, one.timesteps) == (other.success, other.timesteps)
        np.testing.assert_allclose(one.actions, other.actions)
        assert one.scores == pytest.approx(other.scores)


def test_a_policy_that_follows_its_instruction_succeeds_and_episodes_end_at_different_times(world: ModuleType) -> None:
    results = rollout(world.Walker(), world.Line, CASES, num_envs=4)
    assert [result.seed for result in results] == list(range(9))
    assert all(result.success for result in results)
    assert {result.task for result in results} == {"reach right", "reach left"}
    assert len({result.timesteps for result in results}) > 1
    assert all(result.actions.shape == (result.timesteps, 1) for result in results)


@pytest.mark.parametrize("num_envs", [2, 4, 9, 32])
def test_results_do_not_depend_on_the_number_of_environments(world: ModuleType, num_envs: int) -> None:
    alone = rollout(world.Walker(), world.Line, CASES, num_envs=1)
    assert_same(rollout(world.Walker(), world.Line, CASES, num_envs=num_envs), alone)


def test_one_call_of_the_policy_serves_all_environments(world: ModuleType) -> None:
    policy = world.Walker()
    results = rollout(policy, world.Line, CASES, num_envs=9)
    assert len(policy.shown) == max(result.timesteps for result in results)


def test_environments_without_a_case_reset_the_agent_before_its_history_outgrows_an_episode(world: ModuleType) -> None:
    # Two failing episodes of 12 timesteps beside one that ends early: 20 timesteps of waiting, and no assertion.
    cases = [CASES[0], Case(seed=1, instruction="left"), Case(seed=2, instruction="left")]
    results = rollout(world.Walker(), world.Line, [*cases, Case(seed=3, instruction="left")], num_envs=3)
    assert [result.timesteps == 12 for result in results] == [False, True, True, True]


def test_an_environment_that_never_truncates_is_stopped_at_its_limit(world: ModuleType) -> None:
    class Endless(world.Line):
        def step(self, action: np.ndarray) -> tuple[Any, ...]:
            observation, reward, reached, _, info = super().step(action)
            return observation, reward, reached, False, info

    cases = [*CASES, Case(seed=1, instruction="left")]
    results = rollout(world.Walker(), Endless, cases, num_envs=3)
    assert_same(results, rollout(world.Walker(), world.Line, cases, num_envs=3))
    assert results[-1].timesteps == 12


def test_an_environment_that_does_not_report_success_is_refused_by_name(world: ModuleType) -> None:
    class Silent(world.Line):
        def step(self, action: np.ndarray) -> tuple[Any, ...]:
            *others, info = super().step(action)
            return *others, {"scores": info["scores"]}

    with pytest.raises(ValueError, match=r"Silent.step must report info\['is_success'\].* an info with scores"):
        rollout(world.Walker(), Silent, CASES[:1])


def test_a_swapped_instruction_reaches_the_policy_and_reverses_what_it_does(world: ModuleType) -> None:
    straight, swapped = rollout(world.Walker(), world.Line, [Case(seed=5), Case(seed=5, instruction="left")])
    assert (straight.success, straight.instruction) == (True, "right")
    assert (swapped.success, swapped.instruction) == (False, "left")
    assert swapped.task == "reach right"
    assert swapped.actions.sum() < -3


def test_the_policy_observes_columns_as_tensors_and_the_executed_action(world: ModuleType) -> None:
    policy = world.Walker(step=0.95)  # some noisy steps are longer than the bound of 1
    (result,) = rollout(policy, world.Line, CASES[:1])
    first, second = policy.shown[:2]
    assert first.states["observation.state"].shape == (1, 1)
    assert first.states["observation.state"].dtype == torch.float32
    assert first.images["observation.image"].shape == (1, 3, 4, 6)
    assert first.images["observation.image"].dtype == torch.uint8
    assert second.images["observation.image"].unique().tolist() == [0, 1]
    assert first.previous_action.tolist() == [[0]]
    assert second.previous_action.numpy() == pytest.approx(result.actions[:1])
    assert result.actions.max() <= 1


CHAINS = [
    Case(seed=seed, options={"chain": chain})
    for seed, chain in enumerate([(2.0, -2.0, 2.0), (-2.0,), (-2.0, 2.0), (2.0, -2.0), (2.0,)])
]


def test_a_new_instruction_resets_the_agent_while_the_world_goes_on(world: ModuleType) -> None:
    policy = world.Walker()
    (result,) = rollout(policy, world.Chain, CHAINS[:1])
    assert result.success
    assert result.scores == {"solved": 3}
    assert result.instruction == result.environment_instruction == "right, then left, then right"
    assert result.actions.shape == (result.timesteps, 1)
    assert result.timesteps > world.Line.max_timesteps  # the policy asserts that no history is that long
    # The world goes on: the positions are those of all actions one after the other.
    start, _ = world.Chain().reset(seed=0)
    positions = start["observation.state"] + np.cumsum(result.actions, axis=0)
    seen = torch.cat([observation.states["observation.state"] for observation in policy.shown])
    np.testing.assert_allclose(seen[1:, 0], positions[:-1, 0], atol=1e-5)
    # The history is empty after a change: the previous action is zero, as at the reset.
    turns = np.flatnonzero(np.diff(np.sign(result.actions[:, 0])) != 0) + 1
    assert len(turns) == 2
    previous = torch.cat([observation.previous_action for observation in policy.shown])[:, 0]
    assert np.flatnonzero(previous.numpy() == 0).tolist() == [0, *turns]


@pytest.mark.parametrize("num_envs", [2, 3, 5])
def test_chains_of_several_environments_are_those_of_one(world: ModuleType, num_envs: int) -> None:
    alone = rollout(world.Walker(), world.Chain, CHAINS, num_envs=1)  # no history is longer than one goal takes
    assert all(result.success for result in alone)
    assert len({result.instruction for result in alone}) == len(CHAINS)
    assert_same(rollout(world.Walker(history=40), world.Chain, CHAINS, num_envs=num_envs), alone)


def test_an_agent_with_another_instruction_keeps_it_through_a_chain(world: ModuleType) -> None:
    case = Case(seed=0, options={"chain": (2.0, -2.0)}, instruction="right")
    (result,) = rollout(world.Walker(history=40), world.Chain, [case])
    assert (result.instruction, result.environment_instruction) == ("right", "right, then left")
    assert not result.success


def test_an_agent_may_get_another_instruction_for_each_of_a_chain(world: ModuleType) -> None:
    case = Case(seed=0, options={"chain": (2.0, -2.0, 2.0)}, instruction={"right": "right", "left": "right"})
    policy = world.Walker(history=40)
    (result,) = rollout(policy, world.Chain, [case])
    assert result.environment_instruction == "right, then left"
    assert result.instruction == "right, then right"
    assert result.scores == {"solved": 1}
    # Its history is empty after the change, as with the right instruction.
    previous = torch.cat([observation.previous_action for observation in policy.shown])[:, 0]
    assert (previous.numpy() == 0).sum() == 2


def test_an_expert_is_made_anew_for_each_instruction(world: ModuleType) -> None:
    made: list[int] = []

    def make(seed: int) -> Any:
        made.append(seed)
        return world.Guide(seed)

    results = rollout(ExpertAgent(make), world.Chain, CHAINS, num_envs=2)
    assert all(result.success for result in results)
    assert sorted(set(made)) == list(range(5))
    assert len(made) >= 3 + 1 + 2 + 2 + 1


def test_success_counts_at_any_timestep_or_at_the_last_one(world: ModuleType) -> None:
    once, at_end = rollout(world.Walker(), world.Brief, [Case(seed=0), Case(seed=0, success_at_end=True)])
    assert once.timesteps == at_end.timesteps == 12
    assert (once.success, at_end.success) == (True, False)


def test_scores_are_maxima_over_the_episode_with_its_reset(world: ModuleType) -> None:
    away = Case(seed=1, instruction="left")
    (result,) = rollout(world.Walker(), world.Line, [away])
    start = world.Line()
    _, info = start.reset(seed=1)
    assert result.scores["near"] == pytest.approx(info["scores"]["near"])
    assert result.max_reward < result.scores["near"]


def test_frames_are_kept_where_the_case_asks(world: ModuleType) -> None:
    recorded, other = rollout(NoOp(), world.Line, [Case(seed=0, record=True), Case(seed=1)])
    assert len(recorded.frames) == recorded.timesteps + 1 == 13
    assert other.frames == ()


def test_frames_that_an_environment_paints_into_one_array_are_kept_apart(world: ModuleType) -> None:
    class Painter(world.Line):
        canvas = np.zeros((4, 4, 3), np.uint8)

        def frame(self) -> np.ndarray:
            self.canvas[:] = self.clock
            return self.canvas

    (result,) = rollout(NoOp(), Painter, [Case(seed=0, record=True)])
    assert [int(frame.max()) for frame in result.frames] == list(range(13))


def test_the_no_op_baseline_fails_and_the_expert_succeeds(world: ModuleType) -> None:
    assert not any(result.success for result in rollout(NoOp(), world.Line, CASES))
    results = rollout(ExpertAgent(world.Guide), world.Line, CASES, num_envs=2)
    assert all(result.success for result in results)
    assert_same(results, rollout(ExpertAgent(world.Guide), world.Line, CASES, num_envs=9))


def test_an_action_that_is_not_finite_is_an_error_that_names_the_episode(world: ModuleType) -> None:
    from astra.evaluation.agents import ExpertAgent

    class Broken:
        def act(self, environment: object) -> np.ndarray:
            return np.array([np.nan])

    with pytest.raises(ValueError, match=r"timestep 0 of the episode with seed 4 is \[nan\]"):
        rollout(ExpertAgent(lambda seed: Broken()), world.Line, [Case(seed=4)])


@pytest.mark.parametrize("broken", ["reward", "score 'distance'"])
def test_a_number_of_the_environment_that_is_not_finite_ends_the_evaluation_at_once(
    world: ModuleType, broken: str
) -> None:
    class Broken(world.Line):
        def step(self, action: np.ndarray) -> tuple[Any, ...]:
            observation, reward, *ended, info = super().step(action)
            if broken == "reward":
                return observation, float("nan"), *ended, info
            return observation, reward, *ended, {**info, "scores": {"distance": float("inf")}}

    message = (
        f"the {broken} of the environment after timestep 1 of the episode with seed 0 is (nan|inf), expected a finite"
    )
    with pytest.raises(ValueError, match=message):
        rollout(world.Walker(), Broken, CASES[:1], num_envs=1)


def test_numbers_of_a_policy_that_are_not_finite_never_become_an_action(world: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"NaN or infinite numbers for the environments \[0\] of 1"):
        rollout(world.Walker(step=float("nan")), world.Line, [Case(seed=4)])


def test_a_column_that_the_environment_does_not_show_is_named(world: ModuleType) -> None:
    policy = world.Walker()
    policy.spec = type(policy.spec)(states={"observation.force": 3}, actions=policy.spec.actions)
    with pytest.raises(ValueError, match=r"reads observation\.force, .* shows only observation\.image, observation\.s"):
        rollout(policy, world.Line, CASES[:1])


def test_no_cases_give_no_results_and_no_environments_are_an_error(world: ModuleType) -> None:
    assert rollout(NoOp(), world.Line, []) == []
    with pytest.raises(ValueError, match="at least one environment and one worker, got 0 and 1"):
        rollout(NoOp(), world.Line, CASES, num_envs=0)


def test_episodes_are_yielded_as_they_end(world: ModuleType) -> None:
    cases = [Case(seed=1, instruction="left"), Case(seed=0)]
    order = [index for index, _ in play(world.Walker(), world.Line, cases, num_envs=2)]
    assert order == [1, 0]


@pytest.mark.slow
def test_worker_processes_return_the_same_results_in_order(world: ModuleType) -> None:
    here = rollout(world.Walker(), world.Line, CASES)
    assert_same(rollout(world.Walker(), world.Line, CASES, num_envs=2, workers=2), here)


def test_images_are_rendered_only_for_agents_that_look_at_them(world: ModuleType) -> None:
    rendered = list[bool]()

    class Rendering(world.Line):
        def _observation(self) -> dict[str, np.ndarray]:
            rendered.append(self.renders)
            observation = super()._observation()
            return observation if self.renders else {"observation.state": observation["observation.state"]}

    policy = world.Walker()
    for agent, looks in ((PolicyAgent(world.Walker()), True), (BlindAgent(policy), False), (NoOp(), False)):
        rendered.clear()
        rollout(agent, Rendering, CASES[:3], num_envs=2)
        assert set(rendered) == {looks}
    assert not any(shown.images["observation.image"].any() for shown in policy.shown)
    assert {shown.images["observation.image"].shape for shown in policy.shown} == {(2, 3, 4, 6)}


def test_a_policy_gets_the_seed_of_each_case(world: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, given = world.Walker(), list[int]()
    start, restart = policy.start_rollouts, policy.restart_rollouts

    def started(instructions: Any, seeds: Any, pictures: Any) -> Any:
        given.extend(seeds)
        return start(instructions, seeds, pictures)

    def restarted(state: Any, where: Any, instructions: Any, seeds: Any, pictures: Any) -> Any:
        given.extend(seeds)
        return restart(state, where, instructions, seeds, pictures)

    monkeypatch.setattr(policy, "start_rollouts", started)
    monkeypatch.setattr(policy, "restart_rollouts", restarted)
    rollout(policy, world.Line, [Case(seed=seed) for seed in (3, 8, 5)], num_envs=1)
    assert given[:3] == [3, 8, 5]
