"""Evaluations of several training seeds, put together."""

import copy
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from astra.evaluation.agents import NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import evaluate
from astra.evaluation.report import write_report
from astra.evaluation.seeds import aggregate, over_seeds, seed_runs
from astra.evaluation.statistics import two_level_bootstrap


@pytest.fixture
def folder(world: ModuleType, tmp_path: Path) -> Path:
    """Two training seeds: the first walks, the second stands still."""
    cases = [Case(seed=seed) for seed in range(4)]
    for seed, agent in enumerate((world.Walker(), NoOp())):
        run = tmp_path / "runs" / str(seed)
        (run / "checkpoints").mkdir(parents=True)
        (run / "config.json").write_text("{}")
        evaluate(agent, world.Line, cases, folder=run / "eval")
    return tmp_path / "runs"


def test_the_runs_of_a_folder_are_found_by_their_seeds(folder: Path) -> None:
    assert seed_runs(folder) == {0: folder / "0", 1: folder / "1"}
    assert seed_runs(folder / "0") == {}


def test_means_are_over_seeds_and_episodes_with_intervals_over_both(folder: Path) -> None:
    summary = aggregate(seed_runs(folder), folder / "eval")["policy"]
    info = json.loads((folder / "eval" / "eval_info.json").read_text())
    won = np.array([row["success"] for row in info["episodes"]], np.float64).reshape(2, -1)
    assert won.mean(axis=1).tolist() == [1.0, 0.0]
    assert summary.success == two_level_bootstrap(won)
    assert (summary.success.low, summary.success.high) == (0.0, 1.0)
    assert [row["training_seed"] for row in info["episodes"]] == [0] * 4 + [1] * 4
    assert info["training_seeds"] == "0 1"
    html = write_report(folder).read_text()
    assert "2 training seeds: 0, 1" in html
    assert "with bootstrap intervals over both" in html
    assert "Wilson" not in html
    assert "success rates with Wilson intervals" in write_report(folder / "0").read_text()


def test_seeds_on_other_episodes_are_not_put_together(folder: Path) -> None:
    infos = {seed: json.loads((folder / str(seed) / "eval" / "eval_info.json").read_text()) for seed in (0, 1)}
    fewer, others = copy.deepcopy(infos), copy.deepcopy(infos)
    del fewer[1]["episodes"][-1]
    others[1]["episodes"][-1]["seed"] += 1
    for changed in (fewer, others):
        with pytest.raises(ValueError, match="seeds 0 and 1 were evaluated on other episodes"):
            over_seeds(changed)


def test_a_seed_without_an_evaluation_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "1" / "eval")
    with pytest.raises(FileNotFoundError, match=r"runs/1/eval/eval_info.json does not exist"):
        aggregate(seed_runs(folder), folder / "eval")


def test_only_the_agents_of_an_evaluation_are_put_together(folder: Path) -> None:
    shutil.copytree(folder / "0" / "eval", folder / "0" / "eval" / "no-op")  # an earlier evaluation of one seed
    assert list(aggregate(seed_runs(folder), folder / "eval", agents=("policy",))) == ["policy"]
    assert not (folder / "eval" / "no-op").exists()
    with pytest.raises(FileNotFoundError, match=r"1/eval/no-op/eval_info.json does not exist"):
        aggregate(seed_runs(folder), folder / "eval")


@pytest.mark.parametrize("group", ["scene D", ""])
def test_chains_in_which_seeds_get_differently_far_are_put_together(
    world: ModuleType, tmp_path: Path, group: str
) -> None:
    infos = {}
    for seed, agent in enumerate((NoOp(), world.Walker(history=40))):
        cases = [Case(seed=number, options={"chain": (2.0, -2.0)[number:]}, group=group) for number in range(2)]
        evaluate(agent, world.Chain, cases, folder=tmp_path / str(seed))
        infos[seed] = json.loads((tmp_path / str(seed) / "eval_info.json").read_text())
    info = over_seeds(infos)
    assert [row["success"] for row in info["episodes"]] == [False, False, True, True]
    assert [row["instruction"] for row in info["episodes"]] == ["right", "left", "right, then left", "left"]
    assert info["overall"]["intervals"]["success"]["value"] == 0.5
    assert all(task["intervals"]["success"]["value"] == 0.5 for task in info["per_task"])
    infos[0]["episodes"][0]["environment_instruction"] = "left"
    with pytest.raises(ValueError, match="seeds 0 and 1 were evaluated on other episodes"):
        over_seeds(infos)
