"""Mixtures: windows of several datasets in one batch, with cameras, state vectors and action dimensions by name.

What a dataset lacks is no observation of zeros: the batch marks it as missing, and its tokens are invalid.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from astra.datasets.batches import BatchSampler
from astra.datasets.lerobot.metadata import unnamed_dimensions
from astra.datasets.windows import Shape, Windows
from astra.trajectory import ActionSpec, Trajectory, TrajectorySpec


class MixtureSampler(BatchSampler):
    """Endless batches of indices of several datasets, each with its share of every batch.

    After any number of batches, each dataset has had its share to within one index. A dataset's indices come as those
    of a `BatchSampler` of its own: once per epoch of that dataset. With one dataset it is a `BatchSampler`.

    Args:
        sizes: Number of indices of each dataset; the indices of the second follow those of the first.
        weights: Share of each dataset, up to a common factor.
        batch_size: Indices per batch and process.
        seed: Seed of the permutations.
        rank: Index of this process.
        num_processes: Number of processes.

    Raises:
        ValueError: if a size is below 1 or the rank is out of range.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        super().__init__(sum(sizes), batch_size, seed=seed, rank=rank, num_processes=num_processes)
        seeds = [seed, *(int(np.random.SeedSequence((seed, n)).generate_state(1)[0]) for n in range(1, len(sizes)))]
        self._offsets = np.cumsum(sizes) - sizes
        self._samplers = [BatchSampler(size, 1, seed=own) for size, own in zip(sizes, seeds, strict=True)]
        self._cumulative = np.concatenate([[0.0], np.cumsum(weights) / np.sum(weights)])
        self._cumulative[-1] = 1.0

    def take(self, first: int, until: int) -> Int64[np.ndarray, " _"]:
        """Return a range of the endless sequence, which consists of shuffled batches of all processes."""
        together = self.batch_size * self.num_processes
        start = first // together * together
        before, after = (
            np.floor(position * self._cumulative).astype(np.int64) for position in (start, start + together)
        )
        parts = [
            offset + sampler.take(int(before[n + 1] - before[n]), int(after[n + 1] - after[n]))
            for n, (offset, sampler) in enumerate(zip(self._offsets.tolist(), self._samplers, strict=True))
        ]
        indices = np.concatenate(parts)
        if len(parts) > 1:  # so that every process gets some of every dataset
            indices = np.random.default_rng([self.seed, start]).permutation(indices)
        return indices[first - start : until - start]


