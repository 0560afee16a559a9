"""Reader of VIMA's dataset: one folder per task, and in it one folder per trajectory.

    vima_v6/rotate/000000/trajectory.pkl    prompt, its pictures, and the objects by their numbers
                          obs.pkl           segmentation of both views, end effector; one timestep more than actions
                          action.pkl        two poses per timestep
                          rgb_front/0.jpg   frames
                          rgb_top/0.jpg
            rotate/metadata.pkl             smallest and largest numbers of timesteps and seeds; not read

`trajectory.pkl` also holds objects of omegaconf and of the simulator, which are skipped: nothing of theirs is imported.
Source: https://github.com/vimalabs/VIMABench, `scripts/data_generation/run.py`; positions of the published dataset have
three numbers, those of today's simulator two.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt8

from astra.datasets.importers.hdf5.files import in_order
from astra.datasets.lerobot.layout import decode_image
from astra.storage.json_file import check_size
from astra.storage.restricted_pickle import load_pickle

VIEWS = ("top", "front")
SIZE = (128, 256)
"""Height and width of a view in pixels."""
PARTS = ("trajectory.pkl", "obs.pkl", "action.pkl", *(f"rgb_{view}" for view in VIEWS))
"""Files and folders of a trajectory."""
DEEPEST = 3
"""Levels of folders in which trajectories are looked for."""
LARGEST_FRAME = 2**24
"""Largest file of a frame in bytes."""
MOST_TIMESTEPS = 1000
ADVICE = "copy the trajectory again, or take its folder away"

View = UInt8[np.ndarray, "128 256"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a prompt, of one object or of a whole scene."""

    frames: Mapping[str, UInt8[np.ndarray, "128 256 3"]]
    """Frame by view."""
    segmentation: Mapping[str, View]
    """Number of the object at each pixel, by view."""
    objects: tuple[int, ...]
    """Numbers of the objects that the picture shows."""


@dataclass(frozen=True, kw_only=True)
class VimaTrajectory:
    """A trajectory of T timesteps; what was seen after the last action is left out."""

    name: str
    """Names of its task and its folder, such as rotate/000000."""
    prompt: str
    """Prompt with placeholders, such as "Rotate the {dragged_obj} 150 degrees."."""
    pictures: Mapping[str, Picture]
    """Picture of each placeholder."""
    objects: tuple[int, ...]
    """Numbers of the objects on the table, in ascending order."""
    poses: Float[np.ndarray, "T 2 6"]
    """Both poses of each action: x, y and a quaternion x, y, z, w."""
    end_effector: Integer[np.ndarray, "T"]
    """0: suction; 1: spatula."""
    segmentation: Mapping[str, UInt8[np.ndarray, "T 128 256"]]
    """Number of the object at each pixel, by view."""
    frames: Mapping[str, UInt8[np.ndarray, "T 128 256 3"]]
    """Frames by view."""
    success: bool
    """Whether the task was done."""


def find_trajectories(source: Path) -> list[Path]:
    """Return the folders of all trajectories below a folder, or the folder itself, in the order of their numbers.

    Warns if the numbers of a task's trajectories have gaps.

    Raises:
        FileNotFoundError: if there is none.
    """
    found = _below(source, DEEPEST) if source.is_dir() else []
    if not found:
        raise FileNotFoundError(
            f"{source} holds no trajectories of VIMA, which are folders with {', '.join(PARTS)}; expected the folder "
            "of the dataset, of a task or of a trajectory"
        )
    return found


def is_trajectory(folder: Path) -> bool:
    """Whether a folder has the three files of a trajectory."""
    return all((folder / part).is_file() for part in PARTS[:3])


def read_trajectory(folder: Path) -> VimaTrajectory:
    """Read a trajectory.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or does not hold what VIMA's do; the message names it.
    """
    about = _dictionary(load_pickle(folder / PARTS[0], skip_unknown=True), f"{folder / PARTS[0]}")
    poses = _read_poses(folder / PARTS[2])
    timesteps, where = len(poses), f"{folder / PARTS[0]}"
    if (steps := about.get("steps")) != timesteps:
        raise ValueError(f"{where} counts {_short(steps)} timesteps, but action.pkl has {timesteps}: {ADVICE}")
    prompt, success, objects = about.get("prompt"), about.get("success"), about.get("obj_id_to_info")
    if not isinstance(prompt, str) or not isinstance(success, bool | np.bool_) or not isinstance(objects, dict):
        raise ValueError(
            f"{where} has the prompt {_short(prompt)}, success {_short(success)} and obj_id_to_info {_short(objects)}; "
            f"expected text, a truth value and a dictionary: {ADVICE}"
        )
    pictured = _dictionary(about.get("prompt_assets"), f"{where}, prompt_assets")
    segmentation, end_effector = _read_observations(folder / PARTS[1], timesteps)
    return VimaTrajectory(
        name=f"{folder.resolve().parent.name}/{folder.resolve().name}",
        prompt=prompt,
        pictures={str(name): _picture(shown, f"{where}, picture {_short(name)}") for name, shown in pictured.items()},
        objects=tuple(sorted(_numbers(list(objects), f"{where}, obj_id_to_info"))),
        poses=poses,
        end_effector=end_effector,
        segmentation=segmentation,
        frames={view: _read_frames(folder / f"rgb_{view}", timesteps) for view in VIEWS},
        success=bool(success),
    )


