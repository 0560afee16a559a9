import numpy as np
import pytest

from astra.environments.tabletop.environment import TabletopConfig
from astra.environments.tabletop.levels import TASKS_OF_LEVELS
from astra.environments.tabletop.prompt_blind import PromptBlind


@pytest.mark.parametrize(
    ("level", "task"), [(level, task) for level in ("L3", "L4") for task in TASKS_OF_LEVELS[level]]
)
def test_the_prompt_blind_baseline_stays_in_the_workspace_and_is_equal_for_equal_seeds(level: str, task: str) -> None:
    environment = TabletopConfig().build()
    for seed in range(2):
        actions = []
        for _ in range(2):
            environment.reset(seed=seed, options={"task": task, "level": level})
            actions.append(PromptBlind(seed).act(environment))
            environment.step(actions[-1])
        assert np.array_equal(*actions)
