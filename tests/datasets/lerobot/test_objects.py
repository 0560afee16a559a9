"""Objects and pictured prompts on disk: they are read as they were written, gathered into windows, and checked."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from astra.datasets import DatasetWriter, Episode, LeRobotDataset, Windows, describe
from astra.objects import ObjectSpec, Pictures, placeholders
from astra.trajectory import ActionSpec

VIEWS = {"top": (128, 256), "front": (64, 96)}
ACTIONS = ActionSpec(
    names=("x", "angle"), low=(0.25, -np.pi), high=(0.75, np.pi), periodic=(False, True), bins=(50, 73)
)
INSTRUCTIONS = ("put the {dragged} into the {base} .", "rearrange to this {scene}", "stop now")
OBJECTS = 3


def objects_of(*shape: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    valid = generator.random(shape) < 0.7
    valid.flat[0] = True
    return {
        "crops": generator.integers(0, 256, (*shape, 32, 32, 3), dtype=np.uint8),
        "boxes": generator.random((*shape, 4), dtype=np.float32),
        "valid": valid,
    }


def pictures_of(instruction: str, generator: np.random.Generator) -> Pictures:
    return {
        name: {view: objects_of(2 if name == "scene" else 1, generator=generator) for view in VIEWS}
        for name in placeholders(instruction)
    }


def episode_of(seed: int, length: int, pictures_seed: int | None = None) -> Episode:
    generator = np.random.default_rng(seed)
    instruction = INSTRUCTIONS[seed % 3]
    action = generator.random((length, 2), dtype=np.float32)
    columns = {"action": action, "observation.end_effector": np.eye(2, dtype=np.float32)[[seed % 2] * length]}
    for view in VIEWS:
        parts = objects_of(length, OBJECTS, generator=generator)
        columns |= {f"observation.objects.{view}.{part}": values for part, values in parts.items()}
    pictured = np.random.default_rng(seed if pictures_seed is None else pictures_seed)
    return Episode(instruction=instruction, columns=columns, fps=1.0, pictures=pictures_of(instruction, pictured))


@pytest.fixture
def pictured() -> list[Episode]:
    """Build episodes of 1 to 4 timesteps; the first and the fourth have equal prompts, every third has no pictures."""
    return [episode_of(seed, 1 + seed % 4, pictures_seed=0 if seed == 3 else None) for seed in range(6)]


def write(folder: Path, episodes: list[Episode]) -> Path:
    with DatasetWriter(folder, fps=1.0, actions=ACTIONS, views=VIEWS) as writer:
        for episode in episodes:
            writer.add(episode)
    return folder


def assert_equal(a: Episode, b: Episode) -> None:
    assert a.instruction == b.instruction
    assert a.columns.keys() == b.columns.keys()
    for column, values in a.columns.items():
        assert values.dtype == b.columns[column].dtype
        np.testing.assert_array_equal(values, b.columns[column])
    assert list(a.pictures) == list(b.pictures)
    for name, shown in a.pictures.items():
        assert shown.keys() == b.pictures[name].keys()
        for view, parts in shown.items():
            for part, values in parts.items():
                assert values.dtype == b.pictures[name][view][part].dtype
                np.testing.assert_array_equal(values, b.pictures[name][view][part])


def test_what_was_written_is_read(tmp_path: Path, pictured: list[Episode]):
    dataset = LeRobotDataset.open(write(tmp_path / "data", pictured))
    for index, episode in enumerate(pictured):
        assert_equal(dataset.episode(index), episode)
    assert dataset.spec.actions == ACTIONS
    assert dataset.spec.states == {"observation.end_effector": 2}
    assert dataset.spec.images == {}
    assert dataset.spec.instructions == tuple(sorted(INSTRUCTIONS))
    objects = dataset.spec.objects
    assert objects is not None
    assert (dict(objects.views), objects.max_objects, objects.max_pictured) == (VIEWS, OBJECTS, 2)


def test_equal_prompts_are_stored_once(tmp_path: Path, pictured: list[Episode]):
    dataset = LeRobotDataset.open(write(tmp_path / "data", pictured))
    assert dataset.prompts is not None
    assert dataset.prompts.of_episode.tolist() == [0, 1, -1, 0, 2, -1]
    assert dict(describe(dataset))["prompts with pictures"] == "3, with 2 to 2 objects each"


def test_a_batch_holds_the_objects_and_pictures_of_its_windows(tmp_path: Path, pictured: list[Episode]):
    dataset = LeRobotDataset.open(write(tmp_path / "data", pictured))
    windows = Windows(dataset, timesteps=3)
    batch = windows.batch(np.arange(len(windows)))
    assert batch.pictures is not None
    window = 0
    for episode in pictured:
        for start in range(len(episode)):
            seen = min(len(episode) - start, 3)
            for view in VIEWS:
                objects = batch.objects[view]
                for part in ("crops", "boxes", "valid"):
                    values = getattr(objects, part)[window]
                    written = torch.from_numpy(episode.columns[f"observation.objects.{view}.{part}"])
                    assert torch.equal(values[:seen], written[start : start + seen])
                    assert not values[seen:].any()
                numbers = batch.pictures.placeholder[window]
                pictures = batch.pictures.views[view]
                names = [name for name, shown in episode.pictures.items() for _ in shown[view]["valid"]]
                assert numbers.tolist() == [list(episode.pictures).index(name) for name in names] + [-1] * (
                    2 - len(names)
                )
                if names:
                    crops = np.concatenate([shown[view]["crops"] for shown in episode.pictures.values()])
                    assert torch.equal(pictures.crops[window], torch.from_numpy(crops))
                else:
                    assert not pictures.valid[window].any()
            window += 1
    words_alone = windows.batch(
        np.array([index for index in range(len(windows)) if not windows.batch(np.array([index])).pictures])
    )
    assert words_alone.pictures is None


def test_one_view_can_be_read_alone(tmp_path: Path, pictured: list[Episode]):
    dataset = LeRobotDataset.open(write(tmp_path / "data", pictured), {"observation.objects.top"})
    assert dataset.spec.objects is not None
    assert dict(dataset.spec.objects.views) == {"top": VIEWS["top"]}
    assert dataset.spec.states == {}
    batch = Windows(dataset, timesteps=1).batch(np.arange(3))
    assert list(batch.objects) == ["top"]
    assert batch.pictures is not None
    assert list(batch.pictures.views) == ["top"]


def test_what_is_not_read_is_neither_decoded_nor_gathered(tmp_path: Path, pictured: list[Episode]):
    random = np.random.default_rng(1)
    camera = "observation.images.top"
    filmed = [
        replace(
            episode,
            columns={**episode.columns, camera: random.integers(0, 256, (len(episode), 8, 12, 3), dtype=np.uint8)},
        )
        for episode in pictured
    ]
    folder = write(tmp_path / "data", filmed)
    without = LeRobotDataset.open(folder, reads=("vectors", "objects"))
    assert without.spec == LeRobotDataset.open(write(tmp_path / "plain", pictured)).spec
    assert not list(folder.rglob(f"{camera}.npy"))
    assert Windows(without, timesteps=2).batch(np.arange(3)).images == {}

    seen = LeRobotDataset.open(folder, reads=("images",))
    assert seen.spec.images == {camera: (8, 12)}
    assert seen.spec.states == {"observation.end_effector": 2}
    assert seen.spec.objects == ObjectSpec(views=VIEWS, max_objects=0, max_pictured=2)
    assert not [column for column in seen.columns if "objects" in column]
    batch = Windows(seen, timesteps=2).batch(np.arange(3))
    assert batch.objects == {}
    assert batch.pictures is not None
    every = Windows(LeRobotDataset.open(folder), timesteps=2).batch(np.arange(3))
    assert every.pictures is not None
    assert torch.equal(batch.images[camera], every.images[camera])
    for view in VIEWS:
        assert torch.equal(batch.pictures.views[view].crops, every.pictures.views[view].crops)
    assert "pictures" in str(describe(seen))
    one = LeRobotDataset.open(folder, {"observation.objects.front", camera}, reads=("images",)).spec
    assert one.images == {camera: (8, 12)}
    assert one.objects == ObjectSpec(views={"front": VIEWS["front"]}, max_objects=0, max_pictured=2)


def test_lerobot_knows_every_column_of_the_data_files(tmp_path: Path, pictured: list[Episode]):
    folder = write(tmp_path / "data", pictured)
    features = json.loads((folder / "meta/info.json").read_text())["features"]
    assert features["observation.objects.top.crops"] == {
        "dtype": "image",
        "shape": [32, 32 * OBJECTS, 3],
        "names": ["height", "width", "channels"],
    }
    assert features["observation.objects.top.boxes"] == {"dtype": "float32", "shape": [4 * OBJECTS], "names": None}
    assert features["observation.objects.top.valid"] == {"dtype": "bool", "shape": [OBJECTS], "names": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction": "put the {dragged} away"}, r"episode 0: there is a picture for 'base', but the instruction"),
        ({"instruction": "{dragged} {base} {third}"}, r"episode 0: .* placeholder \{third\}, but there is no picture"),
        ({"pictures": {}}, r"placeholder \{dragged\}, but there is no picture for it; there are pictures for: none"),
    ],
)
def test_pictures_and_placeholders_must_fit(
    tmp_path: Path, pictured: list[Episode], change: dict[str, object], message: str
):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "data", [replace(pictured[0], **change)])
    assert not (tmp_path / "data").exists()


def test_a_bad_column_of_objects_is_named(tmp_path: Path, pictured: list[Episode]):
    episode = pictured[0]

    def change(column: str, values: np.ndarray | None) -> Episode:
        columns = {name: array for name, array in episode.columns.items() if name != column}
        return replace(episode, columns=columns if values is None else {**columns, column: values})

    crops, boxes = "observation.objects.top.crops", "observation.objects.front.boxes"
    wrong = {
        r"view 'top' lack the column observation.objects.top.crops": change(crops, None),
        r"crops'.*float32 of shape.*expected uint8": change(crops, episode.columns[crops].astype(np.float32)),
        r"boxes'.*expected float32 of shape \(timesteps, objects, 4\)": change(boxes, episode.columns[boxes][..., 0]),
        r"all views need arrays of the same number of objects": change(boxes, episode.columns[boxes][:, :2]),
    }
    for message, bad in wrong.items():
        with pytest.raises(ValueError, match=message):
            write(tmp_path / "data", [bad])


def test_a_view_of_unknown_size_is_refused(tmp_path: Path, pictured: list[Episode]):
    with pytest.raises(ValueError, match=r"view 'front', whose size is unknown.*it got top"):  # noqa: SIM117
        with DatasetWriter(tmp_path / "data", fps=1.0, views={"top": (128, 256)}) as writer:
            writer.add(pictured[0])


@pytest.mark.parametrize("column", ["placeholder", "top.crops", "front.boxes", "front.valid"])
@pytest.mark.parametrize("value", ["text", {"a": 1}, [["text"]], 7])
def test_prompts_of_another_type_are_refused_by_the_column(
    tmp_path: Path, pictured: list[Episode], column: str, value: object
) -> None:
    folder = write(tmp_path / "data", pictured)
    path = folder / "meta/prompts.parquet"
    whole = pq.read_table(path)
    values = pa.array([value] * len(whole))
    pq.write_table(whole.set_column(whole.schema.get_field_index(column), column, values), path)
    with pytest.raises(ValueError, match=rf"column '{column}': got values of type .*, expected .*; copy the dataset"):
        LeRobotDataset.open(folder)


def test_damaged_prompts_are_reported(tmp_path: Path, pictured: list[Episode]):
    folder = write(tmp_path / "data", pictured)
    path = folder / "meta/prompts.parquet"
    whole = pq.read_table(path)

    def spoil(table: pa.Table) -> None:
        pq.write_table(table, path)

    spoil(whole.slice(0, 2))
    with pytest.raises(ValueError, match=r"episode 4, .* but prompt 2 of 2 has none; copy the whole dataset again"):
        LeRobotDataset.open(folder)
    spoil(whole.drop_columns(["front.boxes"]))
    with pytest.raises(ValueError, match=r"prompts.parquet has no column front.boxes"):
        LeRobotDataset.open(folder)
    crops = pa.array([value.as_py()[:100] for value in whole["top.crops"]], pa.binary())
    spoil(whole.set_column(whole.schema.get_field_index("top.crops"), "top.crops", crops))
    with pytest.raises(ValueError, match=r"prompt 0, view 'top': got 100 numbers of crops, expected 6144"):
        LeRobotDataset.open(folder)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"prompts.parquet is not a valid parquet file"):
        LeRobotDataset.open(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"prompts.parquet is missing: copy the dataset again"):
        LeRobotDataset.open(folder)
