"""The reader of VIMA's dataset, on small trajectories that are written here in the layout of the published ones."""

import pickle
import shutil
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.importers.vima import VIEWS, find_trajectories, read_trajectory
from astra.demonstrations.convert_vima import convert_vima
from astra.environments.object_views import object_views
from astra.environments.poses import ACTIONS
from astra.environments.vima_bench.suite import options_for
from tests.datasets.importers.test_calvin import Code

PLACES = {5: (10, 40), 6: (60, 200), 7: (90, 120)}
"""Corner of each object in both views; its side is 20 pixels."""
PROMPT = "Put the {dragged_obj} into the {scene}."


def mask(objects: dict[int, tuple[int, int]], background: int = 0) -> np.ndarray:
    made = np.full((128, 256), background, np.uint8)
    for number, (y, x) in objects.items():
        made[y : y + 20, x : x + 20] = number
    return made


def colored(segmentation: np.ndarray) -> np.ndarray:
    """Return a frame (128, 256, 3) in which every object has a color."""
    return (segmentation[..., None] * np.array([30, 11, 17])).astype(np.uint8)


def picture(objects: dict[int, tuple[int, int]], kind: str) -> dict[str, Any]:
    info = [{"obj_id": number, "obj_name": "block", "obj_color": "red"} for number in objects]
    masks: dict[str, Any] = {view: mask(objects, background=255) for view in VIEWS}  # objects are numbered from 0
    return {
        "rgb": {view: np.moveaxis(colored(masks[view]), -1, 0).copy() for view in VIEWS},
        "segm": masks | {"obj_info": info if kind == "scene" else info[0]},
        "placeholder_type": kind,
    }


def foreign(name: str) -> Any:
    """Return an instance of a class of a module that is not there when the file is read."""
    module = sys.modules.setdefault("vimasim_of_theirs", ModuleType("vimasim_of_theirs"))
    if not hasattr(module, name):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    return getattr(module, name)()


def trajectory(timesteps: int, success: bool = True) -> dict[str, Any]:
    """Return what trajectory.pkl holds, with objects of other libraries as in the published ones."""
    return {
        "end_effector_type": "suction",
        "n_objects": 3,
        "modalities": foreign("ListConfig"),
        "seed": 0,
        "obj_id_to_info": {
            number: {"obj_name": "block", "obj_size_range": foreign("SizeRange"), "obj_replace_fn": partial(print, 1)}
            for number in PLACES
        },
        "cache": defaultdict(dict, {"a": {}}),
        "prompt": PROMPT,
        "prompt_assets": {
            "dragged_obj": picture({0: (50, 100)}, "object"),
            "scene": picture({2: (20, 20), 3: (20, 90)}, "scene"),
        },
        "steps": timesteps,
        "success": success,
        "failure": False,
    }


def observations(timesteps: int) -> dict[str, Any]:
    """Return what obs.pkl holds; the first object moves to the right."""
    masks = [mask({**PLACES, 5: (10, 40 + 10 * step)}) for step in range(timesteps + 1)]
    return {"segm": {view: np.stack(masks) for view in VIEWS}, "ee": np.full(timesteps + 1, timesteps % 2)}


def actions(timesteps: int, width: int = 3) -> dict[str, np.ndarray]:
    steps = np.arange(timesteps, dtype=np.float32)[:, None]
    turned = np.stack([[0.0, 0.0, np.sin(0.4 + step), np.cos(0.4 + step)] for step in range(timesteps)])
    return {
        "pose0_position": np.hstack([0.3 + 0.1 * steps, -0.2 + 0.1 * steps, 0.03 + 0 * steps])[:, :width],
        "pose0_rotation": np.tile(np.array([0, 0, 0, 1], np.float32), (timesteps, 1)),
        "pose1_position": np.hstack([0.7 - 0.1 * steps, 0.2 + 0.1 * steps, 0.05 + 0 * steps])[:, :width],
        "pose1_rotation": turned.astype(np.float32),
    }


def write_trajectory(folder: Path, timesteps: int, *, success: bool = True, width: int = 3) -> None:
    seen = observations(timesteps)
    for view in VIEWS:
        (folder / f"rgb_{view}").mkdir(parents=True)
        for step, segmentation in enumerate(seen["segm"][view]):
            Image.fromarray(colored(segmentation)).save(folder / f"rgb_{view}" / f"{step}.jpg")
    contents = {"trajectory": trajectory(timesteps, success), "obs": seen, "action": actions(timesteps, width)}
    for name, values in contents.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(values, protocol=4))
    sys.modules.pop("vimasim_of_theirs", None)


