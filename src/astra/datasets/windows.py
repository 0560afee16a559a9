"""Windows of T timesteps of episodes, gathered into batches of trajectories."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from astra.datasets.batches import BatchSampler
from astra.datasets.episode import ACTION, OBJECTS, PARTS
from astra.datasets.lerobot.dataset import LeRobotDataset
from astra.datasets.lerobot.streamed import FrameStream, StreamedColumn
from astra.datasets.sentences import Sentences, choose_sentences
from astra.datasets.statistics import relative_actions
from astra.datasets.stretches import StreamSampler, rows_of_group
from astra.objects import Objects
from astra.trajectory import Trajectory

Shape = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of one timestep of an observation."""


class Windows:
    """All windows of T timesteps that start inside one of the chosen episodes.

    A window that exceeds the end of its episode is padded there; it never shows another episode. Actions extend
    C - 1 timesteps further than states, A = T + C - 1, so that every timestep has a chunk of C actions.

    With `ending`, windows end at each timestep instead: they hold the T timesteps up to it, fewer at the start of an
    episode, as a policy has them when it acts. Their loss counts the last timestep only.

    Args:
        dataset: The opened dataset.
        episodes: Episodes to use; None: all.
        timesteps: T.
        chunk_size: C, the number of actions predicted at each timestep, at least 1.
        stride: Timesteps between the starts (or ends) of neighboring windows of an episode, at least 1.
        ending: Whether windows end at each timestep instead of starting there.
        features: Features of a frozen encoder for each camera, (rows, F); returned instead of the frames.
        sentences: Sentences by instruction, of which `begin_epoch` chooses one for each episode; None: none.
        seed: Seed of that choice.

    Raises:
        ValueError: if a size is below 1, no episode is chosen or one does not exist, or there are sentences for
            prompts with pictures.
    """

    def __init__(
        self,
        dataset: LeRobotDataset,
        episodes: Sequence[int] | None = None,
        *,
        timesteps: int,
        chunk_size: int = 1,
        stride: int = 1,
        ending: bool = False,
        features: Mapping[str, np.ndarray] | None = None,
        sentences: Sentences | None = None,
        seed: int = 0,
    ) -> None:
        if min(timesteps, chunk_size, stride) < 1:
            raise ValueError(
                f"got timesteps={timesteps}, chunk_size={chunk_size}, stride={stride}; expected at least 1 each"
            )
        chosen = np.arange(len(dataset)) if episodes is None else np.asarray(episodes, dtype=np.int64)
        if len(chosen) == 0 or chosen.min() < 0 or chosen.max() >= len(dataset):
            raise ValueError(
                f"got the episodes {chosen.tolist()}, expected at least one, each from 0 to {len(dataset) - 1}"
            )
        self._sentences, self._seed, self._epoch = sentences or {}, seed, -1
        if self._sentences and dataset.prompts is not None:
            raise ValueError(f"{dataset.folder}: prompts with pictures have one sentence each: use --no-sentences")
        told = {text for texts in self._sentences.values() for text in texts} - {*dataset.spec.instructions}
        instructions = tuple(sorted({*dataset.spec.instructions, *told}))
        self.spec = replace(dataset.spec, instructions=instructions) if told else dataset.spec
        self.timesteps = timesteps
        self.chunk_size = chunk_size
        self.ending = ending
        self._columns: dict[str, Any] = {
            column: values if isinstance(values, StreamedColumn) else np.asarray(values)
            for column, values in dataset.columns.items()
        }
        self._features = {camera: np.asarray(values) for camera, values in (features or {}).items()}
        starts = [np.arange(dataset.starts[episode], dataset.ends[episode], stride) for episode in chosen]
        self._starts = np.concatenate(starts)
        self._episodes = np.repeat(chosen, [len(rows) for rows in starts])
        self._ends = dataset.ends[self._episodes]
        if ending:
            self._stops = self._starts + 1
            self._starts = np.maximum(self._stops - timesteps, dataset.starts[self._episodes])
        else:
            self._stops = np.minimum(self._starts + timesteps, self._ends)
        self.num_episodes = len(dataset)
        named = {name: self._columns[name] for name in (*self.spec.states, *self.spec.images)} | self._features
        self.shapes: dict[str, Shape] = {
            name: (values.shape[1:], torch.from_numpy(values[:0].copy()).dtype) for name, values in named.items()
        }
        self._prompts = dataset.prompts
        self._recorded_instructions = dataset.instructions
        self._instructions = np.array(dataset.instructions, dtype=object)

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._starts)

    @property
    def stream(self) -> FrameStream | None:
        """Stream of the frames or crops that `batch` reads; None if all that it reads is in arrays."""
        read = [values for name, values in self._columns.items() if name not in self._features]
        return next((values.stream for values in read if isinstance(values, StreamedColumn)), None)

    def rows(self, begin: int, end: int) -> tuple[int, int]:
        """Return the first row of the windows from `begin` to before `end`, of one episode, and that after the last."""
        return int(self._starts[begin]), int(self._stops[end - 1])

    def stretches(self, longest: int) -> list[tuple[int, int]]:
        """Return ranges of windows, whole episodes where these have no more rows than `longest`, else parts of them."""
        found = []
        for end in [*(np.flatnonzero(np.diff(self._episodes)) + 1).tolist(), len(self)]:
            begin = found[-1][1] if found else 0
            while begin < end:
                fit = np.searchsorted(self._stops[begin:end], self._starts[begin] + longest, side="right")
                found.append((begin, min(end, begin + max(1, int(fit)))))
                begin = found[-1][1]
        return found

    @property
    def per_episode(self) -> Int64[np.ndarray, " E"]:
        """Count the windows of each chosen episode."""
        return np.unique(self._episodes, return_counts=True)[1]

    def target_actions(self, reference_state: str | None = None) -> Float[torch.Tensor, "n N"]:
        """Return the actions of all timesteps of the chosen episodes, as a policy is to predict them.

        Args:
            reference_state: State vector to which actions are relative; None: actions are absolute.
        """
        first = np.unique(self._episodes, return_index=True)[1]
        spans = list(zip(self._starts[first].tolist(), self._ends[first].tolist(), strict=True))
        actions = self._columns[ACTION]
        if reference_state is not None:
            states = self._columns[reference_state]
            return torch.from_numpy(relative_actions(actions, states, spans, self.chunk_size, self.spec.actions))
        return torch.from_numpy(np.concatenate([actions[start:end] for start, end in spans]))

    def begin_epoch(self, epoch: int) -> None:
        """Choose a sentence for each episode, anew in every epoch; before, and without sentences, instructions stay."""
        if self._sentences and epoch != self._epoch:
            chosen = choose_sentences(self._recorded_instructions, self._sentences, self._seed, epoch)
            self._instructions, self._epoch = np.array(chosen, dtype=object), epoch

    @property
    def longest(self) -> int:
        """Count the timesteps of the longest window."""
        return int((self._stops - self._starts).max())

    def sampler(self, batch_size: int, *, seed: int, rank: int = 0, num_processes: int = 1) -> BatchSampler:
        """Return endless batches of the indices of windows, by stretches if their frames are streamed."""
        if self.stream is None:
            return BatchSampler(len(self), batch_size, seed=seed, rank=rank, num_processes=num_processes)
        stretches = [(part, self.rows(*part)) for part in self.stretches(rows_of_group(self.stream))]
        return StreamSampler(self.stream, stretches, batch_size, seed=seed, rank=rank, num_processes=num_processes)

    def lengths(self, indices: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        """Return the number of real timesteps of windows."""
        return self._stops[indices] - self._starts[indices]

    def batch_bytes(self, size: int) -> int:
        """Return the bytes of a batch of so many windows of the longest kind, as `batch` gathers it."""
        T = int((self._stops - self._starts).max())
        shown = {name: values for name, values in self._columns.items() if name not in {*self._features, ACTION}}
        row = sum(values.nbytes // len(values) for values in [*shown.values(), *self._features.values()])
        action = self._columns[ACTION].nbytes // len(self._columns[ACTION])
        return size * (T * row + (T + self.chunk_size - 1) * action)

    def batch(self, indices: Int64[np.ndarray, " B"]) -> Trajectory:
        """Gather windows, padded with zeros to the longest of them.

        Frames are views with the channels last in memory.
        """
        T = int(self.lengths(indices).max())
        offsets = np.arange(T + self.chunk_size - 1)
        rows = self._starts[indices][:, None] + offsets
        ends = self._ends[indices][:, None]
        action_valid = rows < ends
        valid = rows[:, :T] < self._stops[indices][:, None]
        rows = np.minimum(rows, ends - 1)
        episodes = self._episodes[indices]
        objects = {
            view: Objects(
                **{part: _gather(self._columns[f"{OBJECTS}.{view}.{part}"], rows[:, :T], valid) for part in PARTS}
            )
            for view in (self.spec.objects.views if self.spec.objects and self.spec.objects.max_objects else ())
        }
        return Trajectory(
            instructions=tuple(self._instructions[episodes]),
            states={name: _gather(self._columns[name], rows[:, :T], valid) for name in self.spec.states},
            images={
                name: _gather(self._columns[name], rows[:, :T], valid).permute(0, 1, 4, 2, 3)
                for name in self.spec.images
                if name not in self._features
            },
            features={name: _gather(values, rows[:, :T], valid) for name, values in self._features.items()},
            valid=torch.from_numpy(valid.copy()),
            actions=_gather(self._columns[ACTION], rows, action_valid),
            action_valid=torch.from_numpy(action_valid),
            objects=objects,
            pictures=self._prompts.gather(episodes) if self._prompts else None,
            episodes=torch.from_numpy(episodes),
            last_timestep_only=self.ending,
        )


def _gather(
    column: np.ndarray | StreamedColumn, rows: Int64[np.ndarray, "B times"], valid: Bool[np.ndarray, "B times"]
) -> torch.Tensor:
    values = column[rows]
    values[~valid] = 0
    return torch.from_numpy(values)
