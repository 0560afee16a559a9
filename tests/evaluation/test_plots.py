import json
from pathlib import Path

import numpy as np
import pytest

from astra.evaluation.pictures.plots import learning_curves, read_metrics, result_bars
from astra.evaluation.pictures.style import png
from astra.evaluation.success import Summary, bootstrap_interval, wilson_interval


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    rows = [{"update": n, "train/learning_rate": 0.1, "train/loss": 1 / (1 + n), "time": "now"} for n in range(100)]
    rows += [
        {"update": 50, "validation/loss": 0.5, "evaluation/reward": float("nan")},
        {"update": 3, "train/loss": 9.0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_metrics_are_grouped_by_measure_with_the_later_line_winning(metrics: Path) -> None:
    curves = read_metrics(metrics)
    assert list(curves) == ["loss", "learning_rate"]  # no word, no NaN
    assert list(curves["loss"]) == ["train", "validation"]
    assert curves["loss"]["validation"] == [(50, 0.5)]
    assert curves["loss"]["train"][2:5] == [(2, 1 / 3), (3, 9.0), (4, 1 / 5)]


def test_each_measure_has_a_panel_with_a_line_for_each_source(metrics: Path) -> None:
    figure = learning_curves(read_metrics(metrics))
    loss, rate = figure.axes
    assert [axes.get_title(loc="left") for axes in (loss, rate)] == ["loss", "learning rate"]
    legend = loss.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["train", "validation"]
    assert png(figure).startswith(b"\x89PNG")


def test_the_moving_average_of_a_long_curve_is_as_long_as_the_curve(metrics: Path) -> None:
    faint, average, _ = learning_curves(read_metrics(metrics)).axes[0].get_lines()
    assert np.shape(average.get_xdata()) == np.shape(faint.get_xdata()) == (100,)


def test_result_bars_show_each_agents_value_and_interval() -> None:
    summaries = {
        agent: Summary(
            episodes=10,
            success=wilson_interval(successes, 10),
            scores={"reward": bootstrap_interval([successes / 10, 1.0])},
            mean_timesteps=5,
        )
        for agent, successes in (("policy", 7), ("no-op", 0))
    }
    figure = result_bars(summaries)
    reward, success = figure.axes
    assert [bar.get_width() for bar in success.patches] == [0.7, 0.0]  # pyright: ignore[reportAttributeAccessIssue]
    assert [label.get_text() for label in reward.get_yticklabels()] == ["policy", "no-op"]
    interval = np.asarray(success.get_lines()[0].get_xdata())
    assert tuple(interval) == (summaries["policy"].success.low, summaries["policy"].success.high)
    assert png(figure).startswith(b"\x89PNG")


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="no curves"):
        learning_curves({})
    with pytest.raises(ValueError, match="at least one agent"):
        result_bars({})
