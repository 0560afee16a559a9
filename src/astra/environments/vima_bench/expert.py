"""VIMA-Bench's own oracle: as an expert for evaluations, and as the maker of demonstrations."""

from dataclasses import dataclass

import numpy as np

from astra.environments.vima_bench.environment import NoLayoutError, VimaBench, VimaBenchConfig
from astra.objects import Pictures


class VimaOracle:
    """Solves an episode that was reset with the option `oracle`."""

    def __init__(self, seed: int) -> None:
        """Take the seed of the episode, which it does not need."""
        del seed

    def act(self, environment: VimaBench) -> np.ndarray:
        """Give the next action; where the oracle has none, the one that does nothing."""
        action = environment.oracle_action()
        return environment.no_op_action() if action is None else action


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One successful episode of the oracle."""

    task: str
    seed: int
    instruction: str
    pictures: Pictures
    columns: dict[str, np.ndarray]
    """`action` and `observation.*`, first axis time."""


def demonstrate(config: VimaBenchConfig, seed: int) -> Demonstration | None:
    """Play one episode; None where its layout cannot be placed or the oracle does not succeed.

    The environment is made anew each time, so that an episode depends on its seed alone.
    """
    environment = config.build()
    try:
        return _play(environment, seed)
    finally:
        environment.close()


def _play(environment: VimaBench, seed: int) -> Demonstration | None:
    try:
        observation, _ = environment.reset_once(seed, oracle=True)
    except NoLayoutError:
        return None
    rows: list[dict[str, np.ndarray]] = []
    for _ in range(environment.oracle_steps):
        action = environment.oracle_action()
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
    return Demonstration(
        task=environment.task,
        seed=seed,
        instruction=environment.instruction,
        pictures=environment.prompt_pictures,
        columns=columns,
    )
