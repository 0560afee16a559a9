"""Convert CALVIN's own dataset to the observations of our environment."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from astra.datasets import DatasetWriter, Episode
from astra.datasets.importers.calvin import FPS, AnnotatedPart, read_calvin
from astra.environments.calvin.environment import ACTIONS, CAMERAS
from astra.environments.calvin.vectors import ORDER, ROBOT, robot_vector, state_vectors_of
from astra.frames import resize

COLUMNS = {f"rgb_{camera}": column for column, camera in CAMERAS.items()}
"""Column of each camera of the dataset."""


def convert_calvin(
    source: Path,
    destination: Path,
    *,
    images: bool = False,
    static_size: int = 64,
    gripper_size: int = 64,
    scene: str = "",
    workers: int = 1,
) -> Path:
    """Convert the annotated parts of a split and return the folder of the dataset.

    Every sentence that annotators gave a task becomes one of the sentences of its instructions.

    Args:
        source: Folder of a split, such as task_D_D/training.
        destination: Folder of the new dataset.
        images: Whether the two cameras are kept, instead of fixtures and blocks.
        static_size: Side in pixels to which frames of the static camera are resized.
        gripper_size: Side in pixels to which frames of the gripper camera are resized.
        scene: Letter of the scene, needed where the dataset does not say it.
        workers: Number of processes that encode frames.

    Raises:
        FileExistsError: if the destination exists.
        FileNotFoundError: if a part of the source is missing.
        ValueError: if the source is damaged or does not say the scene.
    """
    sizes = {"rgb_static": static_size, "rgb_gripper": gripper_size} if images else {}
    if scene and scene not in ORDER:
        raise ValueError(f"CALVIN has the scenes {', '.join(ORDER)}, got {scene!r}")
    told: dict[str, list[str]] = defaultdict(list)
    tasks: dict[str, str] = {}
    about = {"actions": ACTIONS, "robot_type": "calvin", "suite": "calvin"}
    with DatasetWriter(destination, fps=FPS, **about, workers=workers) as writer:
        for part in read_calvin(source, cameras=tuple(sizes)):
            writer.add(_episode(part, sizes, scene), source=source)
            if tasks.setdefault(part.instruction, part.task) == part.task and part.instruction not in told[part.task]:
                told[part.task].append(part.instruction)
        writer.tell({instruction: told[task] for instruction, task in tasks.items()})
    return destination


def _episode(part: AnnotatedPart, sizes: dict[str, int], scene: str) -> Episode:
    vectors, columns = {ROBOT: robot_vector(part.robot)}, {}
    for camera, side in sizes.items():
        frames = resize(torch.from_numpy(part.frames[camera]).movedim(-1, 1), (side, side))
        columns[COLUMNS[camera]] = frames.movedim(1, -1).contiguous().numpy()
    if not sizes:
        letter = part.scene or scene
        if letter not in ORDER:
            raise ValueError(
                f"the dataset does not say the scene of {part.instruction!r} (its scene_info.npy is missing, or "
                f"names {letter!r}), which tells where the fixtures are and which block is which: name it by --scene"
            )
        vectors = state_vectors_of(part.robot, part.fixtures_and_blocks, letter)
    columns |= {name: vector.astype(np.float32) for name, vector in vectors.items()}
    actions = part.actions.clip(-1, 1)
    actions[:, -1] = np.where(actions[:, -1] > 0, 1.0, -1.0)
    return Episode(instruction=part.instruction, columns={**columns, "action": actions.astype(np.float32)}, fps=FPS)
