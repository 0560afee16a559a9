"""Suites: what they choose for a policy, their tasks, and how they are found."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astra.environments import SUITES, suite_notes
from astra.environments.environment import Environment
from astra.environments.poses import ACTIONS
from astra.environments.pusht.environment import PushTConfig
from astra.environments.pusht.geometry import CENTER, GOAL_POSES, LOWER_RIGHT
from astra.environments.pusht.suite import SUITE as PUSHT
from astra.environments.pusht.suite import PushTOptions
from astra.environments.suite import Suite, find_suite, suite_of
from astra.environments.tabletop.environment import FRAMES, TabletopConfig
from astra.environments.tabletop.suite import SUITE as TABLETOP
from astra.environments.tabletop.suite import TabletopOptions
from astra.environments.vima_bench.suite import SUITE as VIMA_BENCH
from astra.environments.vima_bench.suite import VimaBenchOptions
from astra.trajectory import ActionSpec, TrajectorySpec


def tabletop_spec() -> TrajectorySpec:
    return TabletopConfig().build().spec_of_trajectories


def test_every_listed_suite_is_found_and_has_the_name_of_its_entry() -> None:
    assert [find_suite(name).name for name in SUITES] == list(SUITES)
    assert all(listed.note for listed in SUITES.values())


def test_suites_are_imported_without_their_simulators() -> None:
    code = (
        "import sys; from astra.environments import SUITES; from astra.environments.suite import find_suite; "
        "[find_suite(name) for name in SUITES]; "
        "print([name for name in ('pymunk', 'gym_pusht', 'pygame', 'pybullet', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_level_has_its_tasks() -> None:
    everything = TABLETOP.choose(TabletopOptions())
    assert [sum(level == name for level, _ in everything) for name in ("L1", "L2", "L3", "L4")] == [13, 13, 12, 4]
    some = TABLETOP.choose(TabletopOptions(), (), ("sweep_without_exceeding", "follow_motion"))
    assert [(level, task.name) for level, task in some] == [
        ("L1", "sweep_without_exceeding"),
        ("L2", "sweep_without_exceeding"),
        ("L4", "follow_motion"),
    ]


@pytest.mark.parametrize(
    ("levels", "tasks", "message"),
    [
        (("L5",), (), "no level 'L5'; its levels are train, L1, L2, L3, L4"),
        ((), ("juggle",), "no task 'juggle' at L1, L2, L3, L4; it has visual_manipulation, scene_understanding"),
        (("L4",), ("rotate",), "no task 'rotate' at L4; it has novel_adj_and_noun"),
        (("L1", "L4"), ("rotate",), "none of the tasks rotate at L4; it has novel_adj_and_noun"),
    ],
)
def test_unknown_levels_and_tasks_are_refused_with_those_that_there_are(
    levels: tuple[str, ...], tasks: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TABLETOP.choose(TabletopOptions(), levels, tasks)


def test_a_suite_without_levels_refuses_them() -> None:
    with pytest.raises(ValueError, match="pusht has no level 'L1'; it has no levels"):
        PUSHT.choose(PushTOptions(), ("L1",))
    with pytest.raises(ValueError, match="pusht has no task 'juggle'; it has pusht"):
        PUSHT.choose(PushTOptions(), (), ("juggle",))
    assert [(level, task.name) for level, task in PUSHT.choose(PushTOptions())] == [("", "pusht")]


@pytest.mark.simulator
@pytest.mark.parametrize("kind", ["keypoints", "state", "pixels"])
def test_push_t_chooses_the_observation_of_the_policy(kind: str) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    config = PushTConfig(observation=kind, frame_size=64)  # pyright: ignore[reportArgumentType]
    spec = config.build().spec_of_trajectories
    options = PUSHT.options_for(spec)
    assert options.observation == kind
    assert PUSHT.spec(options).states == spec.states
    assert PUSHT.spec(options).images == spec.images


def test_push_t_chooses_the_goals_of_the_instructions_of_the_policy() -> None:
    spec = TrajectorySpec(
        states={"observation.state": 2, "observation.environment_state": 16},
        actions=ActionSpec(names=("x", "y"), low=(0.0, 0.0), high=(512.0, 512.0)),
    )
    assert PUSHT.options_for(spec) == PushTOptions(goals=(CENTER,))
    both = tuple(sorted(GOAL_POSES))
    assert PUSHT.options_for(replace(spec, instructions=both)).goals == (CENTER, LOWER_RIGHT)
    assert PUSHT.options_for(replace(spec, instructions=both[1:])).goals == (LOWER_RIGHT,)
    for wrong in (replace(spec, states={"observation.state": 3}), tabletop_spec()):
        with pytest.raises(ValueError, match=r"Push-T offers observation.state"):
            PUSHT.options_for(wrong)


def test_the_tabletop_shows_frames_where_a_policy_reads_them() -> None:
    spec = tabletop_spec()
    assert TABLETOP.options_for(spec) == TabletopOptions()
    one = {"observation.images.top": FRAMES["observation.images.top"]}
    for images in (FRAMES, one):
        shown = TABLETOP.build(TABLETOP.options_for(replace(spec, images=images)))
        assert shown.spec_of_trajectories.images == FRAMES
        seen, _ = shown.reset(seed=0, options={"level": "L1", "task": "rotate"})
        assert seen["observation.images.top"].shape == (64, 128, 3)


def test_a_policy_of_another_suite_is_refused_with_what_the_suite_has() -> None:
    spec = tabletop_spec()
    quaternion = replace(spec, actions=ACTIONS["quaternion"])
    assert VIMA_BENCH.options_for(quaternion) == VimaBenchOptions(actions="quaternion")
    with pytest.raises(ValueError, match=r"the tabletop has the views .* in \(50, 100, 72"):
        TABLETOP.options_for(quaternion)
    with pytest.raises(ValueError, match=r"objects in the views \{\}"):
        TABLETOP.options_for(replace(spec, objects=None))
    with pytest.raises(ValueError, match=r"the frames \{'observation.images.top': \(9, 9\)\}"):
        TABLETOP.options_for(replace(spec, images={"observation.images.top": (9, 9)}))
    with pytest.raises(ValueError, match="VIMA-Bench has the views"):
        VIMA_BENCH.options_for(spec)


def test_a_policy_is_measured_in_the_suite_that_it_names_or_that_is_named() -> None:
    spec = tabletop_spec()
    assert suite_of(replace(spec, suite="pusht")) is PUSHT
    assert suite_of(replace(spec, suite="pusht"), "tabletop") is TABLETOP
    with pytest.raises(ValueError, match=r"name no suite.*use --suite NAME with one of .*pusht, tabletop, vima-bench"):
        suite_of(spec)
    with pytest.raises(ValueError, match=r"belongs to the suite 'mine', which is not installed"):
        suite_of(replace(spec, suite="mine"))
    with pytest.raises(ValueError, match="'other:suite', which is not installed"):
        suite_of(replace(spec, suite="other:suite"))  # a file's word does not decide what is imported
    with pytest.raises(ValueError, match=r"no suite 'push'; use --suite NAME with one of .*pusht"):
        find_suite("push")


OWN = """
from astra.environments.tabletop.suite import SUITE
from dataclasses import replace
def suite():
    return replace(SUITE, name="own")
