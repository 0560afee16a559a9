"""The reader of CALVIN's dataset, on small files that are written here in its format."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.importers.calvin import read_calvin
from astra.datasets.sentences import read_sentences
from astra.demonstrations.convert_calvin import COLUMNS, convert_calvin
from astra.environments.calvin.vectors import BLOCK_COLUMNS, FIXTURES, ROBOT, SIZES, orientation

FIRST = 358
"""Number of the first timestep."""
ONE = {"ann": ["a"], "task": ["b"]}


def write_timestep(folder: Path, number: int, **changed: Any) -> None:
    random = np.random.default_rng(number)
    arrays: dict[str, Any] = {
        "actions": np.zeros(7),
        "rel_actions": np.array([*random.uniform(-1, 1, 6), random.choice([-1.0, 1.0])]),
        "robot_obs": random.normal(size=15),
        "scene_obs": np.arange(24.0) / 10 + number,
        "rgb_static": random.integers(0, 255, (20, 20, 3), np.uint8),
        "rgb_gripper": random.integers(0, 255, (8, 8, 3), np.uint8),
        "depth_static": np.zeros((20, 20), np.float32),
    }
    np.savez(folder / f"episode_{number:07d}.npz", **{**arrays, **changed})


def annotations(**changed: Any) -> dict[str, Any]:
    language = {
        "ann": ["pull the handle", "lift the red block"],
        "task": ["open_drawer", "lift_red_block_table"],
        "emb": np.zeros((2, 1, 4), np.float32),
    }
    return {
        "language": language,
        "info": {"episodes": [], "indx": [(FIRST, FIRST + 3), (FIRST + 5, FIRST + 9)]},
        **changed,
    }


@pytest.fixture
def split(tmp_path: Path) -> Path:
    folder = tmp_path / "task_D_D" / "training"
    (folder / "lang_annotations").mkdir(parents=True)
    for number in range(FIRST, FIRST + 12):
        write_timestep(folder, number)
    np.save(folder / "lang_annotations" / "auto_lang_ann.npy", np.array(annotations()), allow_pickle=True)
    scenes = {"calvin_scene_B": [FIRST, FIRST + 4], "calvin_scene_A": [FIRST + 5, FIRST + 11]}
    np.save(folder / "scene_info.npy", np.array(scenes), allow_pickle=True)
    return folder


def test_annotated_parts_are_read_with_both_ends(split: Path) -> None:
    first, second = read_calvin(split.parent, cameras=("rgb_static",))
    assert (first.instruction, first.task, first.scene) == ("pull the handle", "open_drawer", "B")
    assert (second.instruction, second.scene, second.actions.shape) == ("lift the red block", "A", (5, 7))
    np.testing.assert_array_equal(first.fixtures_and_blocks[:, 0], FIRST + np.arange(4.0))
    assert first.frames["rgb_static"].shape == (4, 20, 20, 3)


def test_a_split_becomes_a_dataset_of_states_in_our_order(split: Path, tmp_path: Path) -> None:
    assert main(["convert", "calvin", str(split), str(tmp_path / "data")]) == 0
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert (dataset.spec.suite, dataset.spec.fps, dict(dataset.spec.states)) == ("calvin", 30.0, SIZES)
    assert dataset.spec.actions.binary[-1]
    assert list(dataset.instructions) == ["pull the handle", "lift the red block"]
    assert read_sentences(tmp_path / "data", dataset.instructions) == {
        "pull the handle": ("pull the handle",),
        "lift the red block": ("lift the red block",),
    }
    _, in_a = (dataset.episode(index) for index in range(2))
    (part,) = [part for part in read_calvin(split) if part.scene == "A"]
    # The order of scene A is pink, blue, red.
    for color, first in {"pink": 6, "blue": 12, "red": 18}.items():
        seen, place = in_a.columns[BLOCK_COLUMNS[color]], part.fixtures_and_blocks[:, first : first + 3]
        np.testing.assert_allclose(seen[:, :6], np.hstack([place, place - part.robot[:, :3]]), rtol=1e-5)
    for number, name in enumerate(FIXTURES):
        np.testing.assert_allclose(in_a.columns[FIXTURES[name]][:, 0], part.fixtures_and_blocks[:, number], rtol=1e-6)
    np.testing.assert_allclose(in_a.columns[ROBOT][:, 3:9], orientation(part.robot[:, 3:6]), atol=1e-6)


def test_images_are_resized_and_replace_fixtures_and_blocks(split: Path, tmp_path: Path) -> None:
    convert_calvin(split, tmp_path / "data", images=True, static_size=10, gripper_size=8)
    spec = LeRobotDataset.open(tmp_path / "data").spec
    assert dict(spec.images) == {COLUMNS["rgb_static"]: (10, 10), COLUMNS["rgb_gripper"]: (8, 8)}
    assert dict(spec.states) == {ROBOT: 17}


@pytest.mark.parametrize("flag", ["--static-size", "--gripper-size"])
def test_sizes_of_no_pixels_are_refused(
    split: Path, tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "calvin", str(split), str(tmp_path / "data"), "--images", flag, "0"]) == 2
    assert flag in capsys.readouterr().err


def test_without_scenes_the_scene_has_to_be_named(split: Path, tmp_path: Path) -> None:
    (split / "scene_info.npy").unlink()
    with pytest.raises(ValueError, match=r"does not say the scene of 'pull the handle'.* name it by --scene"):
        convert_calvin(split, tmp_path / "data")
    convert_calvin(split, tmp_path / "data", scene="D")
    with pytest.raises(ValueError, match="has the scenes A, B, C, D, got 'E'"):
        convert_calvin(split, tmp_path / "other", scene="E")


def test_older_places_of_the_annotations_are_found(split: Path) -> None:
    (split / "lang_annotations" / "auto_lang_ann.npy").rename(split / "auto_lang_ann.npy")
    assert len(list(read_calvin(split))) == 2


class Code:
    """Would run code under numpy's own unpickler."""

    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (np.array(annotations(info=Code())), "could run code of whoever wrote it"),
        (np.array(annotations(info={})), "no usable annotations"),
        (
            np.array({"language": {"ann": ["a"], "task": ["b"]}, "info": {"indx": [(9, 3)]}}),
            "annotation 'a' of 'b' from 9",
        ),
        (np.array({"language": {"ann": ["a"], "task": ["b"]}, "info": {"indx": [(0, 10**9)]}}), "from 0 to 1000000000"),
        (np.array({"language": {"ann": ["a"], "task": []}, "info": {"indx": []}}), "1 sentences, 0 tasks and 0 spans"),
        (np.array([1, 2], object), "expected one object"),
    ],
)
def test_hostile_or_damaged_annotations_are_refused(
    split: Path, contents: np.ndarray, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(split / "lang_annotations" / "auto_lang_ann.npy", contents, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        list(read_calvin(split))
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rel_actions": np.zeros(6)}, r"rel_actions is float64 of shape \(6,\)"),
        ({"robot_obs": np.full(15, np.nan)}, "robot_obs is .* or not finite"),
        ({"scene_obs": np.array([Code()] * 24)}, "cannot be used: Object arrays cannot be loaded"),
        ({"scene_obs": np.array(["a"] * 24)}, "scene_obs is <U1"),
        ({"rgb_static": np.zeros((5, 5), np.uint8)}, "expected an RGB image"),
        ({"rgb_static": np.zeros((6000, 6000, 3), np.uint8)}, "expected at most 67,108,864"),
    ],
)
def test_hostile_or_damaged_timesteps_are_refused(split: Path, changed: dict[str, Any], message: str) -> None:
    write_timestep(split, FIRST + 1, **changed)
    with pytest.raises(ValueError, match=message):
        list(read_calvin(split, cameras=("rgb_static",)))


def test_missing_and_truncated_files_are_named(split: Path) -> None:
    path = split / f"episode_{FIRST + 2:07d}.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"episode_0000360.npz cannot be used"):
        list(read_calvin(split))
    path.unlink()
    with pytest.raises(FileNotFoundError, match="does not exist, but annotations name it"):
        list(read_calvin(split))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("rel_actions.npy", b"\x93NUMPY\x01\x00v\x00" + b"{" * 118)
    with pytest.raises(ValueError, match="cannot be used"):
        list(read_calvin(split))
    with pytest.raises(FileNotFoundError, match="expected a split of CALVIN's dataset"):
        list(read_calvin(split / "none"))
