import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from astra.evaluation.agents import ExpertAgent, NoOp
from astra.evaluation.episode import Case
from astra.evaluation.eval_info import read_summary
from astra.evaluation.evaluate import evaluate
from astra.evaluation.pictures.videos import read_video
from astra.evaluation.result_table import ResultTable, result_line
from astra.evaluation.seeds import over_seeds
from astra.storage.provenance import code_version

CASES = [Case(seed=seed, options={"goal": (2.0, -2.0)[seed % 2]}) for seed in range(5)]


def test_eval_info_has_lerobots_layout_and_more(world: ModuleType, tmp_path: Path) -> None:
    evaluation = evaluate(
        world.Walker(),
        world.Line,
        CASES,
        folder=tmp_path / "eval",
        num_videos=2,
        provenance={"checkpoint": "runs/walk"},
    )
    info = json.loads((tmp_path / "eval/eval_info.json").read_text())
    assert [(task["task_group"], task["task_id"]) for task in info["per_task"]] == [
        ("reach left", 0),
        ("reach right", 0),
    ]
    left, right = info["per_task"]
    assert set(left["metrics"]) == {"sum_rewards", "max_rewards", "successes", "video_paths"}
    assert [len(task["metrics"]["successes"]) for task in (left, right)] == [2, 3]
    assert left["metrics"]["video_paths"] == ["videos/eval_episode_1.mp4"]
    expected = {"avg_sum_reward", "avg_max_reward", "pc_success", "n_episodes", "video_paths", "intervals"}
    assert set(info["per_group"]) == {"reach left", "reach right"}
    assert set(info["per_group"]["reach left"]) == expected
    assert set(info["overall"]) == expected | {"eval_s", "eval_ep_s"}
    assert info["overall"]["pc_success"] == 100
    assert info["overall"]["intervals"]["success"]["low"] == pytest.approx(0.5655, abs=1e-4)
    assert info["seeds"] == [0, 1, 2, 3, 4]
    assert [episode["seed"] for episode in info["episodes"]] == info["seeds"]
    assert info["checkpoint"] == "runs/walk"
    assert info["command"]
    assert info["code_version"] == code_version()
    assert read_summary(info) == evaluation.summary


def test_videos_and_film_strips_of_the_first_cases_are_written(world: ModuleType, tmp_path: Path) -> None:
    evaluation = evaluate(world.Walker(), world.Line, CASES, folder=tmp_path, num_envs=2, num_videos=2)
    assert sorted(path.name for path in tmp_path.rglob("*.mp4")) == ["eval_episode_0.mp4", "eval_episode_1.mp4"]
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["film_strip_0.png", "film_strip_1.png"]
    for number in (0, 1):
        frames = read_video(tmp_path / f"videos/eval_episode_{number}.mp4")
        assert len(frames) == evaluation.results[number].timesteps + 1
    assert not any(result.frames for result in evaluation.results)


def test_a_swapped_control_tells_what_was_asked_and_what_was_told(
    world: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.evaluation.pictures.videos import film_strip

    titles: list[str] = []

    def drawn(frames: Any, title: str, done: Any) -> Any:
        titles.append(title)
        return film_strip(frames, title=title, done=done)

    monkeypatch.setattr("astra.evaluation.evaluate.film_strip", drawn)
    swapped = [Case(seed=0, options={"goal": 2.0}, instruction="left"), Case(seed=0, options={"goal": 2.0})]
    evaluate(world.Walker(), world.Line, swapped[:1], folder=tmp_path, name="swapped", num_videos=1)
    evaluate(world.Walker(), world.Line, swapped[1:], folder=tmp_path / "policy", name="policy", num_videos=1)
    assert titles == ["left (swapped, seed 0); the goal: right", "right (policy, seed 0)"]
    (task,) = json.loads((tmp_path / "eval_info.json").read_text())["per_task"]
    assert (task["environment_instruction"], task["instruction"]) == ("right", "left")


def test_the_terminal_shows_agents_beside_each_other(world: ModuleType, tmp_path: Path) -> None:
    policy = evaluate(world.Walker(), world.Line, CASES, folder=tmp_path).summary
    no_op = evaluate(NoOp(), world.Line, CASES, folder=tmp_path / "no-op", name="no-op").summary
    expert = evaluate(ExpertAgent(world.Guide), world.Line, CASES, folder=tmp_path / "expert", name="expert").summary
    line = result_line("near", policy, no_op, expert)
    assert line.startswith(f"RESULT score={policy.scores['near'].value:.2f} [")
    assert line.endswith(f"expert={expert.scores['near']}")
    assert line.count("[") == 3
    terminal = io.StringIO()
    Console(width=80, file=terminal).print(ResultTable({"policy": policy, "no-op": no_op}))
    assert "1.00 [0.57, 1.00]" in terminal.getvalue()


def test_no_cases_is_an_error(world: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one episode"):
        evaluate(NoOp(), world.Line, [], folder=tmp_path)


def test_tasks_with_scores_of_their_own_have_means_of_those_that_all_share(world: ModuleType, tmp_path: Path) -> None:
    class Two(world.Line):
        def step(self, action: np.ndarray) -> tuple[Any, ...]:
            *others, info = super().step(action)
            own = {"opened": 1.0} if self.goal > 0 else {"closed": 0.5}
            return *others, {**info, "scores": {**own, **info["scores"]}}

    infos = {}
    for seed in (0, 1):
        evaluate(world.Walker(), Two, CASES[:4], folder=tmp_path / str(seed))
        infos[seed] = json.loads((tmp_path / str(seed) / "eval_info.json").read_text())
    for info in (infos[0], over_seeds(infos)):
        assert list(info["overall"]["intervals"]["scores"]) == ["near"]
        left, right = info["per_task"]
        assert left["intervals"]["scores"]["closed"]["value"] == 0.5
        assert right["intervals"]["scores"]["opened"]["value"] == 1.0
