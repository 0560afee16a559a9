from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from astra.paper.table import Row, Scale, Table


def runnable() -> "list[tuple[Table, Row, Scale]]":
    from astra.paper import TABLES
    from astra.paper.table import Scale, Table, obstacle

    tables = [make() for make in TABLES.values()]
    scales: list[tuple[Table, Scale]] = [(table, scale) for table in tables for scale in table.settings]
    return [(table, row, scale) for table, scale in scales for row in table.rows if not obstacle(row, scale)]


def test_every_table_of_the_paper_is_there_with_all_its_numbers() -> None:
    from astra.paper import TABLES

    named = ["table1", "table2", "table3", "table4", "table5", "table6", "scaling", "table4-maniskill"]
    assert list(TABLES)[: len(named)] == named
    assert all(TABLES[name]().parent == "claims" for name in list(TABLES)[len(named) :])
    numbers = {name: sum(len(row.paper) for row in make().rows) for name, make in TABLES.items()}
    assert numbers == {
        "table1": 24,
        "table2": 32,
        "table3": 66,
        "table4": 20,
        "table4-maniskill": 15,
        "table5": 40,
        "table6": 4,
        "scaling": 0,
        **{name: 0 for name in TABLES if name not in named},
    }


def test_what_the_paper_prints_twice_is_the_same() -> None:
    from astra.paper import TABLES

    one, two, left, right = (TABLES[name]() for name in ("table1", "table2", "table4", "table4-maniskill"))
    assert left.row("astra-with-cdl").paper == one.row("astra").paper
    assert left.row("wo-both").paper == one.row("gato-objects").paper
    # 2-4 distractors: 6 easy, 7 medium and 2 hard tasks
    for row, name in (("astra-with-cdl", "astra-with-cdl"), ("wo-both", "gato")):
        parts = [number or 0.0 for number in right.row(row).paper]
        mean = (6 * parts[0] + 7 * parts[1] + 2 * parts[2]) / 15
        assert mean == pytest.approx(two.row(name).paper[6], abs=0.01)


def test_keys_are_distinct_and_every_difference_has_its_row() -> None:
    from astra.paper import TABLES

    for make in TABLES.values():
        table = make()
        assert len({row.key for row in table.rows}) == len(table.rows)
        baselines = [table.baseline_of(row, "cpu") for row in table.rows]
        assert sum(other is None for other in baselines) == 1
    table = TABLES["table4"]()
    other = table.baseline_of(table.row("wo-both"), "cpu")
    assert other is not None
    assert other.key == "wo-action-query"


def test_what_helps_one_row_is_given_to_all() -> None:
    from astra.paper.table import SHARED_FIELDS, policy_of

    for table, row, scale in runnable():
        settings = table.settings[scale]()
        policy: Any = policy_of(row, scale, settings)
        own = settings.history if row.needs_history else {}
        for field in set(SHARED_FIELDS) - {"states", *own, *row.policy_changes, *row.lacks}:
            assert getattr(policy, field) == getattr(settings.shared, field), (table.name, row.key, field)
        assert not {field.name for field in fields(policy)} & set(row.lacks)
        if "states" in row.lacks:
            continue
        assert policy.states.objects == settings.shared.states.objects
        assert policy.states.proprioception == settings.shared.states.proprioception
        trunk: Any = settings.trunks.get(row.sizes[scale], {})
        own = row.policy_changes if row.added else {}
        assert getattr(policy, "chunk_size", 1) == own.get("chunk_size", trunk.get("chunk_size", 1))
        assert getattr(policy, "reference_state", None) == trunk.get("reference_state")


def test_rows_act_on_push_t_with_no_longer_history_than_they_were_trained_on() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of

    table = TABLES["table6"]()
    for scale in table.settings:
        settings = table.settings_at(scale)
        for row in table.rows:
            policy: Any = policy_of(row, scale, settings)
            assert policy.positions == "relative"
            assert policy.window is not None
            assert policy.window <= settings.training.timesteps


