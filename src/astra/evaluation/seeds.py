"""Several training seeds of one experiment: put their evaluations together into one.

runs/NAME/SEED/eval/        evaluation of each seed's run, as of any run
runs/NAME/eval/             eval_info.json over all seeds, with intervals over seeds and episodes
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astra.evaluation.episode import EpisodeResult, same_chain
from astra.evaluation.eval_info import FILE_NAME, eval_info, read_eval_info, read_summary, write_eval_info
from astra.evaluation.statistics import mean_of_some, row_mean
from astra.evaluation.success import Estimate, Summary, attempts_and_misses, shared_scores

SAME = ("seed", "task", "group")
"""Entries of an episode that are equal for all training seeds."""
TOLD = ("instruction", "environment_instruction")
"""Instructions of an episode, which are equal for all training seeds as far as these got in a chain."""


def seed_runs(folder: Path) -> dict[int, Path]:
    """Return the runs of a folder with one run per training seed, by seed; empty for any other folder."""
    if (folder / "config.json").exists():
        return {}
    runs = [path.parent for path in folder.glob("*/config.json") if path.parent.name.isdecimal()]
    runs = [run for run in runs if (run / "checkpoints").is_dir()]
    return {int(run.name): run for run in sorted(runs, key=lambda run: int(run.name))}


def aggregate(runs: Mapping[int, Path], folder: Path, agents: Collection[str] | None = None) -> dict[str, Summary]:
    """Write eval_info.json of agents over all seeds into a folder, and return the summaries by agent.

    Without any evaluation nothing is written.

    Args:
        runs: run of each training seed.
        folder: folder of the results over all seeds.
        agents: names of the agents; None: all that were measured.

    Raises:
        FileNotFoundError: if only some runs have been evaluated.
        ValueError: if two seeds were evaluated on other episodes.
    """
    folders = [run / "eval" for run in runs.values()]
    found = [(path.parent, each) for each in folders for path in [*each.glob(FILE_NAME), *each.glob(f"*/{FILE_NAME}")]]
    summaries = {}
    for place in sorted({path.relative_to(each) for path, each in found}):
        if agents is not None and (place.name or "policy") not in agents:
            continue
        infos = {seed: _read(run / "eval" / place / FILE_NAME) for seed, run in runs.items()}
        info = over_seeds(infos)
        write_eval_info(info, folder / place)
        summaries[info["agent"]] = read_summary(info)
    return summaries


def over_seeds(infos: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the contents of eval_info.json over several training seeds from those of each seed.

    Raises:
        ValueError: if two seeds were evaluated on other episodes.
    """
    told = _told_to_any(infos)
    rows = [row for info in infos.values() for row in info["episodes"]]
    results = [_result({**row, **longest}) for row, longest in zip(rows, told * len(infos), strict=True)]

    def summarize(those: Sequence[EpisodeResult]) -> Summary:
        lines = np.arange(len(those)).reshape(len(infos), -1)  # seed after seed, each with the same episodes
        strata = [f"{those[index].group}/{those[index].task}" for index in lines[0]]

        def mean(values: Sequence[float]) -> Estimate:
            return row_mean(np.array(values, np.float64)[lines], strata, share=all(value in (0, 1) for value in values))

        def mean_of_those(values: Sequence[float], share: bool) -> Estimate | None:
            return mean_of_some(np.array(values, np.float64)[lines], strata, share=share)

        return Summary(
            episodes=len(those),
            success=mean([float(result.success) for result in those]),
            scores={name: mean([result.scores[name] for result in those]) for name in shared_scores(those)},
            mean_timesteps=float(np.mean([result.timesteps for result in those])),
            **attempts_and_misses(those, mean_of_those),
        )

    (one, *_) = infos.values()
    seconds = sum(info["overall"]["eval_s"] for info in infos.values())
    info = eval_info(results, agent=one["agent"], seconds=seconds, video_paths={}, summarize=summarize)
    seeds = [each for each in infos for _ in told]
    for row, own, training_seed in zip(info["episodes"], rows, seeds, strict=True):
        row |= {name: own[name] for name in TOLD} | {"training_seed": training_seed}
    origin = {name: value for name, value in one.items() if name not in info and name != "checkpoint"}
    return {**info, **origin, "training_seeds": " ".join(map(str, infos))}


def _told_to_any(infos: Mapping[int, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the instructions of each episode as far as any training seed got in a chain.

    Raises:
        ValueError: if two seeds were evaluated on other episodes.
    """
    (seed, expected), *others = [(seed, info["episodes"]) for seed, info in infos.items()]
    told = [{name: row[name] for name in TOLD} for row in expected]
    for other, episodes in others:
        if len(episodes) != len(expected) or not all(map(_same_episode, episodes, expected, told)):
            raise ValueError(
                f"the training seeds {seed} and {other} were evaluated on other episodes: evaluate all of them again "
                "with the same settings"
            )
        told = [
            {name: max(so_far[name], row[name], key=len) for name in TOLD}
            for so_far, row in zip(told, episodes, strict=True)
        ]
    return told


def _same_episode(row: Mapping[str, Any], other: Mapping[str, Any], told: Mapping[str, str]) -> bool:
    same = all(row.get(name) == other.get(name) for name in SAME)
    return same and all(same_chain(row[name], told[name]) for name in TOLD)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: evaluate every seed with the same --agents first")
    return read_eval_info(path)


def _result(row: Mapping[str, Any]) -> EpisodeResult:
    """Return the result of an episode from its row, without its actions and frames."""
    names = (*SAME, *TOLD, "success", "timesteps", "scores", "max_reward", "sum_reward", "missed")
    known = {name: row[name] for name in names if name in row}
    if "attempts" in row:
        known["attempts"] = tuple(row["attempts"])
    return EpisodeResult(**known, actions=np.zeros((0, 0), np.float32), fps=1.0)
