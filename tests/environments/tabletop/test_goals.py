import math

import pytest

from astra.environments.tabletop.goals import Goal, PlacementGoals, SweepGoal, angle_between
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject


def at(x: float, y: float, shape: str = "heart", angle: float = 0.0, *, fixed: bool = False) -> TableObject:
    return TableObject(shape=SHAPES[shape], texture="red", x=x, y=y, angle=angle, fixed=fixed)


def test_position_and_angle_have_the_tolerances_of_vima_bench() -> None:
    goal = Goal(index=0, x=0.5, y=0.0, angle=1.0)
    assert goal.met(at(0.59, 0.0, angle=1.25), 0.1)
    assert not goal.met(at(0.61, 0.0, angle=1.0), 0.1)
    assert not goal.met(at(0.5, 0.0, angle=1.0 + math.radians(15.1)), 0.1)
    assert goal.met(at(0.5, 0.0, angle=1.0 - 2 * math.pi), 0.1)


@pytest.mark.parametrize(
    ("one", "two", "symmetry", "angle"), [(0.1, 6.2, 2 * math.pi, 0.183), (0, 1, 0, 0), (0, 2, 2, 0)]
)
def test_angles_between_symmetric_shapes(one: float, two: float, symmetry: float, angle: float) -> None:
    assert angle_between(one, two, symmetry) == pytest.approx(angle, abs=1e-3)


def test_stages_follow_each_other_and_reached_goals_stay_reached() -> None:
    goals = PlacementGoals(stages=[[Goal(index=0, x=0.5, y=0.2)], [Goal(index=0, x=0.5, y=-0.2)]])
    assert goals.check([at(0.5, -0.2)]) == "in progress"
    assert goals.progress() == 0
    assert goals.check([at(0.5, 0.2)]) == "in progress"
    assert goals.progress() == 0.5
    assert goals.check([at(0.3, 0.0)]) == "in progress"
    assert goals.check([at(0.5, -0.2)]) == "success"


def test_a_step_without_progress_fails_if_every_step_counts() -> None:
    goals = PlacementGoals(stages=[[Goal(index=0, x=0.5, y=0.2)], [Goal(index=0, x=0.5, y=-0.2)]], order="every step")
    assert goals.check([at(0.5, 0.2)]) == "in progress"
    assert goals.check([at(0.5, 0.2)]) == "failure"


def test_skipping_a_stage_fails_but_being_at_the_start_does_not() -> None:
    stages = [[Goal(index=0, x=0.4, y=0.2)], [Goal(index=0, x=0.4, y=-0.2)], [Goal(index=0, x=0.6, y=0.0)]]
    goals = PlacementGoals(stages=stages, order="no skipping", returns_to_start=True)
    assert goals.check([at(0.6, 0.0)]) == "in progress"
    assert goals.check([at(0.4, -0.2)]) == "failure"


def test_a_distractor_at_the_goal_fails_at_once_or_at_the_end() -> None:
    for check_distractors_at_end in (False, True):
        goals = PlacementGoals(
            stages=[[Goal(index=0, x=0.5, y=0.2)]], distractors=[1], check_distractors_at_end=check_distractors_at_end
        )
        assert goals.check([at(0.5, -0.2), at(0.5, 0.2)]) == ("in progress" if check_distractors_at_end else "failure")
        assert goals.check([at(0.5, 0.2), at(0.5, 0.22)]) == "failure"


def test_the_wrong_container_and_leaving_the_workspace_fail() -> None:
    goals = PlacementGoals(stages=[[Goal(index=0, x=0.5, y=0.2)]], distractors=[1])
    wrong = at(0.4, -0.3, "bowl", fixed=True)
    assert goals.check([at(0.5, -0.1), wrong]) == "in progress"
    assert goals.check([at(0.42, -0.28), wrong]) == "failure"
    assert goals.check([at(0.2, 0.0), wrong]) == "failure"


def sweeping(number: int) -> SweepGoal:
    zone, line = (0.3, 0.5, -0.1, 0.1), (0.2, 0.3, -0.1, 0.1)
    return SweepGoal(blocks=[0, 1], others=[2], zone=zone, forbidden=line, number=number)


@pytest.mark.parametrize(
    ("first", "second", "other", "verdict"),
    [
        (0.4, 0.6, 0.6, "success"),
        (0.6, 0.6, 0.6, "in progress"),
        (0.5, 0.6, 0.6, "in progress"),  # half in
        (0.4, 0.45, 0.6, "failure"),  # one too many
        (0.4, 0.6, 0.51, "failure"),  # another block reaches in
        (0.4, 0.31, 0.6, "failure"),  # on the line
    ],
)
def test_sweeping_counts_blocks_in_the_zone(first: float, second: float, other: float, verdict: str) -> None:
    objects = [at(x, y, "small block") for x, y in ((first, 0.0), (second, 0.05), (other, -0.05))]
    assert sweeping(1).check(objects) == verdict


def test_touching_the_line_during_a_sweep_fails_the_episode() -> None:
    goals = sweeping(1)
    goals.watch([at(0.29, 0.0, "small block"), at(0.6, 0.0, "small block"), at(0.6, 0.05, "small block")])
    assert (
        goals.check([at(0.4, 0.0, "small block"), at(0.6, 0.0, "small block"), at(0.6, 0.05, "small block")])
        == "failure"
    )
