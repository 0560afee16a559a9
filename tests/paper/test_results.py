"""Every file under results/ is read with today's code."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

READ = {
    *("config.json", "metrics.jsonl", "eval_info.json", "episodes.json.gz"),
    *("table.md", "table.csv", "table.png", "training.png", "held-out.png", "controls.json"),
    *("held_out.json", "experts.json", "expert-chains.json", "expert-rows.json", "expert-tasks.json", "oracle.json"),
    "spread.json",
}
MOST_LIKELY = "table5-cpu-most-likely-bin"
FAST = "claims/history-loss-cpu"
"""Table that the default tests read; the others are read by slow ones."""
EARLIER = (
    "table1-cpu-adamw",
    "table4-cpu-adamw",
    "table4-cpu-adamw-equal-time",
    "table6-cpu-one-timestep",
    "table6-cpu-half-hidden",
    "claims/contrast-limited-cpu-adamw",
    "claims/mask-objects-cpu-adamw",
)
"""Tables whose runs had other settings than the tables have now."""
SLOW = (
    "table1-cpu",
    "table2-cpu",
    "table4-cpu",
    "table4-maniskill-cpu",
    "table5-cpu",
    "claims/contrast-dynamics-cpu",
    "claims/contrast-limited-cpu",
    "claims/history-blinking-cpu",
    "claims/history-pusht-cpu",
    "claims/history-tabletop-cpu",
    "claims/mask-history-cpu",
    "claims/mask-objects-cpu",
    "claims/mask-patches-cpu",
)


@pytest.fixture
def results(repository: Path) -> Path:
    return repository / "results"


def test_there_is_no_kind_of_file_that_these_tests_do_not_read(results: Path) -> None:
    names = {path.name for path in results.rglob("*") if path.is_file()}
    assert names <= READ


def test_every_configuration_fits_todays_dataclasses(results: Path) -> None:
    from astra.policies import POLICIES
    from astra.storage.config_json import from_json
    from astra.suites.config import EvaluationConfig
    from astra.training.train import TrainingConfig
    from astra.trajectory import TrajectorySpec

    kinds = {config.__name__: config for config in POLICIES.values()}
    paths = sorted(results.rglob("config.json"))
    assert len(paths) >= 75
    for path in paths:
        config = json.loads(path.read_text())
        if isinstance(config["spec"]["instructions"], int):  # the keeper leaves the number of the instructions
            config["spec"]["instructions"] = []
        where = str(path)
        from_json(kinds[config["policy"]["kind"]], config["policy"], where)
        from_json(TrainingConfig, config["training"], where)
        from_json(TrajectorySpec, config["spec"], where)
        if "evaluation" in config:
            from_json(EvaluationConfig, config["evaluation"], where)


def test_every_evaluation_has_aggregates_that_its_episodes_confirm(results: Path) -> None:
    from astra.evaluation.eval_info import read_summary
    from astra.evaluation.kept import read_kept

    agents = set()
    paths = sorted(results.rglob("eval_info.json"))
    assert len(paths) >= 98
    for path in paths:
        info = read_kept(path.parent)
        agents.add(info["agent"])
        summary = read_summary(info)
        assert summary.success.low <= summary.success.value <= summary.success.high, path
        if "episodes" in info:
            won = [episode["success"] for episode in info["episodes"]]
            assert len(won) == summary.episodes, path
            assert sum(won) / len(won) == pytest.approx(summary.success.value), path
    assert agents == {"policy", "no-op", "expert", "swapped", "shuffled", "blank", "blind", "no-history"}
    compressed = {path.parent for path in results.rglob("episodes.json.gz")}
    assert compressed <= {path.parent for path in paths}


def test_every_training_has_a_loss_to_draw(results: Path) -> None:
    from astra.evaluation.pictures.plots import read_metrics

    paths = sorted(results.rglob("metrics.jsonl"))
    assert len(paths) >= 70
    for path in paths:
        assert read_metrics(path)["loss"]["train"], path


@pytest.mark.parametrize("name", [FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_every_table_is_what_its_runs_say(name: str, results: Path) -> None:
    from astra.cli.comparison import command_of
    from astra.paper import TABLES
    from astra.paper.rendering import as_csv, markdown
    from astra.paper.report import make_report

    folder = results / name
    report = make_report(TABLES[folder.name.partition("-cpu")[0]](), "cpu", folder)
    assert as_csv(report) == (folder / "table.csv").read_text()
    command = command_of(report, "time" if name.endswith("time") else "updates")
    assert markdown(report, command) == (folder / "table.md").read_text()


@pytest.mark.parametrize("name", EARLIER)
def test_the_numbers_of_a_table_with_earlier_settings_are_what_its_runs_say(name: str, results: Path) -> None:
    from astra.paper import TABLES
    from astra.paper.rendering import as_csv
    from astra.paper.report import make_report

    folder = results / name
    table = TABLES[folder.name.partition("-cpu")[0]]()
    assert as_csv(make_report(table, "cpu", folder)) == (folder / "table.csv").read_text()


def test_every_table_is_checked(results: Path) -> None:
    assert {str(path.parent.relative_to(results)) for path in results.rglob("table.csv")} == {FAST, *EARLIER, *SLOW}


def test_the_docs_have_what_decides_each_claim(results: Path, repository: Path) -> None:
    told = " ".join((repository / "docs" / "claims.md").read_text().split())
    paths = sorted((results / "claims").rglob("table.md"))
    assert len(paths) >= 4
    for path in paths:
        questions = path.read_text().partition("## Questions")[2].partition("\n## ")[0]
        measured = [line.split(" | ")[2] for line in questions.splitlines() if line.startswith("| ")][2:]
        assert measured, path
        assert all(number in told for number in measured), path


def test_every_picture_opens(results: Path) -> None:
    paths = sorted(results.rglob("*.png"))
    assert len(paths) >= 27
    for path in paths:
        with Image.open(path) as picture:
            picture.verify()


def test_the_tabletops_controls_count_no_more_successes_than_episodes(results: Path) -> None:
    rows = json.loads((results / "tabletop" / "controls.json").read_text())
    assert len(rows) >= 42
    for row in rows:
        assert row["successes"]
        assert all(0 <= number <= row["episodes"] for number in row["successes"].values())


def test_no_expert_succeeds_more_often_than_it_plays(results: Path) -> None:
    rows = [row for path in results.rglob("experts.json") for row in json.loads(path.read_text())]
    assert len(rows) > 30
    assert all(0 <= row["successes"] <= row["episodes"] > 0 for row in rows)


def test_the_docs_have_the_means_of_the_policies_in_the_kitchen(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "results.md").read_text()
    section = told[told.index("## `kitchen`") : told.index("## `metaworld-mt10`")]
    paths = (results / "franka-kitchen").rglob("eval_info.json")
    policies = [path for path in paths if path.parent.name not in ("no-op", "expert")]
    assert len(policies) >= 9
    for path in policies:
        mean = json.loads(path.read_text())["overall"]["intervals"]["scores"]["mean"]
        assert f"| {mean['value']:.2f} [{mean['low']:.2f}, {mean['high']:.2f}] |" in section


def test_the_docs_have_the_success_of_the_policy_in_maniskill(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "results.md").read_text()
    section = told[told.index("## `maniskill`") : told.index("## Table 1")]
    folder = results / "maniskill" / "astra"
    by_agent = [json.loads((folder / agent / "eval_info.json").read_text()) for agent in ("", "swapped", "blind")]
    levels = list(by_agent[0]["per_group"])
    assert len(levels) == 8
    for level in levels:
        rates = [info["per_group"][level]["intervals"]["success"] for info in by_agent]
        numbers = " | ".join(f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]" for rate in rates)
        assert f"`{level}` | {numbers} |" in section


def test_the_docs_have_the_success_of_the_long_run_on_the_tabletop(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "results.md").read_text()
    section = told[told.index("## `tabletop`") : told.index("## `tabletop-short`")]
    folder = results / "tabletop" / "24000-updates"
    agents = ("", "shuffled", "blank", "no-op")
    infos = [json.loads((folder / agent / "eval_info.json").read_text()) for agent in agents]
    for level in ("L1", "L2", "L3", "L4"):
        rates = [info["per_group"][level]["intervals"]["success"] for info in infos]
        numbers = " | ".join(f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]" for rate in rates)
        assert f" | {numbers} |" in next(line for line in section.splitlines() if line.startswith(f"| {level} | "))


def test_the_docs_have_what_cdl_before_cloning_did(results: Path, repository: Path) -> None:
    told = " ".join((repository / "docs" / "claims.md").read_text().split())
    section = told[told.index("**CDL before cloning**") : told.index("Not run: negatives")]
    alone = results / "claims" / "contrast-limited-cpu" / "augmentation-alone"
    after = results / "tabletop" / "contrastive-pretraining" / "cloning"
    losses = {
        folder: held_out_losses(folder / "metrics.jsonl") for folder in (*(alone / seed for seed in "012"), after)
    }
    begun = [next(update for update, loss in losses[alone / seed].items() if loss < 1.85) for seed in "012"]
    assert "after {:,}, {:,} and {:,} updates".format(*begun) in section
    assert min(losses[after].values()) > 1.85
    lowest = [min(losses[folder].values()) for folder in (after, alone / "0")]
    assert "loss is {:.3f} where the same seed without pretraining has {:.3f}".format(*lowest) in section
    with_it, without = (
        [
            json.loads((folder / "eval_info.json").read_text())["per_group"][f"L{n}"]["intervals"]["success"]
            for n in (1, 2, 3)
        ]
        for folder in (after, alone / "0")
    )
    for level, rate in enumerate(with_it, start=1):
        assert f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}] at L{level}" in section
    assert "it has {:.2f}, {:.2f} and {:.2f}".format(*(rate["value"] for rate in without)) in section


def held_out_losses(metrics: Path) -> dict[int, float]:
    """Return the loss on held-out windows by update."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return {line["update"]: line["validation/loss"] for line in lines if "validation/loss" in line}


