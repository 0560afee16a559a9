"""One evaluation from end to end: episodes, numbers, videos and the file that keeps them."""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astra.environments.environment import Environment
from astra.evaluation.agents import Agent
from astra.evaluation.episode import Case, EpisodeResult
from astra.evaluation.eval_info import eval_info, read_summary, write_eval_info
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.pictures.videos import film_strip, write_video
from astra.evaluation.rollout import play
from astra.evaluation.success import Summary
from astra.parallel.processes import everywhere, in_main, is_main_process, own_share
from astra.policies.policy import Policy
from astra.storage.provenance import code_version, machine

_Played = tuple[int, EpisodeResult, str | None]
"""Number of a case, its result without the frames, and its video relative to the folder."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an agent did in a list of cases."""

    agent: str
    summary: Summary
    results: tuple[EpisodeResult, ...]
    """In the order of the cases, without their frames."""
    folder: Path
    """Where eval_info.json, videos and film strips lie."""


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
    """Play the cases and write `eval_info.json`, `videos/` and one film strip per video into a folder.

    Processes that were launched together play a share of the cases each, and all get the whole evaluation.

    Args:
        agent: Who acts.
        make_environment: Makes one environment, with more than one worker by pickle.
        cases: The episodes.
        folder: Of this agent; what an earlier evaluation left there is written over.
        name: Of the agent in tables: policy, floor, expert, swapped, ...
        num_envs: Number of episodes that are played together.
        workers: Number of processes, of each process that was launched.
        cluster: Plays on a Ray cluster instead: auto, or its address.
        num_videos: So many of the first cases are recorded.
        provenance: What the file says besides, such as {"checkpoint": ...}; command, code version, machine and date
            are told anyway.

    Raises:
        ValueError: if there are no cases, or an action is not finite.
    """
    if not cases:
        raise ValueError("an evaluation needs at least one episode, got none")
    begun = time.perf_counter()

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
    info = eval_info(ordered, agent=name, seconds=time.perf_counter() - begun, video_paths=videos)
    told = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "code_version": code_version(),
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    in_main(lambda: write_eval_info({**info, **told, **(provenance or {})}, folder))
    return Evaluation(agent=name, summary=read_summary(info), results=ordered, folder=folder)


def _keep(number: int, result: EpisodeResult, folder: Path, name: str) -> _Played:
    """Write the video of an episode that was recorded; its frames are many megabytes and go."""
    video = None
    if result.frames:
        video = f"videos/eval_episode_{number}.mp4"
        write_video(result.frames, folder / video, result.fps)
        strip = film_strip(result.frames, title=f"{result.instruction} ({name}, seed {result.seed})")
        write_figure(strip, folder / f"film_strip_{number}.png")
    return number, dataclasses.replace(result, frames=()), video
