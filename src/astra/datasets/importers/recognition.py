"""Recognition of a format by looking at what lies somewhere, with the command that converts it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from astra.datasets.importers.calvin import ANNOTATIONS
from astra.datasets.importers.d4rl import is_d4rl
from astra.datasets.importers.hdf5.files import SUFFIXES
from astra.datasets.importers.hdf5.importer import has_instruction, recognize
from astra.datasets.importers.minari import DATA, METADATA, open_minari
from astra.datasets.importers.vima import is_trajectory
from astra.datasets.importers.zarr_header import NAMES

FILES_LOOKED_AT = 1000
"""Number of files of a folder that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A format that was recognized."""

    what: str
    """Its description, after "is a"."""
    convert: str
    """Name of the format in `astra convert`."""
    source: Path
    """Place to convert from."""
    options: str = ""
    """Options that the conversion needs."""


def recognize_format(place: Path) -> Found | None:
    """Return the format of a file or folder; None if it is none that Astra converts.

    Raises:
        ModuleNotFoundError: if looking into HDF5 files needs h5py.
        ValueError: if an HDF5 file or the description of a Minari dataset is damaged.
    """
    for path in _files(place):
        parent = path.parent
        if ".tfrecord" in path.name:
            split = path.name.split(".tfrecord")[0].rpartition("-")[2]
            return Found(
                what="dataset in RLDS (TFRecord files of TensorFlow Datasets)",
                convert="rlds",
                source=parent,
                options=f"--fps FPS{'' if split == 'train' else f' --split {split}'}",
            )
        if path.name in NAMES.values() and parent.name == "episode_ends" and parent.parent.name == "meta":
            return _replay_buffer(parent.parent.parent)
        if path.name.endswith((".zarr.tar", ".zarr.zip")):
            return _replay_buffer(path)
        if path.name == "trajectory.pkl" and is_trajectory(parent):
            return Found(what="dataset of VIMA (trajectories with prompts)", convert="vima", source=place)
        if path.match("episode_*.npz") and any((parent / name).is_file() for name in ANNOTATIONS):
            return Found(what="split of CALVIN's dataset", convert="calvin", source=parent)
        if path.name == METADATA and (parent / DATA).is_file():
            options = "" if open_minari(parent).is_kitchen else "--instruction TEXT --fps FPS"
            return Found(what="dataset of Minari", convert="minari", source=parent, options=options)
        if path.suffix in SUFFIXES and is_d4rl(path):
            return Found(what="file of D4RL, of which Franka Kitchen's are read", convert="d4rl-kitchen", source=path)
        if path.suffix in SUFFIXES and (layout := recognize(path)) is not None:
            own = layout.name.lower()
            return Found(
                what=f"recording of {layout.name} in HDF5",
                convert=own,
                source=place,
                options="" if has_instruction(path, layout) else "--instruction TEXT",
            )
    return None


def _replay_buffer(store: Path) -> Found:
    return Found(
        what="replay buffer of Diffusion Policy (zarr)",
        convert="diffusion-policy-zarr",
        source=store,
        options="--instruction TEXT --fps FPS",
    )


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    left = FILES_LOOKED_AT
    for folder, inner, names in os.walk(place):
        inner.sort()
        for name in sorted(names):
            if not left:
                return
            left -= 1
            if (path := Path(folder, name)).is_file():
                yield path
