"""Table 2 and the right half of Table 4: rows with and without a history, episodes and shared controls."""

from pathlib import Path
from typing import Any


def test_rows_are_compared_with_rows_of_equal_pasts_and_every_number_has_at_least_a_hundred_episodes() -> None:
    from astra.environments.maniskill.suite import SUITE
    from astra.environments.maniskill.world import ManiSkillOptions
    from astra.paper import TABLES
    from astra.paper.table import policy_of, training_of
    from astra.suites.evaluate_suite import cases_of

    options, one = ManiSkillOptions(), TABLES["table2"]().settings_at("cpu")
    cases = cases_of(SUITE, SUITE.choose(options), one.evaluation)
    assert len(cases) == 1_126
    for name in ("table2", "table4-maniskill"):
        table = TABLES[name]()
        settings = table.settings_at("cpu")
        assert settings == one
        for column in table.columns:
            counted = [
                case
                for case in cases
                if column.group in ("", case.group) and (not column.tasks or case.options["task"] in column.tasks)
            ]
            assert len(counted) >= 100, column.name
        for row in (row for row in table.rows if not row.runs_of):
            policy: Any = policy_of(row, "cpu", settings)
            seen = getattr(policy, "window", None) or policy.history
            assert (seen, training_of(row, settings, 0).timesteps) == ((4, 4) if row.needs_history else (1, 1)), row.key
            assert getattr(policy, "drop_past_actions", 1.0) == 1.0, "RT-1 never reads its actions"
            assert policy.decoding.bin_value == "mean"
            baseline = table.baseline_of(row, "cpu")
            assert row.key == "astra-history-of-4" or baseline is None or baseline.needs_history == row.needs_history
            assert policy.frame_size == settings.shared.frame_size, "frames are cached once"


def test_controls_are_measured_once_and_shown_in_both_tables() -> None:
    from astra.paper import TABLES
    from astra.paper.table import folder_of_runs

    one, other = TABLES["table2"](), TABLES["table4-maniskill"]()
    shown = [
        {(row.agent, folder_of_runs(table, row, Path(f"{table.name}-cpu"))) for row in table.rows if row.runs_of}
        for table in (one, other)
    ]
    assert (
        shown[0]
        == shown[1]
        == {(agent, Path("table2-cpu/astra")) for agent in ("expert", "swapped", "blind")}
        | {("no-history", Path("table2-cpu/astra-history-of-4"))}
    )
