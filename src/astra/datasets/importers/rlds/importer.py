"""Importer of RLDS: each record of a TFRecord file is an episode with `steps/observation/*` and `steps/action`.

Keys follow Open X-Embodiment: the instruction is `steps/language_instruction`, or
`steps/observation/natural_language_instruction`; flags such as `steps/is_first` tell the length.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from astra.datasets.episode import ACTION, Episode
from astra.datasets.importers.recordings import Recordings, build_columns, choose_columns, stack_images, warn_of_unread
from astra.datasets.importers.rlds.records import Feature, count_records, parse_example, read_records

OBSERVATION = "steps/observation/"
FLAGS = ("steps/is_first", "steps/is_last", "steps/is_terminal")
INSTRUCTIONS = ("steps/language_instruction", f"{OBSERVATION}natural_language_instruction")
IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
"""First bytes of PNG, JPEG and WebP."""


def open_rlds(
    source: Path,
    *,
    fps: float,
    split: str = "train",
    instruction: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Recordings:
    """Open a dataset of TensorFlow Datasets, and find its mapping from the first episode.

    Args:
        source: Folder of a version, such as `bridge_dataset/1.0.0`, or one TFRecord file.
        fps: Timesteps per second; the format does not record them.
        split: Split to read, part of the files' names.
        instruction: Instruction of all episodes; None: their own.
        columns: Column of each key; None: cameras become `observation.images.NAME`, numbers `observation.NAME`, and
            `steps/action` the action.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the first record is damaged, or the columns do not fit.
    """
    paths = [source] if source.is_file() else sorted(source.glob(f"*-{split}.tfrecord*"))
    if not paths:
        raise FileNotFoundError(
            f"{source} holds no file *-{split}.tfrecord*: give the folder of a version of an RLDS dataset, and its "
            "split by --split"
        )
    _check_shards(paths, whole=not source.is_file())
    first = next(_examples(paths[:1]), None)
    assert first is not None
    where, example = first
    chosen, dropped = choose_columns(
        {key: _default(key, value) for key, value in example.items()}, columns, str(source)
    )
    used = next((key for key in INSTRUCTIONS if key in example), None) if instruction is None else None
    if instruction is None and used is None:
        raise ValueError(f"{where} has no {INSTRUCTIONS[0]}: give the instruction of all episodes by --instruction")
    dropped = {key: "the instruction" if key == used else reason for key, reason in dropped.items()}

    def read() -> Iterator[Episode]:
        warned = columns is not None
        for place, features in _examples(paths):
            if not warned:
                known = {key: _default(key, value) for key, value in features.items()}
                warned = warn_of_unread(known, chosen, place)
            if missing := [key for key in chosen if key not in features]:
                raise ValueError(f"{place} has no {', '.join(missing)}, which the first episode has")
            timesteps = _timesteps(features, place)
            arrays = {key: _array(features[key], timesteps, f"{place}, {key}") for key in chosen}
            text = _instruction(features, used, place) if used else instruction or ""
            yield Episode(instruction=text, columns=build_columns(arrays, chosen, place), fps=fps)

    return Recordings(
        source=f"RLDS, {source}", columns=chosen, dropped=dropped, total=sum(map(count_records, paths)), read=read
    )


def _check_shards(paths: Sequence[Path], *, whole: bool) -> None:
    """Check that no part of a split is missing or empty; names tell the number of parts, `-00003-of-00010`."""
    for path in paths:
        if not count_records(path):
            raise ValueError(f"{path} holds no record; copy the file again")
    counts = {found.group(1) for path in paths if (found := re.search(r"-of-(\d{1,9})$", path.name))}
    if whole and len(counts) == 1 and len(paths) != int(next(iter(counts))):
        raise ValueError(
            f"{paths[0].parent} holds {len(paths)} of {int(next(iter(counts)))} files of the split, such as "
            f"{paths[0].name}: copy the others too, or convert single files"
        )


def _examples(paths: Sequence[Path]) -> Iterator[tuple[str, Mapping[str, Feature]]]:
    for path in paths:
        for number, record in enumerate(read_records(path)):
            where = f"{path}, record {number}"
            yield where, parse_example(record, where)


def _default(key: str, value: Feature) -> str | None:
    if key == "steps/action":
        return ACTION
    if not key.startswith(OBSERVATION) or key in INSTRUCTIONS:
        return None
    name = key.removeprefix(OBSERVATION).replace("/", ".")
    if isinstance(value, np.ndarray):
        return f"observation.{name}"
    return f"observation.images.{name}" if value and value[0].startswith(IMAGES) else None


def _timesteps(features: Mapping[str, Feature], where: str) -> int:
    found = next((features[key] for key in FLAGS if key in features), None)
    if found is None or not len(found):
        raise ValueError(f"{where} has none of {', '.join(FLAGS)}, so its length is unknown: it is no RLDS episode")
    return len(found)


def _array(values: Feature, timesteps: int, where: str) -> np.ndarray:
    """Return a feature as an array with time first."""
    if isinstance(values, np.ndarray):
        if len(values) % timesteps or not len(values):
            raise ValueError(f"{where}: got {len(values)} numbers, expected a multiple of the {timesteps} timesteps")
        return values.reshape(timesteps, -1)
    if len(values) != timesteps:
        raise ValueError(f"{where}: got {len(values)} values, expected one for each of the {timesteps} timesteps")
    return stack_images(values, where)


def _instruction(features: Mapping[str, Feature], key: str, where: str) -> str:
    values = features.get(key)
    if not isinstance(values, list) or not values:
        raise ValueError(f"{where} has no text in {key}: give the instruction of all episodes by --instruction")
    return values[0].decode("utf-8", errors="replace")
