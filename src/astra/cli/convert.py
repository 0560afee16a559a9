"""`astra convert FORMAT SOURCE DESTINATION`: convert demonstrations of another format to a dataset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from astra.cli.names import choose, first_line
from astra.cli.parse import parse
from astra.progress import tracked
from astra.storage.numbers import Pixels, Tokens, Workers, check_numbers

if TYPE_CHECKING:
    from astra.datasets.importers.hdf5.importer import Layout


def calvin(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    images: bool = False,
    static_size: Pixels = 64,
    gripper_size: Pixels = 64,
    scene: str = "",
    workers: Workers = 1,
) -> Path:
    """Convert the annotated parts of CALVIN's own dataset.

    Args:
        source: Folder of a split, such as task_D_D/training.
        destination: Folder of the new dataset.
        images: Keep the two cameras instead of the states of fixtures and blocks.
        static_size: Side in pixels to which frames of the static camera are resized.
        gripper_size: Side in pixels to which frames of the gripper camera are resized.
        scene: Letter of the scene, where the dataset does not say it.
        workers: Number of processes that encode frames.
    """
    from astra.demonstrations.convert_calvin import convert_calvin

    sizes = {"static_size": static_size, "gripper_size": gripper_size}
    return convert_calvin(source, destination, images=images, **sizes, scene=scene, workers=workers)


def diffusion_policy_zarr(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    instruction: str,
    fps: float = 10.0,
    columns: dict[str, str] | None = None,
    video: bool = False,
    workers: Workers = 1,
) -> Path:
    """Convert a replay buffer of diffusion-policy.

    Args:
        source: Zarr store (v2 or v3), a folder or a .tar or .zip file.
        destination: Folder of the new dataset.
        instruction: Instruction of all episodes.
        fps: Timesteps per second.
        columns: Column of each array, such as `state observation.state action action img observation.image`.
        video: Store cameras as video (H.264), which takes far less space and loses a little of the colors.
        workers: Number of processes that encode frames.
    """
    from astra.datasets import DatasetWriter, read_diffusion_policy_zarr

    chosen = columns or {"state": "observation.state", "action": "action"}
    with DatasetWriter(destination, fps=fps, video=video, workers=workers) as writer:
        for episode in read_diffusion_policy_zarr(source, instruction=instruction, fps=fps, columns=chosen):
            writer.add(episode, source=source)
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
        source: Zarr store (v2 or v3), a folder or a .tar or .zip file.
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
    rename: tuple[str, ...] = (),
    leave_out: tuple[str, ...] = (),
    video: bool | None = None,
    workers: Workers = 1,
) -> Path:
    """Merge datasets that were collected in parts, leave out bad episodes, or write version 2.0 or 2.1 as version 3.0.

    Args:
        sources: Datasets (LeRobotDataset v3.0, v2.1 or v2.0; folders or ids of the Hugging Face Hub) with equal columns
            and actions. The numbers of bins and the suite are those of the first.
        output: Folder of the new dataset.
        observations: Columns to keep beside `action`, such as `observation.state`; default: all.
        rename: Columns with other names than Astra reads, each as OLD=NEW, such as `actions=action
            state=observation.state image=observation.images.front`.
        leave_out: Episodes that are not written, such as 3 17 100-250, as `astra inspect dataset` and `astra view`
            number them; for one dataset only.
        video: Store cameras as video, or as images. None: as the first of the sources. Videos are copied, unchanged.
        workers: Number of processes that encode frames.
    """
    from astra.datasets.episode_numbers import parse_episodes
    from astra.datasets.lerobot.info import read_info
    from astra.datasets.lerobot.renaming import parse_names, renamed
    from astra.datasets.merging import merge
    from astra.storage.hub import local_folder

    unwanted = set(parse_episodes(leave_out))
    folders, names = [local_folder(source) for source in sources], parse_names(rename)
    total = sum(read_info(folder)["total_episodes"] for folder in folders) - len(unwanted)
    with renamed(folders, names, output) as sources_read:
        merged = merge(sources_read, output, observations or None, video, workers, unwanted)
        for _ in tracked(merged, "merging", total, "episodes"):
            pass
    return output


def d4rl_kitchen(source: tyro.conf.Positional[Path], destination: tyro.conf.Positional[Path]) -> Path:
    """Convert human demonstrations of Franka Kitchen in a D4RL file.

    Each instruction names the tasks that the states show as done.

    Args:
        source: HDF5 file, such as kitchen_microwave_kettle_light_slider-v0.hdf5.
        destination: Folder of the new dataset.
    """
    from astra.demonstrations.convert_kitchen import convert_d4rl_kitchen

    converted = convert_d4rl_kitchen(source, destination)
    print(converted)
    return converted.folder


def minari(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    instruction: str | None = None,
    fps: float | None = None,
) -> Path:
    """Convert a Minari dataset whose observations are vectors.

    In Franka Kitchen each instruction names the tasks that the states show as done.

    Args:
        source: Folder of the dataset, such as ~/.minari/datasets/D4RL/kitchen/complete-v2.
        destination: Folder of the new dataset.
        instruction: Instruction of all episodes; for Franka Kitchen leave it out.
        fps: Timesteps per second; for Franka Kitchen leave it out.

    Raises:
        ValueError: if instruction and rate are missing, or given where they are known.
    """
    from astra.datasets import DatasetWriter
    from astra.datasets.importers.minari import open_minari, read_minari
    from astra.demonstrations.convert_kitchen import convert_minari_kitchen

    dataset = open_minari(source)
    if dataset.is_kitchen:
        if instruction is not None or fps is not None:
            raise ValueError(
                "episodes of Franka Kitchen tell their instruction and rate: leave --instruction and --fps out"
            )
        converted = convert_minari_kitchen(dataset, destination)
        print(converted)
        return converted.folder
    if instruction is None or fps is None:
        raise ValueError(
            f"{source} was recorded in {dataset.environment or 'an unknown environment'} and holds neither an "
            "instruction nor a rate: add --instruction TEXT and --fps NUMBER"
        )
    with DatasetWriter(destination, fps=fps) as writer:
        for episode in read_minari(source, instruction=instruction, fps=fps):
            writer.add(episode, source=source)
    return destination


def rlds(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    fps: float,
    split: str = "train",
    instruction: str | None = None,
    columns: dict[str, str] | None = None,
    video: bool = False,
    workers: Workers = 1,
) -> Path:
    """Convert an RLDS dataset, such as those of Open X-Embodiment; needs no TensorFlow.

    Args:
        source: Folder of a version of the dataset, such as bridge_dataset/1.0.0, or one of its files.
        destination: Folder of the new dataset.
        fps: Timesteps per second, which the format does not record.
        split: Split to read.
        instruction: Instruction of all episodes. None: their own.
        columns: Column of each key, such as `steps/action action steps/observation/state observation.state`. None: all
            cameras and numbers of the observations.
        video: Store cameras as video (H.264), which takes far less space and loses a little of the colors.
        workers: Number of processes that encode frames.
    """
    from astra.datasets.importers.rlds.importer import open_rlds
    from astra.demonstrations.importing import write_recordings

    recordings = open_rlds(source, fps=fps, split=split, instruction=instruction, columns=columns)
    return write_recordings(recordings, destination, fps=fps, video=video, workers=workers)


@dataclass(frozen=True, kw_only=True)
class FromHdf5:
    """Options of all HDF5 recordings."""

    instruction: str | None = None
    """Instruction of all episodes. None: their own, where they have one."""
    columns: dict[str, str] | None = None
    """Column of each key, such as `KEY action KEY observation.state`. None: all cameras and vectors observed."""
    video: bool = False
    """Store cameras as video (H.264), which takes far less space and loses a little of the colors."""
    workers: Workers = 1
    """Number of processes that encode frames."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")

    def convert(self, layout: "Layout", source: Path, destination: Path, fps: float) -> Path:
        """Convert recordings of a layout."""
        from astra.datasets.importers.hdf5.importer import open_hdf5
        from astra.demonstrations.importing import write_recordings

        recordings = open_hdf5(source, layout, fps=fps, instruction=self.instruction, columns=self.columns)
        return write_recordings(recordings, destination, fps=fps, video=self.video, workers=self.workers)


