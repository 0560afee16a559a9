"""The file `metrics.jsonl` of a run: one JSON object per line, with the update and numbers named `source/measure`.

Each line ends with a checksum of its content and its number in the file, so that a changed, removed or repeated line is
noticed. Whoever changes a line on purpose removes its entry `checksum`; lines without it, such as those of older runs,
are read unchecked.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astra.storage.json_file import check_size

CHECKSUM = "checksum"
"""Key of the checksum: the first 16 hexadecimal digits of a SHA-256."""
MAX_BYTES = 256 * 2**20
"""Largest file that is read."""


def metrics_line(row: Mapping[str, Any], number: int) -> str:
    """Return one line of the file.

    Args:
        row: the update and its numbers.
        number: number of the line in the file, from 1.
    """
    return json.dumps({**row, CHECKSUM: _checksum(row, number)}) + "\n"


def read_metrics_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the file, without their checksums.

    A last line that a killed run has cut short is left out with a warning.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no regular file or larger than 256 MB, or another line is no JSON object with an update, or
            differs from its checksum; the message names the line.
    """
    check_size(path, "restore the file", MAX_BYTES)
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            row = json.loads(line)
            problem = "" if isinstance(row, dict) and type(row.get("update")) is int else "it has no update"
        except (ValueError, RecursionError) as error:
            row, problem = None, str(error)
        if problem and not line.endswith(b"\n"):
            warnings.warn(f"{path} ends within line {number}, which is left out: a killed run wrote it", stacklevel=2)
            break
        if problem or row is None:
            raise ValueError(
                f"{path} is damaged at line {number} ({problem}): restore the file, or write "
                f'{{"update": {rows[-1]["update"] if rows else 0}}} in the place of this line, which loses one point '
                f"of the curves and nothing else"
            )
        checksum = row.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum(row, number):
            raise ValueError(
                f"{path} was changed after Astra wrote it: line {number} differs from its checksum, or lines before it "
                f'were removed. Restore the file; to accept it, remove the entries "{CHECKSUM}" from this line on'
            )
        rows.append(row)
    return rows


def warn_of_missing_lines(rows: Sequence[Mapping[str, Any]], path: Path, update: int, every: Any) -> None:
    """Warn if a run that has reached an update has no line of it, as after a file was cut short between two lines.

    Args:
        rows: Lines of the file.
        path: The file.
        update: Update that the run has surely reached, such as that of its newest checkpoint.
        every: Updates between lines by the run's configuration; nothing is checked if it is no number.
    """
    if type(every) is not int or every < 1:
        return
    last = max((row["update"] for row in rows), default=0)
    if last < (expected := update // every * every):
        warnings.warn(
            f"{path} ends at update {last}, but the run wrote lines up to update {expected}: some are missing, and "
            f"curves show what is left",
            stacklevel=2,
        )


def _checksum(row: Mapping[str, Any], number: int) -> str:
    text = json.dumps([number, row], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
