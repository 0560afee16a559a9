"""`astra cache list` and `astra cache clear [DATASET ...]`: the cached columns and features of datasets."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.screen import screen
from astra.storage.cache_folder import cache_root, entries, gigabytes, is_in_use, remove_entry, size_limit


def list_entries() -> None:
    """Print what is cached, the least recently used first, with the limit."""
    found = entries()
    table = Table("dataset", "size", "last used", "", box=SIMPLE_HEAD, pad_edge=False)
    for entry in found:
        state = "open" if is_in_use(entry.folder) else "" if Path(entry.source).exists() else "dataset is gone"
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
        table.add_row(Text(entry.source, overflow="fold"), gigabytes(entry.size), used, state)
    if found:
        screen().print(table)
    total = sum(entry.size for entry in found)
    print(f"{gigabytes(total)} of at most {gigabytes(size_limit())} (ASTRA_CACHE_GB) in {cache_root()} (ASTRA_CACHE)")


def clear(datasets: tyro.conf.Positional[tuple[Path, ...]] = (), /) -> None:
    """Remove what is cached, except what a process has open. It is made again when it is needed.

    Args:
        datasets: datasets whose caches are removed; none: all.

    Raises:
        ValueError: if nothing is cached of a dataset.
    """
    found = entries()
    wanted = {str(dataset.resolve()): dataset for dataset in datasets}
    if unknown := [str(path) for source, path in wanted.items() if source not in {entry.source for entry in found}]:
        raise ValueError(f"nothing is cached of {', '.join(unknown)}: astra cache list prints what is")
    chosen = [entry for entry in found if not wanted or entry.source in wanted]
    removed = [entry for entry in chosen if remove_entry(entry.folder)]
    print(f"removed {len(removed)} of {len(chosen)} caches: {gigabytes(sum(entry.size for entry in removed))}")
    for entry in chosen:
        if entry not in removed:
            print(f"kept the cache of {entry.source}: a process has it open")


ACTIONS: dict[str, Callable[..., None]] = {"list": list_entries, "clear": clear}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such action, or nothing is cached of a named dataset.
    """
    notes = {name: first_line(function.__doc__) for name, function in ACTIONS.items()}
    name = choose(arguments, "action", "astra cache list, or astra cache clear [DATASET ...]", notes)
    if name is not None:
        parse(ACTIONS[name], f"cache {name}", arguments[1:])
