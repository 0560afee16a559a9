import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest


def an_evaluation() -> dict[str, Any]:
    return {
        "per_task": [
            {"task_group": "L1", "task": "push", "metrics": {"successes": [True, False]}, "intervals": {"low": 0.1}},
            {"task_group": "L1", "task": "turn", "metrics": {"successes": [False]}, "intervals": {"low": 0.0}},
        ],
        "overall": {"n_episodes": 3},
        "agent": "policy",
        "seeds": [5, 6, 5],
        "episodes": [{"seed": 5, "success": True}, {"seed": 6, "success": False}, {"seed": 5, "success": False}],
    }


def test_an_evaluation_comes_back_whole_and_its_text_holds_no_list_per_episode(tmp_path: Path) -> None:
    from astra.evaluation.kept import read_kept, write_kept

    write_kept(an_evaluation(), tmp_path)
    assert read_kept(tmp_path) == an_evaluation()
    text = json.loads((tmp_path / "eval_info.json").read_text())
    assert text.keys() == {"per_task", "overall", "agent", "lists_per_episode", "sha256"}
    assert all("metrics" not in task and "intervals" in task for task in text["per_task"])


def test_the_same_evaluation_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    from astra.evaluation.kept import EPISODES, write_kept

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_kept(an_evaluation(), tmp_path / name)
    assert (tmp_path / "one" / EPISODES).read_bytes() == (tmp_path / "two" / EPISODES).read_bytes()


def test_a_changed_number_is_refused_in_the_text_and_in_the_lists(tmp_path: Path) -> None:
    from astra.evaluation.kept import EPISODES, read_kept, write_kept

    write_kept(an_evaluation(), tmp_path)
    text, lists = tmp_path / "eval_info.json", tmp_path / EPISODES
    written = text.read_text(), lists.read_bytes()
    text.write_text(written[0].replace('"low": 0.1', '"low": 0.2'))
    with pytest.raises(ValueError, match=r"eval_info.json was changed after Astra wrote it"):
        read_kept(tmp_path)
    text.write_text(written[0])
    lists.write_bytes(gzip.compress(gzip.decompress(written[1]).replace(b"false", b"true", 1)))
    with pytest.raises(ValueError, match=r"eval_info.json was changed after Astra wrote it"):
        read_kept(tmp_path)


def test_an_evaluation_in_one_file_is_read_too(tmp_path: Path) -> None:
    from astra.evaluation.kept import read_kept

    (tmp_path / "eval_info.json").write_text(json.dumps(an_evaluation()))
    assert read_kept(tmp_path) == an_evaluation()


def test_a_lost_file_of_episodes_is_an_error(tmp_path: Path) -> None:
    from astra.evaluation.kept import EPISODES, read_kept, write_kept

    write_kept(an_evaluation(), tmp_path)
    (tmp_path / EPISODES).unlink()
    with pytest.raises(FileNotFoundError, match=EPISODES):
        read_kept(tmp_path)


def test_lists_are_read_from_the_folder_of_the_evaluation_only(tmp_path: Path) -> None:
    from astra.evaluation.kept import EPISODES, POINTER, read_kept, write_kept

    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_kept(an_evaluation(), tmp_path / name)
    file = tmp_path / "one" / "eval_info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {POINTER: f"../other/{EPISODES}"}))
    with pytest.raises(ValueError, match=r"names '\.\./other"):
        read_kept(tmp_path / "one")


@pytest.mark.parametrize("name", ["eval_info.json", "episodes.json.gz"])
def test_files_of_any_size_are_not_loaded(tmp_path: Path, name: str) -> None:
    from astra.evaluation.kept import read_kept, write_kept

    write_kept(an_evaluation(), tmp_path)
    os.truncate(tmp_path / name, 4 * 2**30)
    with pytest.raises(ValueError, match=rf"{name} has 4,294,967,296 bytes, expected at most"):
        read_kept(tmp_path)
