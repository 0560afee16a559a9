"""Write recordings of another format as a dataset, and show what became of each key and each episode."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astra.datasets import DatasetWriter, Episode
from astra.datasets.importers.recordings import Recordings
from astra.progress import progress
from astra.screen import screen


def write_recordings(
    recordings: Recordings,
    destination: Path,
    *,
    fps: float,
    video: bool = False,
    workers: int = 1,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write all episodes and return the folder of the dataset; episodes without timesteps are left out.

    Args:
        recordings: The opened recordings.
        destination: Folder of the new dataset.
        fps: Timesteps per second.
        video: Whether cameras are stored as video.
        workers: Number of processes that encode frames.
        about: Further arguments of the writer, such as those that name actions and suite.

    Raises:
        FileExistsError: if the destination exists.
        ValueError: if a recording is damaged; the message names it. No dataset is left then, but what was encoded is
            kept for the next attempt.
    """
    console = screen()
    console.print(f"{recordings.source}: {recordings.total:,} episodes", highlight=False, markup=False)
    for key, column in recordings.columns.items():
        console.print(f"  {key} -> {column}", highlight=False, markup=False)
    for key, reason in recordings.dropped.items():
        console.print(f"  {key}: left out ({reason})", highlight=False, markup=False)
    kept, empty = 0, 0
    with (
        progress("converting", recordings.total, "episodes") as advance,
        DatasetWriter(destination, fps=fps, video=video, workers=workers, **(about or {})) as writer,
    ):
        episodes: Iterator[Episode] = recordings.read()
        for episode in episodes:
            advance(1)
            if len(episode):
                writer.add(episode, source=recordings.source)
                kept += 1
            else:
                empty += 1
    left_out = f"; {empty:,} without timesteps left out" if empty else ""
    console.print(f"kept {kept:,} of {recordings.total:,} episodes{left_out}", highlight=False, markup=False)
    return destination
