"""Writer of LeRobotDataset v3.0: the folder appears when all episodes are written, or not at all."""

import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.episode import ACTION, Episode, check_episode, check_fps, is_camera, views_of
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info_checksum import write_checksum
from astra.datasets.lerobot.preparation import Preparations, Prepared, prepare
from astra.datasets.lerobot.prompts import PromptFile
from astra.datasets.lerobot.stats import summarize, summarize_pixels
from astra.datasets.lerobot.tables import FILES_PER_CHUNK, MEGABYTES_PER_FILE, DataFiles, RowWriter
from astra.datasets.lerobot.video import encoding
from astra.datasets.lerobot.video.checksums import write_video_checksums
from astra.datasets.lerobot.video.column import Stretch
from astra.datasets.lerobot.video.encoding import VideoFiles, video_feature
from astra.datasets.sentences import FILE_NAME as SENTENCES
from astra.parallel.interruption import held_back
from astra.storage.atomic import Unfinished
from astra.storage.places import check_place
from astra.trajectory import ActionSpec

AHEAD = 2
"""Episodes per worker that are prepared before the first of them is appended."""


@dataclass(frozen=True)
class _Waiting:
    """An episode that is being prepared."""

    length: int
    instruction: str
    task: int
    prompt: int
    copies: Mapping[str, Stretch]
    ready: Callable[[], Prepared]