def test_rows_of_table_5_on_history_differ_from_their_baseline_in_their_history_alone() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of, training_of

    table = TABLES["table5"]()
    settings = table.settings_at("cpu")
    base = table.row("astra-history-of-1")
    histories = [row for row in table.rows if table.baseline_of(row, "cpu") is base]
    assert [row.policy_changes["window"] for row in histories] == [4, 16, 16]
    for row in histories:
        policy: Any = policy_of(row, "cpu", settings)
        assert replace(policy, window=1, drop_past_actions=0.0) == policy_of(base, "cpu", settings)
        training = training_of(row, settings, 0)
        assert training == training_of(base, settings, 0)
        assert policy.window <= training.timesteps
        assert training.timesteps * training.batch_size == settings.training.batch_size


def test_a_control_is_measured_in_the_runs_of_its_row_and_not_run_by_itself() -> None:
    from astra.paper import TABLES
    from astra.paper.running import Folders, plan_runs, select_rows

    table = TABLES["table5"]()
    settings = table.settings_at("cpu")
    controls = [row for row in table.rows if row.agent != "policy"]
    assert {row.agent for row in controls} == {"expert", "no-op", "shuffled", "no-history"}
    rows, obstacles = select_rows(table, "cpu", ())
    assert set(obstacles) == {row.key for row in controls}
    runs = {run.row: run for run in plan_runs(table, "cpu", settings, rows, [0], Folders())}
    for row in controls:
        assert row.agent in runs[row.runs_of].evaluation.agents
        baseline = table.baseline_of(row, "cpu")
        assert baseline is not None
        assert baseline.key == row.runs_of
    assert runs["gato-discrete"].evaluation.agents == ("policy",)
    later = plan_runs(table, "cpu", settings, rows, [1], Folders())
    assert {run.evaluation.agents for run in later} == {("policy",)}, "one seed measures the controls"
    with pytest.raises(ValueError, match="the row no-op cannot be run: it is measured in the runs of astra-discrete"):
        select_rows(table, "cpu", ["no-op"])


def test_rows_of_the_tables_on_history_differ_in_their_history_alone() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of, training_of

    for name in ("history-loss", "history-pusht", "history-blinking", "history-tabletop"):
        table = TABLES[name]()
        settings = table.settings_at("cpu")
        policies: list[Any] = [policy_of(row, "cpu", settings) for row in table.rows]
        assert len({replace(policy, window=1, drop_past_actions=0.0) for policy in policies}) == 1
        assert len({policy.window for policy in policies}) > 1
        assert all(policy.positions == "recency" for policy in policies)
        trainings = [training_of(row, settings, 0) for row in table.rows]
        assert len({replace(training, timesteps=1) for training in trainings}) == 1
        for policy, training in zip(policies, trainings, strict=True):
            assert policy.window is None or policy.window <= training.timesteps
            assert training.last_timestep_only or training == trainings[0], "equally many timesteps are learned from"
        for question in table.questions:
            assert table.baseline_of(table.row(question.row), "cpu") is not None
            assert question.column in {column.name for column in table.columns}


def test_a_question_that_depends_on_another_comes_after_it() -> None:
    from astra.paper import TABLES

    for make in TABLES.values():
        earlier: set[str] = set()
        for question in make().questions:
            assert not question.given or question.given in earlier, question.text
            earlier.add(question.text)


def test_rows_of_the_tables_on_the_mask_differ_in_the_mask_alone() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of, training_of

    for name in ("mask-patches", "mask-objects", "mask-objects-deep", "mask-history"):
        table = TABLES[name]()
        settings = table.settings_at("cpu")
        masked, causal = (policy_of(row, "cpu", settings) for row in table.rows)
        assert masked != causal
        assert replace(cast("Any", causal), trajectory_attention=True) == masked
        assert len({training_of(row, settings, 0) for row in table.rows}) == 1


def test_a_row_with_contrast_differs_from_its_baseline_in_the_contrast_alone() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of, training_of

    compared = list[str]()
    for name, make in TABLES.items():
        table = make()
        for row in (row for row in table.rows if "cpu" in table.settings and "contrastive" in row.training_changes):
            settings, baseline = table.settings_at("cpu"), table.baseline_of(row, "cpu")
            if baseline is None:  # the row is the table's reference
                continue
            assert policy_of(row, "cpu", settings) == policy_of(baseline, "cpu", settings)
            cloning = [replace(training_of(each, settings, 0), contrastive=None) for each in (row, baseline)]
            assert cloning[0] == cloning[1]
            compared.append(name)
    assert {"table3", "table4", "table5", "contrast-limited", "contrast-dynamics"} <= set(compared)


