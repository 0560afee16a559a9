"""Kept results that other hands changed: one message that names the folder, in bounded memory."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.evaluation import kept
from astra.paper.row_results import read_row
from tests.paper.tiny_table import write_results


@pytest.mark.parametrize(
    "spoil",
    [
        lambda episodes: None,
        lambda episodes: [],
        lambda episodes: "text",
        lambda episodes: [7],
        lambda episodes: [{**episodes[0], "success": 1.0}],
        lambda episodes: [{**episodes[0], "scores": {"coverage": "0.5"}}],
        lambda episodes: [{**episodes[0], "scores": {"coverage": float("nan")}}],
        lambda episodes: [{**episodes[0], "seed": None}],
    ],
)
def test_episodes_of_another_shape_are_refused(tmp_path: Path, spoil: Callable[[Any], Any]) -> None:
    write_results(tmp_path, "astra", 0, [True, False])
    path = tmp_path / "astra/0/eval_info.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "episodes": spoil(info["episodes"])}))
    with pytest.raises(ValueError, match=r"eval_info.json is damaged .*: remove .*astra/0 to run it again"):
        read_row(tmp_path / "astra")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b"{}", mtime=0)[:-3],
        gzip.compress(bytes(3000), mtime=0),
    ],
)
def test_compressed_lists_that_cannot_be_read_are_refused(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LARGEST", 2000)
    write_results(tmp_path, "astra", 0, [True])
    folder = tmp_path / "astra/0"
    (folder / "eval_info.json").write_text(json.dumps({kept.POINTER: kept.EPISODES}))
    (folder / kept.EPISODES).write_bytes(content)
    with pytest.raises(ValueError, match=r"eval_info.json is damaged"):
        read_row(tmp_path / "astra")
