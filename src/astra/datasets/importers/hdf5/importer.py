"""Importer of HDF5 recordings, one layout per kind of recorder.

robomimic, LIBERO   data/demo_0/{actions, obs/*}; many episodes per file
ALOHA, ACT          {action, observations/{qpos, qvel, images/*}}; one episode per file
ManiSkill           traj_0/{actions, obs/**}; observations have one timestep more, after the last action
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astra.datasets.episode import ACTION, Episode, is_camera
from astra.datasets.importers.hdf5.files import arrays_of, attribute, child, find_files, in_order, opened, read_array
from astra.datasets.importers.recordings import Recordings, build_columns, choose_columns, stack_images, warn_of_unread

VECTOR_AXES = 2
"""Axes of vectors, time included; also of packed images."""
FRAME_AXES = 4


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Places of things in the files of one kind of recorder."""

    name: str
    """Name of the format."""
    parent: str | None
    """Group that holds the episodes; empty: the file itself; None: the file is one episode."""
    first: str
    """Beginning of the names of episodes."""
    action: str
    """Array of actions in an episode."""
    observations: str
    """Group of observations in an episode."""
    images: str = ""
    """Beginning of the names of cameras in that group, which their columns leave out."""
    instructions: Sequence[tuple[str, ...]] = ()
    """Attributes of an episode or its parent that may hold the instruction."""
    one_more: bool = False
    """Whether observations have one timestep more than actions."""
    advice: str = ""
    """Remedy if there are no observations."""


ROBOMIMIC = Layout(
    name="robomimic",
    parent="data",
    first="demo_",
    action="actions",
    observations="obs",
    instructions=[("language_instruction",), ("ep_meta", "lang"), ("problem_info", "language_instruction")],
    advice="extract them by robomimic's dataset_states_to_obs.py",
)
ALOHA = Layout(name="ALOHA", parent=None, first="", action="action", observations="observations", images="images/")
MANISKILL = Layout(
    name="ManiSkill",
    parent="",
    first="traj_",
    action="actions",
    observations="obs",
    images="sensor_data/",
    one_more=True,
    advice="replay the trajectories by python -m mani_skill.trajectory.replay_trajectory with an obs_mode",
)


