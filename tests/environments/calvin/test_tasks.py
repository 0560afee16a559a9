"""The tasks of CALVIN in the protocol's symbolic world, its list of chains, and the states in which they start."""

from collections import Counter

import numpy as np
import pytest

from astra.environments.calvin.demonstrations import CalvinDemonstrationOptions
from astra.environments.calvin.environment import CalvinOptions
from astra.environments.calvin.prefix import draw_chain
from astra.environments.calvin.sampling import checksum, read_chains, sample_chains
from astra.environments.calvin.scene import BLOCKS, find_scenes
from astra.environments.calvin.starts import DRAWER_OPEN, ON_TABLE, fnv1, protocol_start, varied_start
from astra.environments.calvin.tasks import TASKS, chain_is_valid, initial_worlds, other_task

REFERENCE = "7c39c8311e0b6f88"
"""First digits of the checksum of the reference's list, computed by its own code."""


def test_there_are_34_tasks_of_11_categories() -> None:
    assert len(TASKS) == 34
    assert len({task.kind for task in TASKS.values()}) == 11


def test_chains_begin_in_192_worlds_with_one_or_two_blocks_on_the_table() -> None:
    worlds = initial_worlds()
    assert len(worlds) == len({str(world) for world in worlds}) == 192
    for world in worlds:
        places = Counter(world[f"{color}_block"] for color in BLOCKS)
        assert places["table"] in (1, 2)
        assert max(places["slider_left"], places["slider_right"]) == 1


def test_the_kept_list_of_chains_is_that_of_the_reference() -> None:
    chains = read_chains()
    assert checksum(chains).startswith(REFERENCE)
    assert len(chains) == 1000
    assert Counter(world for world, _ in chains).keys() == set(range(192))
    assert all(chain_is_valid(initial_worlds()[world], tasks) for world, tasks in chains)


@pytest.mark.slow
def test_the_sampler_draws_the_kept_list() -> None:
    assert sample_chains() == read_chains()


def test_a_short_list_is_split_over_the_worlds_and_is_no_beginning_of_the_long_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("astra.environments.calvin.sampling.initial_worlds", lambda: initial_worlds()[:3])
    short = sample_chains(4)
    assert sorted(world for world, _ in short) == [0, 0, 1, 2]
    assert all(chain_is_valid(initial_worlds()[world], tasks) for world, tasks in short)
    assert short != read_chains()[:4]


def test_tasks_follow_from_what_was_done_before() -> None:
    (world,) = [world for world in initial_worlds() if world["red_block"] == "slider_left"][:1]
    world = {**world, "slider": "right", "drawer": "closed"}
    assert chain_is_valid(world, ("lift_red_block_slider", "place_in_slider"))
    assert not chain_is_valid(world, ("place_in_slider",))
    assert not chain_is_valid({**world, "slider": "left"}, ("lift_red_block_slider",))
    assert not chain_is_valid(world, ("open_drawer", "close_drawer"))  # one category


def test_the_control_tells_a_task_of_another_category_with_another_object() -> None:
    for name in TASKS:
        other = other_task(name)
        assert TASKS[name].kind != TASKS[other].kind
        assert not set(name.split("_")) & set(other.split("_")) & {*BLOCKS, "slider", "drawer", "lightbulb", "led"}
    assert len({other_task(name) for name in TASKS}) > 20


def test_chains_are_refused_outside_of_scene_d() -> None:
    with pytest.raises(ValueError, match=r"places of scene D, got --scene A: leave it out, or add --play tasks"):
        CalvinOptions(scene="A")
    assert CalvinOptions(scene="A", play="tasks").scene == "A"


def test_the_hash_is_that_of_the_reference() -> None:
    assert fnv1("test") == 3910690890  # a test vector of the library that the reference uses


def test_blocks_start_where_the_reference_puts_them() -> None:
    world = initial_worlds()[0]
    assert str(world.values()) == "dict_values([0, 0, 'right', 'closed', 'table', 'table', 'slider_right', 0])"
    start = protocol_start(world)
    expected = {  # computed by the reference's own code
        "red": [0.229995412, -0.11999514, 0.45999001, 0.0, 0.0, 1.4418709252147632],
        "blue": [0.0500000896, -0.120000177, 0.459990009, 0.0, 0.0, 1.4098806994949187],
        "pink": [0.070341633, 0.0924044687, 0.460990009, 0.0, 0.0, 1.5630616199523633],
    }
    for color in BLOCKS:
        np.testing.assert_allclose(start.blocks[color], expected[color], atol=1e-12)
    assert (start.slider, start.drawer, start.switch, start.lightbulb, start.led) == (0.0, 0.0, 0.0, False, False)


def test_no_two_blocks_start_in_one_place() -> None:
    for world in initial_worlds():
        start = protocol_start(world)
        assert len({tuple(pose[:3]) for pose in start.blocks.values()}) == 3
        on_table = [color for color in BLOCKS if tuple(start.blocks[color][:3]) in ON_TABLE]
        assert on_table == [color for color in BLOCKS if world[f"{color}_block"] == "table"]
        assert start.lightbulb == (start.switch > 0.044) == bool(world["lightbulb"])


def test_varied_starts_keep_blocks_on_their_surfaces_and_apart() -> None:
    surfaces = {
        "table": np.array([[0.0, -0.15, 0.46], [0.35, -0.03, 0.46]]),
        "slider_left": np.array([[-0.32, 0.05, 0.46], [-0.16, 0.12, 0.46]]),
        "slider_right": np.array([[-0.05, 0.05, 0.46], [0.13, 0.12, 0.46]]),
    }
    random = np.random.default_rng(0)
    places = []
    for world in initial_worlds():
        start = varied_start(world, surfaces, 0.28, random)
        for color in BLOCKS:
            low, high = surfaces[world[f"{color}_block"]]
            assert (low - 1e-9 <= start.blocks[color][:3]).all()
            assert (start.blocks[color][:3] <= high + 1e-9).all()
        assert (start.drawer > DRAWER_OPEN / 2) == (world["drawer"] == "open")
        assert (start.slider > 0.14) == (world["slider"] == "left")
        places.append(start.blocks["red"][:2])
    assert np.std(places, axis=0).min() > 0.05


def test_a_task_is_due_after_the_tasks_that_are_drawn_for_it() -> None:
    random = np.random.default_rng(0)
    for name in TASKS:
        world, before = draw_chain(name, random)
        assert world in initial_worlds()
        assert chain_is_valid(world, (*before, name))
    assert {len(draw_chain("open_drawer", random)[1]) for _ in range(40)} == {0, 1, 2, 3, 4}


def test_splits_name_their_scenes() -> None:
    assert find_scenes(("ABC",)) == find_scenes(("A", "B", "C")) == ("A", "B", "C")
    assert find_scenes(("ABCD", "D")) == ("A", "B", "C", "D")
    with pytest.raises(ValueError, match="has the scenes A, B, C, D and the splits D, ABC, ABCD, got 'E'"):
        CalvinDemonstrationOptions(scenes=("A", "E"))
    with pytest.raises(ValueError, match="need a scene"):
        CalvinDemonstrationOptions(scenes=())