class MixedWindows(Windows):
    """Windows of several datasets, one after the other, as those of one.

    Args:
        sources: Windows of each dataset, by its name for messages.
        weights: Share of each dataset in a batch, up to a common factor; empty: by the number of windows.

    Raises:
        ValueError: if the sources contradict each other, or a weight is not positive.
    """

    def __init__(self, sources: Mapping[str, Windows], weights: Sequence[float] = ()) -> None:
        weights = weights or tuple(map(len, sources.values()))
        if len(weights) != len(sources) or not all(0 < weight < np.inf for weight in weights):
            raise ValueError(
                f"got the weights {', '.join(map(str, weights))} for {len(sources)} datasets, expected a positive one "
                "for each"
            )
        self.sources = tuple(sources.values())
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self.spec = joint_spec({name: source.spec for name, source in sources.items()})
        self.shapes = joint_shapes({name: source.shapes for name, source in sources.items()})
        self.timesteps, self.chunk_size, self.ending = next(
            (source.timesteps, source.chunk_size, source.ending) for source in self.sources
        )
        sizes, episodes = [len(source) for source in self.sources], [source.num_episodes for source in self.sources]
        self._first_index, self._first_episode = np.cumsum(sizes) - sizes, np.cumsum(episodes) - episodes
        self.num_episodes = sum(episodes)
        names = self.spec.actions.names
        self._dimensions = [[names.index(name) for name in source.spec.actions.names] for source in self.sources]
        self._optional = [name for name in self.shapes if any(name not in source.shapes for source in self.sources)]

    def __len__(self) -> int:
        """Count the windows."""
        return sum(map(len, self.sources))

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the state vectors, cameras and action dimensions that a dataset lacks."""
        names = self.spec.actions.names
        lacking = [name for n, name in enumerate(names) if any(n not in each for each in self._dimensions)]
        return (*self._optional, *lacking)

    def begin_epoch(self, epoch: int) -> None:
        """Choose a sentence for each episode, where a dataset has several."""
        for source in self.sources:
            source.begin_epoch(epoch)

    @property
    def per_episode(self) -> Int64[np.ndarray, " E"]:
        """Count the windows of each chosen episode."""
        return np.concatenate([source.per_episode for source in self.sources])

    @property
    def longest(self) -> int:
        """Count the timesteps of the longest window."""
        return max(source.longest for source in self.sources)

    def sampler(self, batch_size: int, *, seed: int, rank: int = 0, num_processes: int = 1) -> BatchSampler:
        """Return endless batches, in which every dataset has its share."""
        sizes = [len(source) for source in self.sources]
        return MixtureSampler(sizes, self.weights, batch_size, seed=seed, rank=rank, num_processes=num_processes)

    def target_actions(self, reference_state: str | None = None) -> Float[Tensor, "n N"]:
        """Return the actions of all timesteps; for a dimension that a dataset lacks, values of others are repeated."""
        parts = [source.target_actions(reference_state).numpy() for source in self.sources]
        columns = []
        for n in range(len(self.spec.actions)):
            known = [part[:, own.index(n)] for part, own in zip(parts, self._dimensions, strict=True) if n in own]
            columns.append(np.resize(np.concatenate(known), sum(map(len, parts))))
        return torch.from_numpy(np.stack(columns, axis=1))

    def lengths(self, indices: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        """Return the number of real timesteps of windows."""
        lengths = np.zeros(len(indices), np.int64)
        for source, rows, local in self._split(indices):
            lengths[rows] = self.sources[source].lengths(local)
        return lengths

    def batch_bytes(self, size: int) -> int:
        """Return the bytes of a batch of so many windows of the longest kind, as `batch` gathers it."""
        T, N = self.longest, len(self.spec.actions)
        row = sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.shapes.values())
        return size * (T * row + (T + self.chunk_size - 1) * 4 * N)

    def batch(self, indices: Int64[np.ndarray, " B"]) -> Trajectory:
        """Gather windows, padded with zeros to the longest of them; what a dataset lacks is zero and marked."""
        parts, rows_of = [], []
        for source, rows, local in self._split(indices):
            parts.append(self._completed(self.sources[source].batch(local), source))
            rows_of.append(rows)
        if len(parts) == 1:
            return parts[0]
        order = torch.from_numpy(np.argsort(np.concatenate(rows_of)))
        T = max(part.num_timesteps for part in parts)

        def together(values: Sequence[Tensor], length: int) -> Tensor:
            return torch.cat([_padded(each, length) for each in values])[order]

        def named(field: str) -> dict[str, Tensor]:
            return {
                name: together([getattr(part, field)[name] for part in parts], T) for name in getattr(parts[0], field)
            }

        def by_row(values: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(values))[order]

        instructions = [text for part in parts for text in part.instructions]
        return Trajectory(
            instructions=tuple(instructions[row] for row in order.tolist()),
            states=named("states"),
            images=named("images"),
            features=named("features"),
            valid=together([part.valid for part in parts], T),
            actions=together([part.actions for part in parts], T + self.chunk_size - 1),
            action_valid=together([part.action_valid for part in parts], T + self.chunk_size - 1),
            episodes=by_row([part.episodes for part in parts if part.episodes is not None]),
            last_timestep_only=self.ending,
            present={name: by_row([part.present[name] for part in parts]) for name in self._optional},
            action_present=None
            if parts[0].action_present is None
            else by_row([part.action_present for part in parts if part.action_present is not None]),
        )

    def _split(self, indices: Int64[np.ndarray, " B"]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield each source that has some of the indices, with their places among them and in the source."""
        of = np.searchsorted(self._first_index, indices, side="right") - 1
        for source in np.unique(of).tolist():
            rows = np.flatnonzero(of == source)
            yield source, rows, indices[rows] - self._first_index[source]

    def _completed(self, part: Trajectory, source: int) -> Trajectory:
        """Return trajectories of a source with all that the others have: zeros, marked as missing."""
        B, T = part.valid.shape
        own, dimensions, N = self.sources[source].shapes, self._dimensions[source], len(self.spec.actions)
        lacking = [name for name in self._optional if name not in own]
        actions, action_present = part.actions, None
        if any(len(each) < N for each in self._dimensions):
            action_present = torch.zeros(B, N, dtype=torch.bool)
            action_present[:, dimensions] = True
        if dimensions != list(range(N)):
            actions = part.actions.new_zeros(*part.actions.shape[:2], N)
            actions[:, :, dimensions] = part.actions
        empty = {name: torch.zeros(B, T, *self.shapes[name][0], dtype=self.shapes[name][1]) for name in lacking}
        added = {name: values.movedim(-1, 2) if values.ndim == 5 else values for name, values in empty.items()}
        features = [name for name, values in added.items() if name in self.spec.images and values.ndim == 3]

        def ordered(names: Iterable[str], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            known = {**values, **added}
            return {name: known[name] for name in names if name in values or name in lacking}

        return replace(
            part,
            states=ordered(self.spec.states, part.states),
            images=ordered((name for name in self.spec.images if name not in features), part.images),
            features=ordered((name for name in self.spec.images if name in {*features, *part.features}), part.features),
            actions=actions,
            episodes=None if part.episodes is None else part.episodes + int(self._first_episode[source]),
            present={name: torch.full((B,), name in own) for name in self._optional},
            action_present=action_present,
        )


def joint_spec(specs: Mapping[str, TrajectorySpec]) -> TrajectorySpec:
    """Return what the trajectories of several datasets contain together; one spec stays as it is.

    Bounds of an action dimension are the widest of all datasets that have it.

    Args:
        specs: Spec of each dataset, by its name for messages.

    Raises:
        ValueError: if they contradict each other; the message names the two datasets and the remedy.
    """
    (first_name, first), *others = specs.items()
    for name, spec in others:
        pair = f"{first_name} and {name}"
        if spec.fps != first.fps:
            raise ValueError(
                f"{pair} have {first.fps:g} and {spec.fps:g} timesteps per second, and a policy acts at one rate: "
                "leave one of them out, or record it again at the rate of the other"
            )
        if first.objects is not None or spec.objects is not None:
            raise ValueError(
                f"{pair}: objects cannot be mixed: train without them, with --policy.states.reads vectors images"
            )
    states: dict[str, int] = {}
    images: dict[str, tuple[int, int]] = {}
    first_with: dict[str, str] = {}
    for name, spec in specs.items():
        for column, size in spec.states.items():
            owner = first_with.setdefault(column, name)
            if states.setdefault(column, size) != size:
                raise ValueError(
                    f"{column} has {states[column]} dimensions in {owner} and {size} in {name}: rename it in one of "
                    f"them (astra convert lerobot --rename {column}=observation.NAME), or leave it out with "
                    "--observations"
                )
        for column, size in spec.images.items():
            images.setdefault(column, size)
    if not others:
        return first
    return TrajectorySpec(
        states=states,
        images=images,
        actions=_joint_actions({name: spec.actions for name, spec in specs.items()}),
        instructions=tuple(sorted({text for spec in specs.values() for text in spec.instructions})),
        fps=first.fps,
        suite=first.suite if all(spec.suite == first.suite for spec in specs.values()) else "",
    )


def joint_shapes(shapes: Mapping[str, Mapping[str, Shape]]) -> dict[str, Shape]:
    """Return shape and type of a timestep of each observation over several datasets.

    Raises:
        ValueError: if a camera has frames of two sizes.
    """
    found: dict[str, Shape] = {}
    first_with: dict[str, str] = {}
    for name, own in shapes.items():
        for column, shape in own.items():
            owner = first_with.setdefault(column, name)
            if found.setdefault(column, shape) != shape:
                raise ValueError(
                    f"{column} has frames of {tuple(found[column][0])} in {owner} and of {tuple(shape[0])} in {name}, "
                    f"both no larger than the policy reads: lower --policy.states.images.image-size"
                )
    return found


def _joint_actions(specs: Mapping[str, ActionSpec]) -> ActionSpec:
    known: dict[str, tuple[str, tuple[float, float, bool, bool, int | None]]] = {}
    unnamed = [name for name, spec in specs.items() if spec.names == unnamed_dimensions(len(spec))]
    if unnamed and len({spec.names for spec in specs.values()}) > 1:
        raise ValueError(
            f"the action dimensions of {unnamed[0]} have no names, and those of the datasets differ, so they cannot be "
            "matched: name them in its meta/info.json, features, action, names"
        )
    for name, spec in specs.items():
        for n, dimension in enumerate(spec.names):
            new = spec.low[n], spec.high[n], spec.binary[n], spec.periodic[n], spec.bins[n] if spec.bins else None
            where, old = known.setdefault(dimension, (name, new))
            if old[2:] != new[2:] or (new[3] and old[:2] != new[:2]):
                raise ValueError(
                    f"the action dimension {dimension!r} is {_kind(*old)} in {where}, and {_kind(*new)} in {name}: "
                    "correct meta/info.json of one of them, or rename the dimension there"
                )
            known[dimension] = where, (min(old[0], new[0]), max(old[1], new[1]), *new[2:])
    low, high, binary, periodic, bins = zip(*(entry for _, entry in known.values()), strict=True)
    complete = None not in bins
    return ActionSpec(
        names=tuple(known), low=low, high=high, binary=binary, periodic=periodic, bins=bins if complete else ()
    )


def _kind(low: float, high: float, binary: bool, periodic: bool, bins: int | None) -> str:
    """Describe an action dimension."""
    parts = [f"from {low:g} to {high:g}", "binary" * binary, "periodic" * periodic, f"of {bins} bins" if bins else ""]
    return ", ".join(filter(None, parts))


def _padded(values: Tensor, length: int) -> Tensor:
    """Append zeros along the second axis."""
    short = length - values.shape[1]
    return values if short == 0 else torch.cat([values, values.new_zeros(len(values), short, *values.shape[2:])], dim=1)