def open_hdf5(
    source: Path,
    layout: Layout,
    *,
    fps: float,
    instruction: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Recordings:
    """Open recordings, and find their mapping from the first episode.

    Args:
        source: A file, or a folder of files.
        layout: Kind of recorder.
        fps: Timesteps per second.
        instruction: Instruction of all episodes; None: their own.
        columns: Column of each key; None: cameras become `observation.images.NAME`, and vectors `observation.NAME`.

    Raises:
        FileNotFoundError: if there is no file.
        ModuleNotFoundError: if h5py is not installed.
        ValueError: if a file is damaged or has another layout, or the columns do not fit.
    """
    paths = find_files(source)
    places = []
    for path in paths:
        names = _episodes(path, layout)
        if not names:
            expected = layout.action if layout.parent is None else f"{layout.parent}/{layout.first}0".strip("/")
            raise ValueError(f"{path} has no {expected}, so it is no file of {layout.name}: repair it, or take it away")
        places += [(path, name) for name in names]
    with _episode(*places[0]) as (group, where):
        arrays = _arrays(group, layout, where)
        known = {key: _default(key, array, layout) for key, array in arrays.items()}
        chosen, dropped = choose_columns(known, columns, where)
        if all(column == ACTION for column in chosen.values()):
            advice = layout.advice or "choose them by --columns"
            raise ValueError(f"{where} has no observations that are read: {advice}")
        if instruction is None and _instruction(group, layout) is None:
            raise ValueError(f"{where} has no instruction: give that of all episodes by --instruction")

    def read() -> Iterator[Episode]:
        warned = columns is not None
        for path, name in places:
            with _episode(path, name) as (group, where):
                if not warned:
                    found = arrays_of(group, where)
                    warned = warn_of_unread({key: _default(key, found[key], layout) for key in found}, chosen, where)
                text = instruction if instruction is not None else _instruction(group, layout)
                if text is None:
                    raise ValueError(f"{where} has no instruction, as the first has: give it by --instruction")
                values = {key: _read(group, key, column, where) for key, column in chosen.items()}
            if layout.one_more and layout.action in values:
                values = _without_last(values, layout, where)
            yield Episode(instruction=text, columns=build_columns(values, chosen, where), fps=fps)

    return Recordings(source=f"{layout.name}, {source}", columns=chosen, dropped=dropped, total=len(places), read=read)


def recognize(path: Path) -> Layout | None:
    """Return the layout of a file, or None if it has none of the known ones.

    Raises:
        ValueError: if it is no HDF5 file, or damaged.
    """
    for layout in (ROBOMIMIC, MANISKILL, ALOHA):
        for name in _episodes(path, layout)[:1]:
            with _episode(path, name) as (group, _):
                if layout.action in group:
                    return layout
    return None


def has_instruction(path: Path, layout: Layout) -> bool:
    """Return whether the first episode of a file has an instruction.

    Raises:
        ValueError: if the file is damaged.
    """
    for name in _episodes(path, layout)[:1]:
        with _episode(path, name) as (group, _):
            return _instruction(group, layout) is not None
    return False


def _episodes(path: Path, layout: Layout) -> list[str]:
    """Return the paths of all episodes of a file; one empty path if the file is an episode."""
    with opened(path) as file:
        if layout.parent is None:
            return [""] if layout.action in file else []
        if layout.parent and layout.parent not in file:
            return []
        parent = child(file, layout.parent, str(path)) if layout.parent else file
        names = sorted((name for name in parent if name.startswith(layout.first)), key=in_order)
        return [f"{layout.parent}/{name}".strip("/") for name in names]


@contextmanager
def _episode(path: Path, name: str) -> Iterator[tuple[Any, str]]:
    """Open the group of an episode, and return it with its place in words."""
    with opened(path) as file:
        yield child(file, name, str(path)) if name else file, f"{path}, {name or 'the episode'}"


def _arrays(group: Any, layout: Layout, where: str) -> dict[str, Any]:
    """Return all arrays of an episode by their paths; observations may be one array."""
    arrays = arrays_of(group, where)
    if layout.action not in arrays:
        raise ValueError(
            f"{where} has no {layout.action}; it has {', '.join(arrays)}, so it is no {layout.name} episode"
        )
    return arrays


def _default(key: str, array: Any, layout: Layout) -> str | None:
    if key == layout.action:
        return ACTION
    if key == layout.observations or key == f"{layout.observations}/qpos":
        return "observation.state"
    if not key.startswith(f"{layout.observations}/") or array.dtype.kind not in "biuf":
        return None
    name = key.removeprefix(f"{layout.observations}/")
    packed = layout.images and name.startswith(layout.images) and array.ndim == VECTOR_AXES
    if array.dtype == np.uint8 and (packed or (array.ndim == FRAME_AXES and array.shape[-1] == 3)):
        return f"observation.images.{name.removeprefix(layout.images).removesuffix('/rgb').replace('/', '_')}"
    return f"observation.{name.replace('/', '.')}" if array.ndim <= VECTOR_AXES else None


def _read(group: Any, key: str, column: str, where: str) -> np.ndarray:
    """Read an array of an episode; cameras may be stored as one packed image per timestep."""
    values = read_array(group, key, where)
    if not is_camera(column) or values.ndim != VECTOR_AXES or values.dtype != np.uint8:
        return values
    return stack_images((data.tobytes() for data in values), f"{where}, {key}")


def _without_last(values: dict[str, np.ndarray], layout: Layout, where: str) -> dict[str, np.ndarray]:
    """Leave out what was observed after the last action."""
    timesteps = len(values[layout.action])
    observed = {key: array for key, array in values.items() if key.split("/")[0] == layout.observations}
    for key, array in observed.items():
        if len(array) != timesteps + 1:
            raise ValueError(
                f"{where}, {key}: got {len(array)} timesteps, expected {timesteps + 1}: one more than {layout.action}"
            )
    return values | {key: array[:timesteps] for key, array in observed.items()}


def _instruction(group: Any, layout: Layout) -> str | None:
    for path in layout.instructions:
        for item in (group, group.parent):
            found = attribute(item, path)
            found = found[0] if isinstance(found, list) and found else found
            if isinstance(found, str):
                return found.strip('"')
    return None
