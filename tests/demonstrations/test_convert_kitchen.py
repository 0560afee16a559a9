"""Kitchen demonstrations in D4RL's and Minari's formats, written here from positions of the kitchen."""

import json
from pathlib import Path

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.environments.franka_kitchen.environment import OBJECT_JOINTS, OBJECTS, ROBOT
from astra.environments.franka_kitchen.tasks import TASKS

h5py = pytest.importorskip("h5py")
LENGTHS = (5, 4, 3)
DONE = (("kettle", "microwave"), (), ("hinge cabinet",))
"""Tasks that are done in each episode, from its middle on."""


def positions(length: int, done: tuple[str, ...], seed: int) -> np.ndarray:
    """Return positions of the kitchen, of which the kettle starts where it stands and all else is near zero."""
    made = np.random.default_rng(seed).uniform(0.0, 0.01, (length, 30))
    made[:, 23:30] += (-0.27, 0.35, 1.62, 1.0, 0.0, 0.0, 0.0)
    for name in done:
        made[length // 2 :, list(TASKS[name].joints)] = TASKS[name].goal
    return made


EPISODES = [positions(length, done, seed) for seed, (length, done) in enumerate(zip(LENGTHS, DONE, strict=True))]
ACTIONS = [np.linspace(-1.5, 1.5, 9 * length).reshape(length, 9) for length in LENGTHS]


def d4rl(path: Path, numbers: int = 60) -> Path:
    with h5py.File(path, "w") as file:
        rows = np.concatenate(EPISODES)
        file["observations"] = np.concatenate([rows, np.full((len(rows), numbers - 30), 7.0)], axis=1)
        file["actions"] = np.concatenate(ACTIONS)
        file["terminals"] = np.isin(np.arange(len(rows)) + 1, np.cumsum(LENGTHS))
    return path


def minari(folder: Path, environment: str = "FrankaKitchen-v1") -> Path:
    """Write the same episodes as Minari does, whose observations have velocities and one more row."""
    folder.mkdir()
    spec = json.dumps({"id": environment})
    (folder / "metadata.json").write_text(json.dumps({"total_episodes": 3, "data_format": "hdf5", "env_spec": spec}))
    with h5py.File(folder / "main_data.hdf5", "w") as file:
        for number, rows in enumerate(EPISODES):
            seen = np.concatenate([rows, rows[-1:]])
            parts = seen[:, :9], np.full((len(seen), 9), 7.0), seen[:, 9:], np.full((len(seen), 20), 7.0)
            file[f"episode_{number}/observations/observation"] = np.concatenate(parts, axis=1)
            file[f"episode_{number}/observations/achieved_goal/kettle"] = seen[:, 23:30]
            file[f"episode_{number}/actions"] = ACTIONS[number]
    return folder


@pytest.mark.parametrize("kind", ["d4rl-kitchen", "minari"])
def test_instructions_name_what_the_states_show_as_done(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = d4rl(tmp_path / "a.hdf5") if kind == "d4rl-kitchen" else minari(tmp_path / "a")
    assert main(["convert", kind, str(source), str(tmp_path / "data")]) == 0
    assert "1 tasks in 1, 2 tasks in 1; 1 episodes without any task are left out" in capsys.readouterr().out
    dataset = LeRobotDataset.open(tmp_path / "data")
    assert dataset.spec.suite == "franka-kitchen"
    assert dataset.spec.fps == 12.5
    assert dataset.spec.instructions == ("open the hinge cabinet", "open the microwave, move the kettle")
    assert dataset.lengths.tolist() == [5, 3]
    kept = np.concatenate([EPISODES[0], EPISODES[2]]).astype(np.float32)
    assert np.array_equal(dataset.columns[ROBOT], kept[:, :9])
    assert np.array_equal(dataset.columns[OBJECTS], kept[:, list(OBJECT_JOINTS.values())])
    clipped = np.concatenate([ACTIONS[0], ACTIONS[2]]).clip(-1, 1).astype(np.float32)
    assert np.array_equal(dataset.columns["action"], clipped)


def test_what_is_no_kitchen_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*words: str) -> str:
        assert main(["convert", *words, str(tmp_path / "data")]) == 2
        assert not (tmp_path / "data").exists()
        return capsys.readouterr().err

    assert "observations have 59 numbers" in error("d4rl-kitchen", str(d4rl(tmp_path / "b.hdf5", numbers=59)))
    other = str(minari(tmp_path / "door", "AdroitHandDoor-v1"))
    assert "AdroitHandDoor-v1 and holds neither an instruction nor a rate" in error("minari", other)
    kitchen = str(minari(tmp_path / "kitchen"))
    assert main(["convert", "minari", kitchen, str(tmp_path / "data"), "--fps", "9"]) == 2
    assert "leave --instruction and --fps out" in capsys.readouterr().err


def test_a_file_in_which_nothing_is_done_leaves_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "idle.hdf5", "w") as file:
        file["observations"] = np.concatenate([positions(4, (), 0), np.zeros((4, 30))], axis=1)
        file["actions"] = np.zeros((4, 9))
        file["terminals"] = np.zeros(4, bool)
    assert main(["convert", "d4rl-kitchen", str(tmp_path / "idle.hdf5"), str(tmp_path / "data")]) == 2
    assert "no episode in which a task of the kitchen is done" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
