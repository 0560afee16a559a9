"""Hostile recordings of every format that Astra reads or converts."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np

from tests.hostile import damage, json_damage, parquet_damage, reader_damage
from tests.hostile.commands import judge, must, run
from tests.hostile.datasets import contents
from tests.hostile.isolation import Case, aside
from tests.hostile.verdicts import ACCEPTED, Outcome
from tests.hostile.watch import Watch


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A format."""

    write: Callable[[Path], object]
    """Function that writes recordings at a place."""
    place: str
    """Place of the recordings in the folder of a case."""
    convert: tuple[str, ...] = ()
    """Format of `astra convert` and its options; empty: the recordings are read in place."""
    checked: bool = False
    """Whether the format has checksums of all that is read."""


def _write_hdf5(kind: str, place: Path) -> None:
    from tests.datasets.importers import test_hdf5

    if kind == "robomimic":
        test_hdf5.write_robomimic(place, "open the drawer")
    elif kind == "aloha":
        test_hdf5.write_aloha(place, packed=True)
    else:
        test_hdf5.write_maniskill(place)


def _write_rlds(place: Path) -> None:
    from tests.datasets.importers.test_rlds import episode, example, framed

    place.mkdir(parents=True)
    for shard, numbers in enumerate(((0, 1), (2,))):
        records = [episode(number, 4 + number) for number in numbers]
        content = b"".join(framed(example({k: v for k, v in each.items() if k != "frames"})) for each in records)
        (place / f"robot-train.tfrecord-{shard:05d}-of-00002").write_bytes(content)


def _write_zarr(version: Literal[2, 3], place: Path) -> None:
    import zarr

    random, root = np.random.default_rng(0), zarr.open_group(place, mode="w", zarr_format=version)
    arrays = {
        "data/state": random.standard_normal((17, 5)),
        "data/action": random.standard_normal((17, 2)).astype(np.float32),
        "data/img": random.integers(0, 256, (17, 12, 16, 3), dtype=np.uint8),
        "meta/episode_ends": np.array([5, 6, 17]),
    }
    for name, values in arrays.items():
        array = root.create_array(name, shape=values.shape, chunks=(4, *values.shape[1:]), dtype=values.dtype)
        array[:] = values


def _write_calvin(place: Path) -> None:
    from tests.datasets.importers.test_calvin import FIRST, annotations, write_timestep

    (place / "lang_annotations").mkdir(parents=True)
    for number in range(FIRST, FIRST + 10):
        write_timestep(place, number)
    np.save(place / "lang_annotations/auto_lang_ann.npy", np.array(annotations()), allow_pickle=True)
    scenes = {"calvin_scene_B": [FIRST, FIRST + 4], "calvin_scene_A": [FIRST + 5, FIRST + 11]}
    np.save(place / "scene_info.npy", np.array(scenes), allow_pickle=True)


def _write_kitchen(place: Path) -> None:
    from tests.demonstrations.test_convert_kitchen import d4rl

    d4rl(place)


def _write_minari(place: Path) -> None:
    from tests.datasets.importers.test_d4rl_and_minari import minari

    minari(place)


def _write_vima(place: Path) -> None:
    from tests.datasets.importers.test_vima import write_trajectory

    write_trajectory(place / "rotate/000000", 1)
    write_trajectory(place / "twist/000000", 2)


def _write_version_2(version: str, dtype: str, place: Path) -> None:
    from tests.datasets.lerobot.recordings import write_version_2

    write_version_2(place, version=version, dtype=dtype, size=(48, 64) if dtype == "video" else (12, 16))


def _write_version_3(place: Path) -> None:
    from tests.datasets.lerobot.recordings import write_version_3

    write_version_3(place)


