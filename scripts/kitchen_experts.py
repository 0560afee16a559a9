"""Measure the expert of Franka Kitchen over 200 chains of four tasks, also in bins, from other starts and under noise.

    python scripts/kitchen_experts.py results/franka-kitchen/expert-rows.json

Every row is written as soon as it is known; rows that the file has are not measured again. `--table` prints the file as
two Markdown tables.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.franka_kitchen.demonstrations import KitchenDemonstrationOptions
from astra.environments.franka_kitchen.environment import FrankaKitchen, KitchenOptions
from astra.environments.franka_kitchen.expert import KitchenExpert, Variation
from astra.environments.franka_kitchen.simulator import JOINTS
from astra.environments.franka_kitchen.tasks import TASKS
from astra.environments.spaces import in_bins
from astra.storage.atomic import write_atomic

SEEDS = range(100_000, 100_200)
"""Seeds of the chains; the first fifty are those of an evaluation."""
STEADY = KitchenDemonstrationOptions(perturbation=0.0, jitter=0.0, slowest=0.0, shuffle=0.0, noise=0.0, kicks=0.0)
AGENTS = {
    "expert": STEADY,
    "in 255 bins": replace(STEADY, bins=255),
    "in 51 bins": replace(STEADY, bins=51),
    "perturbed starts": replace(STEADY, perturbation=1.0),
    "action noise 0.1": replace(STEADY, noise=0.1),
    "action noise 0.2": replace(STEADY, noise=0.2),
    "varied": replace(STEADY, jitter=0.02, slowest=0.2, shuffle=0.15),
}
"""Options by row; here the noise has the same strength in every chain."""


def chain(environment: FrankaKitchen, seed: int, options: KitchenDemonstrationOptions) -> dict[str, Any]:
    """Play one chain and return what was asked and when each task was done."""
    environment.options = KitchenOptions(perturbation=options.perturbation)
    _, info = environment.reset(seed=seed)
    random = np.random.default_rng([seed, 1])
    variation = Variation(jitter=options.jitter, slowest=options.slowest, shuffle=options.shuffle)
    expert, timesteps, ended = KitchenExpert(seed, variation), 0, False
    while not ended:
        action = in_bins(expert.act(environment), options.bins).astype(np.float32).astype(np.float64)
        action[:JOINTS] += random.normal(0.0, options.noise, JOINTS)
        _, _, terminated, truncated, info = environment.step(action.clip(-1, 1))
        ended, timesteps = terminated or truncated, timesteps + 1
    asked = [task.name for task in environment.asked]
    return {"asked": asked, "done": info["done"], "timesteps": timesteps, "scores": info["scores"]}


def measure(path: Path) -> None:
    """Measure what the file lacks."""
    rows = json.loads(path.read_text()) if path.exists() else []
    environment = FrankaKitchen(KitchenOptions())
    for agent, options in AGENTS.items():
        if agent in [row["agent"] for row in rows]:
            continue
        started = time.process_time()
        chains = [chain(environment, seed, options) for seed in SEEDS]
        won = [played for played in chains if played["scores"]["p4"]]
        scores = {name: float(np.mean([played["scores"][name] for played in chains])) for name in chains[0]["scores"]}
        asked = {name: [played["done"] for played in chains if name in played["asked"]] for name in TASKS}
        row = {
            "agent": agent,
            "chains": len(chains),
            "scores": scores,
            "timesteps": float(np.mean([played["timesteps"] for played in won])),
            "longest": max(played["timesteps"] for played in won),
            "tasks": {name: [sum(name in done for done in those), len(those)] for name, those in asked.items()},
            "seconds": time.process_time() - started,
        }
        rows.append(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(rows, indent=1) + "\n").encode())
        print(agent, row["scores"], flush=True)
    environment.close()


def percent(row: dict[str, Any], stages: tuple[str, ...]) -> list[str]:
    """Return the shares of a row in percent."""
    return [f"{100 * row['scores'][name]:.1f}" for name in stages]


def table(path: Path) -> str:
    """Return the file as two Markdown tables: stages of each row, and tasks done of those asked for."""
    rows = json.loads(path.read_text())
    stages = ("p1", "p2", "p3", "p4", "mean")
    lines = [
        f"| | {' | '.join(stages)} | not named | timesteps, longest |",
        "|---" * (len(stages) + 3) + "|",
        *(
            f"| {row['agent']} | {' | '.join(percent(row, stages))} "
            f"| {row['scores']['not_named']:.2f} | {row['timesteps']:.0f}, {row['longest']} |"
            for row in rows
        ),
        "",
        f"| | {' | '.join(TASKS)} |",
        "|---" * (len(TASKS) + 1) + "|",
        *(
            f"| {row['agent']} | {' | '.join('/'.join(map(str, row['tasks'][name])) for name in TASKS)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    if "--table" not in sys.argv:
        measure(file)
    print(table(file))
