"""`astra convert FORMAT SOURCE DESTINATION`: convert demonstrations of another format to a dataset."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import track

from astra.cli.names import choose, first_line
from astra.cli.parse import parse


def calvin(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    images: bool = False,
    static_size: int = 64,
    gripper_size: int = 64,
    scene: str = "",
) -> Path:
    """Convert the annotated parts of CALVIN's own dataset.

    Args:
        source: Folder of a split, such as task_D_D/training.
        destination: Folder of the new dataset.
        images: Keep the two cameras instead of the states of fixtures and blocks.
        static_size: Side in pixels to which frames of the static camera are resized.
        gripper_size: Side in pixels to which frames of the gripper camera are resized.
        scene: Letter of the scene, where the dataset does not say it.
    """
    from astra.demonstrations.convert_calvin import convert_calvin

    return convert_calvin(
        source, destination, images=images, static_size=static_size, gripper_size=gripper_size, scene=scene
    )


def diffusion_policy_zarr(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    instruction: str,
    fps: float = 10.0,
    columns: dict[str, str] | None = None,
) -> Path:
    """Convert a replay buffer of diffusion-policy.

    Args:
        source: Zarr store, a folder or a .tar file.
        destination: Folder of the new dataset.
        instruction: Instruction of all episodes.
        fps: Timesteps per second.
        columns: Column of each array, such as `state observation.state action action img observation.image`.
    """
    from astra.datasets import DatasetWriter, read_diffusion_policy_zarr

    chosen = columns or {"state": "observation.state", "action": "action"}
    with DatasetWriter(destination, fps=fps) as writer:
        for episode in read_diffusion_policy_zarr(source, instruction=instruction, fps=fps, columns=chosen):
            writer.add(episode)
    return destination


def pusht_zarr(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    goal: Literal["center", "lower-right"] = "center",
    lower_right: Path | None = None,
    mirror: bool = False,
    hidden: float = 0.0,
) -> Path:
    """Convert human Push-T demonstrations to the observations of our Push-T environment.

    Args:
        source: Zarr store, a folder or a .tar file.
        destination: Folder of the new dataset.
        goal: Goal that was demonstrated.
        lower_right: Second zarr store, of the goal at the lower right: its demonstrations are moved along with their
            goal to `goal`, cut off before they last leave the board, and added. None: none.
        mirror: Add the mirror image of every episode.
        hidden: Probability per timestep that the T is hidden, for policies with a memory.
    """
    from astra.demonstrations.convert import convert_pusht_zarr
    from astra.environments.pusht.geometry import CENTER, LOWER_RIGHT

    return convert_pusht_zarr(
        source,
        destination,
        goal={"center": CENTER, "lower-right": LOWER_RIGHT}[goal],
        lower_right=lower_right,
        mirror=mirror,
        hidden=hidden,
    )


def lerobot(
    sources: tyro.conf.Positional[tuple[Path, ...]],
    *,
    output: Path,
    observations: tuple[str, ...] = (),
) -> Path:
    """Merge datasets that were collected in parts.

    Args:
        sources: Datasets (LeRobotDataset v3.0) with equal columns and actions. The numbers of bins and the suite are
            those of the first.
        output: Folder of the new dataset.
        observations: Columns to keep beside `action`, such as `observation.state`; default: all.
    """
    from astra.datasets.lerobot.info import read_info
    from astra.datasets.merging import merge

    total = sum(read_info(source)["total_episodes"] for source in sources)
    for _ in track(merge(sources, output, observations or None), description="episodes", total=total, transient=True):
        pass
    return output


FORMATS: dict[str, Callable[..., Path]] = {
    "calvin": calvin,
    "diffusion-policy-zarr": diffusion_policy_zarr,
    "lerobot": lerobot,
    "pusht-zarr": pusht_zarr,
}


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        ValueError: if there is no such format, or the source is damaged.
        FileExistsError: if the destination exists.
        FileNotFoundError: if the source is missing.
    """
    notes = {name: first_line(convert.__doc__) for name, convert in FORMATS.items()}
    name = choose(arguments, "format", "astra convert FORMAT SOURCE DESTINATION", notes)
    if name is None:
        return
    from astra.datasets import LeRobotDataset

    folder = parse(FORMATS[name], f"convert {name}", arguments[1:])
    dataset = LeRobotDataset.open(folder, reads=())  # its frames are cached by who needs them
    print(f"{len(dataset)} episodes, {int(dataset.lengths.sum())} timesteps: {folder}")