def test_the_docs_have_table_5(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "results.md").read_text()
    section = told[told.index("## Table 5") : told.index("## Table 6")]
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in section.splitlines() if line.startswith("| ")}
    measured = [
        row for row in csv.DictReader((results / "table5-cpu/table.csv").read_text().splitlines()) if row["value"]
    ]
    assert len(measured) >= 12 * 5
    for row in measured:
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        assert f"| {value:.1f} [{low:.1f}, {high:.1f}] |" in lines[row["row"]]
    for decoding, folder in (("the mean of the bins", "table5-cpu"), ("the most likely bins", MOST_LIKELY)):
        means = []
        for policy in ("astra", "vima", "gato"):
            paths = [results / folder / f"{policy}-discrete/{seed}/eval_info.json" for seed in (1, 2)]
            infos = [json.loads(path.read_text())["overall"]["intervals"]["scores"]["mean"]["value"] for path in paths]
            means.append(f"{sum(infos) / 2:.2f}")
        assert f"| {decoding} | {' | '.join(means)} |" in section


def test_the_page_of_the_kitchen_tells_how_much_demonstrations_differ(results: Path, repository: Path) -> None:
    spread = json.loads((results / "franka-kitchen" / "spread.json").read_text())
    page = " ".join((repository / "docs" / "franka-kitchen.md").read_text().split())
    nearest, wide, widest = (spread[f"quantile {share}"] for share in ("0.5", "0.9", "0.99"))
    assert f"is {nearest:.2f} rad away (median over {spread['states']:,} states of {spread['episodes']} ep" in page
    assert f"in the space of the arm's seven joints; 90 % quantile {wide:.2f}, 99 % quantile {widest:.2f})" in page


