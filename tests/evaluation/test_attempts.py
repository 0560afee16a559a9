"""Attempts of episodes, such as grasps: counted, summarized, written, read and printed."""

import numpy as np

from astra.evaluation.episode import EpisodeResult
from astra.evaluation.eval_info import eval_info, read_summary
from astra.evaluation.result_table import recovery_lines
from astra.evaluation.seeds import over_seeds


def episode(seed: int, attempts: tuple[int, ...] | None, *, missed: bool | None, success: bool) -> EpisodeResult:
    return EpisodeResult(
        seed=seed,
        task="red-ball-into-bowl",
        instruction="pick",
        environment_instruction="pick",
        success=success,
        timesteps=60,
        scores={},
        max_reward=float(success),
        sum_reward=float(success),
        actions=np.zeros((1, 1)),
        fps=20.0,
        attempts=attempts,
        missed=missed,
    )


def test_attempts_per_episode_and_timesteps_between_them_are_summarized_written_and_printed() -> None:
    results = [
        episode(0, (10,), missed=False, success=True),
        episode(1, (10, 20, 34), missed=True, success=True),
        episode(2, (), missed=False, success=False),
        episode(3, (12, 30), missed=True, success=False),
    ]
    info = eval_info(results, agent="policy", seconds=1.0, video_paths={})
    assert [row["attempts"] for row in info["episodes"]] == [[10], [10, 20, 34], [], [12, 30]]
    for summary in (read_summary(info), read_summary(over_seeds({0: info, 1: info}))):
        assert summary.attempts is not None
        assert summary.attempts.value == 1.5
        assert summary.between_attempts is not None
        assert summary.between_attempts.value == (12 + 18) / 2
        assert summary.recovery is not None
        assert summary.recovery.value == 0.5
        (line,) = recovery_lines({"policy": summary})
        assert line.startswith("policy: attempts per episode 1.50 [")
        half = summary.episodes // 2
        assert f"the first failed in {half} of {summary.episodes} episodes, success after that 0.50 [" in line
        assert "timesteps between attempts 15.0 [" in line


def test_environments_that_count_no_attempts_have_none_in_their_results() -> None:
    info = eval_info([episode(0, None, missed=None, success=True)], agent="policy", seconds=1.0, video_paths={})
    assert "attempts" not in info["episodes"][0]
    assert "attempts" not in info["overall"]["intervals"]
    assert recovery_lines({"policy": read_summary(info)}) == []
