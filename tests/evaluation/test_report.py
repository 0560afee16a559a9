import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from astra.attention.masks import may_attend
from astra.attention.segments import context_ids
from astra.evaluation.agents import NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import evaluate
from astra.evaluation.pictures.mask import mask_picture
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.report import write_report

NOBODY_FAILS = [Case(seed=seed) for seed in range(3)]
TOLD_WRONG = [Case(seed=seed, instruction="left") for seed in range(3, 6)]


@pytest.fixture(scope="module")
def run(world: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "walk"
    cases = [*NOBODY_FAILS, *TOLD_WRONG]
    evaluate(world.Walker(), world.Line, cases, folder=folder / "eval", num_videos=6)
    evaluate(NoOp(), world.Line, NOBODY_FAILS, folder=folder / "eval/no-op", name="no-op", num_videos=2)
    ids = context_ids(3, 2, 2, 2)
    write_figure(mask_picture(may_attend(ids, ids), ids, ids), folder / "eval/mask.png")
    config = {
        "experiment": "walk",
        "code_version": "1+abc",
        "description": {"hours": 1.25},
        "policy": {"width": "<wide>"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text('{"update": 1, "train/loss": 2.0}\n{"update": 2, "train/loss": 1.0}\n')
    return folder


def test_the_report_holds_everything_and_refers_to_nothing(run: Path) -> None:
    report = write_report(run)
    assert report == run / "report.html"
    html = report.read_text()
    for section in ("Results", "By instruction", "Episodes", "Film strips", "Training", "Attention", "Run"):
        assert f"<h2>{section}" in html
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert '<th>code version</th><td class="break">1+abc</td>' in html
    assert '<th>hours</th><td class="break">1.25</td>' in html
    assert "&lt;wide&gt;" in html
    assert "<wide>" not in html
    assert html.count("<tr><td>") == 2 + 3 + 6 + 3  # results, by instruction, episodes of the policy and the no-op


def test_two_successes_and_two_failures_of_the_policy_and_one_episode_of_the_no_op_baseline_are_shown(
    run: Path,
) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", write_report(run).read_text(), re.DOTALL)
    seen = [("success" in text, re.findall(r"<strong>([\w-]+)</strong>, seed (\d)", text)[0]) for text in captions]
    assert seen == [
        (True, ("policy", "0")),
        (True, ("policy", "1")),
        (False, ("policy", "3")),
        (False, ("policy", "4")),
        (False, ("no-op", "0")),
    ]
    assert "instruction “left”, but the goal is “right”" in captions[2]


def test_what_a_run_lacks_is_left_out(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes())
    html = write_report(bare).read_text()
    assert re.findall(r"<h2>([^<]*)", html) == ["Training"]


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder of a run"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())