def write_vima(folder: Path) -> None:
    """Write three trajectories of two tasks, one of which fails."""
    write_trajectory(folder / "rotate/000000", 1)
    write_trajectory(folder / "rotate/000001", 2, success=False)
    write_trajectory(folder / "twist/000000", 3, width=2)
    (folder / "twist/metadata.pkl").write_bytes(pickle.dumps({"n_steps_min": 3}))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vima") / "vima_v6"
    write_vima(folder)
    return folder


def test_successful_trajectories_become_what_the_environment_observes(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning, match="1 trajectories without success are left out"):
        assert main(["convert", "vima", str(written), str(tmp_path / "data")]) == 0
    assert "kept 2 of 3 episodes" in capsys.readouterr().out
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert (dataset.spec.suite, dataset.spec.fps, dataset.spec.actions) == ("vima-bench", 1.0, ACTIONS["se2"])
    assert options_for(dataset.spec).actions == "se2"
    assert list(dataset.lengths) == [1, 3]
    twisted = dataset.episode(1)
    assert twisted.instruction == PROMPT
    # The first action turns by twice the half angle; the height of positions is left out.
    expected = [[0.3 + 0.1 * t, -0.2 + 0.1 * t, 0.0, 0.7 - 0.1 * t, 0.2 + 0.1 * t, 0.8 + 2 * t] for t in range(3)]
    turned = (np.array(expected) + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(twisted.columns["action"][:, [0, 1, 2, 5]], turned[:, [0, 1, 2, 5]], atol=1e-6)
    np.testing.assert_array_equal(twisted.columns["observation.end_effector"], [[0.0, 1.0]] * 3)

    frames = [np.asarray(Image.open(written / f"twist/000000/rgb_top/{step}.jpg")) for step in range(3)]
    masks = observations(3)["segm"]["top"]
    crops, boxes = (twisted.columns[f"observation.objects.top.{part}"] for part in ("crops", "boxes"))
    order = [{50.0: 5, 210.0: 6, 130.0: 7}[float(x)] for x in boxes[0, :3, 0]]
    for step, (frame, segmentation) in enumerate(zip(frames, masks, strict=False)):
        views = object_views(frame, segmentation, order, 8)
        np.testing.assert_array_equal(crops[step], views["crops"])
        np.testing.assert_array_equal(boxes[step], views["boxes"])
    assert twisted.pictures["dragged_obj"]["front"]["boxes"].tolist() == [[110.0, 60.0, 20.0, 20.0]]
    assert sorted(box[0] for box in twisted.pictures["scene"]["top"]["boxes"].tolist()) == [30.0, 100.0]


def test_quaternions_and_frames_are_kept_on_request(written: Path, tmp_path: Path) -> None:
    convert_vima(written / "rotate/000000", tmp_path / "data", actions="quaternion", images=True)
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert dataset.spec.actions == ACTIONS["quaternion"]
    episode = dataset.episode(0)
    np.testing.assert_allclose(episode.columns["action"][0, 8:], [0, 0, np.sin(0.4), np.cos(0.4)], atol=1e-6)
    recorded = np.asarray(Image.open(written / "rotate/000000/rgb_front/0.jpg"))
    np.testing.assert_array_equal(episode.columns["observation.images.front"][0], recorded)
    with pytest.raises(ValueError, match="pass --max-objects 3"):
        convert_vima(written, tmp_path / "other", max_objects=2)
    with pytest.raises(ValueError, match="add --images"):
        convert_vima(written, tmp_path / "other", video=True)


def test_trajectories_are_found_in_the_dataset_a_task_or_alone(written: Path, tmp_path: Path) -> None:
    names = [f"{path.parent.name}/{path.name}" for path in find_trajectories(written)]
    assert names == ["rotate/000000", "rotate/000001", "twist/000000"]
    assert find_trajectories(written / "rotate") == find_trajectories(written)[:2]
    assert find_trajectories(written / "rotate/000001") == [written / "rotate/000001"]
    with pytest.raises(FileNotFoundError, match="expected the folder of the dataset, of a task or of a trajectory"):
        find_trajectories(tmp_path)
    shutil.copytree(written / "rotate", tmp_path / "rotate")
    shutil.rmtree(tmp_path / "rotate/000000")
    with pytest.warns(UserWarning, match="rotate: 1 trajectories before 1 are not there"):
        find_trajectories(tmp_path)


def changed(contents: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return contents of which one entry, named by its keys with slashes between, is another; or left out, if None."""
    *path, last = place.split("/")
    inner = contents
    for key in path:
        inner = inner[key]
    inner.pop(last) if value is None else inner.__setitem__(last, value)
    return contents


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("trajectory", "prompt", Code(), "has the prompt a Unread"),
        ("trajectory", "prompt", None, "has the prompt None"),
        ("trajectory", "success", 1, "success 1"),
        ("trajectory", "steps", 3, r"counts 3 timesteps, but action.pkl has 2"),
        ("trajectory", "obj_id_to_info", {}, "has no objects"),
        ("trajectory", "obj_id_to_info", {"a": 1}, "has the object 'a', expected a number from 0 to 255"),
        ("trajectory", "prompt_assets", Code(), "prompt_assets is a Unread, expected a dictionary"),
        ("trajectory", "prompt_assets/scene/segm/obj_info", [{"obj_id": 300}], "has the object 300"),
        ("trajectory", "prompt_assets/scene/rgb/top", np.zeros((3, 9, 9), np.uint8), r"uint8 of shape \(3, 9, 9\)"),
        ("obs", "segm/top", Code(), "could run code of whoever wrote it"),
        ("obs", "segm/front", np.zeros((2, 128, 256), np.uint8), r"segm, front is uint8 of shape \(2, 128, 256\)"),
        ("obs", "ee", np.array([0, 1, 2]), "expected 3 numbers 0 or 1"),
        ("action", "pose0_position", np.full((2, 3), np.nan), "pose0_position is float64 of shape .* finite"),
        ("action", "pose1_rotation", np.zeros((2, 3)), r"pose1_rotation has the shape \(2, 3\)"),
        ("action", "pose1_position", np.zeros((1, 2)), r"have \[2, 2, 1, 2\] timesteps"),
        ("action", "pose0_rotation", None, "pose0_rotation is None"),
    ],
)
def test_damaged_and_hostile_pickles_are_refused(
    tmp_path: Path, name: str, place: str, value: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"trajectory": trajectory(2), "obs": observations(2), "action": actions(2)}
    made[name] = changed(made[name], place, value)
    for part, contents in made.items():
        (tmp_path / f"{part}.pkl").write_bytes(pickle.dumps(contents, protocol=4))
    sys.modules.pop("vimasim_of_theirs", None)
    with pytest.raises(ValueError, match=message):
        read_trajectory(tmp_path)
    assert capsys.readouterr().out == ""


def test_frames_that_are_missing_or_of_another_size_are_named(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "twist/000000", tmp_path / "data")
    frame = tmp_path / "data/rgb_front/1.jpg"
    Image.new("RGB", (64, 32)).save(frame)
    with pytest.raises(ValueError, match=r"rgb_front/1.jpg is no frame of 128 x 256 pixels: .* \(32, 64\)"):
        read_trajectory(tmp_path / "data")
    frame.unlink()
    with pytest.raises(FileNotFoundError, match=r"rgb_front/1.jpg is missing: copy the trajectory again"):
        read_trajectory(tmp_path / "data")


def test_actions_that_no_arm_does_and_pictures_that_no_prompt_names_are_refused(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "twist/000000"
    shutil.copytree(written / "twist/000000", folder)
    for place, value, message in (
        ("pose0_position", np.full((3, 2), 9.0), "x0 is 9, outside the workspace"),
        ("pose1_rotation", np.zeros((3, 4)), "not of length 1"),
    ):
        (folder / "action.pkl").write_bytes(pickle.dumps(changed(actions(3), place, value)))
        with pytest.raises(ValueError, match=rf"{folder}: .*{message}"):
            convert_vima(tmp_path, tmp_path / "data")
    (folder / "action.pkl").write_bytes(pickle.dumps(actions(3)))
    about = changed(trajectory(3), "prompt", "Do it.")
    (folder / "trajectory.pkl").write_bytes(pickle.dumps(about))
    sys.modules.pop("vimasim_of_theirs", None)
    with pytest.raises(ValueError, match=rf"{folder}: there is a picture for 'dragged_obj', but the instr"):
        convert_vima(tmp_path, tmp_path / "data")
    assert not (tmp_path / "data").exists()