number = 3
"""


@pytest.fixture
def _own_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_suite.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield
    sys.modules.pop("own_suite", None)


@pytest.mark.usefixtures("_own_suite")
def test_a_suite_of_the_current_directory_is_found_by_its_module_and_function() -> None:
    assert find_suite("own_suite:suite").name == "own"
    for path, message in (
        ("own_suite:number", "expected a Suite, or a function that returns one"),
        ("own_suite:missing", "cannot be imported .*expected MODULE:FUNCTION"),
        ("no_such_module:suite", "cannot be imported"),
    ):
        with pytest.raises(ValueError, match=message):
            find_suite(path)


@pytest.mark.usefixtures("_own_suite")
def test_a_suite_of_an_installed_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_suite-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-suite\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[astra.suites]\nown = own_suite:suite\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert suite_notes()["own"] == "from own_suite:suite"
    assert suite_of(replace(tabletop_spec(), suite="own")).name == "own"


def test_names_with_a_colon_are_refused() -> None:
    def build(options: object) -> Environment:
        raise NotImplementedError

    with pytest.raises(ValueError, match="a name without a colon, got 'a:b'"):
        Suite(
            name="a:b", options=TabletopOptions, options_for=lambda spec: None, build=build, tasks=lambda o, level: ()
        )
