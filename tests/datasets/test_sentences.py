"""Several sentences per instruction, chosen per epoch with a seed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from astra.cli.main import main
from astra.datasets import DatasetWriter, Episode, LeRobotDataset, Windows
from astra.datasets.sentences import FILE_NAME, read_sentences

TABLE = {"go left": ["go left", "turn to the left", "leftward"]}


@pytest.fixture
def told(dataset_folder: Path) -> LeRobotDataset:
    (dataset_folder / FILE_NAME).write_text(json.dumps(TABLE))
    return LeRobotDataset.open(dataset_folder)


def windows(dataset: LeRobotDataset, seed: int) -> Windows:
    sentences = read_sentences(dataset.folder, dataset.spec.instructions)
    return Windows(dataset, timesteps=1, sentences=sentences, seed=seed)


def heard(of: Windows, epoch: int) -> tuple[str, ...]:
    of.begin_epoch(epoch)
    return of.batch(np.arange(len(of))).instructions


def test_each_epoch_chooses_a_sentence_for_each_episode_by_the_seed(told: LeRobotDataset) -> None:
    first, same, other = windows(told, 0), windows(told, 0), windows(told, 1)
    assert set(first.spec.instructions) == {*TABLE["go left"], "go right"}
    assert first.batch(np.arange(24)).instructions == Windows(told, timesteps=1).batch(np.arange(24)).instructions
    epochs = [heard(first, epoch) for epoch in range(12)]
    for texts in epochs:
        left, right = texts[:7], texts[7:8]  # one sentence per episode; the other instruction has a single one
        assert len(set(left)) == 1
        assert left[0] in TABLE["go left"]
        assert right == ("go right",)
    assert {texts[0] for texts in epochs} == set(TABLE["go left"])
    assert heard(same, 11) == epochs[11]  # as after resuming
    assert [heard(other, epoch) for epoch in range(12)] != epochs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"go up": ["rise"]}, "which is no instruction of the dataset"),
        ({"go left": "left"}, "expected a list of sentences for 'go left'"),
        ({"go left": [""]}, "expected a list of sentences for 'go left'"),
        ({"go left": []}, "expected a list of sentences for 'go left'"),
        ([], "expected an object"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(dataset_folder: Path, content: object, message: str) -> None:
    (dataset_folder / FILE_NAME).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_sentences(dataset_folder, ["go left", "go right"])


def test_merged_datasets_keep_the_sentences_of_all(
    make_episode: Callable[..., Episode], told: LeRobotDataset, tmp_path: Path
) -> None:
    with DatasetWriter(tmp_path / "other", fps=5.0) as writer:
        writer.add(make_episode(3, camera=True))
        writer.tell({"go left": ["head left", "go left"]})
    sources = [str(told.folder), str(tmp_path / "other")]
    with pytest.warns(UserWarning, match="bounds of all data"):
        assert main(["convert", "lerobot", *sources, "--output", str(tmp_path / "both")]) == 0
    assert json.loads((tmp_path / "both" / FILE_NAME).read_text()) == {"go left": [*TABLE["go left"], "head left"]}
