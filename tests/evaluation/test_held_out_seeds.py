"""Runs of several training seeds without a simulator: one report with the curves and errors of all."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astra.evaluation.held_out_info import BASELINES, POLICY
from astra.evaluation.held_out_seeds import aggregate_held_out
from astra.evaluation.report import write_report
from astra.evaluation.seeds import aggregate, seed_runs
from astra.evaluation.statistics import nested_bootstrap
from astra.evaluation.success import bootstrap_interval

NAMES = (POLICY, *BASELINES)


def held_out(seed: int, episodes: int) -> dict[str, Any]:
    """Return a held_out.json in which the policy's error is 0.1 and more, and those of the baselines larger."""
    random = np.random.default_rng(seed)
    values = {name: 0.1 * (1 + number) + 0.01 * random.random(episodes) for number, name in enumerate(NAMES)}
    estimates = {name: asdict(bootstrap_interval(each)) for name, each in values.items()}
    return {
        **{"checkpoint": "000002", "dataset": "data", "episodes": episodes, "held_out_episodes": episodes},
        **{"timesteps": 9 * episodes, "n_action_steps": 1, "temperature": 0.0},
        "dimensions": [{"name": f"joint {seed}", "errors": estimates}, {"name": "grip", "errors": estimates}],
        "all": estimates,
        "differences": {name: asdict(bootstrap_interval(values[POLICY] - values[name])) for name in BASELINES},
        "each": [
            {
                "scaled": {name: float(values[name][row]) for name in NAMES},
                "errors": {name: [7.0, float(values[name][row])] for name in NAMES},
            }
            for row in range(episodes)
        ],
        "shown": [
            {"episode": 3, "choice": "median error", "instruction": "go", "error": 0.1, "plot": "a.png", "frames": {}}
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, episodes in ((0, 3), (4, 5)):
        run = tmp_path / "runs" / str(seed)
        (run / "checkpoints").mkdir(parents=True)
        (run / "held_out").mkdir()
        (run / "config.json").write_text(json.dumps({"description": {"experiment": "own-data"}}))
        lines = [{"update": update, "train/loss": 1.0 / update + seed} for update in range(1, 4 + seed)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "held_out" / "held_out.json").write_text(json.dumps(held_out(seed, episodes)))
        (run / "held_out" / "a.png").write_bytes(b"picture")
    return tmp_path / "runs"


def test_errors_of_all_seeds_are_put_together(folder: Path) -> None:
    runs = seed_runs(folder)
    path = aggregate_held_out(runs, folder / "held_out")
    assert path is not None
    info = json.loads(path.read_text())
    each = {seed: [row["scaled"][POLICY] for row in held_out(seed, n)["each"]] for seed, n in ((0, 3), (4, 5))}
    assert info["all"][POLICY]["value"] == pytest.approx(np.mean([np.mean(values) for values in each.values()]))
    assert [dimension["name"] for dimension in info["dimensions"]] == ["grip"]
    assert (info["episodes"], info["timesteps"]) == (8, 72)
    assert [row["seed"] for row in info["training_seeds"]] == [0, 4]
    assert info["differences"][BASELINES[0]]["high"] < 0


def test_the_report_of_seeds_shows_curves_errors_and_an_episode_of_each(folder: Path) -> None:
    runs = seed_runs(folder)
    assert aggregate(runs, folder / "eval") == {}
    aggregate_held_out(runs, folder / "held_out")
    html = write_report(folder).read_text()
    for text in ("2 training seeds: 0, 4", "<h2>Training", "Thin lines", "training seed 4, median error of the 5"):
        assert text in html
    assert "does not beat" not in html
    assert html.count("cGljdHVyZQ==") == 2
    assert "<td>4</td><td>5</td>" in html


def test_seeds_without_held_out_episodes_are_named_if_others_have_them(folder: Path) -> None:
    (folder / "4/held_out/held_out.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"4/held_out/held_out.json does not exist"):
        aggregate_held_out(seed_runs(folder), folder / "held_out")
    (folder / "0/held_out/held_out.json").unlink()
    assert aggregate_held_out(seed_runs(folder), folder / "held_out") is None


def test_the_interval_over_seeds_and_their_episodes_covers_both() -> None:
    random = np.random.default_rng(0)
    seeds = [random.normal(center, 0.1, 20) for center in (-1.0, 0.0, 1.0)]
    wide, narrow = nested_bootstrap(seeds), nested_bootstrap([seeds[1] - seeds[1].mean()] * 3)
    assert wide.low < -0.5 < 0.5 < wide.high
    assert -0.05 < narrow.low < 0 < narrow.high < 0.05


def test_curves_of_several_runs_are_drawn_with_their_mean() -> None:
    from astra.evaluation.pictures.plots import learning_curves

    runs = [{"loss": {"train": [(1, 2.0 + seed), (2, 1.0 + seed)]}} for seed in range(2)]
    runs[1]["loss"]["train"].append((3, 0.0))
    *each, mean = learning_curves(*runs).axes[0].get_lines()
    assert [len(line.get_xdata()) for line in each] == [2, 3]  # pyright: ignore[reportArgumentType]
    assert np.asarray(mean.get_ydata()).tolist() == [2.5, 1.5]