def test_a_row_changes_the_length_of_windows_only_where_their_last_timestep_counts() -> None:
    from astra.paper import TABLES
    from astra.paper.table import Row, training_of

    longer = Row(name="longer", training_changes={"timesteps": 4})
    settings = TABLES["history-loss"]().settings_at("cpu")
    assert training_of(longer, settings, 0).timesteps == 4
    every = replace(settings, training=replace(settings.training, last_timestep_only=False))
    with pytest.raises(ValueError, match="changes timesteps of the training"):
        training_of(longer, every, 0)
    fewer = replace(longer, training_changes={"timesteps": 4, "batch_size": settings.training.batch_size // 4})
    assert training_of(fewer, every, 0).timesteps == 4
    with pytest.raises(ValueError, match="changes batch_size of the training"):
        training_of(fewer, settings, 0)


def test_the_settings_of_every_row_come_back_from_its_results_and_its_positions_fit_its_window() -> None:
    from astra.paper.table import policy_of, training_of
    from astra.storage.config_json import from_json, to_json

    for table, row, scale in runnable():
        settings = table.settings[scale]()
        policy: Any = policy_of(row, scale, settings)
        for made in (policy, training_of(row, settings, 3), settings.evaluation):
            assert from_json(type(made), to_json(made)) == made, (table.name, row.key)
        if policy.window is not None:
            policy.check_positions()


def test_no_run_of_a_table_ends_by_the_clock() -> None:
    from astra.paper.table import experiment_of

    for table, row, scale in runnable():
        experiment = experiment_of(row, scale, table.settings_at(scale), 0, Path())
        assert experiment.training.max_minutes is None, (table.name, row.key, scale)


def test_trunks_of_the_cpu_scale_are_as_large_within_five_percent() -> None:
    from astra.paper import TABLES
    from astra.paper.table import trunk_size

    for name, make in TABLES.items():
        table = make()
        sizes = {row.key: size for row in table.rows if (size := trunk_size(table, row, "cpu")) is not None}
        assert len(sizes) >= 2
        if name not in ("table1", "table2", "table4", "table5", "table6"):
            continue
        astra = sizes["astra-discrete" if name == "table5" else "astra"]
        assert all(abs(size / astra - 1) < 0.05 for size in sizes.values()), sizes


def test_rows_that_share_runs_are_the_same_experiment_in_both_tables() -> None:
    from astra.paper import TABLES
    from astra.paper.running import Folders, plan_runs

    rows = [(make(), row) for make in TABLES.values() for row in make().rows]
    shared = [(table, row) for table, row in rows if row.same_runs_as and not row.runs_of]
    assert shared
    for table, row in shared:
        name, _, key = row.same_runs_as.partition("/")
        other = TABLES[name]()
        for scale in table.settings.keys() & row.sizes.keys():
            (mine,) = plan_runs(table, scale, table.settings_at(scale), [row], [3], Folders())
            (theirs,) = plan_runs(other, scale, other.settings_at(scale), [other.row(key)], [3], Folders())
            assert (mine.experiment, mine.evaluation) == (theirs.experiment, theirs.evaluation)
            assert (mine.folder, mine.results) == (theirs.folder, theirs.results)


def test_rows_that_cannot_be_run_say_why() -> None:
    from astra.paper import TABLES
    from astra.paper.table import obstacle, policy_of

    table = TABLES["table1"]()
    with pytest.raises(ValueError, match="the row dt cannot be run: it has no paper-scale size"):
        policy_of(table.row("dt"), "paper", table.settings["paper"]())
    assert "quoted" in obstacle(TABLES["table3"]().row("mcil"), "paper")
    with pytest.raises(ValueError, match="scaling cannot be run at paper scale"):
        TABLES["scaling"]().settings_at("paper")
    with pytest.raises(ValueError, match="has no row 'gatoo'; it has dt, gato"):
        TABLES["table1"]().row("gatoo")


def test_rows_of_table_4_differ_in_what_they_learn_by_and_in_nothing_else_of_the_training() -> None:
    from astra.paper import TABLES
    from astra.paper.table import experiment_of, training_of

    table = TABLES["table4"]()
    settings = table.settings["cpu"]()
    learned_by = {}
    for row in table.rows:
        training = experiment_of(row, "cpu", settings, 1, Path()).training
        learned_by[row.key] = (training.contrastive is not None, training.augmentation is not None)
        assert replace(training, contrastive=None, augmentation=None) == replace(settings.training, seed=1)
    assert learned_by == {
        "astra-with-cdl": (True, False),
        "astra": (False, False),
        "wo-trajectory-attention": (False, False),
        "wo-action-query": (False, False),
        "wo-both": (False, False),
        "augmentation-alone": (False, True),
        "cdl-without-augmentation": (True, False),
        "cdl-hard-negatives": (True, False),
    }
    with pytest.raises(ValueError, match="changes updates of the training, which all rows share"):
        training_of(replace(table.row("astra"), training_changes={"updates": 9}), settings, 0)


def test_equal_time_is_fewer_updates_where_costs_are_known_and_other_rows_keep_their_runs() -> None:
    from astra.paper import TABLES
    from astra.paper.running import Folders, plan_runs

    table = TABLES["table4"]()
    settings = table.settings_at("cpu")
    rows = [table.row(key) for key in ("astra-with-cdl", "augmentation-alone", "wo-both")]
    equal_updates = plan_runs(table, "cpu", settings, rows, [0], Folders())
    with_cdl, augmented, both = plan_runs(table, "cpu", settings, rows, [0], Folders(), "time")
    updates = settings.training.updates
    assert [run.experiment.training.updates for run in equal_updates] == 3 * [updates]
    assert with_cdl.experiment.training.updates == round(updates / 2.17)
    assert with_cdl.experiment.training.max_minutes is None
    assert with_cdl.results == Path("results/table4-cpu-equal-time/astra-with-cdl/0")
    assert (augmented.experiment, augmented.results) == (equal_updates[1].experiment, equal_updates[1].results)
    assert augmented.results == Path("results/table4-cpu/augmentation-alone/0")
    assert both.results == equal_updates[2].results == Path("results/table1-cpu/gato-objects/0")
    one = TABLES["table1"]()
    (timed,) = plan_runs(one, "cpu", one.settings_at("cpu"), [one.row("astra")], [0], Folders(), "time")
    assert timed.experiment.training.max_minutes == one.settings_at("cpu").minutes
    assert timed.results == Path("results/table1-cpu-equal-time/astra/0")


def test_a_policy_without_a_shared_field_is_refused() -> None:
    from astra.paper import TABLES
    from astra.paper.table import policy_of

    table = TABLES["table1"]()
    row = replace(table.row("gato"), policy_changes={"no_such_field": 1})
    with pytest.raises(ValueError, match="GatoConfig of the row gato has no no_such_field"):
        policy_of(row, "cpu", table.settings["cpu"]())


def test_settings_name_only_fields_of_their_sizes() -> None:
    from astra.paper.table1 import TRUNKS, cpu
    from astra.policies.sequence import SequenceConfig

    known = {field.name for field in fields(SequenceConfig)}
    assert all(set(changes) <= known for changes in TRUNKS.values())
    assert cpu().training.max_minutes is None


def test_a_policy_of_few_tasks_has_room_for_the_prompts_of_all(tmp_path: Path) -> None:
    pytest.importorskip("pymunk", reason="needs the extra `tabletop`")
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.collect import CollectConfig, collect
    from astra.environments.tabletop.environment import TabletopConfig
    from astra.environments.tabletop.suite import SUITE
    from astra.experiments.tabletop import SHORT_TASKS
    from astra.paper.table1 import cpu

    collect(SUITE, CollectConfig(episodes=2, output=tmp_path / "few", tasks=SHORT_TASKS[:1], workers=1))
    objects = LeRobotDataset.open(tmp_path / "few").spec.objects
    assert objects is not None
    environment = TabletopConfig().build()
    for task in cpu().evaluation.tasks:
        for seed in range(5):
            environment.reset(seed=seed, options={"task": task, "level": "L1" if task in SHORT_TASKS else "L4"})
            views = environment.prompt_pictures.values()
            assert sum(len(view["top"]["valid"]) for view in views) <= objects.max_pictured