def _below(folder: Path, levels: int) -> list[Path]:
    if any((folder / part).exists() for part in PARTS):
        return [folder]
    if not levels:
        return []
    children = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: in_order(path.name))
    found = [_below(child, levels - 1) for child in children]
    if any(paths == [child] for child, paths in zip(children, found, strict=True)):
        _check_numbers(folder, children)
        return children
    return [path for paths in found for path in paths]


def _check_numbers(folder: Path, children: list[Path]) -> None:
    """Warn if trajectories of a task are missing; they are numbered from 0."""
    numbers = {int(path.name) for path in children if path.name.isdecimal() and len(path.name) < 10}
    if numbers and (missing := max(numbers) + 1 - len(numbers)):
        warnings.warn(f"{folder}: {missing:,} trajectories before {max(numbers)} are not there", stacklevel=2)


def _read_poses(path: Path) -> Float[np.ndarray, "T 2 6"]:
    """Return both poses of every action; of their positions, x and y."""
    action = _dictionary(load_pickle(path), f"{path}")
    parts = []
    for pose in (0, 1):
        for name, widths in ((f"pose{pose}_position", (2, 3)), (f"pose{pose}_rotation", (4,))):
            values = action.get(name)
            if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not np.isfinite(values).all():
                raise ValueError(f"{path}: {name} is {_short(values)}, expected an array of finite numbers: {ADVICE}")
            if values.ndim != 2 or values.shape[1] not in widths or not 0 < len(values) <= MOST_TIMESTEPS:
                raise ValueError(
                    f"{path}: {name} has the shape {values.shape}, expected (timesteps, {widths[0]}): {ADVICE}"
                )
            parts.append(values[:, : widths[0]].astype(np.float64))
    if len({len(values) for values in parts}) > 1:
        raise ValueError(f"{path}: the parts of its poses have {[len(values) for values in parts]} timesteps: {ADVICE}")
    return np.concatenate(parts, axis=1).reshape(-1, 2, 6)


def _read_observations(path: Path, timesteps: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return segmentation by view, and the end effector, without what was seen after the last action."""
    seen = _dictionary(load_pickle(path), f"{path}")
    masks = _dictionary(seen.get("segm"), f"{path}, segm")
    found = {view: _mask(masks.get(view), (timesteps + 1, *SIZE), f"{path}, segm, {view}")[:-1] for view in VIEWS}
    tool = seen.get("ee")
    if (
        not isinstance(tool, np.ndarray)
        or tool.shape != (timesteps + 1,)
        or tool.dtype.kind not in "iu"
        or not np.isin(tool, (0, 1)).all()
    ):
        raise ValueError(f"{path}: ee is {_short(tool)}, expected {timesteps + 1} numbers 0 or 1: {ADVICE}")
    return found, tool[:-1]


def _picture(contents: Any, where: str) -> Picture:
    shown = _dictionary(contents, where)
    frames, masks = _dictionary(shown.get("rgb"), f"{where}, rgb"), _dictionary(shown.get("segm"), f"{where}, segm")
    objects = masks.get("obj_info")
    entries = objects if isinstance(objects, list) else [objects]
    numbers = [_dictionary(entry, f"{where}, obj_info").get("obj_id") for entry in entries]
    return Picture(
        frames={view: np.moveaxis(_mask(frames.get(view), (3, *SIZE), f"{where}, {view}"), 0, -1) for view in VIEWS},
        segmentation={view: _mask(masks.get(view), SIZE, f"{where}, segm, {view}") for view in VIEWS},
        objects=tuple(_numbers(numbers, f"{where}, obj_info")),
    )


def _read_frames(folder: Path, timesteps: int) -> UInt8[np.ndarray, "T 128 256 3"]:
    frames = np.empty((timesteps, *SIZE, 3), np.uint8)
    for timestep in range(timesteps):
        path = folder / f"{timestep}.jpg"
        check_size(path, ADVICE, LARGEST_FRAME)
        try:
            frames[timestep] = decode_image(path.read_bytes(), SIZE)
        except ValueError as error:
            raise ValueError(f"{path} is no frame of {SIZE[0]} x {SIZE[1]} pixels: {error}") from error
    return frames


def _mask(values: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    if not isinstance(values, np.ndarray) or values.dtype != np.uint8 or values.shape != shape:
        raise ValueError(f"{where} is {_short(values)}, expected uint8 of shape {shape}: {ADVICE}")
    return values


def _numbers(found: list[Any], where: str) -> list[int]:
    """Return numbers of objects, as they stand in segmentations."""
    for number in found:
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number <= 255:
            raise ValueError(f"{where} has the object {_short(number)}, expected a number from 0 to 255: {ADVICE}")
    if not found:
        raise ValueError(f"{where} has no objects: {ADVICE}")
    return [int(number) for number in found]


def _dictionary(contents: Any, where: str) -> dict[Any, Any]:
    if not isinstance(contents, dict):
        raise ValueError(f"{where} is {_short(contents)}, expected a dictionary: {ADVICE}")
    return contents


def _short(value: Any) -> str:
    """Describe a value of any kind in a few words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    plain = value is None or isinstance(value, bool | int | float | str)
    return f"{value!r:.60}" if plain else f"a {type(value).__name__}"
