import numpy as np

from astra.environments.pusht.geometry import CENTER, compose
from astra.environments.pusht.planning import keypoint_error, planner
from astra.environments.pusht.pushes import DEPTHS


def test_error_is_the_distance_of_a_shifted_t() -> None:
    shifted = np.add(CENTER, (3.0, 4.0, 0.0))
    assert np.isclose(keypoint_error(shifted, CENTER), 5.0)
    assert np.isclose(keypoint_error(np.add(CENTER, (0, 0, 2 * np.pi)), CENTER), 0.0, atol=1e-9)


def test_the_next_push_brings_the_t_nearer() -> None:
    block, agent = np.array([200.0, 300.0, 1.0]), np.array([400.0, 100.0])
    first = planner().plan(agent, block, CENTER)[0]
    pushes = planner().pushes
    index = np.flatnonzero(
        (pushes.start_index == first.start_index) & (pushes.directions == first.direction).all(axis=1)
    )[0]
    after = compose(block, pushes.poses[index, int(first.depth) - 1])
    assert keypoint_error(after, CENTER) < keypoint_error(block, CENTER)
    assert first.depth in DEPTHS


def test_the_cost_to_go_is_at_most_the_residual_cost() -> None:
    random = np.random.default_rng(0)
    blocks = np.concatenate([random.uniform(150, 350, (20, 2)), random.uniform(-3, 3, (20, 1))], axis=1)
    places = planner().nearest_start(random.uniform(0, 512, (20, 2)), blocks)
    assert (planner().cost_to_go(blocks, places, CENTER) <= planner().residual_cost(blocks, CENTER)).all()
