"""Formats are recognized by what lies there."""

from pathlib import Path

import pytest

from astra.cli.main import main
from tests.datasets.importers.test_calvin import write_timestep
from tests.datasets.importers.test_hdf5 import write_aloha, write_maniskill, write_robomimic
from tests.datasets.importers.test_vima import write_trajectory
from tests.demonstrations.test_convert_kitchen import d4rl, minari


def test_each_format_is_named_with_the_command_that_converts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("robots/1.0.0", "buffer.zarr/meta/episode_ends", "lift", "libero"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "robots/1.0.0/robots-val.tfrecord-00000-of-00001").write_bytes(b"")
    (tmp_path / "buffer.zarr/meta/episode_ends/.zarray").write_text("{}")
    write_robomimic(tmp_path / "lift/image.hdf5")
    write_robomimic(tmp_path / "libero/demo.hdf5", "open the drawer")
    write_maniskill(tmp_path / "trajectory.h5")
    write_aloha(tmp_path / "aloha")
    write_trajectory(tmp_path / "vima/rotate/000000", 1)
    (tmp_path / "calvin/training/lang_annotations").mkdir(parents=True)
    (tmp_path / "calvin/training/lang_annotations/auto_lang_ann.npy").write_bytes(b"")
    write_timestep(tmp_path / "calvin/training", 0)
    d4rl(tmp_path / "kitchen.hdf5")
    minari(tmp_path / "minari")
    minari(tmp_path / "hand", "AdroitHandDoor-v1")
    for name, expected in {
        "robots": "astra convert rlds robots/1.0.0 data/mine --fps FPS --split val",
        "buffer.zarr": "astra convert diffusion-policy-zarr buffer.zarr data/mine --instruction TEXT --fps FPS",
        "lift": "astra convert robomimic lift data/mine --instruction TEXT",
        "libero": "astra convert robomimic libero data/mine",
        "trajectory.h5": "astra convert maniskill trajectory.h5 data/mine --instruction TEXT",
        "aloha": "astra convert aloha aloha data/mine --instruction TEXT",
        "vima": "astra convert vima vima data/mine",
        "calvin": "astra convert calvin calvin/training data/mine",
        "kitchen.hdf5": "astra convert d4rl-kitchen kitchen.hdf5 data/mine",
        "minari": "astra convert minari minari data/mine",
        "hand": "astra convert minari hand data/mine --instruction TEXT --fps FPS",
    }.items():
        assert main(["inspect", "dataset", str(tmp_path / name)]) == 0
        said = capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()
        assert said[1:] == [expected, "astra train own-data --dataset data/mine"]
    (tmp_path / "empty").mkdir()
    assert main(["inspect", "dataset", str(tmp_path / "empty")]) == 2
    refusal = capsys.readouterr().err
    assert "is not a LeRobotDataset" in refusal
    assert "docs/add-a-dataset.md shows how to write other recordings" in refusal
