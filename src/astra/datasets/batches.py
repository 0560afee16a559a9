"""Batches of window indices: shuffled, endless and resumable for training, or once in order for validation."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64


class BatchSampler:
    """Endless iterator over batches of indices; every epoch is a new permutation of all indices.

    A batch may contain the end of one epoch and the beginning of the next, so every index comes once per epoch and all
    batches have the same size. With several processes, each takes its share of every batch; the state is the same in
    all of them.

    Args:
        num_items: Number of indices, such as the number of windows.
        batch_size: Indices per batch and process.
        seed: Seed of the permutations.
        rank: Index of this process.
        num_processes: Number of processes.

    Raises:
        ValueError: if a size is below 1 or the rank is out of range.
    """

    def __init__(self, num_items: int, batch_size: int, *, seed: int, rank: int = 0, num_processes: int = 1) -> None:
        if min(num_items, batch_size, num_processes) < 1 or not 0 <= rank < num_processes:
            raise ValueError(
                f"got num_items={num_items}, batch_size={batch_size}, rank={rank} and num_processes={num_processes}; "
                "expected sizes of at least 1 and 0 <= rank < num_processes"
            )
        self.num_items = num_items
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.num_processes = num_processes
        self.position = 0
        self._epoch = -1
        self._permutation = np.empty(0, dtype=np.int64)

    @property
    def epoch(self) -> float:
        """Number of passes over all indices so far, such as 1.5."""
        return self.position / self.num_items

    def __iter__(self) -> "BatchSampler":
        """Return the iterator itself."""
        return self

    def __next__(self) -> Int64[np.ndarray, " B"]:
        """Return this process's share of the next batch."""
        first = self.position + self.rank * self.batch_size
        self.position += self.batch_size * self.num_processes
        return self.take(first, first + self.batch_size)

    def state_dict(self) -> dict[str, int]:
        """Return the position in the endless sequence of indices."""
        return {"position": self.position, "seed": self.seed, "num_items": self.num_items}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from the position of another iterator.

        Raises:
            ValueError: if that iterator had another number of items or another seed.
        """
        own = self.state_dict()
        for name in (own.keys() | state.keys()) - {"position"}:
            if state.get(name) != own.get(name):
                raise ValueError(
                    f"the data order was saved with {name}={state.get(name)}, but this run has {name}={own.get(name)}; "
                    "resume with the same dataset, windows, seed and --frames, with as many processes"
                )
        self.position = state["position"]

    def take(self, first: int, until: int) -> Int64[np.ndarray, " _"]:
        """Return a range of the endless sequence of permutations; the position stays as it is."""
        parts = [np.empty(0, dtype=np.int64)]
        while first < until:
            epoch, offset = divmod(first, self.num_items)
            parts.append(self._permutation_of(epoch)[offset : offset + until - first])
            first += len(parts[-1])
        return np.concatenate(parts)

    def _permutation_of(self, epoch: int) -> Int64[np.ndarray, " _"]:
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.num_items)
            self._epoch = epoch
        return self._permutation


def batches_in_order(num_items: int, batch_size: int) -> Iterator[Int64[np.ndarray, " _"]]:
    """Iterate once over all indices in order, as validation does; the last batch may be smaller."""
    for first in range(0, num_items, batch_size):
        yield np.arange(first, min(first + batch_size, num_items))