def test_the_docs_have_the_table_of_the_kitchens_expert(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "franka-kitchen.md").read_text()
    rows = json.loads((results / "franka-kitchen" / "expert-rows.json").read_text())
    assert len(rows) == 7
    for row in rows:
        stages = [f"{100 * row['scores'][name]:.1f}" for name in ("p1", "p2", "p3", "p4", "mean")]
        assert f"| {row['agent']} | {' | '.join(stages)} | {row['scores']['not_named']:.2f} |" in told
        assert f"| {row['agent']} | {' | '.join(f'{done}/{asked}' for done, asked in row['tasks'].values())} |" in told
        assert sum(asked for _, asked in row["tasks"].values()) == 4 * row["chains"]


def test_the_docs_have_the_table_of_metaworlds_experts(results: Path, repository: Path) -> None:
    told = (repository / "docs" / "metaworld.md").read_text()
    rows = {(row["agent"], row["task"]): row for row in json.loads((results / "metaworld/experts.json").read_text())}
    agents = ("expert", "expert in 101 bins", "with noise")
    tasks = {task for _, task in rows}
    assert len(tasks) == 50
    for task in tasks:
        counts = " / ".join(str(rows[agent, task]["successes"]) for agent in agents)
        assert any(line.startswith(f"| {task} | ") and f" | {counts} | " in line for line in told.splitlines()), task
    sums = [f"{sum(rows[agent, task]['successes'] for task in tasks):,}" for agent in agents]
    assert f"in {sums[0]}, {sums[1]} and {sums[2]} of 2,500 episodes" in " ".join(told.split())


def test_the_docs_say_how_far_the_experts_chains_went(results: Path, repository: Path) -> None:
    chains = json.loads((results / "calvin" / "expert-chains.json").read_text())
    for number, chain in enumerate(chains):
        assert (chain["chain"], len(chain["tasks"])) == (number, 5)
        assert chain["failed"] == (None if chain["length"] == 5 else chain["tasks"][chain["length"]])
    lengths = [chain["length"] for chain in chains]
    shares = [sum(length >= number for length in lengths) / len(chains) for number in range(1, 6)]
    told = (repository / "docs" / "results.md").read_text()
    assert f"| {' | '.join(f'{share:.2f}' for share in shares)} | {sum(lengths) / len(lengths):.2f} [" in told


def test_the_docs_have_the_table_of_calvins_tasks(results: Path, repository: Path) -> None:
    rows = json.loads((results / "calvin" / "expert-tasks.json").read_text())
    told = (repository / "docs" / "calvin.md").read_text()
    cells = {(row["scene"], row["task"]): f"{row['successes']}/{row['episodes']}" for row in rows}
    tasks = dict.fromkeys(row["task"] for row in rows)
    assert len(tasks) == 34
    for task in tasks:
        assert f"| {task} | {' | '.join(cells[scene, task] for scene in 'ABCD')} |" in told


def test_the_docs_say_how_often_the_oracles_agreed(results: Path, repository: Path) -> None:
    episodes = json.loads((results / "calvin" / "oracle.json").read_text())
    agreed, pairs = (sum(episode[key] for episode in episodes) for key in ("agreed", "pairs"))
    successes = sum(episode["success"] for episode in episodes)
    told = " ".join((repository / "docs" / "calvin.md").read_text().split())
    assert f"In {len(episodes)} episodes, {successes} of them successes" in told
    assert f"{agreed:,} of {pairs:,} pairs" in told
