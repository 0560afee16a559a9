"""Wrong content in HDF5, TFRecord and NumPy files that are valid in themselves, and in the boxes of videos."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np


def edit_hdf5(random: Random, path: Path) -> str:
    """Change one array of a file in a way that a reader can see; return a description."""
    import h5py

    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        read = [name for name in names if not any(part in name for part in ("depth", "next_obs", "success", "reward"))]
        name = random.choice(read)
        values = np.asarray(file[name])
        change = random.choice(HDF5_CHANGES)
        del file[name]
        change(random, file, name, values)
        return f"{path.name}, {name}: {change.__name__.replace('_', ' ')}"


def not_a_number(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Put NaN or infinity in, as float."""
    found = np.array(values, np.float32)
    found.reshape(-1)[random.randrange(found.size)] = random.choice([np.nan, np.inf, -np.inf])
    file[name] = found


def another_length(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Take timesteps away, or repeat all."""
    file[name] = random.choice([values[:-1], values[:0], np.concatenate([values, values])])


def another_width(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Leave the last axis out, take some of it away, or add one."""
    file[name] = random.choice([values[..., 0], values[..., :0], values[..., None], values.reshape(-1)])


def another_type(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Store text, complex numbers, records or a scalar."""
    rows = len(values)
    file[name] = random.choice(
        [
            np.array([b"text"] * rows),
            values.astype(complex),
            np.zeros(rows, [("a", "f4"), ("b", "i4")]),
            np.float64(3),
            "text",
        ]
    )


def nothing(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Leave the array out."""


def group(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Put a group in the place of an array."""
    file[f"{name}/deeper"] = values


def link(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Put a link to another file, to nothing or to itself in the place of an array."""
    import h5py

    links = [h5py.ExternalLink("/etc/passwd", "x"), h5py.SoftLink("/nothing"), h5py.SoftLink(f"/{name}")]
    file[name] = random.choice(links)


def elsewhere(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Take the values from another file."""
    import h5py

    if random.random() < 0.5:
        file.create_dataset(name, values.shape, "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
        return
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", values.shape)
    file.create_virtual_dataset(name, layout)


def unwritten(random: Random, file: Any, name: str, values: np.ndarray) -> None:
    """Declare an enormous array, of which nothing is written."""
    file.create_dataset(name, (10**9, *values.shape[1:]), values.dtype, chunks=(1000, *values.shape[1:]))


Change = Callable[[Random, Any, str, np.ndarray], None]
HDF5_CHANGES: tuple[Change, ...] = (
    *(not_a_number, another_length, another_width, another_type, nothing, group, link, elsewhere, unwritten),
)


def edit_records(random: Random, path: Path) -> str:
    """Change the bytes inside of a record, whose checksums then fit again; return a description."""
    from tests.datasets.importers.test_rlds import framed

    records = [bytearray(record) for record in _records(path.read_bytes())]
    number = random.randrange(len(records))
    record = records[number]
    told = random.choice(["flipped", "cut", "empty", "noise", "repeated"])
    if told == "flipped":
        for _ in range(random.choice([1, 8])):
            record[random.randrange(min(200, len(record)))] ^= 1 << random.randrange(8)
    else:
        records[number] = {
            "cut": record[: random.randrange(len(record))],
            "empty": bytearray(),
            "noise": bytearray(random.randbytes(len(record))),
            "repeated": record + record,
        }[told]
    path.write_bytes(b"".join(framed(bytes(each)) for each in records))
    return f"{path.name}, record {number}: {told}"


def _records(content: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        yield content[place + 12 : place + 12 + length]
        place += 16 + length


class Code:
    """Would run code under Python's own unpickler."""

    def __reduce__(self) -> Any:
        """Name a function."""
        return print, ("run",)


def edit_npz(random: Random, path: Path) -> str:
    """Change one array of an .npz file that is read; return a description."""
    with np.load(path, allow_pickle=False) as file:
        arrays: dict[str, Any] = dict(file)
    name = random.choice(["rel_actions", "robot_obs", "scene_obs", "rgb_static"])
    changes = {
        "NaN": lambda v: np.full(v.shape, np.nan),
        "shorter": lambda v: v[:-1],
        "empty": lambda v: v[:0],
        "text": lambda v: np.array(["a"] * len(v)),
        "code": lambda v: np.array([Code()] * len(v), dtype=object),
        "scalar": lambda _: np.float64(1),
        "complex": lambda v: v.astype(complex),
        "large": lambda _: np.zeros(2**24, np.float32),
        "missing": None,
    }
    told = random.choice(list(changes))
    change = changes[told]
    arrays.pop(name) if change is None else arrays.update({name: change(arrays[name])})
    np.savez_compressed(path, **arrays)
    return f"{path.name}, {name}: {told}"


STRANGE = (*(None, -1, 10**30, "text", [], {}, [None], [(0, 10**9)], [(5, 1)], Code(), np.zeros(3), [Code()], b"\xff"),)
"""Values that belong nowhere."""


def edit_object(random: Random, contents: dict[str, Any]) -> str:
    """Change one place of nested dictionaries; return a description."""
    place, key = contents, random.choice(list(contents))
    while isinstance(place[key], dict) and place[key] and random.random() < 0.8:
        place = place[key]
        key = random.choice(list(place))
    place[key] = random.choice(STRANGE)
    return f"{key}: {type(place[key]).__name__}"


def edit_npy(random: Random, path: Path) -> str:
    """Change one place of the object in a .npy file; return a description."""
    contents = np.load(path, allow_pickle=True).item()
    told = edit_object(random, contents)
    np.save(path, np.array(contents), allow_pickle=True)
    return f"{path.name}, {told}"


def edit_pickle(random: Random, path: Path) -> str:
    """Change one place of a trajectory's pickle; return a description."""
    from tests.datasets.importers.test_vima import actions, observations, trajectory

    timesteps = len(list((path.parent / "rgb_top").iterdir())) - 1
    written: dict[str, dict[str, Any]] = {
        "trajectory": trajectory(timesteps),
        "obs": observations(timesteps),
        "action": dict(actions(timesteps)),
    }
    told = edit_object(random, written[path.stem])
    path.write_bytes(pickle.dumps(written[path.stem]))
    return f"{path.name}, {told}"


def edit_boxes(random: Random, path: Path) -> str:
    """Change a byte of a video outside of its frames, where sizes, times and places of frames lie."""
    content = bytearray(path.read_bytes())
    index = content.rfind(b"moov")
    place = random.randrange(index if index > 0 else 0, len(content))
    told = random.choice(["zero", "ones", "flipped"])
    size = random.choice([1, 4])
    for at in range(place, min(place + size, len(content))):
        content[at] = {"zero": 0, "ones": 255, "flipped": content[at] ^ 1 << random.randrange(8)}[told]
    path.write_bytes(content)
    return f"{path.name}, byte {place}: {told}"


def edit_video(random: Random, path: Path) -> str:
    """Replace a video by one of another size, rate, length or kind; return a description."""
    from tests.datasets.lerobot.recordings import pictures, write_mp4

    told = random.choice(["size", "rate", "shorter", "uneven", "gray", "playlist"])
    if told == "playlist":
        path.write_text("ffconcat version 1.0\nfile /etc/passwd\n")
        return f"{path.name}: {told}"
    options: dict[str, dict[str, Any]] = {
        "rate": {"fps": 4},
        "uneven": {"times": [0.1 * n + (0.04 if n % 3 == 2 else 0.0) for n in range(40)]},
        "gray": {"pixels": "gray10le", "codec": "ffv1"} if path.suffix == ".mkv" else {"pixels": "gray"},
    }
    frames = pictures(3 if told == "shorter" else 40, (32, 32) if told == "size" else (48, 64), seed=9)
    write_mp4(path, frames, **options.get(told, {}))
    return f"{path.name}: {'8-bit gray' if told == 'gray' and path.suffix != '.mkv' else told}"


def edit(random: Random, path: Path) -> str | None:
    """Change a file in a way that its format lets a reader see; None if there is none for this kind of file."""
    edits = {
        ".hdf5": edit_hdf5,
        ".h5": edit_hdf5,
        ".npz": edit_npz,
        ".npy": edit_npy,
        ".pkl": edit_pickle,
        ".mp4": edit_video if random.random() < 0.5 else edit_boxes,
    }
    if ".tfrecord" in path.name:
        return edit_records(random, path)
    return edits[path.suffix](random, path) if path.suffix in edits else None