def robomimic(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    fps: float = 20.0,
    options: Annotated[FromHdf5, tyro.conf.arg(name="")] = FromHdf5(),
) -> Path:
    """Convert HDF5 recordings of robomimic or LIBERO.

    Args:
        source: An HDF5 file, or a folder of them, such as one per task of LIBERO.
        destination: Folder of the new dataset.
        fps: Timesteps per second, which the files do not record reliably.
        options: Options of all HDF5 recordings.
    """
    from astra.datasets.importers.hdf5.importer import ROBOMIMIC

    return options.convert(ROBOMIMIC, source, destination, fps)


def aloha(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    fps: float = 50.0,
    options: Annotated[FromHdf5, tyro.conf.arg(name="")] = FromHdf5(),
) -> Path:
    """Convert HDF5 recordings of ALOHA or ACT, one episode per file.

    Args:
        source: A folder of episode_*.hdf5, or one of its files.
        destination: Folder of the new dataset.
        fps: Timesteps per second, which the files do not record reliably.
        options: Options of all HDF5 recordings.
    """
    from astra.datasets.importers.hdf5.importer import ALOHA

    return options.convert(ALOHA, source, destination, fps)


def maniskill(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    fps: float = 20.0,
    options: Annotated[FromHdf5, tyro.conf.arg(name="")] = FromHdf5(),
) -> Path:
    """Convert HDF5 trajectories of ManiSkill, replayed with observations.

    Args:
        source: A trajectory file (.h5), or a folder of them.
        destination: Folder of the new dataset.
        fps: Timesteps per second, which the files do not record reliably.
        options: Options of all HDF5 recordings.
    """
    from astra.datasets.importers.hdf5.importer import MANISKILL

    return options.convert(MANISKILL, source, destination, fps)


def vima(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    *,
    actions: Literal["se2", "quaternion"] = "se2",
    max_objects: Tokens = 8,
    images: bool = False,
    video: bool = False,
    workers: Workers = 1,
) -> Path:
    """Convert VIMA's dataset to object-centric observations and prompts with pictures.

    Args:
        source: Folder of the dataset (vima_v6), of one of its tasks, or of one trajectory.
        destination: Folder of the new dataset.
        actions: Form of the actions: six numbers in SE(2), or VIMA's twelve with quaternions.
        max_objects: Rows for objects in an observation; no task was seen with more than 8.
        images: Keep the frames of both views too.
        video: Store these frames as video (H.264), which takes far less space and loses a little of the colors.
        workers: Number of processes that encode frames.
    """
    from astra.demonstrations.convert_vima import convert_vima

    kept = {"images": images, "video": video}
    return convert_vima(source, destination, actions=actions, max_objects=max_objects, **kept, workers=workers)


FORMATS: dict[str, Callable[..., Path]] = {
    "aloha": aloha,
    "calvin": calvin,
    "d4rl-kitchen": d4rl_kitchen,
    "diffusion-policy-zarr": diffusion_policy_zarr,
    "lerobot": lerobot,
    "maniskill": maniskill,
    "minari": minari,
    "pusht-zarr": pusht_zarr,
    "rlds": rlds,
    "robomimic": robomimic,
    "vima": vima,
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