class DatasetWriter:
    """Writer of a dataset, one episode after the other.

    ```python
    with DatasetWriter("data/pusht", fps=10.0) as writer:
        for episode in episodes:
            writer.add(episode)
    ```

    Episodes go to a hidden folder beside the final one. It is renamed when the block ends, and removed if the block
    raises an error. What a killed process left there is removed by the next writer of the same folder.

    Args:
        folder: The dataset to write; must not exist.
        fps: Timesteps per second of every episode.
        actions: Names, bounds and kinds of the action dimensions, stored in info.json; None: bounds of the data.
        robot_type: Name of the robot, as LeRobot stores it.
        views: Height and width in pixels of each view of objects, by name; required if there are objects.
        max_pictured: Number of pictured objects per prompt that policies shall support; raised to what the episodes
            show.
        suite: Name of the benchmark suite in which policies are measured; empty if unknown.
        features: Features of another dataset whose names of dimensions and unknown entries are kept, by column.
        more_info: Entries of info.json that neither Astra nor LeRobot's format knows.
        video: Whether cameras are stored as video (H.264), which takes far less space and loses a little of the colors,
            instead of as images. Crops of objects are images in any case.
        workers: Number of processes that encode frames. None: they are encoded here, and after an error or a kill they
            are encoded again. A number: encoded episodes are also kept in the hidden folder `.NAME.prepared` until all
            are written, and the next attempt goes on from there.

    Raises:
        FileExistsError: if the folder exists.
        ValueError: if the frame rate is not a positive number, or the folder is inside another dataset.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        actions: ActionSpec | None = None,
        robot_type: str | None = None,
        views: Mapping[str, tuple[int, int]] | None = None,
        max_pictured: int = 0,
        suite: str = "",
        features: Mapping[str, layout.Feature] | None = None,
        more_info: Mapping[str, Any] | None = None,
        video: bool = False,
        workers: int | None = None,
    ) -> None:
        check_fps(fps)
        self.folder = Path(folder)
        if self.folder.exists():
            raise FileExistsError(f"{self.folder} exists already and was not changed; choose another folder")
        check_place(self.folder, "choose another folder")
        self.fps = fps
        self._actions = actions
        self._robot_type = robot_type
        self._views = {name: (int(height), int(width)) for name, (height, width) in (views or {}).items()}
        self._max_pictured = max_pictured
        self._suite = suite
        self._known_features = dict(features or {})
        self._more_info = dict(more_info or {})
        self._unfinished = Unfinished(self.folder)
        self._building = self._unfinished.path
        self._data_files = DataFiles(self._building)
        self._prompts = PromptFile(self._building)
        self._features: dict[str, layout.Feature] = {}
        self._tasks: dict[str, int] = {}
        self._episodes = RowWriter(self._building / layout.EPISODES)
        self._video = video
        self._videos: dict[str, VideoFiles] = {}
        self._pixels: dict[str, np.ndarray] = {}
        self._num_rows = 0
        self._waiting: deque[_Waiting] = deque()
        kept = self.folder.with_name(f".{self.folder.name}.prepared")
        self._preparations = None if workers is None else Preparations(kept, workers)

    def __enter__(self) -> "DatasetWriter":
        """Create the hidden folder."""
        if self._preparations is not None:
            self._preparations.start()
        self._unfinished.create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the dataset, or remove what was written if the block raised an error or the disk is full.

        Raises:
            OSError: if the last files cannot be written.
            ValueError: if no episode was added.
            FileExistsError: if the folder was created by someone else meanwhile; the message says where the episodes
                are.
        """
        try:
            while kind is None and self._waiting:
                self._append(self._waiting.popleft())
        except BaseException as failure:
            self._close(type(failure))
            raise
        self._close(kind)

    def _close(self, kind: type[BaseException] | None) -> None:
        with held_back():
            try:
                for file in (self._data_files, self._prompts, self._episodes, *self._videos.values()):
                    file.close()
                if kind is None:
                    self._write_metadata()
            except BaseException:
                self._unfinished.remove()
                if kind is None:
                    raise
            else:
                self._unfinished.finish() if kind is None else self._unfinished.remove()
            finally:
                if self._preparations is not None:
                    self._preparations.stop(finished=self.folder.exists())

    def add(
        self, episode: Episode, copies: Mapping[str, Stretch] | None = None, source: str | Path | None = None
    ) -> None:
        """Append one episode.

        Args:
            episode: The episode.
            copies: Cameras whose frames are taken over with their video files instead of being encoded again.
            source: File or folder from which the episode was read, for messages.

        Raises:
            ValueError: if it cannot be stored or does not match the episodes before; the message names the episode and
                the column.
        """
        try:
            self._add(episode, copies or {})
        except ValueError as error:
            if source is None:
                raise
            raise ValueError(f"{source}: {error}") from error

    def _add(self, episode: Episode, copies: Mapping[str, Stretch]) -> None:
        """Check an episode, and begin to prepare it."""
        index = len(self._episodes) + len(self._waiting)
        check_episode(episode, index, may_picture=bool(self._views))
        self._check_views(episode, index)
        stored = {column: layout.to_stored(column, values) for column, values in episode.columns.items()}
        self._check_same_columns(stored, episode.fps, index)
        videos = list(filter(self._is_video, self._features))
        task, prompt = self._tasks.setdefault(episode.instruction, len(self._tasks)), self._prompts.add(episode)
        ordered = {column: stored[column] for column in self._features}
        if self._preparations is None:
            prepared = prepare(ordered, copies, videos, self.fps)
            ready: Callable[[], Prepared] = lambda: prepared  # noqa: E731
            ahead = 0
        else:
            ready = self._preparations.submit(ordered, copies, videos, self.fps)
            ahead = AHEAD * (self._preparations.workers - 1)
        self._waiting.append(_Waiting(len(episode), episode.instruction, task, prompt, copies, ready))
        while len(self._waiting) > ahead:
            self._append(self._waiting.popleft())

    def _append(self, waiting: "_Waiting") -> None:
        """Append an episode to the files."""
        prepared, index, length = waiting.ready(), len(self._episodes), waiting.length
        rows = layout.index_columns(length, self.fps, index, self._num_rows, waiting.task)
        table = prepared.columns
        for column, kind in layout.INDEX_COLUMNS.items():
            table = table.append_column(column, pa.array(rows[column], kind))
        chunk, file = self._data_files.append(table)
        places = self._append_videos(prepared, length, waiting.copies)
        for column, counts in prepared.pixels.items():
            self._pixels[column] = self._pixels.get(column, 0) + counts
        summaries = {**prepared.summaries, **{column: summarize(values[:, None]) for column, values in rows.items()}}
        self._episodes.add(
            {
                "episode_index": index,
                "tasks": [waiting.instruction],
                "length": length,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": self._num_rows,
                "dataset_to_index": self._num_rows + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                layout.PROMPT_INDEX: waiting.prompt,
                **places,
                **{
                    f"stats/{column}/{statistic}": value
                    for column, summary in summaries.items()
                    for statistic, value in summary.items()
                },
            }
        )
        self._num_rows += length

    def tell(self, sentences: Mapping[str, Sequence[str]]) -> None:
        """Write several sentences for instructions, of which training chooses; see `astra.datasets.sentences`."""
        path = self._building / SENTENCES
        path.write_text(json.dumps(sentences, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _video_feature(self, column: str, values: np.ndarray) -> layout.Feature:
        """Describe a video; copied ones have the codec of the dataset from which they come."""
        known = self._known_features.get(column, {})
        feature = video_feature(values.shape[1], values.shape[2], self.fps)
        return {**feature, "info": known["info"]} if isinstance(known.get("info"), dict) else feature

    def _is_video(self, column: str) -> bool:
        return self._video and is_camera(column)

    def _append_videos(self, prepared: Prepared, length: int, copies: Mapping[str, Stretch]) -> dict[str, Any]:
        """Append the frames of an episode to the videos and return where they lie."""
        places = {}
        for column in filter(self._is_video, self._features):
            if column not in self._videos:
                self._videos[column] = VideoFiles(self._building, column, self.fps)
            video = self._videos[column]
            if column in copies:
                places |= video.copy(copies[column], length)
            else:
                places |= video.append(prepared.videos[column], length)
        return places

    def _check_views(self, episode: Episode, index: int) -> None:
        pictured = [view for shown in episode.pictures.values() for view in shown]
        seen = [*views_of(episode.columns), *pictured]
        if unknown := [view for view in seen if view not in self._views]:
            raise ValueError(
                f"episode {index} shows objects in the view {unknown[0]!r}, whose size is unknown: pass "
                f"views={{{unknown[0]!r}: (height, width)}} to the writer; it got {', '.join(self._views) or 'none'}"
            )
        if pictured and (missing := self._views.keys() - set(pictured)):
            raise ValueError(f"episode {index}: the pictures of its prompt lack the view {', '.join(sorted(missing))}")

    def _check_same_columns(self, stored: Mapping[str, np.ndarray], fps: float, index: int) -> None:
        """Check an episode against the first one."""
        if fps != self.fps:
            raise ValueError(f"episode {index} has {fps} timesteps per second, but the dataset {self.fps}")
        names = {ACTION: self._actions.names} if self._actions else {}
        features = {
            column: self._video_feature(column, values)
            if self._is_video(column)
            else layout.feature_of(column, values, names.get(column))
            for column, values in stored.items()
        }
        if not self._features:
            self._check_actions(features[ACTION])
            self._features = features
        if different := features.keys() ^ self._features.keys():
            raise ValueError(
                f"episode {index} does not have the columns of the episodes before; the difference is "
                f"{', '.join(sorted(different))}"
            )
        for column, feature in features.items():
            if feature != self._features[column]:
                raise ValueError(
                    f"episode {index}, column {column!r}: got the shape {feature['shape']} per timestep, but the "
                    f"episodes before have {self._features[column]['shape']}"
                )

    def _check_actions(self, feature: layout.Feature) -> None:
        if self._actions and feature["shape"] != [len(self._actions.names)]:
            raise ValueError(
                f"column {ACTION!r} has the shape {feature['shape']} per timestep, but {len(self._actions.names)} "
                f"names: {', '.join(self._actions.names)}"
            )

    def _write_metadata(self) -> None:
        if not len(self._episodes):
            raise ValueError(f"no episode was added, so {self.folder} is not written")
        if not self._prompts.count:
            self._episodes.drop_column(layout.PROMPT_INDEX)
        if self._videos:
            write_video_checksums(self._building, [path for video in self._videos.values() for path in video.paths])
        pq.write_table(layout.tasks_table(self._tasks), self._building / layout.TASKS, write_page_checksum=True)
        for name, content in ((layout.STATISTICS, self._statistics()), (layout.INFO, self._info())):
            (self._building / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_checksum(self._building)

    def _statistics(self) -> dict[str, Any]:
        """Summarize the whole dataset; vectors are read back one column at a time to save memory."""
        features = {**self._features, **layout.index_features()}
        vectors = [column for column in features if column not in self._pixels]
        summaries = {
            column: summarize(self._data_files.column(column, math.prod(features[column]["shape"])))
            for column in vectors
        }
        return summaries | {column: summarize_pixels(counts) for column, counts in self._pixels.items()}

    def _described(self, column: str) -> layout.Feature:
        """Return the feature of a column, with what is known of it beside dtype and shape."""
        feature, known = self._features[column], self._known_features.get(column, {})
        names = feature["names"] if feature["names"] is not None else known.get("names")
        return {**known, **feature, "names": names}

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "codebase_version": layout.VERSION,
            "robot_type": self._robot_type,
            "total_episodes": len(self._episodes),
            "total_frames": self._num_rows,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": MEGABYTES_PER_FILE,
            "video_files_size_in_mb": encoding.MEGABYTES_PER_FILE,
            "fps": int(self.fps) if float(self.fps).is_integer() else self.fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEOS if self._videos else None,
            "features": {**{column: self._described(column) for column in self._features}, **layout.index_features()},
        }
        info = {**self._more_info, **info}
        own: dict[str, Any] = {}
        if self._actions is not None:
            own["action_low"] = list(self._actions.low)
            own["action_high"] = list(self._actions.high)
            own["action_binary"] = list(self._actions.binary)
            if any(self._actions.periodic):
                own["action_periodic"] = list(self._actions.periodic)
            if self._actions.bins:
                own["action_bins"] = list(self._actions.bins)
        if self._views:
            own["views"] = {name: list(size) for name, size in self._views.items()}
        if self._max_pictured:
            own["max_pictured"] = self._max_pictured
        if self._suite:
            own["suite"] = self._suite
        return {**info, layout.OWN_KEY: own} if own else info
