import numpy as np
import pytest

from astra.environments.pusht.environment import AGENT, BLOCK, PushTConfig
from astra.environments.pusht.expert import PushTExpert, demonstrate
from astra.environments.pusht.geometry import CENTER, LOWER_RIGHT, Pose


@pytest.mark.parametrize("goal", [CENTER, LOWER_RIGHT])
def test_solves_unseen_starts(goal: Pose) -> None:
    environment = PushTConfig(goal=goal).build()
    expert = PushTExpert(0)
    for seed in (9_000, 9_001):
        environment.reset(seed=seed)
        expert.reset()
        done, coverage = False, 0.0
        for _ in range(environment.max_timesteps):
            action = expert.act(environment)
            assert np.linalg.norm(action - environment.state()[:2]) < 60
            *_, done, _, info = environment.step(action)
            coverage = info["coverage"]
            if done:
                break
        assert done
        assert coverage > 0.95


def test_demonstrations_are_complete_and_equal_for_equal_seeds() -> None:
    demonstration = demonstrate(PushTConfig(), 7, goal=LOWER_RIGHT, disturbance=0.05, near_goal=1.0)
    assert demonstration is not None
    instruction, columns = demonstration
    assert instruction == "push the T to the lower right"
    assert {AGENT, BLOCK, "action"} <= set(columns)
    assert len({len(column) for column in columns.values()}) == 1
    assert columns["action"].dtype == np.float32
    assert columns["next.success"][-1]
    again = demonstrate(PushTConfig(), 7, goal=LOWER_RIGHT, disturbance=0.05, near_goal=1.0)
    assert again is not None
    for name, column in columns.items():
        assert np.array_equal(column, again[1][name])


def test_a_failed_demonstration_is_none() -> None:
    assert demonstrate(PushTConfig(max_timesteps=3), 0) is None


def test_disturbances_move_more_than_the_actions_do() -> None:
    calm, shaken = (demonstrate(PushTConfig(), 9_002, disturbance=share) for share in (0.0, 0.05))
    assert calm is not None
    assert shaken is not None
    moved = [np.abs(np.diff(columns[BLOCK], axis=0)).max(axis=1) for _, columns in (calm, shaken)]
    assert len(moved[0]) != len(moved[1]) or not np.array_equal(*moved)
