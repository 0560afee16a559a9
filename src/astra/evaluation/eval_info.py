"""The file `eval_info.json`: LeRobot's layout (per_task, per_group, overall), with intervals, seeds and episodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.json_shape import ANY_NAME, read_json
from astra.evaluation.success import CONFIDENCE, Estimate, Summary, summarize
from astra.storage.atomic import write_atomic
from astra.storage.json_checksum import checked_json

FILE_NAME, VIDEOS = "eval_info.json", "videos"
ESTIMATE = {"value": float, "low": float, "high": float, "confidence": float}
"""Shape of an estimate with its interval."""
INTERVALS = {"success": ESTIMATE, "scores": {ANY_NAME: ESTIMATE}, "mean_timesteps": float}
"""Shape of a summary; beside it, `missed` and `recovery` where an action missed, and those of `attempts`."""
OPTIONAL = ("recovery", "attempts", "between_attempts")
"""Estimates of a summary that not every environment has."""
TASK = {"task_group": str, "metrics": {"successes": [bool]}, "intervals": INTERVALS}
SHAPE = {
    "agent": str,
    "confidence": float,
    "seeds": [int],
    "overall": {"n_episodes": int, "eval_s": float, "intervals": INTERVALS},
    "per_group": {ANY_NAME: {"intervals": INTERVALS}},
    "per_task": [({**TASK, "task": str}, {**TASK, "environment_instruction": str, "instruction": str})],
    "episodes": [
        {
            "episode": int,
            "seed": int,
            "task": str,
            "instruction": str,
            "environment_instruction": str,
            "success": bool,
            "timesteps": int,
            "scores": {ANY_NAME: float},
            "sum_reward": float,
            "video_path": (str, None),
        }
    ],
}
"""Fields of the file on which its readers rely."""
Summarize = Callable[[Sequence[EpisodeResult]], Summary]


def eval_info(
    results: Sequence[EpisodeResult],
    *,
    agent: str,
    seconds: float,
    video_paths: Mapping[int, str],
    summarize: Summarize = summarize,
) -> dict[str, Any]:
    """Return the contents of the file for one agent.

    If cases name a group, such as a level, results are grouped by it, and in it by the environment's task. Otherwise
    they are grouped by the environment's task, and in it by pairs of the environment's and the agent's instruction.
    `pc_success` is in percent, as in LeRobot; intervals are shares of one. Where actions missed, `missed` is the number
    of those episodes, and `recovery` the share of them that succeeded. Where attempts are counted, `attempts` is their
    mean number per episode, and `between_attempts` the mean number of timesteps from one to the next.

    Args:
        results: Results in the order of the cases.
        agent: Name of the agent.
        seconds: Duration of the evaluation.
        video_paths: Path of each video relative to the file's folder, by the number of the episode.
        summarize: Computes means and intervals over episodes.

    Source: `eval_info.json` of huggingface/lerobot, scripts/lerobot_eval.py.
    """
    episodes = [
        {
            "episode": number,
            "seed": result.seed,
            "task": result.task,
            **({"group": result.group} if result.group else {}),
            "instruction": result.instruction,
            "environment_instruction": result.environment_instruction,
            "success": result.success,
            "timesteps": result.timesteps,
            "scores": dict(result.scores),
            "max_reward": result.max_reward,
            "sum_reward": result.sum_reward,
            "video_path": video_paths.get(number),
            **({} if result.missed is None else {"missed": result.missed}),
            **({} if result.attempts is None else {"attempts": list(result.attempts)}),
        }
        for number, result in enumerate(results)
    ]
    numbered = list(enumerate(results))
    groups = sorted({_group(result) for result in results})
    per_task = [task for group in groups for task in _tasks(group, numbered, video_paths, summarize)]
    per_group = {
        group: _aggregate([pair for pair in numbered if _group(pair[1]) == group], video_paths, summarize)
        for group in groups
    }
    overall = _aggregate(numbered, video_paths, summarize)
    return {
        "per_task": per_task,
        "per_group": per_group,
        "overall": {**overall, "eval_s": seconds, "eval_ep_s": seconds / len(results)},
        "agent": agent,
        "confidence": CONFIDENCE,
        "seeds": [result.seed for result in results],
        "episodes": episodes,
    }


def check_place_of_results(folder: Path, agents: Sequence[str]) -> None:
    """Check that a folder is new, empty, or that of an earlier evaluation, also of one that did not end.

    Args:
        folder: The folder.
        agents: Names of agents, each of which may have a folder of its own in it.

    Raises:
        ValueError: if it holds something else.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    places = (folder, *(folder / agent for agent in agents))
    if names and not any((place / name).exists() for place in places for name in (FILE_NAME, VIDEOS)):
        raise ValueError(
            f"{folder} holds {names[0]!r} and no evaluation: choose another folder for the results with --output"
        )


