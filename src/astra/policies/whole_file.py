"""Files that appear whole or not at all, whenever the process is killed."""

import os
from pathlib import Path

from astra.policies.whole_folder import sync


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name, bring it to the disk and rename it; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path
