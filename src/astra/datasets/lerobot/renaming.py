"""A dataset whose columns have other names than Astra reads, such as `actions` and `state`: a copy with these names.

Data files are written anew, batch by batch, which needs their space once more; videos are linked. The files of
statistics are left out: Astra computes its own from the data.
"""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from astra.datasets.episode import ACTION
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.info import read_info
from astra.datasets.lerobot.tables import ROWS_PER_BATCH, read_batches, read_schema
from astra.datasets.lerobot.video.checksums import CHECKSUMS, read_video_checksums
from astra.storage.places import check_new

LEFT_OUT = {layout.STATISTICS, "meta/episodes_stats.jsonl", layout.INFO_CHECKSUM}
"""Files about the old names."""
NEW_NAME = re.compile(rf"{ACTION}|observation\.[\w.-]+")
PREFIXES = ("videos/", "stats/")
"""First parts of the columns that describe a feature in `meta/episodes`."""


def parse_names(pairs: Collection[str]) -> dict[str, str]:
    """Return new names by old ones from texts such as `state=observation.state`.

    Raises:
        ValueError: if a text is no such pair, or a name is not one that Astra reads.
    """
    names = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and NEW_NAME.fullmatch(new)):
            raise ValueError(
                f"got --rename {pair}, expected OLD=NEW with the new name {ACTION}, observation.NAME for vectors, or "
                f"observation.images.CAMERA, such as --rename actions=action state=observation.state"
            )
        if old in names:
            raise ValueError(f"--rename names {old} twice")
        names[old] = new
    return names


@contextmanager
def renamed(folders: Sequence[Path], names: Mapping[str, str], output: Path) -> Iterator[list[Path]]:
    """Yield datasets with other names of columns, as copies that last as long as the block; without names, themselves.

    Args:
        folders: The datasets.
        names: New names by old ones.
        output: Folder that is to be written from them, beside which the copies lie.

    Raises:
        FileExistsError: if there are names and the output exists, before anything is copied.
        ValueError: if a dataset lacks a column, or two would have the same name.
    """
    if not names:
        yield list(folders)
        return
    check_new(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.renamed-", dir=output.parent) as made:
        copies = [Path(made) / str(number) / folder.name for number, folder in enumerate(folders)]
        for folder, copy in zip(folders, copies, strict=True):
            write_renamed(folder, names, copy)
        yield copies


def write_renamed(folder: Path, names: Mapping[str, str], destination: Path) -> None:
    """Write a copy of a dataset whose columns have other names.

    Args:
        folder: The dataset.
        names: New names by old ones.
        destination: Folder of the copy, which links to files of the dataset.

    Raises:
        ValueError: if the dataset lacks a column, two would have the same name, or a file is damaged.
    """
    info = read_info(folder)
    features = info["features"]
    if unknown := [old for old in names if old not in features or old in layout.INDEX_COLUMNS]:
        known = ", ".join(column for column in features if column not in layout.INDEX_COLUMNS)
        raise ValueError(
            f"{folder} has no column {', '.join(unknown)} to rename, it has {known}. Names are changed in all "
            "datasets: convert one that needs other names by itself first"
        )
    renamed = [names.get(column, column) for column in features]
    if twice := sorted({column for column in renamed if renamed.count(column) > 1}):
        raise ValueError(f"{folder} would have two columns {twice[0]}: choose another name for one of them")
    info["features"] = {names.get(column, column): feature for column, feature in features.items()}
    found = [Path(place, name) for place, _, files in os.walk(folder, followlinks=True) for name in files]
    for path in sorted(found):
        inside = path.relative_to(folder)
        if str(inside) in LEFT_OUT or inside.parts[0].startswith("."):
            continue
        target = destination / _moved(inside, names)
        target.parent.mkdir(parents=True, exist_ok=True)
        if str(inside) == layout.INFO:
            target.write_text(json.dumps(info))
        elif inside.suffix == ".parquet":
            _write_table(path, names, target)
        elif str(inside) == CHECKSUMS:
            recorded = read_video_checksums(folder).items()
            target.write_text("".join(f"{digits}  {_moved(Path(name), names)}\n" for name, digits in recorded))
        elif inside.parts[0] == "meta":
            shutil.copyfile(path, target)
        else:
            target.symlink_to(os.path.realpath(path))


def _moved(inside: Path, names: Mapping[str, str]) -> Path:
    """Return the path of a file whose folders are named after columns."""
    return Path(*(names.get(part, part) for part in inside.parts))


def _write_table(path: Path, names: Mapping[str, str], target: Path) -> None:
    """Copy a table with other names of columns."""
    schema = read_schema(path)
    fields = [field.with_name(_renamed(field.name, names)) for field in schema]
    with pq.ParquetWriter(target, pa.schema(fields)) as writer:
        for batch in read_batches(path, schema.names, ROWS_PER_BATCH):
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields)))


def _renamed(column: str, names: Mapping[str, str]) -> str:
    """Return the new name of a table's column: of a feature itself, or of something about it, as `stats/OLD/mean`."""
    for prefix in PREFIXES:
        key, _, rest = column.removeprefix(prefix).rpartition("/")
        if column.startswith(prefix) and key in names:
            return f"{prefix}{names[key]}/{rest}"
    return names.get(column, column)
