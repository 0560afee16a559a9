"""Findings about a dataset that can be read, but should not be trained on as it is, or deserves a look."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32

from astra.datasets import LeRobotDataset, compute_statistics
from astra.datasets.episode import ACTION, object_column
from astra.tokenizers.actions import DiscreteActions, DiscreteActionsConfig
from astra.trajectory import TAIL

SHORT = 0.1
"""Length of an episode, as a share of the median, below which it is short."""
FROZEN = 0.5
"""Share of an episode's timesteps over which a state may stay the same while the actions change."""
FEWEST_FROZEN = 10
"""Number of timesteps below which a state that stays the same is no finding."""
FEW = 1000
"""Number of timesteps from which on outliers of states are looked for."""
STRETCHED = 10.0
"""Width of the range of a state, compared with that of 99.8 % of its values, from which on it has outliers."""
NAMED = 8
"""Number of episodes that a finding names."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know about a dataset."""

    kind: str
    """Its kind in few words, such as "duplicated episodes"."""
    text: str
    """Sentence that says where it is and what to do."""
    wrong: bool = True
    """Whether it is wrong, or only deserves a look."""
    episodes: tuple[int, ...] = ()
    """Episodes in which it can be seen."""
    leave_out: tuple[int, ...] = ()
    """Episodes without which it would be gone."""


@dataclass(frozen=True, kw_only=True)
class PlannedSplit:
    """Split into training and held-out episodes of the training to come."""

    validation: float
    """Share of the episodes held out."""
    seed: int
    """Seed of the split."""


def find(
    dataset: LeRobotDataset,
    warned: Sequence[str],
    actions: DiscreteActionsConfig,
    split: PlannedSplit,
) -> tuple[Finding, ...]:
    """Look for what is wrong in a dataset; frames are not decoded, but all of them are looked up in the videos.

    Args:
        dataset: The opened dataset.
        warned: Warnings that came while it was read, such as those of irregular timestamps.
        actions: Bins of the policy to come.
        split: Split of the training to come.
    """
    found = [Finding(kind="warning while reading", text=text) for text in dict.fromkeys(warned)]
    found += _instructions(dataset)
    found += _videos(dataset)
    found += _constant(dataset)
    found += _frozen(dataset)
    found += _outliers(dataset, actions)
    found += _duplicates(dataset, split)
    found += _lengths(dataset)
    return tuple(sorted(found, key=lambda finding: not finding.wrong))


def together(findings: Sequence[Finding]) -> list[Finding]:
    """Put findings that differ in their episodes alone together, and name these."""
    groups: dict[tuple[str, str, bool], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.kind, finding.text, finding.wrong].append(finding)
    joined = []
    for (kind, text, wrong), group in groups.items():
        episodes = tuple(episode for finding in group for episode in finding.episodes)
        unwanted = tuple(episode for finding in group for episode in finding.leave_out)
        text = f"{_named(episodes)}: {text}"
        joined.append(Finding(kind=kind, text=text, wrong=wrong, episodes=episodes, leave_out=unwanted))
    return joined


def frames_lost(camera: str) -> str:
    """Return the kind of a finding about frames that cannot be read."""
    return f"missing or damaged frames of {camera}"


def bins_of(dataset: LeRobotDataset, actions: DiscreteActionsConfig) -> DiscreteActions:
    """Return the bins that a policy would have on a dataset."""
    return actions.build(dataset.spec, compute_statistics(dataset), 1)


def _instructions(dataset: LeRobotDataset) -> Iterator[Finding]:
    empty = [index for index, text in enumerate(dataset.instructions) if not text.strip()]
    if len(empty) == len(dataset):
        yield Finding(
            kind="no instructions",
            text="No episode has an instruction: a policy will do the same whatever it is told.",
            wrong=False,
        )
    elif empty:
        yield Finding(
            kind="episodes without instruction",
            text=f"{_named(empty)}: no instruction, which a policy learns as one more task. Add it, or leave them out.",
            episodes=tuple(empty),
            leave_out=tuple(empty),
        )


