import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from astra.attention.masks import may_attend
from astra.attention.segments import context_ids
from astra.evaluation.agents import NoOp
from astra.evaluation.episode import Case
from astra.evaluation.evaluate import evaluate
from astra.evaluation.pictures.mask import mask_picture
from astra.evaluation.pictures.style import write_figure
from astra.evaluation.report import write_report
from astra.storage.json_checksum import checked_json

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


def test_agents_that_were_measured_otherwise_than_the_policy_are_named(
    world: ModuleType, run: Path, tmp_path: Path
) -> None:
    assert "was measured" not in write_report(run).read_text()
    folder = copied(run, tmp_path / "walk")
    later = [Case(seed=seed) for seed in range(2, 5)]
    evaluate(NoOp(), world.Line, later, folder=folder / "eval/no-op", name="no-op")
    provenance = {"checkpoint": "runs/walk/checkpoints/000009/policy", "options": {"noise": 1.0}}
    evaluate(world.Walker(), world.Line, later, folder=folder / "eval/blank", name="blank", provenance=provenance)
    assert re.findall(r"<strong>([^<]* was measured [^<]*)</strong>", write_report(folder).read_text()) == [
        "Blank was measured with other options of the suite and with another checkpoint than policy."
    ]
    evaluate(NoOp(), world.Line, [Case(seed=8)], folder=folder / "eval/no-op", name="no-op")
    assert "No-op was measured in other episodes than policy." in write_report(folder).read_text()


def test_what_a_run_lacks_is_left_out(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes())
    html = write_report(bare).read_text()
    assert re.findall(r"<h2>([^<]*)", html) == ["Training"]


def test_one_of_several_training_seeds_is_named_with_its_folder(run: Path, tmp_path: Path) -> None:
    assert "<title>walk: Astra report</title>" in write_report(run).read_text()
    html = write_report(copied(run, tmp_path / "walk").rename(tmp_path / "walk" / "0")).read_text()
    assert "<title>walk/0: Astra report</title>" in html
    assert re.search(r"\d+\.\d timesteps on average", html)


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a run: it has no config\.json"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "copy", ignore=shutil.ignore_patterns("report.html")))


def change(file: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(checked_json(content))


def test_texts_of_a_stranger_are_shown_as_text_and_never_run(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'

    def edit(info: Any) -> None:
        info["agent"] = f"policy{attack}"
        for row in info["episodes"]:
            row["instruction"] = row["environment_instruction"] = row["task"] = attack
            row["scores"] = {attack: 1.0}
        for task in info["per_task"]:
            task["instruction"] = task["environment_instruction"] = task["task_group"] = attack

    change(folder / "eval/eval_info.json", edit)
    change(folder / "config.json", lambda config: config.update({attack: attack}))
    html = write_report(folder).read_text()
    assert "<script" not in html
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;") > 10


@pytest.mark.parametrize("path", ["../../secret.mp4", "{outside}/secret.mp4", "videos/link.mp4"])
def test_files_outside_the_run_folder_are_never_embedded(run: Path, tmp_path: Path, path: str) -> None:
    folder = copied(run, tmp_path / "runs")
    (tmp_path / "runs" / "secret.mp4").write_bytes(b"secret")
    (folder / "eval/videos/link.mp4").symlink_to(tmp_path / "runs" / "secret.mp4")
    named = path.format(outside=tmp_path / "runs")
    change(folder / "eval/eval_info.json", lambda info: info["episodes"][0].update(video_path=named))
    with pytest.raises(ValueError, match="leads out of the run folder"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_link_to_another_evaluation_or_another_kind_of_file_is_refused(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "eval/no-op/eval_info.json").unlink()
    (folder / "eval/no-op/eval_info.json").symlink_to(run / "eval/no-op/eval_info.json")
    with pytest.raises(ValueError, match="leads out of the run folder"):
        write_report(folder)
    (folder / "eval/no-op/eval_info.json").unlink()
    change(folder / "eval/eval_info.json", lambda info: info["episodes"][0].update(video_path="eval_info.json"))
    with pytest.raises(ValueError, match=r"expected a video \(.mp4\) or a picture"):
        write_report(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda info: info.pop("agent"), "lacks 'agent'"),
        (lambda info: info.pop("overall"), "lacks 'overall'"),
        (lambda info: info.pop("per_task"), "lacks 'per_task'"),
        (lambda info: info["per_task"].clear(), "per_task is empty"),
        (lambda info: info["seeds"].clear(), "seeds is empty"),
        (lambda info: info["overall"]["intervals"].update(success=0.5), "overall.intervals.success is 0.5"),
        (lambda info: info["overall"].update(eval_s="long"), 'overall.eval_s is "long", expected a finite number'),
        (lambda info: info["overall"].update(n_episodes=float("nan")), "overall.n_episodes is NaN"),
        (lambda info: info["episodes"][1].update(episode="../../x"), r"episodes\[1\].episode is .*an integer"),
        (lambda info: info["episodes"][0].update(video_path=3), r"episodes\[0\].video_path is 3, expected a text"),
        (lambda info: info["per_task"][0].update(task="walk", instruction=None), "expected a text|only some entries"),
    ],
)
def test_a_damaged_evaluation_is_one_message_that_names_the_field(
    run: Path, tmp_path: Path, edit: Callable[[Any], Any], message: str
) -> None:
    folder = copied(run, tmp_path)
    change(folder / "eval/eval_info.json", edit)
    with pytest.raises(ValueError, match=message) as error:
        write_report(folder)
    assert "astra evaluate RUN" in str(error.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, '{"agent": '])
@pytest.mark.parametrize("file", ["config.json", "eval/eval_info.json", "eval/beside/other/pairs.json"])
def test_files_that_are_not_json_objects_are_one_message(run: Path, tmp_path: Path, file: str, text: str) -> None:
    folder = copied(run, tmp_path)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=r"is not valid JSON|cannot be used") as error:
        write_report(folder)
    assert Path(file).name in str(error.value)


def test_metrics_that_a_kill_cut_short_are_shown_and_other_damage_is_named(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "metrics.jsonl").write_text('{"update": 1, "train/loss": 2.0}\n{"upd')
    with pytest.warns(UserWarning, match="ends within line 2"):
        assert "Learning curves" in write_report(folder).read_text()
    (folder / "metrics.jsonl").write_text('{"update": 1, "train/loss": 2.0}\n{"upd\n{"update": 3, "train/loss": 2.0}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl is damaged at line 2"):
        write_report(folder)


def test_curves_that_end_before_the_newest_checkpoint_are_told(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "training": {"log_every": 1}}))
    (folder / "checkpoints/000002").mkdir(parents=True)
    write_report(folder)
    for left in ('{"update": 1, "train/loss": 2.0}\n', "", None):
        (folder / "metrics.jsonl").unlink() if left is None else (folder / "metrics.jsonl").write_text(left)
        with pytest.warns(UserWarning, match=r"ends at update [01], but the run wrote lines up to update 2"):
            write_report(folder)


@pytest.mark.parametrize("name", ["eval/mask.png", "eval/videos/eval_episode_0.mp4"])
def test_a_picture_or_video_of_any_size_is_not_loaded(run: Path, tmp_path: Path, name: str) -> None:
    folder = copied(run, tmp_path)
    os.truncate(folder / name, 4 * 2**30)
    with pytest.raises(ValueError, match=rf"{Path(name).name} has 4,294,967,296 bytes, expected at most 67,108,864"):
        write_report(folder)