ZARR = (
    "--instruction",
    "push",
    "--columns",
    "state",
    "observation.state",
    "action",
    "action",
    "img",
    "observation.image",
)
READERS: dict[str, Reader] = {
    "video": Reader(write=_write_version_3, place="set"),
    "v2.1 video": Reader(write=partial(_write_version_2, "v2.1", "video"), place="set"),
    "v2.0 images": Reader(write=partial(_write_version_2, "v2.0", "image"), place="set"),
    "robomimic": Reader(write=partial(_write_hdf5, "robomimic"), place="demo.hdf5", convert=("robomimic",)),
    "aloha": Reader(write=partial(_write_hdf5, "aloha"), place="set", convert=("aloha", "--instruction", "pick")),
    "maniskill": Reader(
        write=partial(_write_hdf5, "maniskill"), place="traj.h5", convert=("maniskill", "--instruction", "pick")
    ),
    "rlds": Reader(write=_write_rlds, place="set/1.0.0", convert=("rlds", "--fps", "5"), checked=True),
    "zarr": Reader(write=partial(_write_zarr, 2), place="set.zarr", convert=("diffusion-policy-zarr", *ZARR)),
    "zarr v3": Reader(write=partial(_write_zarr, 3), place="set.zarr", convert=("diffusion-policy-zarr", *ZARR)),
    "minari": Reader(write=_write_minari, place="set", convert=("minari", "--instruction", "open", "--fps", "5")),
    "d4rl": Reader(write=_write_kitchen, place="kitchen.hdf5", convert=("d4rl-kitchen",)),
    "calvin": Reader(write=_write_calvin, place="training", convert=("calvin", "--images", "--static-size", "16")),
    "vima": Reader(write=_write_vima, place="vima_v6", convert=("vima",)),
}


UNSEEN = ("flipped", "zero", "ones", "8-bit gray")
"""Ends of descriptions of changes that may leave a valid record or video with other numbers in it."""


def prepare(folder: Path) -> Outcome:
    """Write the recordings that are damaged later, and what they hold."""
    for name, reader in READERS.items():
        base = folder / name
        base.mkdir(parents=True)
        reader.write(base / reader.place)
        made = base / reader.place
        if reader.convert:
            made = folder / f"{name} converted"
            must("convert", reader.convert[0], str(base / reader.place), str(made), *reader.convert[1:])
        (folder / f"{name}.json").write_text(json.dumps(contents(made)))
    return Outcome(verdict=ACCEPTED)


def cases(prepared: Path, seed: int, count: int) -> list[Case]:
    """Return so many hostile recordings, of all formats in turn."""
    names = list(READERS)
    return [
        Case(name=name, check=partial(_check, prepared, name, f"{seed} readers {number}"))
        for number, name in ((number, names[number % len(names)]) for number in range(count))
    ]


def _check(prepared: Path, name: str, seed: str, folder: Path) -> Outcome:
    """Damage a copy of recordings, read them, and compare with what was written."""
    reader, data, out = READERS[name], folder / "data", folder / "made/out"
    shutil.copytree(prepared / name, data)
    told = aside(partial(_damage, Random(seed), data), folder)
    watch, source = Watch(folder, [data]), str(data / reader.place)
    looked = run("inspect", "dataset", source, *(() if reader.convert else ("--full",)))
    used = looked
    if reader.convert:
        used = run("convert", reader.convert[0], source, str(out), *reader.convert[1:])
    outcome = judge([looked, used], [data], watch)
    if outcome.verdict not in ("accepted", "refused"):
        return outcome
    if not used.accepted:
        return Outcome(verdict="leftover", detail=f"{out} after {used.error[-500:]}") if out.exists() else outcome
    if used.spoke:
        return outcome
    written = json.loads((prepared / f"{name}.json").read_text())
    try:
        read = contents(out if reader.convert else data / reader.place)
    except (ValueError, OSError) as error:
        return Outcome(verdict="difference", detail=f"{told}: accepted, and then refused: {error}")
    different = [part for part in written if written[part] != read[part]]
    if different and (told.startswith("edit ") or (reader.checked and not told.startswith(("swap", "unseen")))):
        found = "; ".join(f"{part}: {written[part]!s:.300} became {read[part]!s:.300}" for part in different)
        return Outcome(verdict="difference", detail=f"{told}: {found}")
    return Outcome(verdict=outcome.verdict, detail="no format can see it" if different else "")


def _damage(random: Random, data: Path) -> str:
    """Damage recordings in one way, and return a description."""
    files = [path for path in data.rglob("*") if path.is_file()]
    path = random.choice(sorted(files))
    if path.suffix == ".npz" and random.random() < 0.5:  # most files of CALVIN are timesteps
        path = random.choice(sorted(data.rglob("*.npy")))
    if random.random() < 0.6:
        if path.suffix in (".json", ".jsonl") or path.name in (".zarray", ".zgroup", ".zattrs"):
            return f"edit {json_damage.edit(random, path)}"
        if path.suffix == ".parquet":
            return f"edit {parquet_damage.edit(random, path)}"
        if (told := reader_damage.edit(random, path)) is not None:
            return f"{'unseen' if told.endswith(UNSEEN) else 'edit'} {told}"
    while True:
        with contextlib.suppress(IndexError):  # there is no other file to swap with
            return damage.damage(random, path)
