"""Reader of CALVIN's own dataset: one .npz file per timestep, and annotations that name the parts with a sentence.

    task_D_D/training/episode_0358482.npz       rel_actions, robot_obs, scene_obs, rgb_static, rgb_gripper, ...
    task_D_D/training/lang_annotations/auto_lang_ann.npy
    task_D_D/training/scene_info.npy            first and last timestep of each scene

Only annotated parts are read. Source: calvin, calvin_agent/datasets/disk_dataset.py.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from astra.storage.json_file import check_regular
from astra.storage.npy_errors import NPY_ERRORS
from astra.storage.restricted_pickle import load_npy_object

LARGEST = 2**26
"""Largest array of a file in bytes when unpacked."""
FPS = 30.0
"""Timesteps per second."""
VECTORS = {"rel_actions": 7, "robot_obs": 15, "scene_obs": 24}
"""Length of each vector that is read."""
CAMERAS = ("rgb_static", "rgb_gripper")
ANNOTATIONS = ("lang_annotations/auto_lang_ann.npy", "auto_lang_ann.npy")
"""Places of the annotations, the first of which exists in newer datasets."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedPart:
    """A part of the recordings that one sentence describes."""

    instruction: str
    task: str
    """Name of the task."""
    scene: str
    """Letter of the scene; empty: the dataset does not say."""
    actions: Float[np.ndarray, "T 7"]
    """Relative actions, of which the last number is -1 or 1."""
    robot: Float[np.ndarray, "T 15"]
    """Position and Euler angles of the gripper, its opening, seven joints, and the last gripper action."""
    fixtures_and_blocks: Float[np.ndarray, "T 24"]
    """Door, drawer, button, switch, bulb, LED, and position and Euler angles of each block in the scene's order."""
    frames: dict[str, UInt8[np.ndarray, "T height width 3"]]
    """Frames by the names of the dataset; empty unless they were asked for."""


def read_calvin(folder: Path, *, cameras: Sequence[str] = ()) -> Iterator[AnnotatedPart]:
    """Read the annotated parts of a dataset, one at a time.

    Args:
        folder: Folder of a split, such as task_D_D/training; or its parent, of which `training` is read.
        cameras: Names of the frames that are read too, of rgb_static and rgb_gripper.

    Raises:
        FileNotFoundError: if the folder, its annotations or a timestep is missing.
        ValueError: if a file is damaged, or an annotation does not fit.
    """
    folder = folder / "training" if (folder / "training").is_dir() else folder
    path = next((folder / name for name in ANNOTATIONS if (folder / name).exists()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder} has no {ANNOTATIONS[0]}; expected a split of CALVIN's dataset, such as task_D_D/training"
        )
    sentences, tasks, spans = _annotations(load_npy_object(path), path)
    scenes = _scenes(folder / "scene_info.npy")
    digits = _digits(folder)
    for sentence, task, (start, end) in zip(sentences, tasks, spans, strict=True):
        names = [folder / f"episode_{number:0{digits}d}.npz" for number in range(start, end + 1)]
        steps = [_timestep(name, (*VECTORS, *cameras)) for name in names]
        frames = {camera: _stacked([step[camera] for step in steps], camera, path) for camera in cameras}
        yield AnnotatedPart(
            instruction=sentence,
            task=task,
            scene=next((letter for letter, (first, last) in scenes.items() if first <= start <= last), ""),
            actions=np.stack([step["rel_actions"] for step in steps]),
            robot=np.stack([step["robot_obs"] for step in steps]),
            fixtures_and_blocks=np.stack([step["scene_obs"] for step in steps]),
            frames=frames,
        )


def _annotations(contents: Any, path: Path) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Return sentences, tasks, and first and last timestep of every annotation."""
    try:
        sentences, tasks = list(contents["language"]["ann"]), list(contents["language"]["task"])
        spans = [(int(start), int(end)) for start, end in contents["info"]["indx"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"{path} has no usable annotations ({error!r}); expected language/ann, language/task and info/indx"
        ) from error
    if not len(sentences) == len(tasks) == len(spans) > 0:
        raise ValueError(f"{path} has {len(sentences)} sentences, {len(tasks)} tasks and {len(spans)} spans")
    for sentence, task, (start, end) in zip(sentences, tasks, spans, strict=True):
        if not isinstance(sentence, str) or not isinstance(task, str) or not 0 <= start < end <= start + 10_000:
            raise ValueError(f"{path} has the annotation {sentence!r} of {task!r} from {start} to {end}")
    return sentences, tasks, spans


def _scenes(path: Path) -> dict[str, tuple[int, int]]:
    """Return first and last timestep of each scene, by its letter; empty: there is no such file."""
    if not path.exists():
        return {}
    contents = load_npy_object(path)
    try:
        spans = {str(name).removeprefix("calvin_scene_"): span for name, span in contents.items()}
        return {letter: (int(span[0]), int(span[1])) for letter, span in spans.items()}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not name the timesteps of each scene: {error!r}") from error


def _digits(folder: Path) -> int:
    """Return the number of digits in the names of the timesteps."""
    name = next((path.stem for path in folder.glob("episode_*.npz")), "")
    if not name:
        raise FileNotFoundError(f"{folder} has no timesteps, which are files such as episode_0358482.npz")
    return len(name.removeprefix("episode_"))


def _timestep(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the wanted arrays of a timestep."""
    found = {}
    try:
        check_regular(path, "copy the whole split")
        with zipfile.ZipFile(path) as file:
            for name in wanted:
                member = file.getinfo(f"{name}.npy")
                if member.file_size > LARGEST:
                    raise ValueError(f"its array {name} has {member.file_size:,} bytes, expected at most {LARGEST:,}")
                found[name] = np.load(io.BytesIO(file.read(member)), allow_pickle=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist, but annotations name it: copy the whole split") from error
    except NPY_ERRORS as error:
        raise ValueError(f"{path} cannot be used: {error}; copy it again") from error
    for name, array in found.items():
        if name in VECTORS:
            if array.shape != (VECTORS[name],) or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise ValueError(f"{path}: {name} is {array.dtype} of shape {array.shape}, or not finite")
        elif array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3:
            raise ValueError(f"{path}: {name} is {array.dtype} of shape {array.shape}, expected an RGB image")
    return found


def _stacked(frames: Sequence[np.ndarray], camera: str, path: Path) -> np.ndarray:
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"{path}: the frames of {camera} differ in size within one annotation")
    return np.stack(frames)
