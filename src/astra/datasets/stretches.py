"""Order of windows whose frames are decoded while training: stretch by stretch, each frame once per epoch.

A stretch is an episode, or a part of one that is too long for the memory. Every epoch permutes the stretches and deals
them to the processes, so that no two decode the same. A process reads its stretches in groups that fit into its memory,
and shuffles the windows of a group. Neighboring parts of one episode share the frames of the windows that cross their
border; only these are decoded twice.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from astra.datasets.batches import BatchSampler
from astra.datasets.lerobot.streamed import FrameStream, Rows

EPOCHS_REMEMBERED = 3


def rows_of_group(stream: FrameStream) -> int:
    """Return the number of rows that a group may have: two groups are in memory while one is finished."""
    return stream.rows_in_memory // 2


class StreamSampler(BatchSampler):
    """Endless iterator over batches of indices of windows, which decodes their frames before it yields them.

    Args:
        stream: Frames of the windows.
        stretches: First window and the one after the last of each stretch, and its rows in the same form.
        batch_size: Indices per batch and process.
        seed: Seed of the permutations.
        rank: Index of this process.
        num_processes: Number of processes.

    Raises:
        ValueError: if a size is below 1, the rank is out of range, or there are fewer stretches than processes.
    """

    def __init__(
        self,
        stream: FrameStream,
        stretches: Sequence[tuple[Rows, Rows]],
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        super().__init__(
            sum(end - begin for (begin, end), _ in stretches),
            batch_size,
            seed=seed,
            rank=rank,
            num_processes=num_processes,
        )
        self._stream = stream
        self._rows = rows_of_group(stream)
        self._stretches = stretches
        if len(self._stretches) < num_processes:
            raise ValueError(
                f"{num_processes} processes stream frames, but there are only {len(self._stretches)} stretches: "
                "start fewer processes, or decode all frames once with --frames.decode once"
            )
        self._groups_of = lru_cache(EPOCHS_REMEMBERED)(self._deal)
        self._begun = (0, 0)  # an epoch, and the number of own windows before it

    def __next__(self) -> Int64[np.ndarray, " B"]:
        """Return this process's share of the next batch; its frames are in memory then."""
        first = self.position // self.num_processes
        self.position += self.batch_size * self.num_processes
        found, used = self._find(first, first + self.batch_size)
        epoch, group = used[-1]
        following = (epoch, group + 1) if group + 1 < len(self._groups_of(epoch)) else (epoch + 1, 0)
        self._stream.hold(self._stretches_of(used), self._stretches_of([following]))
        return found

    def state_dict(self) -> dict[str, int]:
        """Return the position, and what the order of the windows depends on."""
        return {**super().state_dict(), "rows_in_memory": self._rows, "num_processes": self.num_processes}

    def _find(self, first: int, until: int) -> tuple[Int64[np.ndarray, " _"], list[tuple[int, int]]]:
        """Return a range of this process's endless sequence, with epoch and number of each group in it."""
        if first < self._begun[1]:
            self._begun = (0, 0)
        epoch, begin = self._begun
        parts, used = [], []
        while begin < until:
            groups = self._groups_of(epoch)
            size = sum(len(windows) for windows, _ in groups)
            if begin + size <= first:
                self._begun = (epoch + 1, begin + size)
            else:
                start = begin
                for number, (windows, _) in enumerate(groups):
                    low, high = max(first - start, 0), min(until - start, len(windows))
                    if low < high:
                        parts.append(windows[low:high])
                        used.append((epoch, number))
                    start += len(windows)
            epoch, begin = epoch + 1, begin + size
        return np.concatenate(parts), used

    def _stretches_of(self, groups: Sequence[tuple[int, int]]) -> list[Rows]:
        return [rows for epoch, number in groups for rows in self._groups_of(epoch)[number][1]]

    def _deal(self, epoch: int) -> list[tuple[Int64[np.ndarray, " _"], list[Rows]]]:
        """Return the groups of an epoch of this process: their windows in order, and the rows of their stretches."""
        shares = [0] * self.num_processes
        groups: list[list[int]] = []
        room = 0
        for number in np.random.default_rng([self.seed, epoch]).permutation(len(self._stretches)).tolist():
            (begin, end), (first, until) = self._stretches[number]
            rank = shares.index(min(shares))
            shares[rank] += end - begin
            if rank != self.rank:
                continue
            if not groups or until - first > room:
                groups.append([])
                room = self._rows
            groups[-1].append(number)
            room -= until - first
        found = []
        for place, numbers in enumerate(groups):
            indices = np.concatenate([np.arange(*self._stretches[number][0]) for number in numbers])
            shuffled = np.random.default_rng([self.seed, epoch, self.rank, place]).permutation(indices)
            found.append((shuffled, [self._stretches[number][1] for number in numbers]))
        return found
