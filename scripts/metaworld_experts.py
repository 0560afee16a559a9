"""Measure Meta-World's experts: each task over 50 seeds, with the expert's own actions, in bins and with noise.

    python scripts/metaworld_experts.py results/metaworld/experts.json

Every row is written as soon as it is known; rows that the file has are not measured again. `--table` prints the file as
a Markdown table.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.metaworld.environment import MetaWorld, MetaWorldOptions
from astra.environments.metaworld.expert import demonstrate
from astra.environments.metaworld.tasks import MT50
from astra.storage.atomic import write_atomic

SEEDS = range(100_000, 100_050)
"""Seeds of the episodes, those of an evaluation."""
AGENTS: dict[str, dict[str, Any]] = {"expert": {}, "expert in 101 bins": {"bins": 101}, "with noise": {"noise": 0.4}}
"""Options of `demonstrate` by column."""


def measure(path: Path) -> None:
    """Measure what the file lacks."""
    rows = json.loads(path.read_text()) if path.exists() else []
    done = {(row["agent"], row["task"]) for row in rows}
    for agent, options in AGENTS.items():
        for task in MT50:
            if (agent, task.name) in done:
                continue
            environment = MetaWorld(MetaWorldOptions(known_tasks=(task.name,)))
            started = time.process_time()
            shown = [demonstrate(environment, task.name, seed, **options) for seed in SEEDS]
            lengths = [len(columns["action"]) for columns in shown if columns is not None]
            row = {
                "agent": agent,
                "task": task.name,
                "episodes": len(SEEDS),
                "successes": len(lengths),
                "timesteps": float(np.mean(lengths)) if lengths else None,
                "longest": max(lengths, default=None),
                "seconds": time.process_time() - started,
            }
            rows.append(row)
            environment.close()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, (json.dumps(rows, indent=1) + "\n").encode())
            print(agent, task.name, row["successes"], row["timesteps"], flush=True)


def table(path: Path) -> str:
    """Return the file as a Markdown table of the tasks with instruction, scene, successes and mean length."""
    cells = {(row["agent"], row["task"]): row for row in json.loads(path.read_text())}
    lines = ["| task | instruction | scene | successes of 50 | timesteps |", "|---|---|---|---|---|"]
    for task in MT50:
        found = [cells.get((agent, task.name)) for agent in AGENTS]
        numbers = " / ".join("-" if row is None else str(row["successes"]) for row in found)
        mean = found[0]["timesteps"] if found[0] else None
        length = "-" if mean is None else f"{mean:.0f}"
        lines.append(f"| {task.name} | {task.instruction} | {task.scene} | {numbers} | {length} |")
    return "\n".join(lines)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    if "--table" not in sys.argv:
        measure(file)
    print(table(file))
