"""The file `metrics.jsonl` of a run: one JSON object per line, with the update and numbers named `source/measure`."""

import json
from pathlib import Path
from typing import Any


def read_metrics_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the file. A last line that a killed run has cut short is left out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if another line is no JSON object with an update; the message names it.
    """
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            row = json.loads(line)
            problem = "" if isinstance(row, dict) and type(row.get("update")) is int else "it has no update"
        except (ValueError, RecursionError) as error:
            row, problem = None, str(error)
        if problem and not line.endswith(b"\n"):
            break
        if problem or row is None:
            raise ValueError(
                f"{path} is damaged at line {number} ({problem}): restore the file, or remove this line, which loses "
                f"one point of the curves and nothing else"
            )
        rows.append(row)
    return rows