def write_eval_info(info: Mapping[str, Any], folder: Path) -> Path:
    """Write the file with a checksum into a folder and return its path."""
    return write_atomic(folder / FILE_NAME, checked_json(info, allow_nan=False).encode())


def read_eval_info(path: Path) -> dict[str, Any]:
    """Read the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, was changed, lacks a field or has no episodes.
    """
    remedy = "evaluate the policy again, with astra evaluate RUN"
    info = read_json(path, SHAPE, remedy)
    for part in ("seeds", "episodes", "per_task"):
        if not info[part]:
            raise ValueError(f"{path} cannot be used: {part} is empty; {remedy}")
    if len({"task" in row for row in info["per_task"]}) > 1:
        raise ValueError(f"{path} cannot be used: only some entries of per_task have a task; {remedy}")
    return info


def read_summary(info: Mapping[str, Any]) -> Summary:
    """Return the summary of all episodes from the contents of the file."""
    intervals = info["overall"]["intervals"]
    return Summary(
        episodes=info["overall"]["n_episodes"],
        success=Estimate(**intervals["success"]),
        scores={name: Estimate(**estimate) for name, estimate in intervals["scores"].items()},
        mean_timesteps=intervals["mean_timesteps"],
        missed=intervals.get("missed", 0),
        **{name: Estimate(**intervals[name]) for name in OPTIONAL if name in intervals},
    )


def group_rates(info: Mapping[str, Any]) -> dict[tuple[str, str], Estimate]:
    """Return the success rate of every group and task, with task `all` for a whole group; empty without groups."""
    if "task" not in info["per_task"][0]:
        return {}
    rates = {}
    for group, whole in info["per_group"].items():
        for row in info["per_task"]:
            if row["task_group"] == group:
                rates[group, row["task"]] = Estimate(**row["intervals"]["success"])
        rates[group, "all"] = Estimate(**whole["intervals"]["success"])
    return rates


def _tasks(
    group: str, results: Sequence[tuple[int, EpisodeResult]], video_paths: Mapping[int, str], summarize: Summarize
) -> list[dict[str, Any]]:
    mine = [(index, result) for index, result in results if _group(result) == group]
    kinds = sorted({tuple(_labels(result).items()) for _, result in mine})
    tasks = []
    for number, kind in enumerate(kinds):
        those = [(index, result) for index, result in mine if tuple(_labels(result).items()) == kind]
        metrics = {
            "sum_rewards": [result.sum_reward for _, result in those],
            "max_rewards": [result.max_reward for _, result in those],
            "successes": [result.success for _, result in those],
            "video_paths": [video_paths[index] for index, _ in those if index in video_paths],
        }
        tasks.append(
            {
                "task_group": group,
                "task_id": number,
                **dict(kind),
                "metrics": metrics,
                "intervals": _intervals([result for _, result in those], summarize),
            }
        )
    return tasks


def _group(result: EpisodeResult) -> str:
    return result.group or result.task


def _labels(result: EpisodeResult) -> dict[str, str]:
    """Return the labels of an episode's task within its group."""
    if result.group:
        return {"task": result.task}
    return {"environment_instruction": result.environment_instruction, "instruction": result.instruction}


def _aggregate(
    results: Sequence[tuple[int, EpisodeResult]], video_paths: Mapping[int, str], summarize: Summarize
) -> dict[str, Any]:
    return {
        "avg_sum_reward": float(np.mean([result.sum_reward for _, result in results])),
        "avg_max_reward": float(np.mean([result.max_reward for _, result in results])),
        "pc_success": 100 * float(np.mean([result.success for _, result in results])),
        "n_episodes": len(results),
        "video_paths": [video_paths[number] for number, _ in results if number in video_paths],
        "intervals": _intervals([result for _, result in results], summarize),
    }


def _intervals(results: Sequence[EpisodeResult], summarize: Summarize) -> dict[str, Any]:
    summary = asdict(summarize(results))
    found = [name for name in OPTIONAL if summary[name] is not None]
    names = ("success", "scores", "mean_timesteps", *(("missed",) if summary["missed"] else ()), *found)
    return {name: summary[name] for name in names}
