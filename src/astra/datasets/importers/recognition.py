"""Recognition of a format by looking at what lies somewhere, with the command that converts it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from astra.datasets.importers.diffusion_policy_zarr import explain_version_3
from astra.datasets.importers.hdf5.files import SUFFIXES
from astra.datasets.importers.hdf5.importer import recognize

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
        ValueError: if an HDF5 file is damaged, or a format is known but cannot be read.
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
        if path.name == "zarr.json" and parent.name == "episode_ends" and parent.parent.name == "meta":
            raise ValueError(explain_version_3(parent.parent.parent))
        if path.name == ".zarray" and parent.name == "episode_ends" and parent.parent.name == "meta":
            return _replay_buffer(parent.parent.parent)
        if path.name.endswith((".zarr.tar", ".zarr.zip")):
            return _replay_buffer(path)
        if path.suffix in SUFFIXES and (layout := recognize(path)) is not None:
            own = layout.name.lower()
            return Found(
                what=f"recording of {layout.name} in HDF5",
                convert=own,
                source=place,
                options="" if layout.instructions else "--instruction TEXT",
            )
    return None


def _replay_buffer(store: Path) -> Found:
    return Found(
        what="replay buffer of Diffusion Policy (zarr v2)",
        convert="diffusion-policy-zarr",
        source=store,
        options="--instruction TEXT --fps FPS",
    )


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for number, path in enumerate(sorted(place.rglob("*"))):
        if number == FILES_LOOKED_AT:
            return
        if path.is_file():
            yield path
