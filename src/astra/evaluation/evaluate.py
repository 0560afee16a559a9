"""Evaluate one agent: play its episodes, compute results, and write eval_info.json and videos."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astra.environments.environment import Environment
from astra.evaluation.agents import Agent
from astra.evaluation.episode import Case, EpisodeResult
from astra.evaluation.eval_info import VIDEOS, eval_info, read_summary, write_eval_info
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.pictures.videos import film_strip, write_video
from astra.evaluation.rollout import play
from astra.evaluation.success import Summary
from astra.parallel.processes import everywhere, in_main, is_main_process, own_share
from astra.policies.policy import Policy
from astra.storage.provenance import code_version, command_line, machine

_Played = tuple[int, EpisodeResult, str | None]
"""Number of a case, its result without frames, and the path of its video relative to the folder."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of one agent."""

    agent: str
    """Name of the agent."""
    summary: Summary
    """Summary of all episodes."""
    results: tuple[EpisodeResult, ...]
    """Results in the order of the cases, without frames."""
    folder: Path
    """Folder of eval_info.json, videos and film strips."""


def evaluate(
    agent: Agent | Policy[Any],
    make_environment: Callable[[], Environment],
    cases: Sequence[Case],
    *,
    folder: Path,
    name: str = "policy",
    num_envs: int = 16,
    workers: int = 1,
    cluster: str | None = None,
    num_videos: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Play the cases, and write `eval_info.json`, `videos/` and one film strip per video into a folder.

    Processes that were launched together play a share of the cases each, and all return the whole evaluation.

    Args:
        agent: Agent that acts.
        make_environment: Makes one environment; sent to workers by pickle.
        cases: Episodes to play.
        folder: Folder of this agent; results of an earlier evaluation are overwritten.
        name: Name of the agent in tables: policy, no-op, expert, swapped, ...
        num_envs: Number of environments in which one process acts at once.
        workers: Number of worker processes, for each process that was launched.
        cluster: Ray cluster on which to play instead: auto, or its address.
        num_videos: Number of first cases that are recorded.
        provenance: Further entries of the file, such as {"checkpoint": ...}. Command, code version, machine and date
            are always there.

    Raises:
        ValueError: if there are no cases, or an action, a reward or a score is not finite.
    """
    if not cases:
        raise ValueError("an evaluation needs at least one episode, got none")
    started = time.perf_counter()

    def play_share() -> list[_Played]:
        share = own_share(range(len(cases))).tolist()
        mine = [dataclasses.replace(cases[n], record=cases[n].record or n < num_videos) for n in share]
        title = name if is_main_process() else ""
        played = play(agent, make_environment, mine, num_envs=num_envs, workers=workers, cluster=cluster, title=title)
        return [_keep(share[n], result, folder, name) for n, result in played]

    shares = everywhere(play_share)
    results = {number: result for share in shares for number, result, _ in share}
    videos = {number: path for share in shares for number, _, path in share if path is not None}
    ordered = tuple(results[number] for number in range(len(cases)))
    info = eval_info(ordered, agent=name, seconds=time.perf_counter() - started, video_paths=videos)
    origin = {
        "command": command_line(),
        "code_version": code_version(),
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    in_main(lambda: write_eval_info({**info, **origin, **(provenance or {})}, folder))
    return Evaluation(agent=name, summary=read_summary(info), results=ordered, folder=folder)


def _keep(number: int, result: EpisodeResult, folder: Path, name: str) -> _Played:
    """Write the video of a recorded episode and drop its frames, which take many megabytes."""
    video = None
    if result.frames:
        video = f"{VIDEOS}/eval_episode_{number}.mp4"
        write_video(result.frames, folder / video, result.fps)
        goal = result.environment_instruction
        other = "" if goal == result.instruction else f"; the goal: {goal}"
        title = f"{result.instruction} ({name}, seed {result.seed}){other}"
        strip = film_strip(result.frames, title=title, done=result.done)
        write_figure(strip, folder / f"film_strip_{number}.png")
    return number, dataclasses.replace(result, frames=()), video
