"""Measure ManiSkill's expert in every combination of every level: steady, and disturbed as in demonstrations.

    python scripts/maniskill_experts.py results/maniskill/experts.json --seeds 50 [--levels seen-2-4 all]

Every row is written as soon as it is known; rows that the file has with as many seeds are not measured again. `--table`
prints the file as Markdown tables. 50 seeds of all rows of both agents take about 30 minutes.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.maniskill.demonstrations import ManiSkillDemonstrationOptions, play
from astra.environments.maniskill.environment import ManiSkill
from astra.environments.maniskill.expert import ManiSkillExpert
from astra.environments.maniskill.levels import LEVELS, combinations_of
from astra.evaluation.success import mean_gap, wilson_interval
from astra.storage.atomic import write_atomic

FIRST_SEED = 300_000
"""Seed of the first episode: beyond demonstrations, evaluations and rollouts, and never looked at while tuning."""
DISTURBED = ManiSkillDemonstrationOptions(observation="state")
AGENTS = {"expert": replace(DISTURBED, noise=0.0, kicks=0.0, slips=0.0), "disturbed": DISTURBED}
"""Options by agent: the expert through 101 bins, and the same with the disturbances of demonstrations."""
COUNTS = ("episodes", "successes", "attempts", "first_failed", "recovered", "several", "gap_timesteps")
"""Numbers that tables add up; `gap_timesteps` is the sum of the mean gaps of episodes with several attempts."""


def measure(path: Path, seeds: int, levels: list[str]) -> None:
    """Measure what the file lacks."""
    rows = json.loads(path.read_text()) if path.exists() else []
    known = {(row["agent"], row["level"], row["task"]): row["episodes"] for row in rows}
    environment = ManiSkill(DISTURBED)
    for agent, options in AGENTS.items():
        for level, combination in ((name, each) for name in levels for each in combinations_of(name)):
            place = (agent, level, combination.name)
            if known.get(place) == seeds:
                continue
            rows = [row for row in rows if (row["agent"], row["level"], row["task"]) != place]
            started, reset = time.process_time(), {"level": level, "task": combination.name}
            numbers = range(FIRST_SEED, FIRST_SEED + seeds)
            played = [play(environment, reset, number, options, ManiSkillExpert) for number in numbers]
            timesteps = [len(episode.actions) for episode in played if episode.succeeded]
            gaps = [mean_gap(episode.attempts) for episode in played if len(episode.attempts) > 1]
            rows.append(
                {
                    "agent": agent,
                    "level": level,
                    "task": combination.name,
                    "difficulty": combination.target.difficulty,
                    "episodes": seeds,
                    "successes": len(timesteps),
                    "timesteps": float(np.mean(timesteps)) if timesteps else None,
                    "longest": max(timesteps, default=None),
                    "attempts": sum(len(episode.attempts) for episode in played),
                    "first_failed": sum(episode.first_failed for episode in played),
                    "recovered": sum(episode.first_failed and episode.succeeded for episode in played),
                    "several": len(gaps),
                    "gap_timesteps": sum(gaps),
                    "seconds": time.process_time() - started,
                }
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, (json.dumps(rows, indent=1) + "\n").encode())
            print(agent, level, combination.name, rows[-1]["successes"], "of", seeds, flush=True)
    environment.close()


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """Return a line of a table from the rows that it pools."""
    sums = {count: sum(row[count] for row in rows) for count in COUNTS}
    rate = wilson_interval(sums["successes"], sums["episodes"])
    timesteps = sum(row["timesteps"] * row["successes"] for row in rows if row["successes"]) / max(sums["successes"], 1)
    apart = f"{sums['gap_timesteps'] / sums['several']:.0f}" if sums["several"] else ""
    return (
        f"| {name} | {sums['successes']}/{sums['episodes']} | {rate} | {timesteps:.0f} "
        f"| {sums['attempts'] / sums['episodes']:.2f} | {sums['recovered']}/{sums['first_failed']} | {apart} |"
    )


def tables(path: Path) -> str:
    """Return the file as Markdown tables: levels and difficulties of each agent, then the seen combinations."""
    rows = json.loads(path.read_text())
    heading = (
        "| | successes | rate | timesteps | attempts | success after a failed first grasp | between attempts |\n"
        "|---|---|---|---|---|---|---|"
    )
    lines = []
    for agent in AGENTS:
        mine = [row for row in rows if row["agent"] == agent]
        groups = {
            **{name: [row for row in mine if row["level"] == name] for name in LEVELS},
            **{
                f"seen-2-4, {kind}": [row for row in mine if row["level"] == "seen-2-4" and row["difficulty"] == kind]
                for kind in ("easy", "medium", "hard")
            },
            **{f"{row['task']}, {row['difficulty']}": [row] for row in mine if row["level"] == "seen-2-4"},
        }
        lines += [f"{agent}:\n\n{heading}", *(line(name, those) for name, those in groups.items() if those), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if not chosen.table:
        measure(chosen.file, chosen.seeds, chosen.levels)
    print(tables(chosen.file))
