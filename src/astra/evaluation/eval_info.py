"""`eval_info.json`: LeRobot's per_task, per_group and overall, with intervals, seeds and every episode."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.success import Estimate, Summary, summarise
from astra.policies.whole_file import write_whole

FILE_NAME = "eval_info.json"


def eval_info(
    results: Sequence[EpisodeResult],
    *,
    agent: str,
    seconds: float,
    video_paths: Mapping[int, str],
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Describe the results of one agent.

    A group is the environment's task; a task in it is a pair of what was asked for and what the agent was told.
    `pc_success` is in percent as LeRobot has it, the intervals are in shares of one.

    Args:
        results: In the order of the cases.
        agent: Who acted.
        seconds: How long it took.
        video_paths: By the number of the episode, relative to the file's folder.
        confidence: Of the intervals.

    Source: `eval_info.json` of huggingface/lerobot, scripts/lerobot_eval.py.
    """
    episodes = [
        {
            "episode": number,
            "seed": result.seed,
            "task": result.task,
            "instruction": result.instruction,
            "environment_instruction": result.environment_instruction,
            "success": result.success,
            "timesteps": result.timesteps,
            "scores": dict(result.scores),
            "max_reward": result.max_reward,
            "sum_reward": result.sum_reward,
            "video_path": video_paths.get(number),
        }
        for number, result in enumerate(results)
    ]
    numbered = list(enumerate(results))
    groups = sorted({result.task for result in results})
    per_task = [task for group in groups for task in _tasks(group, numbered, video_paths, confidence)]
    per_group = {
        group: _aggregate([pair for pair in numbered if pair[1].task == group], video_paths, confidence)
        for group in groups
    }
    overall = _aggregate(numbered, video_paths, confidence)
    return {
        "per_task": per_task,
        "per_group": per_group,
        "overall": {**overall, "eval_s": seconds, "eval_ep_s": seconds / len(results)},
        "agent": agent,
        "confidence": confidence,
        "seeds": [result.seed for result in results],
        "episodes": episodes,
    }


def write_eval_info(info: Mapping[str, Any], folder: Path) -> Path:
    """Write the file into a folder and return its path."""
    return write_whole(folder / FILE_NAME, (json.dumps(info, indent=2, allow_nan=False) + "\n").encode())


def read_summary(info: Mapping[str, Any]) -> Summary:
    """Make the summary of all episodes from what was written."""
    intervals = info["overall"]["intervals"]
    return Summary(
        episodes=info["overall"]["n_episodes"],
        success=Estimate(**intervals["success"]),
        scores={name: Estimate(**estimate) for name, estimate in intervals["scores"].items()},
        mean_timesteps=intervals["mean_timesteps"],
    )


def _tasks(
    group: str, results: Sequence[tuple[int, EpisodeResult]], video_paths: Mapping[int, str], confidence: float
) -> list[dict[str, Any]]:
    pairs = {(result.environment_instruction, result.instruction) for _, result in results if result.task == group}
    tasks = []
    for number, (asked, told) in enumerate(sorted(pairs)):
        those = [
            (index, result)
            for index, result in results
            if (result.task, result.environment_instruction, result.instruction) == (group, asked, told)
        ]
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
                "instruction": told,
                "environment_instruction": asked,
                "metrics": metrics,
                "intervals": _intervals([result for _, result in those], confidence),
            }
        )
    return tasks


def _aggregate(
    results: Sequence[tuple[int, EpisodeResult]], video_paths: Mapping[int, str], confidence: float
) -> dict[str, Any]:
    return {
        "avg_sum_reward": float(np.mean([result.sum_reward for _, result in results])),
        "avg_max_reward": float(np.mean([result.max_reward for _, result in results])),
        "pc_success": 100 * float(np.mean([result.success for _, result in results])),
        "n_episodes": len(results),
        "video_paths": [video_paths[number] for number, _ in results if number in video_paths],
        "intervals": _intervals([result for _, result in results], confidence),
    }


def _intervals(results: Sequence[EpisodeResult], confidence: float) -> dict[str, Any]:
    summary = asdict(summarise(results, confidence))
    return {name: summary[name] for name in ("success", "scores", "mean_timesteps")}
