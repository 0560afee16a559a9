"""Measure CALVIN's expert: each task in each scene, and the protocol's chains; compare the oracle with the reference's.

    python scripts/calvin_experts.py tasks results/calvin/expert-tasks.json [--seeds 50] [--scenes D A B C]
    python scripts/calvin_experts.py chains results/calvin/expert-chains.json [--chains 1000]
    python scripts/calvin_experts.py oracle results/calvin/oracle.json [--episodes 200]

CALVIN_ROOT, or --calvin, names the user's clones.

Every row is written as soon as it is known; rows that the file has are not measured again, except tasks that were
measured with another number of seeds. A Markdown table is printed at the end.
"""

import argparse
import importlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.environment import Calvin, CalvinOptions
from astra.environments.calvin.expert import CalvinExpert
from astra.environments.calvin.hand import Variation
from astra.environments.calvin.tasks import TASKS
from astra.evaluation.success import bootstrap_interval, wilson_interval
from astra.storage.atomic import write_atomic

FIRST_SEED = 100_000
"""Seed of the first episode, as in an evaluation."""
NOISIEST, NOISIEST_AFTER = 1.5, 200
"""Largest standard deviation of noise, and number of episodes through which it grows to that."""
ENOUGH = 0.92
"""Share of the seeds, 46 of 50, that an expert should solve."""


def play(environment: Calvin, seed: int, task: str = "") -> tuple[dict[str, Any], int]:
    """Let the expert play an episode, and return the last info and the number of timesteps."""
    environment.reset(seed=seed, options={"task": task} if task else {})
    told, expert, steps, ended = "", CalvinExpert(seed), 0, False
    info: dict[str, Any] = {}
    while not ended:
        if environment.instruction != told:
            told, expert = environment.instruction, CalvinExpert(seed)
        *_, terminated, truncated, info = environment.step(expert.act(environment))
        ended, steps = terminated or truncated, steps + 1
    return info, steps


