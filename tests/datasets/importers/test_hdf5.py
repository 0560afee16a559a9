"""HDF5 recordings of robomimic, LIBERO, ALOHA and ManiSkill, written here by h5py in their layouts."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.importers.hdf5.importer import ALOHA, MANISKILL, ROBOMIMIC, open_hdf5, recognize
from tests.datasets.lerobot.recordings import pictures

h5py: Any = pytest.importorskip("h5py", reason="needs the extra `hdf5`")
LENGTHS = (4, 3, 5)


def vectors(seed: int, timesteps: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(timesteps, size)).astype(np.float32)


def write_robomimic(path: Path, instruction: str | None = None) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if instruction is not None:
            data.attrs["problem_info"] = json.dumps({"language_instruction": [instruction]})
        for number, length in enumerate(LENGTHS):
            demo = data.create_group(f"demo_{number * 5}")
            demo["actions"] = vectors(number, length, 7).astype(np.float64)
            demo["states"] = vectors(number, length, 30)
            demo["obs/robot0_eef_pos"] = vectors(number + 9, length, 3)
            demo["obs/agentview_image"] = pictures(length, (16, 16), number)
            demo["obs/agentview_depth"] = np.zeros((length, 16, 16, 1), np.float32)
            demo["next_obs/robot0_eef_pos"] = vectors(number, length, 3)


def write_aloha(folder: Path, packed: bool = False) -> None:
    folder.mkdir()
    for number, length in enumerate(LENGTHS):
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file["action"] = vectors(number, length, 14)
            file["observations/qpos"] = vectors(number + 9, length, 14)
            file["observations/qvel"] = vectors(number + 18, length, 14)
            frames = pictures(length, (16, 16), number)
            if packed:
                files = [io.BytesIO() for _ in frames]
                for frame, into in zip(frames, files, strict=True):
                    Image.fromarray(frame).save(into, "PNG")
                longest = max(len(into.getvalue()) for into in files)
                rows = [np.frombuffer(into.getvalue().ljust(longest, b"\0"), np.uint8) for into in files]
                frames = np.stack(rows)
            file["observations/images/cam_high"] = frames


def write_maniskill(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number, length in enumerate(LENGTHS):
            trajectory = file.create_group(f"traj_{number}")
            trajectory["actions"] = vectors(number, length, 8)
            trajectory["success"] = np.zeros(length, bool)
            trajectory["obs/agent/qvel"] = vectors(number + 9, length + 1, 9)
            trajectory["obs/sensor_data/base_camera/rgb"] = pictures(length + 1, (16, 16), number)
            trajectory["obs/sensor_data/base_camera/depth"] = np.zeros((length + 1, 16, 16, 1), np.int16)


def check(folder: Path, expected: Callable[[int, int], dict[str, np.ndarray]], instruction: str) -> None:
    dataset = LeRobotDataset.open(folder)
    assert dataset.lengths.tolist() == list(LENGTHS)
    for number, length in enumerate(LENGTHS):
        episode = dataset.episode(number)
        columns = expected(number, length)
        assert episode.instruction == instruction
        assert episode.columns.keys() == columns.keys()
        for column, values in columns.items():
            assert np.array_equal(episode.columns[column], values), column


def test_robomimic_and_libero_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_robomimic(tmp_path / "demo.hdf5", "open the drawer")
    assert main(["convert", "robomimic", str(tmp_path / "demo.hdf5"), str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "obs/agentview_image -> observation.images.agentview_image" in said
    assert "obs/agentview_depth: left out" in said
    assert "kept 3 of 3 episodes" in said
    columns = {
        "action": lambda n, t: vectors(n, t, 7),
        "observation.robot0_eef_pos": lambda n, t: vectors(n + 9, t, 3),
        "observation.images.agentview_image": lambda n, t: pictures(t, (16, 16), n),
    }
    check(tmp_path / "data", lambda n, t: {name: make(n, t) for name, make in columns.items()}, "open the drawer")


@pytest.mark.parametrize("packed", [False, True])
def test_aloha_comes_back_with_plain_and_with_packed_images(tmp_path: Path, packed: bool) -> None:
    write_aloha(tmp_path / "recorded", packed)
    command = ["convert", "aloha", str(tmp_path / "recorded"), str(tmp_path / "data")]
    assert main(command) == 2
    assert main([*command, "--instruction", "hand it over"]) == 0
    columns = {
        "action": lambda n, t: vectors(n, t, 14),
        "observation.state": lambda n, t: vectors(n + 9, t, 14),
        "observation.qvel": lambda n, t: vectors(n + 18, t, 14),
        "observation.images.cam_high": lambda n, t: pictures(t, (16, 16), n),
    }
    check(tmp_path / "data", lambda n, t: {name: make(n, t) for name, make in columns.items()}, "hand it over")


def test_packed_images_without_a_timestep_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_aloha(tmp_path / "recorded", packed=True)
    path = sorted((tmp_path / "recorded").iterdir())[1]
    with h5py.File(path, "a") as file:
        images = file["observations/images/cam_high"]
        del file["observations/images/cam_high"]
        file["observations/images/cam_high"] = images[:0]
    command = ["convert", "aloha", str(tmp_path / "recorded"), str(tmp_path / "data"), "--instruction", "pick"]
    assert main(command) == 2
    assert f"{path}, the episode, observations/images/cam_high: got 0 timesteps" in capsys.readouterr().err


def test_maniskill_comes_back_without_the_observation_after_the_last_action(tmp_path: Path) -> None:
    write_maniskill(tmp_path / "trajectory.h5")
    command = ["convert", "maniskill", str(tmp_path / "trajectory.h5"), str(tmp_path / "data"), "--instruction", "pick"]
    assert main(command) == 0
    columns = {
        "action": lambda n, t: vectors(n, t, 8),
        "observation.agent.qvel": lambda n, t: vectors(n + 9, t + 1, 9)[:t],
        "observation.images.base_camera": lambda n, t: pictures(t + 1, (16, 16), n)[:t],
    }
    check(tmp_path / "data", lambda n, t: {name: make(n, t) for name, make in columns.items()}, "pick")


def test_a_file_is_recognized_by_its_groups(tmp_path: Path) -> None:
    write_robomimic(tmp_path / "a.hdf5")
    write_maniskill(tmp_path / "b.h5")
    write_aloha(tmp_path / "c")
    assert recognize(tmp_path / "a.hdf5") is ROBOMIMIC
    assert recognize(tmp_path / "b.h5") is MANISKILL
    assert recognize(tmp_path / "c/episode_0.hdf5") is ALOHA


def change(path: Path, action: Callable[[Any], None]) -> None:
    with h5py.File(path, "r+") as file:
        action(file)


def link_elsewhere(file: Any) -> None:
    del file["data/demo_5/obs/robot0_eef_pos"]
    file["data/demo_5/obs/robot0_eef_pos"] = h5py.ExternalLink("/etc/other.h5", "/x")


def shorten(file: Any) -> None:
    del file["data/demo_5/obs/robot0_eef_pos"]
    file["data/demo_5/obs/robot0_eef_pos"] = vectors(0, 2, 3)


def spell(file: Any) -> None:
    del file["data/demo_5/obs/robot0_eef_pos"]
    file["data/demo_5/obs/robot0_eef_pos"] = [b"one", b"two", b"six"]


def leave_unwritten(file: Any) -> None:
    del file["data/demo_5/actions"]
    file.create_dataset("data/demo_5/actions", (3, 7), "f4", chunks=(1, 7))[:2] = 1.0


def lose_a_number(file: Any) -> None:
    file["data/demo_5/actions"][1, 2] = np.nan


def link_inside(file: Any) -> None:
    del file["data/demo_5/actions"]
    file["data/demo_5/actions"] = h5py.SoftLink("/data/demo_0/actions")


def drop(file: Any) -> None:
    del file["data/demo_5/actions"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (link_elsewhere, "robot0_eef_pos' is a link to another place, which is not followed"),
        (shorten, "obs/robot0_eef_pos: got 2 timesteps, expected 3"),
        (spell, "expected an array of plain numbers"),
        (leave_unwritten, "'actions' was not written completely"),
        (lose_a_number, "'actions': NaN or infinite value at row 1"),
        (link_inside, "'actions' is a link to another place"),
        (drop, "data/demo_5 has no 'actions'; it holds"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_left(
    tmp_path: Path, action: Callable[[Any], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_robomimic(tmp_path / "demo.hdf5", "go")
    change(tmp_path / "demo.hdf5", action)
    assert main(["convert", "robomimic", str(tmp_path / "demo.hdf5"), str(tmp_path / "data")]) == 2
    assert message in (said := capsys.readouterr().err)
    assert "data/demo_5" in said
    assert not (tmp_path / "data").exists()


def test_files_without_the_expected_groups_are_refused(tmp_path: Path) -> None:
    write_maniskill(tmp_path / "b.h5")
    with pytest.raises(ValueError, match=r"has no data/demo_0, so it is no file of robomimic"):
        open_hdf5(tmp_path / "b.h5", ROBOMIMIC, fps=20)
    (tmp_path / "c.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"c\.hdf5 is not a complete HDF5 file"):
        open_hdf5(tmp_path / "c.hdf5", ROBOMIMIC, fps=20)
    with pytest.raises(FileNotFoundError, match="neither an HDF5 file nor a folder"):
        open_hdf5(tmp_path / "none", ALOHA, fps=50)
    write_robomimic(tmp_path / "a.hdf5", "go")
    change(tmp_path / "a.hdf5", lambda file: file["data/demo_0"].pop("obs"))
    with pytest.raises(ValueError, match=r"has no observations that are read: extract them by robomimic's"):
        open_hdf5(tmp_path / "a.hdf5", ROBOMIMIC, fps=20)
