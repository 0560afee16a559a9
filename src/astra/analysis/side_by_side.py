"""Side-by-side pictures of two policies in episodes that only one of them solves.

Source: Figure 11 of the paper, which shows Astra with and without contrastive dynamics learning.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from astra.environments.suite import find_suite
from astra.evaluation.episode import EpisodeResult, same_chain
from astra.evaluation.eval_info import FILE_NAME, read_eval_info
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.pictures.videos import Frame, film_strip, write_video
from astra.evaluation.report import BESIDE, PAIRS
from astra.evaluation.rollout import rollout
from astra.policies.checkpoint import load_policy
from astra.policies.policy import Policy
from astra.storage.atomic import atomic_folder, write_atomic
from astra.storage.json_checksum import checked_json
from astra.suites.evaluate_suite import cases_again, options_again

GAP = 8
"""Width in pixels of the white gap between the two pictures."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Policy with the results of its evaluation."""

    label: str
    policy: Policy[Any]
    info: Mapping[str, Any]
    """Contents of its eval_info.json."""

    @classmethod
    def read(cls, run: Path) -> "Measured":
        """Read a run, and set its policy to act as in its evaluation.

        Raises:
            FileNotFoundError: if there is no policy, or it was not evaluated.
            ValueError: if its eval_info.json is damaged, or of an older version.
        """
        file, command = run / "eval" / FILE_NAME, f"astra evaluate {shlex.quote(str(run))}"
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: evaluate the policy first, with {command}")
        info = read_eval_info(file)
        if not {"suite", "options"} <= info.keys():
            raise ValueError(f"{file} was written by an older version: measure the policy again, with {command}")
        policy = load_policy(run)
        decoding = {name: info[name] for name in vars(policy.decoding) if name in info}
        policy.decode_with(replace(policy.decoding, **decoding))
        parts = run.resolve().parts
        return cls(label="-".join(parts[-2:]) if parts[-1].isdigit() else parts[-1], policy=policy, info=info)

    def play(self, rows: Sequence[Mapping[str, Any]]) -> list[EpisodeResult]:
        """Play episodes of its evaluation again, with their frames."""
        suite = find_suite(self.info["suite"])
        options = options_again(suite, self.info)
        cases = [replace(case, record=True) for case in cases_again(suite, options, rows)]
        num_envs = min(len(rows), suite.max_envs or len(rows))
        return rollout(self.policy, partial(suite.build, options), cases, num_envs=num_envs, title=self.label)


def side_by_side(run: Path, other: Path, each: int = 2) -> Path:
    """Repeat episodes that only one of two evaluated policies solved, and save pictures of both with the run's results.

    Each episode gets a video with the run at the left and the other run at the right, and a film strip of each.

    Args:
        run: Run whose eval/beside/OTHER/ receives the pictures.
        other: Run that was evaluated in the same episodes.
        each: Maximum number of episodes that only the run solves, and of those that only the other solves.

    Raises:
        FileNotFoundError: if a run has no policy, or was not evaluated.
        ValueError: if they share no episodes, or no episode has different outcomes.
    """
    left, right = Measured.read(run), Measured.read(other)
    chosen = [
        row for wins in differing_episodes(left.info, right.info) for row in wins[: 2 * each]
    ]  # twice as many as needed: rounding may change an outcome
    shown = []
    for row, ours, theirs in zip(chosen, left.play(chosen), right.play(chosen), strict=True):
        alike = sum(ours.success == solved.success for _, solved, _ in shown)
        if ours.success == row["success"] != theirs.success and alike < each:
            shown.append((row, ours, theirs))
    if not shown:
        raise ValueError(
            f"none of {len(chosen)} repeated episodes had different outcomes for {left.label} and {right.label}; "
            f"evaluate both again with this version: astra evaluate RUN"
        )
    folder = run / "eval" / BESIDE / right.label
    with atomic_folder(folder, replace=True) as partial:
        pairs = [_keep(row, ours, theirs, (left.label, right.label), partial) for row, ours, theirs in shown]
        write_atomic(partial / PAIRS, checked_json({"pairs": pairs}).encode())
    return folder


def differing_episodes(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the rows of episodes that only the left solved, and of those that only the right solved.

    Raises:
        ValueError: if they share no episodes, or all have the same outcome.
    """
    theirs: dict[tuple[Any, ...], list[Any]] = {}
    for row in right["episodes"]:
        theirs.setdefault(_key(row), []).append(row)
    common = [(row, other) for row in left["episodes"] for other in theirs.get(_key(row), ()) if _same_told(row, other)]
    if not common:
        raise ValueError(
            f"the two were evaluated in different episodes (seeds from {min(left['seeds'])} and from "
            f"{min(right['seeds'])}): evaluate both with the same --seed, --levels and --tasks"
        )
    differing = [row for row, other in common if row["success"] != other["success"]]
    if not differing:
        raise ValueError(f"both solve the same of {len(common)} episodes: there is no difference to show")
    return [row for row in differing if row["success"]], [row for row in differing if not row["success"]]


def join_frames(left: Sequence[Frame], right: Sequence[Frame]) -> list[Frame]:
    """Join frames side by side; the shorter episode repeats its last frame."""
    gap = np.full((left[0].shape[0], GAP, 3), 255, dtype=np.uint8)
    pairs = [(left[min(t, len(left) - 1)], right[min(t, len(right) - 1)]) for t in range(max(len(left), len(right)))]
    return [np.concatenate([one, gap, another], axis=1) for one, another in pairs]


def _keep(
    row: Mapping[str, Any], ours: EpisodeResult, theirs: EpisodeResult, labels: tuple[str, str], folder: Path
) -> dict[str, Any]:
    """Write the pictures of one episode, and return their description."""
    name = f"episode_{row['episode']}"
    strips = []
    for label, result in zip(labels, (ours, theirs), strict=True):
        title = f"{label}, {'solved' if result.success else 'not solved'}: {result.instruction} (seed {result.seed})"
        strip = folder / f"{name}_{len(strips)}.png"
        strips.append(write_figure(film_strip(result.frames, title=title, done=result.done), strip).name)
    return {
        "level": row.get("group", ""),
        "task": row["task"],
        "seed": row["seed"],
        "instruction": row["instruction"],
        "agents": labels,
        "success": (ours.success, theirs.success),
        "video": write_video(join_frames(ours.frames, theirs.frames), folder / f"{name}.mp4", ours.fps).name,
        "strips": strips,
    }


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.get("group", ""), row["task"], row["seed"]


def _same_told(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two rows have the same instructions, as far as both policies got in a chain."""
    return all(same_chain(row[name], other[name]) for name in ("environment_instruction", "instruction"))
