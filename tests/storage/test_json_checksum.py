"""JSON files that Astra wrote are refused when they were changed, and say how to accept an edit."""

import json
from pathlib import Path

import numpy as np
import pytest

from astra.evaluation.json_shape import read_json as read_shaped
from astra.storage.json_checksum import checked_json, read_checked_json, take_checksum

CONTENT = {"policy": {"width": 128, "rates": (0.1, 1e-9), "name": "ä"}, "training": {"updates": 20, "ema": None}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(checked_json(CONTENT))
    return tmp_path / "config.json"


def test_what_was_written_is_read_back_in_any_layout(path: Path) -> None:
    expected = json.loads(json.dumps(CONTENT))
    assert read_checked_json(path, "JSON", "copy it again") == expected
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_checked_json(path, "JSON", "copy it again") == expected
    assert read_shaped(path, {"training": {"updates": int}}, "copy it again") == expected


def test_no_flipped_bit_changes_a_value_without_a_word(path: Path) -> None:
    whole = path.read_bytes()
    expected = read_checked_json(path, "JSON", "copy it again")
    random, refused = np.random.default_rng(0), 0
    for place in random.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_checked_json(path, "JSON", "copy it again")
        except ValueError:
            refused += 1
        else:
            assert {name: found.get(name) for name in expected} == expected
    assert refused > 100


def test_an_edit_is_refused_until_its_checksum_is_removed(path: Path) -> None:
    edited = json.loads(path.read_text())
    edited["training"]["updates"] = 21
    path.write_text(json.dumps(edited))
    with pytest.raises(
        ValueError, match=r"was changed after Astra wrote it.*copy it again.*remove its entry \"sha256\""
    ):
        read_checked_json(path, "JSON", "copy it again")
    del edited["sha256"]
    path.write_text(json.dumps(edited))
    assert read_checked_json(path, "JSON", "copy it again")["training"]["updates"] == 21


def test_a_checksum_is_written_anew_and_files_without_one_are_read(path: Path) -> None:
    again = json.loads(checked_json({**json.loads(path.read_text()), "more": 1}))
    assert take_checksum(again, path, "")["more"] == 1
    assert take_checksum({"old": 1}, path, "") == {"old": 1}
