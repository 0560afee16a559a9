"""Checksums of the videos that Astra wrote, in `meta/videos.sha256`: a changed byte of a video often still decodes.

The file is as `sha256sum` writes it, so that `sha256sum --check meta/videos.sha256` in the dataset checks it too.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from astra.datasets.lerobot.info import COPY_AGAIN, LARGEST_LINES
from astra.storage.cached_arrays import checksum
from astra.storage.json_file import check_size

CHECKSUMS = "meta/videos.sha256"
DIGITS = 64


def write_video_checksums(folder: Path, paths: Iterable[Path]) -> None:
    """Write the checksums of a dataset's videos."""
    lines = [f"{checksum(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_video_checksums(folder: Path) -> Mapping[str, str]:
    """Return the checksum of each video by its path inside the dataset; none if they were not recorded.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    check_size(path, COPY_AGAIN, LARGEST_LINES)
    found = {}
    for line in path.read_bytes().decode("utf-8", errors="replace").splitlines():
        digits, _, name = line.partition("  ")
        if len(digits) != DIGITS or not name:
            raise ValueError(f"{path} has the line {line[:80]!r}, expected a checksum and a path; {COPY_AGAIN}")
        found[name] = digits
    return found


def check_video(path: Path, expected: str) -> None:
    """Check a video against its checksum.

    Raises:
        ValueError: if it differs.
    """
    if checksum(path) != expected:
        raise ValueError(f"{path} is not the video that Astra wrote: its checksum differs; {COPY_AGAIN}")
