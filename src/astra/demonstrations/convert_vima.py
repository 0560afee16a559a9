"""Convert VIMA's dataset to the observations and actions of our VIMA-Bench environment."""

import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from astra.datasets import Episode
from astra.datasets.importers.recordings import Recordings
from astra.datasets.importers.vima import VimaTrajectory, find_trajectories, read_trajectory
from astra.demonstrations.importing import write_recordings
from astra.environments.object_views import object_views
from astra.environments.poses import ACTIONS, ActionForm, check_action, normalize_quaternions, to_se2
from astra.environments.vima_bench.environment import MAX_PICTURED, VIEWS, VimaBench
from astra.environments.vima_bench.suite import SUITE
from astra.objects import Pictures, check_pictures


def convert_vima(
    source: Path,
    destination: Path,
    *,
    actions: ActionForm = "se2",
    max_objects: int = 8,
    images: bool = False,
    video: bool = False,
    workers: int = 1,
) -> Path:
    """Convert all trajectories below a folder and return the folder of the dataset; failed ones are left out.

    Args:
        source: Folder of the dataset, of a task or of a trajectory.
        destination: Folder of the new dataset.
        actions: Form of the actions: six numbers in SE(2), or VIMA's twelve with quaternions.
        max_objects: Rows for objects in an observation.
        images: Whether the frames of both views are kept beside the objects.
        video: Whether these frames are stored as video.
        workers: Number of processes that encode frames.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if there are no trajectories, or a file of one is missing.
        ValueError: if a trajectory is damaged; the message names it.
    """
    if video and not images:
        raise ValueError("--video stores frames, of which none are kept: add --images")
    about = {
        "actions": ACTIONS[actions],
        "robot_type": SUITE.name,
        "suite": SUITE.name,
        "views": VIEWS,
        "max_pictured": MAX_PICTURED,
    }
    recordings = open_vima(source, actions=actions, max_objects=max_objects, images=images)
    return write_recordings(recordings, destination, fps=VimaBench.fps, video=video, workers=workers, about=about)


def open_vima(source: Path, *, actions: ActionForm, max_objects: int, images: bool) -> Recordings:
    """Find the trajectories below a folder; see `convert_vima`.

    Raises:
        FileNotFoundError: if there are none.
    """
    folders = find_trajectories(source)
    columns = {
        "prompt, prompt_assets": "the instruction and its pictures",
        "action/pose0_*, pose1_*": f"action ({', '.join(ACTIONS[actions].names)})",
        "obs/ee": "observation.end_effector",
        **{f"rgb_{view}, obs/segm/{view}": f"observation.objects.{view}" for view in VIEWS},
        **({f"rgb_{view}": f"observation.images.{view}" for view in VIEWS} if images else {}),
    }
    dropped = {
        "height of positions": "it follows from the table",
        "what was seen after the last action": "no action follows",
        "metadata.pkl": "not needed",
    }

    def read() -> Iterator[Episode]:
        failed = 0
        for folder in folders:
            trajectory = read_trajectory(folder)
            if trajectory.success:
                yield _episode(trajectory, folder, actions, max_objects, images)
            failed += not trajectory.success
        if failed:
            warnings.warn(f"{source}: {failed:,} trajectories without success are left out", stacklevel=2)

    return Recordings(source=f"VIMA, {source}", columns=columns, dropped=dropped, total=len(folders), read=read)


def _episode(trajectory: VimaTrajectory, folder: Path, actions: ActionForm, max_objects: int, images: bool) -> Episode:
    if len(trajectory.objects) > max_objects:
        raise ValueError(
            f"{folder} has {len(trajectory.objects)} objects, but room for {max_objects}: pass --max-objects "
            f"{len(trajectory.objects)}"
        )
    # VIMA numbers objects by role (goal, target, rest), so their order is randomized, equally in every conversion.
    chance = np.random.default_rng(zlib.crc32(trajectory.name.encode()))
    order = chance.permutation(trajectory.objects).tolist()
    columns = {"observation.end_effector": np.eye(2, dtype=np.float32)[trajectory.end_effector]}
    for view in VIEWS:
        frames, masks = trajectory.frames[view], trajectory.segmentation[view]
        seen = [object_views(frame, mask, order, max_objects) for frame, mask in zip(frames, masks, strict=True)]
        for part in seen[0]:
            columns[f"observation.objects.{view}.{part}"] = np.stack([each[part] for each in seen])
        if images:
            columns[f"observation.images.{view}"] = frames
    pictures = _pictures(trajectory, chance)
    try:
        columns["action"] = np.stack([_action(poses, actions) for poses in trajectory.poses]).astype(np.float32)
        check_pictures(trajectory.prompt, pictures)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return Episode(instruction=trajectory.prompt, columns=columns, pictures=pictures, fps=VimaBench.fps)


def _action(poses: np.ndarray, form: ActionForm) -> np.ndarray:
    if abs(np.linalg.norm(poses[:, 2:], axis=1) - 1).max() > 1e-3:
        raise ValueError(f"the quaternions {poses[:, 2:].tolist()} are not of length 1")
    action = check_action(poses.reshape(12), "quaternion")
    return to_se2(action) if form == "se2" else normalize_quaternions(action)


def _pictures(trajectory: VimaTrajectory, chance: np.random.Generator) -> Pictures:
    """Return the pictured objects of each placeholder, in random order."""
    found = {}
    for name, picture in trajectory.pictures.items():
        ids = chance.permutation(picture.objects).tolist()
        found[name] = {
            view: object_views(picture.frames[view], picture.segmentation[view], ids, len(ids)) for view in VIEWS
        }
    return found
