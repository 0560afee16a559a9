"""The datasets of an experiment: opened, split, and put together as one, with the balance of their tasks."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from astra.datasets import LeRobotDataset, Windows
from astra.datasets.lerobot.info import read_info
from astra.datasets.lerobot.streamed import FrameConfig
from astra.datasets.own_statistics import units_of
from astra.parallel.processes import main_first
from astra.policies.policy import Policy, PolicyConfig
from astra.storage.hub import local_folder
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.trajectory import ActionSpec, DatasetUnits, Modality, in_units_of

TASKS = 30
"""Largest number of tasks whose balance is shown."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dataset of an experiment."""

    dataset: LeRobotDataset
    training: tuple[int, ...]
    """Training episodes."""
    held_out: tuple[int, ...]
    """Held-out episodes."""


def open_datasets(
    folders: Sequence[Path],
    observations: Collection[str],
    reads: Collection[Modality] | None,
    frame_size: tuple[int, int] | None,
    frames: FrameConfig,
    *,
    mixed: bool,
) -> list[LeRobotDataset]:
    """Open the datasets of an experiment.

    Args:
        folders: Folders or ids of the Hugging Face Hub.
        observations: Columns to read; empty: all. In a mixture, each dataset has some of them.
        reads: Modalities to read beside state vectors; None: all.
        frame_size: Height and width to which the policy resizes frames; None: they keep theirs.
        frames: When frames are decoded.
        mixed: Whether they form a mixture, whose frames are decoded once, before training.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if one is damaged, is named twice, or none has a column.
    """
    if twice := [folder for folder, number in Counter(folders).items() if number > 1]:
        raise ValueError(f"the mixture names {twice[0]} twice: name it once, and raise its share by --weights")
    if mixed:
        if frames.decode == "streamed":
            raise ValueError("frames of a mixture are not streamed: decode them once, with --frames.decode once")
        frames = replace(frames, decode="once")
    known = [
        set(read_info(main_first(partial(local_folder, folder)))["features"]) if len(folders) > 1 else set(observations)
        for folder in folders
    ]
    if missing := [column for column in observations if not any(column in own for own in known)]:
        raise ValueError(f"none of {', '.join(map(str, folders))} has the column {missing[0]}")
    if observations and (
        blind := [folder for folder, own in zip(folders, known, strict=True) if not own & {*observations}]
    ):
        raise ValueError(
            f"{blind[0]} has none of the observations {', '.join(observations)}: leave it out of the mixture, or name "
            "one of its columns by --observations too"
        )
    return [
        main_first(
            partial(
                LeRobotDataset.open,
                folder,
                [column for column in observations if column in own] or None,
                reads,
                frame_size=frame_size,
                frames=frames,
            )
        )
        for folder, own in zip(folders, known, strict=True)
    ]


def own_units(
    names: Sequence[str], parts: Sequence[Part], policy: PolicyConfig
) -> dict[str, tuple[ActionSpec, DatasetUnits]]:
    """Return action dimensions and units of each dataset of a mixture, from its training episodes.

    Raises:
        ValueError: if actions are relative to a state vector, or there is one dataset alone.
    """
    if len(names) < 2:
        raise ValueError("--statistics own is for several datasets: name more by --mixture, or leave it out")
    if policy.reference_state is not None:
        raise ValueError(
            f"actions relative to {policy.reference_state} need states and actions in the same unit, so --statistics "
            "own cannot scale them apart: train with absolute actions, or with --statistics joint"
        )
    actions = getattr(policy, "actions", None)
    kind = actions.range if isinstance(actions, DiscreteActionsConfig) else "deviations"
    return {
        name: (part.dataset.spec.actions, units_of(part.dataset, part.training, kind))
        for name, part in zip(names, parts, strict=True)
    }


def in_first_units(policy: Policy[Any]) -> Policy[Any]:
    """Return a policy that acts in the units of the first dataset of its mixture; itself, if all have the same."""
    if not policy.statistics.datasets:
        return policy
    made: Policy[Any] = policy.config.build(*in_units_of(policy.spec, policy.statistics))
    made.load_state_dict(policy.state_dict())
    made.decode_with(policy.decoding)
    return made.to(next(policy.parameters()).device).eval()


def balance(names: Sequence[str], weights: Sequence[float], parts: Sequence[Part], windows: Sequence[Windows]) -> Table:
    """Return a table of the tasks of each dataset: training episodes, windows, and their share of the batches."""
    table = Table("dataset", "task", "episodes", "windows", "share of the batches", box=SIMPLE_HEAD, pad_edge=False)
    short = [Path(name).name for name in names]
    shown = short if len(set(short)) == len(short) else names
    for name, weight, part, of in zip(shown, weights, parts, windows, strict=True):
        numbers: Mapping[int, int] = dict(zip(np.sort(part.training).tolist(), of.per_episode.tolist(), strict=True))
        episodes, counts = Counter[str](), Counter[str]()
        for episode, number in numbers.items():
            episodes[part.dataset.instructions[episode]] += 1
            counts[part.dataset.instructions[episode]] += number
        for task, number in counts.most_common(TASKS):
            share = weight * number / len(of)
            table.add_row(name, task, f"{episodes[task]:,}", f"{number:,}", f"{share:.1%}")
        if (left := len(counts) - TASKS) > 0:
            table.add_row(name, f"and {left} more", "", "", "")
    return table
