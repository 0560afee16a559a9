from itertools import pairwise

import numpy as np

from astra.environments.pusht.paths import CLEARANCE, CORNERS, ShortestPaths, blocked, inside, step_out
from astra.environments.pusht.pushes import tabulate_pushes

EVERYWHERE = np.ones(len(CORNERS), dtype=bool)


def test_paths_keep_clear_of_the_t_and_have_the_reported_lengths() -> None:
    paths = ShortestPaths(tabulate_pushes().starts)
    random = np.random.default_rng(0)
    origins = random.uniform(-200, 250, (30, 2))
    origins = origins[~inside(origins)]
    lengths = paths.lengths(origins, EVERYWHERE)
    for origin, row in zip(origins, lengths, strict=True):
        for destination in range(0, len(row), 7):
            points = [origin, *paths.path(origin, destination, EVERYWHERE)]
            legs = list(pairwise(points))
            assert not any(blocked(a, b) for a, b in legs)
            assert np.isclose(row[destination], sum(np.linalg.norm(b - a) for a, b in legs))


def test_no_path_exists_if_every_corner_is_off_the_board() -> None:
    paths = ShortestPaths(np.array([[0.0, -40.0]]))
    behind = np.array([[0.0, 160.0]])
    assert np.isinf(paths.lengths(behind, ~EVERYWHERE)).all()
    assert paths.path(behind[0], 0, ~EVERYWHERE) == []


def test_step_out_returns_a_point_that_is_clear_of_the_t() -> None:
    for point in ((0.0, 15.0), (20.0, 40.0), (0.0, 100.0), (-70.0, 20.0)):
        out = step_out(np.array(point))
        assert not inside(out)
        assert np.linalg.norm(out - point) < CLEARANCE + 40
