"""Pictures of prompts on disk: `meta/prompts.parquet`, one row per distinct prompt that has any.

    placeholder      list<string>   name of the placeholder of each pictured object, in reading order
    VIEW.crops       binary         the objects' crops, uint8 (P, 32, 32, 3)
    VIEW.boxes       list<float>    their boxes, (P, 4)
    VIEW.valid       list<bool>     whether they are visible in the view

An episode names its row in `prompt_index`. In memory the objects of all prompts are concatenated, so that a batch is
one gather.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64

from astra.datasets.episode import PART_DTYPES, PARTS, Episode
from astra.datasets.lerobot import layout
from astra.datasets.lerobot.tables import ROWS_PER_BATCH, RowWriter, read_batches, read_parquet
from astra.objects import Objects, Pictures, PromptPictures, placeholders

TYPES = {"crops": pa.binary(), "boxes": pa.list_(pa.float32()), "valid": pa.list_(pa.bool_())}
NAMES = pa.list_(pa.string())


class PromptFile:
    """Writer of `meta/prompts.parquet`; equal prompts are written once.

    Args:
        folder: The dataset being written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / layout.PROMPTS
        self._rows: dict[bytes, int] = {}
        self._file: RowWriter | None = None

    @property
    def count(self) -> int:
        """Count the distinct prompts with pictures."""
        return len(self._rows)

    def add(self, episode: Episode) -> int:
        """Store the pictures of an episode and return the index of their row, or -1 if there are none."""
        if not episode.pictures:
            return -1  # braces in the instruction, if any, are text
        shown = {name: episode.pictures[name] for name in placeholders(episode.instruction)}
        views = sorted(next(iter(shown.values())))
        names = [name for name, pictures in shown.items() for _ in pictures[views[0]]["valid"]]
        arrays = {
            f"{view}.{part}": np.concatenate([pictures[view][part] for pictures in shown.values()])
            for view in views
            for part in PARTS
        }
        code = hashlib.blake2b(repr((names, views)).encode(), digest_size=16)
        for array in arrays.values():
            code.update(array.tobytes())
        if code.digest() not in self._rows:
            self._rows[code.digest()] = self.count
            values = {name: array.tobytes() if "crops" in name else array.ravel() for name, array in arrays.items()}
            if self._file is None:
                types = {name: TYPES[name.rpartition(".")[2]] for name in values}
                schema = pa.schema({"placeholder": NAMES, **types})
                self._file = RowWriter(self._path, schema, compression="zstd")
            self._file.add({"placeholder": names, **values})
        return self._rows[code.digest()]

    def close(self) -> None:
        """Close the file, if any prompt has pictures."""
        if self._file is not None:
            self._file.close()


def read_placeholders(folder: Path) -> list[list[str]]:
    """Return, for each distinct prompt, the placeholder of each pictured object.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file is damaged, the names are no texts, or a prompt has no pictures.
    """
    path = folder / layout.PROMPTS
    column = read_parquet(path, ["placeholder"])["placeholder"]
    _check_type(path, "placeholder", column.type, NAMES)
    names: list[list[str]] = column.to_pylist()
    if not all(names) or not all(map(all, names)):
        raise ValueError(f"{path} has prompts without pictures; copy the dataset again")
    return names


