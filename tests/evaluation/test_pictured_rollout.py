"""A policy in an environment whose prompts have pictures: what it is shown, and what a control shows it instead."""

from typing import Any

import numpy as np
import pytest
import torch

from astra.environments.tabletop.environment import Tabletop, TabletopConfig
from astra.evaluation.agents import PolicyAgent
from astra.evaluation.episode import Case, RolloutEnv
from astra.evaluation.rollout import rollout
from astra.objects import ObjectSpec, PromptPictures
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.trajectory import Statistics, TrajectorySpec, VectorStatistics

VIEWS = {"top": (128, 256), "front": (128, 256)}


def make() -> Tabletop:
    return TabletopConfig(level="train", tasks=("visual_manipulation", "rotate")).build()


@pytest.fixture
def policy() -> Astra:
    actions = make().spec_of_trajectories.actions
    spec = TrajectorySpec(
        states={"observation.end_effector": 2},
        actions=actions,
        instructions=("put the {dragged_obj} into the {base_obj}.",),
        objects=ObjectSpec(views=VIEWS, max_objects=8, max_pictured=8),
    )
    low, high = torch.tensor(actions.low), torch.tensor(actions.high)
    ends = VectorStatistics(mean=(low + high) / 2, std=high - low, min=low, max=high)
    two = torch.ones(2)
    effector = VectorStatistics(mean=two / 2, std=two / 2, min=0 * two, max=two)
    statistics = Statistics(states={"observation.end_effector": effector}, actions=ends)
    config = AstraConfig(layers=2, heads=2, width=32, language=LanguageConfig(max_tokens=64))
    policy = config.build(spec, statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    return policy


def test_results_do_not_depend_on_the_number_of_environments(policy: Astra):
    cases = [Case(seed=seed) for seed in range(4)]
    alone, together = (rollout(policy, make, cases, num_envs=num_envs) for num_envs in (1, 3))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.actions, b.actions)
    assert len({tuple(result.actions[0]) for result in alone}) > 1


def test_a_case_may_show_other_pictures_or_another_prompt(policy: Astra, monkeypatch: pytest.MonkeyPatch):
    shown: list[tuple[list[str], PromptPictures]] = []
    start = policy.start

    def listen(instructions: Any, seeds: Any, pictures: Any = None) -> Any:
        shown.append((instructions, pictures))
        return start(instructions, seeds, pictures)

    monkeypatch.setattr(policy, "start", listen)
    env = RolloutEnv(make(), 0, Case(seed=0))
    own, instruction = env.pictures, env.instruction
    blank = {
        name: {view: {**parts, "crops": np.zeros_like(parts["crops"])} for view, parts in views.items()}
        for name, views in own.items()
    }
    other = RolloutEnv(make(), 0, Case(seed=1))
    cases = [
        Case(seed=0),
        Case(seed=0, pictures=blank),
        Case(seed=0, instruction=other.instruction, pictures=other.pictures),
        Case(seed=0, instruction="stop now"),
    ]
    agent = PolicyAgent(policy)
    for case in cases:
        agent.start([RolloutEnv(make(), 0, case)])
    assert [instructions for instructions, _ in shown] == [
        [instruction],
        [instruction],
        [other.instruction],
        ["stop now"],
    ]
    assert shown[0][1].views["top"].crops.any()
    assert not shown[1][1].views["top"].crops.any()
    assert torch.equal(shown[1][1].views["top"].boxes, shown[0][1].views["top"].boxes)
    assert shown[2][1].contents() != shown[0][1].contents()
    assert shown[3][1] is None


def test_a_view_that_the_environment_does_not_show_is_named(policy: Astra):
    agent, env = PolicyAgent(policy), RolloutEnv(make(), 0, Case(seed=0))
    agent.start([env])
    del env.observation["observation.objects.front.boxes"]
    with pytest.raises(ValueError, match=r"reads observation.objects.front.boxes, but the environment shows only"):
        agent.act([env])