def tasks(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per scene and task."""
    done = {(row["scene"], row["task"]) for row in rows if row["episodes"] == arguments.seeds}
    for scene in arguments.scenes:
        left = [name for name in TASKS if (scene, name) not in done]
        if not left:
            continue
        environment = Calvin(CalvinOptions(calvin=arguments.calvin, scene=scene, play="tasks"))
        for name in left:
            started = time.process_time()
            played = [play(environment, FIRST_SEED + number, name) for number in range(arguments.seeds)]
            lengths = [steps for info, steps in played if info["is_success"]]
            yield {
                "scene": scene,
                "task": name,
                "episodes": len(played),
                "successes": len(lengths),
                "timesteps": float(np.mean(lengths)) if lengths else None,
                "longest": max(lengths, default=None),
                "failed_seeds": [FIRST_SEED + n for n, (info, _) in enumerate(played) if not info["is_success"]],
                "seconds": time.process_time() - started,
            }
        environment.close()


def chains(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per chain."""
    environment = Calvin(CalvinOptions(calvin=arguments.calvin))
    for number in range(len(rows), arguments.chains):
        info, steps = play(environment, FIRST_SEED + number)
        length = int(info["scores"]["length"])
        failed = environment.present if length < len(environment.names) else None
        yield {"chain": number, "tasks": environment.names, "length": length, "timesteps": steps, "failed": failed}
    environment.close()


def oracle(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per episode: on how many pairs of moments both oracles agree about all 34 tasks.

    Every fourth timestep, and the last one, is compared with up to seven earlier ones of its episode. In every second
    round through the tasks the expert acts under noise that grows with the episode's number, so that it fails too.
    """
    environment = Calvin(CalvinOptions(calvin=arguments.calvin, play="tasks"))
    definitions = find_clones(arguments.calvin).yaml(tasks=True)["tasks"]
    reference = importlib.import_module("calvin_env.envs.tasks").Tasks(definitions)
    names = list(TASKS)
    for number in range(len(rows), arguments.episodes):
        task = names[number % len(names)]
        environment.reset(seed=FIRST_SEED + number, options={"task": task})
        expert, random = CalvinExpert(number, Variation(jitter=0.01, slowest=0.3)), np.random.default_rng(number)
        often = number // len(names) % 2 == 0  # it succeeds as a rule
        noise = 0.1 if often else NOISIEST * (number % NOISIEST_AFTER) / NOISIEST_AFTER
        simulator = environment.simulator
        moments = [(simulator.snapshot(), simulator.reference_info())]
        pairs = agreed = 0
        seen: set[str] = set()
        info: dict[str, Any] = {"is_success": False}
        for step in range(1, 201):
            action = expert.act(environment) + np.append(random.normal(0.0, noise, 6), 0.0)
            *_, ended, _, info = environment.step(action.clip(-1, 1))
            if step % 4 and not ended:
                continue
            now = (simulator.snapshot(), simulator.reference_info())
            for start in moments[:: max(1, len(moments) // 4)]:
                ours = {name for name, check in environment.oracle.items() if check(start[0], now[0])}
                pairs, agreed, seen = (
                    pairs + 1,
                    agreed + (ours == reference.get_task_info(start[1], now[1])),
                    seen | ours,
                )
            moments.append(now)
            if ended:
                break
        yield {
            "episode": number,
            "task": task,
            "success": info["is_success"],
            "pairs": pairs,
            "agreed": agreed,
            "seen": sorted(seen),
        }
    environment.close()


def table(what: str, rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    if what == "chains":
        lengths = [row["length"] for row in rows]
        lines = ["| in a row | success |", "|---|---|"]
        for number in range(1, 6):
            lines.append(f"| {number} | {wilson_interval(sum(n >= number for n in lengths), len(lengths))} |")
        failed = sorted({row["failed"] for row in rows if row["failed"]})
        counts = ", ".join(f"{name} {sum(row['failed'] == name for row in rows)}" for name in failed)
        return "\n".join([*lines, f"\naverage length {bootstrap_interval(lengths)}; failed: {counts}"])
    if what == "oracle":
        pairs, agreed = (sum(row[key] for row in rows) for key in ("pairs", "agreed"))
        successes = sum(row["success"] for row in rows)
        seen = {name for row in rows for name in row["seen"]}
        return (
            f"{len(rows)} episodes, {successes} successes: both oracles agree about all tasks in {agreed} of {pairs} "
            f"pairs of moments; {len(seen)} of {len(TASKS)} tasks were done in some pair"
        )
    scenes = sorted({row["scene"] for row in rows})
    cells = {(row["scene"], row["task"]): row for row in rows}
    lines = [f"| task | {' | '.join(scenes)} | timesteps |", "|---|" + "---|" * (len(scenes) + 1)]
    for name in TASKS:
        found = [cells.get((scene, name)) for scene in scenes]
        counts = " | ".join("-" if row is None else f"{row['successes']}/{row['episodes']}" for row in found)
        lengths = [row["timesteps"] for row in found if row and row["timesteps"]]
        lines.append(f"| {name} | {counts} | {np.mean(lengths):.0f} |" if lengths else f"| {name} | {counts} | - |")
    good = [
        name
        for name in TASKS
        if all((row := cells.get((scene, name))) and row["successes"] >= ENOUGH * row["episodes"] for scene in scenes)
    ]
    return "\n".join([*lines, f"\n{len(good)} tasks with at least 92 % (46 of 50) in each scene"])


def main() -> None:
    """Measure what the file lacks, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tasks", "chains", "oracle"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--calvin", default="")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--scenes", nargs="+", default=["D", "A", "B", "C"])
    parser.add_argument("--chains", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=200)
    arguments = parser.parse_args()
    rows = json.loads(arguments.path.read_text()) if arguments.path.exists() else []
    arguments.path.parent.mkdir(parents=True, exist_ok=True)
    for row in {"tasks": tasks, "chains": chains, "oracle": oracle}[arguments.what](rows.copy(), arguments):
        again = {"scene", "task"} if arguments.what == "tasks" else row.keys()
        rows = [known for known in rows if any(known[key] != row[key] for key in again)] + [row]
        write_atomic(arguments.path, (json.dumps(rows, indent=1) + "\n").encode())
        print({key: value for key, value in row.items() if key not in ("tasks", "seen")}, flush=True)
    print(table(arguments.what, rows))


if __name__ == "__main__":
    main()