def fill_prompts(source: Path, names: Sequence[Sequence[str]], arrays: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Fill the concatenated pictures of all prompts, given by view and part.

    Raises:
        FileNotFoundError: if the file of prompts is missing.
        ValueError: if a part is of another type, or does not have one entry per placeholder; the message names the
            part or the prompt.
    """
    prompt, first = 0, 0
    for batch in read_batches(source / layout.PROMPTS, [f"{view}.{part}" for view, part in arrays], ROWS_PER_BATCH):
        for view, part in arrays:
            name = f"{view}.{part}"
            _check_type(source / layout.PROMPTS, name, batch.schema.field(name).type, TYPES[part])
        for row in range(len(batch)):
            until = first + len(names[prompt])
            for (view, part), array in arrays.items():
                value = batch[f"{view}.{part}"][row].as_py()
                if part == "crops":
                    values = np.frombuffer(value or b"", np.uint8)
                else:
                    values = np.array([] if value is None or None in value else value, PART_DTYPES[part])
                target = array[first:until]
                if values.size != target.size or (part == "boxes" and not np.isfinite(values).all()):
                    raise ValueError(
                        f"{source / layout.PROMPTS}, prompt {prompt}, view {view!r}: got {values.size} numbers of "
                        f"{part}, expected {target.size} finite numbers for {until - first} objects; copy the dataset "
                        "again"
                    )
                target[...] = values.reshape(target.shape)
            prompt, first = prompt + 1, until


def _check_type(path: Path, column: str, kind: pa.DataType, expected: pa.DataType) -> None:
    if kind != expected:
        raise ValueError(
            f"{path}, column {column!r}: got values of type {kind}, expected {expected}; copy the dataset again"
        )


@dataclass(frozen=True, kw_only=True)
class StoredPrompts:
    """Pictures of all prompts of a dataset, concatenated."""

    of_episode: Int64[np.ndarray, " episodes"]
    """Index of each episode's prompt; -1 if it has no pictures."""
    names: Sequence[Sequence[str]]
    """Placeholder of each object, by prompt."""
    starts: Int64[np.ndarray, " prompts"]
    """Index of the first object of each prompt."""
    sizes: Int64[np.ndarray, " prompts"]
    """Number of objects of each prompt."""
    placeholder: Int64[np.ndarray, " objects"]
    """Index of each object's placeholder in the prompt's reading order."""
    views: Mapping[str, Mapping[str, np.ndarray]]
    """Memory-mapped arrays by view and part; the first axis is objects."""

    @classmethod
    def open(
        cls,
        of_episode: Int64[np.ndarray, " episodes"],
        names: Sequence[Sequence[str]],
        views: Mapping[str, Mapping[str, np.ndarray]],
    ) -> "StoredPrompts":
        """Index the objects of all prompts."""
        sizes = np.array([len(prompt) for prompt in names], dtype=np.int64)
        order = [list(dict.fromkeys(prompt)) for prompt in names]
        numbers = [known.index(name) for known, prompt in zip(order, names, strict=True) for name in prompt]
        return cls(
            of_episode=of_episode,
            names=names,
            starts=np.cumsum(sizes) - sizes,
            sizes=sizes,
            placeholder=np.array(numbers, dtype=np.int64),
            views=views,
        )

    def gather(self, episodes: Int64[np.ndarray, " B"]) -> PromptPictures | None:
        """Return the pictures of some episodes' prompts, padded to the largest prompt; None if no prompt has any."""
        prompts = self.of_episode[episodes]
        sizes = np.where(prompts >= 0, self.sizes[prompts], 0)
        if not sizes.any():
            return None
        offsets = np.arange(sizes.max())
        real = offsets < sizes[:, None]
        rows = np.where(real, self.starts[prompts][:, None] + offsets, 0)

        def pick(array: np.ndarray, blank: int = 0) -> torch.Tensor:
            values = array[rows]
            values[~real] = blank
            return torch.from_numpy(values)

        return PromptPictures(
            views={
                view: Objects(**{name: pick(array) for name, array in parts.items()})
                for view, parts in self.views.items()
            },
            placeholder=pick(self.placeholder, -1),
        )

    def pictures(self, episode: int) -> Pictures:
        """Return the pictures of one episode as plain arrays, as they were written."""
        prompt = int(self.of_episode[episode])
        if prompt < 0:
            return {}
        rows = np.arange(self.starts[prompt], self.starts[prompt] + self.sizes[prompt])
        names = np.array(self.names[prompt])
        return {
            name: {
                view: {part: np.array(array[rows[names == name]]) for part, array in parts.items()}
                for view, parts in self.views.items()
            }
            for name in dict.fromkeys(self.names[prompt])
        }
