"""LeRobotDataset, v3.0 or v2.x, opened for training: its spec, its episodes and memory-mapped columns."""

import sys
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from astra.datasets.episode import Episode
from astra.datasets.lerobot.cache import DatasetCache, cached_columns, cached_prompts, frame_shapes
from astra.datasets.lerobot.checks import warn_of_statistics
from astra.datasets.lerobot.frames import RecordedFrames, frame_sizes
from astra.datasets.lerobot.metadata import read_metadata
from astra.datasets.lerobot.prompts import StoredPrompts
from astra.datasets.lerobot.streamed import FrameConfig, FrameStream
from astra.storage.cache_folder import CacheFullError
from astra.storage.hub import local_folder
from astra.trajectory import Modality, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class LeRobotDataset:
    """Demonstrations of a dataset; the rows of every column are the timesteps of all episodes, one after the other."""

    folder: Path
    """Folder of the dataset."""
    spec: TrajectorySpec
    """Contents of its trajectories."""
    instructions: tuple[str, ...]
    """Instruction of each episode."""
    starts: Int64[np.ndarray, " episodes"]
    """First row of each episode."""
    ends: Int64[np.ndarray, " episodes"]
    """Row after the last one of each episode."""
    columns: Mapping[str, Any]
    """Memory-mapped, read-only arrays by column name: vectors float32 (rows, n), frames uint8 (rows, height, width, 3);
    crops of objects uint8 (rows, O, 32, 32, 3), boxes float32 (rows, O, 4) and validity bool (rows, O). Frames are
    smaller than in the spec if the dataset was opened so. Frames and crops that are streamed are `StreamedColumn`s,
    which are read in the same way."""
    empty: tuple[int, ...] = ()
    """Episodes of the folder without timesteps, which are left out; those after them move up."""
    prompts: StoredPrompts | None = None
    """Pictures of prompts; None if no prompt has any."""
    cache: DatasetCache | None = None
    """Cache of its arrays; None if the dataset lies in memory."""
    recorded: RecordedFrames | None = None
    """Frames and crops as they were recorded; None if the dataset lies in memory."""

    @classmethod
    def open(
        cls,
        folder: str | Path,
        columns: Collection[str] | None = None,
        reads: Collection[Modality] | None = None,
        *,
        frame_size: tuple[int, int] | None = None,
        decode: bool = True,
        frames: FrameConfig | None = None,
    ) -> "LeRobotDataset":
        """Open a dataset; the first time, its columns are checked and cached.

        An episode without timesteps is left out, with a warning. Statistics are computed from the data; a stats.json
        that differs triggers a warning. Columns that are not wanted are neither decoded nor cached, and are missing
        from the spec.

        Args:
            folder: The dataset: a folder, or the id of one on the Hugging Face Hub, such as `lerobot/pusht`.
            columns: Observations to read, such as {"observation.state"}, or `observation.objects.VIEW` for all columns
                of a view; None: all. Actions are always read.
            reads: Modalities to read beside state vectors: images, objects or both; None: both. State vectors are
                always read, since actions may be relative to one, and so are the pictures of prompts.
            frame_size: Height and width to which a policy resizes frames, `PolicyConfig.frame_size`: larger frames are
                cached at this size. None: as they were recorded. The spec tells the recorded size in any case.
            decode: Whether `columns` has frames and crops. If not, only the first of each are decoded, to check them,
                and `episode` reads those of one episode.
            frames: When frames are decoded; None: once, and while they are used where the cache has too little space.

        Raises:
            FileNotFoundError: if the folder or one of its files is missing.
            ValueError: if a file is truncated, has another version, contradicts another file, or holds NaN or infinite
                values; the message names the episode and the column.
        """
        folder = local_folder(folder)
        metadata = read_metadata(folder, columns, reads)
        cache = DatasetCache.of(folder, metadata.files)
        sizes = frame_sizes(metadata.spec, metadata.columns)
        recorded = RecordedFrames(
            files=metadata.data_files, sizes=sizes, episode_ends=metadata.ends, videos=metadata.videos
        )
        frames, shapes = frames or FrameConfig(), frame_shapes(metadata, frame_size)
        if not decode or frames.decode == "streamed":
            recorded.read(sizes, 0, 1)
            values: dict[str, Any] = cached_columns(cache, metadata, frame_size, decode=False)
        else:
            try:
                values = {**cached_columns(cache, metadata, frame_size)}
            except CacheFullError as error:
                if frames.decode == "once":
                    raise
                values = {**cached_columns(cache, metadata, frame_size, decode=False)}
                print(
                    f"{error}. Frames are therefore decoded while they are used, which is slower, in up to "
                    f"{frames.gigabytes:g} GB of memory (--frames.gigabytes)",
                    file=sys.stderr,
                )
        prompts = cached_prompts(cache, metadata)
        warn_of_statistics(folder, values)
        if decode and (streamed := {column: shape for column, shape in shapes.items() if column not in values}):
            values |= FrameStream(recorded, streamed, frames).columns
        starts = np.concatenate([[0], metadata.ends[:-1]])
        real = np.flatnonzero(metadata.ends > starts)
        if empty := np.flatnonzero(metadata.ends == starts).tolist():
            warnings.warn(
                f"{folder}: episode {', '.join(map(str, empty))} without timesteps left out (a recording that was "
                "stopped at once?)",
                stacklevel=2,
            )
        return cls(
            folder=folder,
            spec=metadata.spec,
            instructions=tuple(metadata.instructions[index] for index in real),
            starts=starts[real],
            ends=metadata.ends[real],
            columns=values,
            empty=tuple(empty),
            prompts=prompts and replace(prompts, of_episode=prompts.of_episode[real]),
            cache=cache,
            recorded=recorded,
        )

    def __len__(self) -> int:
        """Count the episodes."""
        return len(self.ends)

    def __repr__(self) -> str:
        """Return folder, sizes and columns, without their values."""
        rows = int(self.lengths.sum())
        return (
            f"LeRobotDataset({self.folder}, {len(self)} episodes, {rows} timesteps of {', '.join(self.column_names)})"
        )

    @property
    def lengths(self) -> Int64[np.ndarray, " episodes"]:
        """Number of timesteps of each episode."""
        return self.ends - self.starts

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, decoded or not."""
        return tuple(dict.fromkeys([*self.columns, *(self.recorded.sizes if self.recorded else ())]))

    def episode(self, index: int) -> Episode:
        """Read one episode, with frames as they were recorded.

        Raises:
            FileNotFoundError: if a data file is missing.
            ValueError: if a frame is damaged.
        """
        first, until = int(self.starts[index]), int(self.ends[index])
        cached = {
            column: values
            for column, values in self.columns.items()
            if column not in self.spec.images or values.shape[1:3] == self.spec.images[column]
        }
        others = [column for column in self.column_names if column not in cached]
        columns = {column: np.array(values[first:until]) for column, values in cached.items()}
        if others and self.recorded is not None:
            columns |= self.recorded.read(others, first, until)
        pictures = self.prompts.pictures(index) if self.prompts else {}
        return Episode(instruction=self.instructions[index], columns=columns, fps=self.spec.fps, pictures=pictures)

    def split_episodes(self, fraction: float, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Split the episodes at random into those for training and those held out; each in rising order.

        Args:
            fraction: Share of the episodes to hold out, in [0, 1); rounded, but at least one episode unless it is 0.
            seed: Seed of the split.

        Raises:
            ValueError: if the fraction is outside [0, 1) or no episode would be left for training.
        """
        if not 0 <= fraction < 1:
            raise ValueError(f"got the validation fraction {fraction}, expected 0 <= fraction < 1")
        held_out = max(round(fraction * len(self)), 1 if fraction > 0 else 0)
        if held_out >= len(self):
            left_out = f" (episode {', '.join(map(str, self.empty))} has no timesteps)" if self.empty else ""
            raise ValueError(
                f"holding out {held_out} of {len(self)} episodes{left_out} leaves none to train on: collect more "
                "episodes, or use --validation 0"
            )
        order = np.random.default_rng(seed).permutation(len(self)).tolist()
        return tuple(sorted(order[held_out:])), tuple(sorted(order[:held_out]))
