"""The expert of VIMA-Bench, which is the package's oracle, and its demonstrations."""

import numpy as np

from astra.environments.suite import Demonstration
from astra.environments.vima_bench.environment import NoLayoutError, VimaBench, VimaBenchConfig


class VimaExpert:
    """Expert for episodes that were reset with the option `expert`."""

    def __init__(self, seed: int) -> None:
        """Take the seed of the episode, which it ignores."""
        del seed

    def act(self, environment: VimaBench) -> np.ndarray:
        """Return the next action; the no-op action if the oracle has none."""
        action = environment.expert_action()
        return environment.no_op_action() if action is None else action


def demonstrate(config: VimaBenchConfig, seed: int) -> Demonstration | None:
    """Record one episode; None if its objects find no place or the oracle does not succeed.

    Each call builds a new environment, so that an episode depends on its seed alone.
    """
    environment = config.build()
    try:
        return _play(environment, seed)
    finally:
        environment.close()


def _play(environment: VimaBench, seed: int) -> Demonstration | None:
    try:
        observation, _ = environment.reset_once(seed, expert=True)
    except NoLayoutError:
        return None
    rows: list[dict[str, np.ndarray]] = []
    for _ in range(environment.expert_steps):
        action = environment.expert_action()
        if action is None:
            return None
        rows.append({**observation, "action": action.astype(np.float32)})
        observation, _, done, _, info = environment.step(action)
        if done:
            break
    else:
        return None
    if not info["is_success"]:
        return None
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Demonstration(instruction=environment.instruction, columns=columns, pictures=environment.prompt_pictures)