def _videos(dataset: LeRobotDataset) -> Iterator[Finding]:
    """Look up the frame of every timestep in the indices of the videos, without decoding."""
    for column, video in (dataset.recorded.videos if dataset.recorded else {}).items():
        errors = {}
        for episode, (first, until) in enumerate(zip(dataset.starts.tolist(), dataset.ends.tolist(), strict=True)):
            try:
                video.check(first, until)
            except (ValueError, OSError) as error:
                errors[episode] = f"{error}"
        if errors:
            first, *others = errors
            more = f"; and more in {_named(others).lower()}" if others else ""
            yield Finding(
                kind=frames_lost(column), text=errors[first] + more, episodes=tuple(errors), leave_out=tuple(errors)
            )


def _constant(dataset: LeRobotDataset) -> Iterator[Finding]:
    for column in (ACTION, *dataset.spec.states):
        values = dataset.columns[column]
        constant = np.flatnonzero(values.max(axis=0) == values.min(axis=0)).tolist()
        if constant:
            choice = column != ACTION and sorted(set(values[0].tolist())) == [0, 1] and values[0].sum() == 1
            names = dataset.spec.actions.names if column == ACTION else [str(n) for n in range(values.shape[1])]
            shown = ", ".join(f"{names[n]} = {values[0, n]:g}" for n in constant[:NAMED])
            yield Finding(
                kind=f"constant {column}",
                text=f"{len(constant)} of {values.shape[1]} dimensions of {column} never change ({shown}"
                f"{', ...' if len(constant) > NAMED else ''}).",
                wrong=len(constant) == values.shape[1] and not choice,  # such as the one tool of all these tasks
            )


def _frozen(dataset: LeRobotDataset) -> Iterator[Finding]:
    """Find episodes in which the actions change, but all state vectors stay the same for long."""
    vectors = [dataset.columns[column] for column in dataset.spec.states]
    if all((values.max(axis=0) == values.min(axis=0)).all() for values in vectors):
        return  # constant columns are findings of their own
    acts = np.asarray(np.diff(dataset.columns[ACTION], axis=0).any(axis=1))
    changes = np.stack([np.diff(values, axis=0).any(axis=1) for values in vectors])
    stays = ~np.asarray(changes.any(axis=0))
    frozen = []
    for episode, (first, until) in enumerate(zip(dataset.starts.tolist(), dataset.ends.tolist(), strict=True)):
        start, length = _longest(stays[first : until - 1])
        moves = int(acts[first + start : first + start + length].sum())
        if length >= max(FEWEST_FROZEN, FROZEN * (until - first)) and 2 * moves >= length:
            frozen.append(episode)
    if frozen:
        yield Finding(
            kind="actions that do not move the state",
            text=f"{_named(frozen)}: the states stay the same for {FEWEST_FROZEN} timesteps and half of the episode at "
            "least, while the actions change (a sensor that hung, or a robot that was stopped?). Leave them out.",
            episodes=tuple(frozen),
            leave_out=tuple(frozen),
        )


def _outliers(dataset: LeRobotDataset, actions: DiscreteActionsConfig) -> Iterator[Finding]:
    values = np.asarray(dataset.columns[ACTION])
    for n, text in bins_of(dataset, actions).outliers(torch.from_numpy(values.copy())).items():
        extremes = _extremes(dataset, values[:, n : n + 1])
        yield Finding(kind="outliers of actions", text=f"{text}.", episodes=extremes)
    for column in dataset.spec.states:
        states = np.asarray(dataset.columns[column])
        if len(states) < FEW:
            continue
        low, high = np.quantile(states, TAIL, axis=0), np.quantile(states, 1 - TAIL, axis=0)
        least, most = states.min(axis=0), states.max(axis=0)
        for n in np.flatnonzero((high > low) & (most - least > STRETCHED * (high - low))).tolist():
            yield Finding(
                kind=f"outliers of {column}",
                text=f"Dimension {n} of {column} lies between {least[n]:g} and {most[n]:g}, but 99.8 % of its values "
                f"between {low[n]:g} and {high[n]:g}.",
                wrong=False,
                episodes=_extremes(dataset, states[:, n : n + 1]),
            )


