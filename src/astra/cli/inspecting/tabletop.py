"""`astra inspect tabletop`: print the tabletop's tasks, or measure its expert and baselines."""

import os
from pathlib import Path

from astra.storage.numbers import CountOrNone, Seed, Workers

CORES = os.cpu_count() or 1


def tabletop(
    *,
    level: str = "",
    seed: Seed = 0,
    controls: CountOrNone = 0,
    output: Path | None = None,
    workers: Workers = CORES,
) -> None:
    """Print the tabletop's tasks with an example of each prompt, or measure its expert and baselines.

    Args:
        level: Level of generalization; empty: all levels.
        seed: Seed of the example, or of the first episode.
        controls: Number of episodes per task, level and agent (expert, expert in bins, prompt-blind, no-op); prints
            success in percent with 95% intervals. 0: print the tasks.
        output: File for the results as JSON, only with --controls.
        workers: Number of worker processes.

    Raises:
        ValueError: if there is no such level, or options do not go together.
    """
    from astra.environments.tabletop.environment import TabletopConfig
    from astra.environments.tabletop.levels import TASKS_OF_LEVELS
    from astra.suites.tabletop_controls import ControlsConfig, controls_table, measure_controls, save_controls

    if output is not None and not controls:
        raise ValueError(
            "--output is for the results of --controls: give a number of episodes by --controls, or leave --output out"
        )
    levels = (level,) if level else ("L1", "L2", "L3", "L4")
    if controls:
        rows = measure_controls(ControlsConfig(episodes=controls, levels=levels, seed=seed, workers=workers))
        if output is not None:
            save_controls(rows, output)
        print(controls_table(rows))
        one_step = [row.demonstrations_per_second for row in rows if row.steps == 1]
        print(f"\ndemonstrations per second of one core, smallest over tasks of one step: {min(one_step):.0f}")
        return
    environment = TabletopConfig(level=levels[0]).build()
    for name in levels:
        for task in TASKS_OF_LEVELS[name]:
            environment.reset(seed=seed, options={"task": task, "level": name})
            print(f"{name}  {task:28}{environment.instruction}")
