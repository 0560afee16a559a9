import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from astra.analysis import side_by_side as module
from astra.analysis.side_by_side import differing_episodes, join_frames, side_by_side
from astra.evaluation.episode import EpisodeResult
from astra.evaluation.pictures.videos import read_video
from astra.evaluation.report import write_report


def info(outcomes: str, first_seed: int = 0) -> dict[str, Any]:
    """Build the part of an eval_info.json that is used; + is a solved episode."""
    episodes = [
        {
            "episode": number,
            "seed": first_seed + number,
            "task": "rotate",
            "group": "L1",
            "instruction": "turn it",
            "environment_instruction": "turn it",
            "success": outcome == "+",
        }
        for number, outcome in enumerate(outcomes)
    ]
    return {"episodes": episodes, "seeds": [row["seed"] for row in episodes]}


def frames(brightness: int, count: int) -> list[np.ndarray]:
    return [np.full((16, 24, 3), brightness, np.uint8) for _ in range(count)]


def test_episodes_are_those_that_one_alone_solves() -> None:
    left, right = differing_episodes(info("++--+"), info("+-+--"))
    assert [row["seed"] for row in left] == [1, 4]
    assert [row["seed"] for row in right] == [2]
    with pytest.raises(ValueError, match="both solve the same of 2 episodes"):
        differing_episodes(info("+-"), info("+-"))
    with pytest.raises(ValueError, match="evaluated in different episodes"):
        differing_episodes(info("+-"), info("-+", first_seed=50))


def test_episodes_of_a_chain_are_the_same_however_far_a_policy_got() -> None:
    left, right = info("+--"), info("---")
    for row, told in zip(left["episodes"], ("a, then b, then c", "a", "b"), strict=True):
        row["instruction"] = row["environment_instruction"] = told
    for row, told in zip(right["episodes"], ("a, then b", "a, then b", "c"), strict=True):
        row["instruction"] = row["environment_instruction"] = told
    assert differing_episodes(left, right) == ([left["episodes"][0]], [])
    with pytest.raises(ValueError, match="both solve the same of 2 episodes"):
        differing_episodes(right, {**left, "episodes": [{**row, "success": False} for row in left["episodes"]]})


def test_the_shorter_episode_rests_on_its_last_frame() -> None:
    cat = join_frames(frames(10, 2), [*frames(20, 3), *frames(30, 1)])
    assert [frame.shape for frame in cat] == 4 * [(16, 24 + 8 + 24, 3)]
    assert [int(frame[0, 0, 0]) for frame in cat] == [10, 10, 10, 10]
    assert [int(frame[0, -1, 0]) for frame in cat] == [20, 20, 20, 30]
    assert (cat[0][:, 24:32] == 255).all()


def test_a_run_must_be_measured_first(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="evaluate the policy first, with astra evaluate"):
        side_by_side(tmp_path, tmp_path)


def test_pairs_are_played_again_and_come_into_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(run: Path) -> Any:
        ours = run.name == "with"
        outcomes = "+++-" if ours else "---+"

        def play(rows: list[dict[str, Any]]) -> list[EpisodeResult]:
            # rounding: the first episode is solved by neither this time
            return [
                EpisodeResult(
                    seed=row["seed"],
                    task=row["task"],
                    group="L1",
                    instruction=row["instruction"],
                    environment_instruction=row["instruction"],
                    success=outcomes[row["episode"]] == "+" and row["episode"] != 0,
                    timesteps=2,
                    scores={},
                    max_reward=0.0,
                    sum_reward=0.0,
                    actions=np.zeros((2, 6)),
                    fps=1.0,
                    frames=tuple(frames(60 if ours else 120, 3)),
                )
                for row in rows
            ]

        return SimpleNamespace(label=run.name, info=info(outcomes), play=play)

    monkeypatch.setattr(module.Measured, "read", measured)
    run = tmp_path / "with"
    run.mkdir()
    (run / "config.json").write_text('{"experiment": "x"}')
    side_by_side(run, tmp_path / "without")
    folder = side_by_side(run, tmp_path / "without")  # what was there is written over
    assert folder == run / "eval/beside/without"
    pairs = json.loads((folder / "pairs.json").read_text())["pairs"]
    assert [(pair["seed"], pair["success"]) for pair in pairs] == [
        (1, [True, False]),
        (2, [True, False]),
        (3, [False, True]),
    ]
    video = read_video(folder / pairs[0]["video"])
    assert len(video) == 3
    assert abs(int(video[0][8, 4, 0]) - 60) < 4
    assert abs(int(video[0][8, -4, 0]) - 120) < 4
    html = write_report(run).read_text()
    assert html.count("<video") == 3
    assert html.count('"Film strip of with"') == html.count('"Film strip of without"') == 3
    assert "seed 3" in html