def _duplicates(dataset: LeRobotDataset, split: PlannedSplit) -> Iterator[Finding]:
    """Find episodes with equal actions, states and objects, and those of them that the split would tear apart."""
    groups = _equal_episodes(dataset)
    if not groups:
        return
    shown = "; ".join(" = ".join(map(str, group[:NAMED])) for group in groups[:NAMED])
    extra = sum(map(len, groups)) - len(groups)
    yield Finding(
        kind="duplicated episodes",
        text=f"{extra} of {len(dataset)} episodes repeat the states and actions of another one (episodes {shown}"
        f"{'; ...' if len(groups) > NAMED else ''}): leave them out, unless their instructions differ.",
        episodes=tuple(episode for group in groups for episode in group),
        leave_out=tuple(
            episode
            for group in groups
            for place, episode in enumerate(group)
            if dataset.instructions[episode] in {dataset.instructions[earlier] for earlier in group[:place]}
        ),
    )
    if len(dataset) < 2 or not 0 < split.validation < 1:
        return
    held_out = set(dataset.split_episodes(split.validation, split.seed)[1])
    torn = [group for group in groups if 0 < len(held_out & set(group)) < len(group)]
    if torn:
        leaked = sum(len(held_out & set(group)) for group in torn)
        yield Finding(
            kind="leakage",
            text=f"With --validation {split.validation:g} and seed {split.seed}, {leaked} held-out episodes are in "
            f"training too, such as {_named(torn[0]).lower()}: their error says nothing about new episodes.",
            episodes=tuple(torn[0]),
        )


def _equal_episodes(dataset: LeRobotDataset) -> list[list[int]]:
    """Group episodes that are equal in actions, states and the boxes of objects; frames and crops are not compared."""
    boxes = [column for column in dataset.columns if (object_column(column) or ("", ""))[1] in ("boxes", "valid")]
    equal: dict[bytes, list[int]] = defaultdict(list)
    for episode, (first, until) in enumerate(zip(dataset.starts.tolist(), dataset.ends.tolist(), strict=True)):
        content = hashlib.sha256()
        for column in (ACTION, *sorted(dataset.spec.states), *sorted(boxes)):
            content.update(np.ascontiguousarray(dataset.columns[column][first:until]).tobytes())
        equal[content.digest()].append(episode)
    return [group for group in equal.values() if len(group) > 1]


def _lengths(dataset: LeRobotDataset) -> Iterator[Finding]:
    usual = float(np.median(dataset.lengths))
    short = np.flatnonzero(dataset.lengths < SHORT * usual).tolist()
    if short:
        yield Finding(
            kind="short episodes",
            text=f"{_named(short)}: less than a tenth of the usual {usual:g} timesteps (stopped at once?).",
            wrong=False,
            episodes=tuple(short),
        )


def _extremes(dataset: LeRobotDataset, values: Float32[np.ndarray, "rows n"]) -> tuple[int, ...]:
    """Return the episodes that hold the smallest and the largest values."""
    rows = np.concatenate([values.argmin(axis=0), values.argmax(axis=0)])
    return tuple(np.unique(np.searchsorted(dataset.ends, rows, side="right")).tolist())


def _longest(flags: np.ndarray) -> tuple[int, int]:
    """Return start and length of the longest stretch of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int((ends - starts).argmax())
    return int(starts[longest]), int(ends[longest] - starts[longest])


def _named(episodes: Sequence[int]) -> str:
    """Name episodes, the first ones if there are many."""
    shown = ", ".join(map(str, episodes[:NAMED]))
    return f"Episode{'s' if len(episodes) > 1 else ''} {shown}{', ...' if len(episodes) > NAMED else ''}"
