"""info.json that cannot be believed: one clear message, in bounded time and memory."""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import main
from astra.datasets import LeRobotDataset
from astra.datasets.lerobot.info import NamesWarning, data_file, dimension_names, height_width, read_meta
from tests.datasets.lerobot.recordings import write_version_2


def set_entry(folder: Path, keys: tuple[str, ...], value: Any) -> None:
    path = folder / "meta/info.json"
    info = entry = json.loads(path.read_text())
    for key in keys[:-1]:
        entry = entry.setdefault(key, {})
    entry[keys[-1]] = value
    path.write_text(json.dumps(info))


STATE = ("features", "observation.state")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        *((("fps",), fps, r"got fps .*, expected a positive number") for fps in (0, -1, None, "10", True, 1e999)),
        (("total_episodes",), "4", "total_episodes is '4', expected a whole number"),
        (("features",), [], "features is .*, expected an object"),
        (STATE, "float32", "expected an object with dtype and shape"),
        ((*STATE, "dtype"), None, "expected an object with dtype and shape"),
        ((*STATE, "shape"), None, "expected a list of positive whole numbers"),
        ((*STATE, "shape"), [-1], "expected a list of positive whole numbers"),
        ((*STATE, "shape"), [2**40], "expected at most 1,048,576 values"),
        ((*STATE, "names"), 3, "has the names 3"),
        ((*STATE, "dtype"), "string", r"'observation\.state' holds 'string', neither numbers nor images"),
        ((*STATE, "dtype"), "image", r"'observation\.state': got the shape \[3\], expected frames"),
        (("features", "observation.image", "dtype"), "float32", "named as a camera, but its dtype is 'float32'"),
        (("features", "observation.image", "shape"), [6, 9, 7], "expected frames of 1, 3 or 4 channels"),
        (("features", "observation./../../x"), {"dtype": "float32", "shape": [1]}, "without slashes"),
        (("astra",), [], "astra is .*, expected an object"),
        (("astra", "action_low"), [0.0, 0.0], "has action_low, but no action_binary, action_high"),
        (("astra", "views"), {"../x": [1, 2]}, r"astra\.views is"),
        (("astra", "max_pictured"), 2**40, r"astra\.max_pictured is"),
        (("astra", "action_bins"), ["a"], r"astra\.action_bins is"),
        *(
            (("data_path",), path, "expected a path inside the dataset")
            for path in (
                "{0}",
                True,
                "/etc/passwd",
                "../{file_index}",
                "{file_index.real}",
                "{file_index:0400000d}",
                "",
            )
        ),
    ],
)
def test_an_entry_that_cannot_be_right_is_named(
    dataset_folder: Path, keys: tuple[str, ...], value: Any, message: str
) -> None:
    set_entry(dataset_folder, keys, value)
    with pytest.raises(ValueError, match=message):
        LeRobotDataset.open(dataset_folder)


def test_a_column_that_is_not_described_is_named(dataset_folder: Path) -> None:
    path = dataset_folder / "meta/info.json"
    path.write_text(path.read_text().replace('"observation.state"', '"obzervation.state"'))
    with pytest.raises(ValueError, match=r"has the column observation\.state, which meta/info\.json does not describe"):
        LeRobotDataset.open(dataset_folder)


def test_files_that_hold_no_object_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "info.json"
    for content, message in (
        ("[]", "expected an object"),
        ("[" * 200_000, "not valid JSON"),
        ("\xff", "not valid JSON"),
    ):
        path.write_text(content, encoding="latin-1")
        with pytest.raises(ValueError, match=message):
            read_meta(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_meta(tmp_path / "pipe")


def test_paths_of_data_files_are_formatted_like_lerobot() -> None:
    info = {"codebase_version": "v3.0", "data_path": "data/chunk-{chunk_index:03d}/file-{file_index}.parquet"}
    assert data_file(info, 2, 11) == "data/chunk-002/file-11.parquet"


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ([30, 8, 3], ["height", "width", "channels"]),
        ([3, 30, 8], ["channels", "height", "width"]),
        ([3, 30, 8], None),
        ([1, 30, 8], ["channel", "height", "width"]),
        ([8, 30, 3], ["width", "height", "channels"]),
        ([30, 8, 4], None),
        ([30, 8], None),
    ],
)
def test_height_and_width_are_those_of_the_names(shape: list[int], names: list[str] | None) -> None:
    assert height_width({"dtype": "image", "shape": shape, "names": names}) == (30, 8)


def test_dimensions_are_named_by_lists_and_by_groups() -> None:
    assert dimension_names({"shape": [2], "names": ["x", "y"]}) == ("x", "y")
    assert dimension_names({"shape": [2], "names": [["x", "y"]]}) == ("x", "y")
    assert dimension_names({"shape": [3], "names": {"motors": ["x", "y"], "gripper": ["g"]}}) == ("x", "y", "g")
    assert dimension_names({"shape": [3], "names": ["x"]}) is None


@pytest.mark.parametrize("names", [["x"], {"kind": "arm"}, ["x", "y", "z"]])
def test_names_that_do_not_fit_the_actions_are_told_and_not_wrong(
    tmp_path: Path, names: object, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version_2(tmp_path / "data", version="v2.0", dtype="image", size=(8, 8))
    path = tmp_path / "data/meta/info.json"
    info = json.loads(path.read_text())
    info["features"]["action"]["names"] = names
    path.write_text(json.dumps(info))
    with pytest.warns(NamesWarning, match="names of action do not fit its 2 dimensions, which are called action_0"):
        LeRobotDataset.open(tmp_path / "data")
    assert main(["inspect", "dataset", str(tmp_path / "data")]) == 0
    assert "note: names of dimensions: " in capsys.readouterr().out


def test_a_change_of_the_file_after_astra_wrote_it_is_a_warning(dataset_folder: Path) -> None:
    path = dataset_folder / "meta/info.json"
    written = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LeRobotDataset.open(dataset_folder)
    path.write_bytes(written.replace(b'"robot_type"', b'"robot_typf"'))
    with pytest.warns(UserWarning, match=r"info.json was changed after Astra wrote it .* remove .*info.json.sha256"):
        LeRobotDataset.open(dataset_folder)
    (dataset_folder / "meta/info.json.sha256").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LeRobotDataset.open(dataset_folder)


def test_the_checksum_is_that_of_sha256sum(dataset_folder: Path) -> None:
    line = f"{hashlib.sha256((dataset_folder / 'meta/info.json').read_bytes()).hexdigest()}  info.json\n"
    assert (dataset_folder / "meta/info.json.sha256").read_text() == line
