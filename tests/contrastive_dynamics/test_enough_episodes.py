import numpy as np
import pytest

from astra.contrastive_dynamics.enough_episodes import check_episodes, probability_of_two_episodes
from astra.contrastive_dynamics.negatives import TooFewEpisodesError


def test_the_bound_is_the_chance_of_two_episodes_alone() -> None:
    windows = np.array([3, 5, 4, 4, 6])
    assert probability_of_two_episodes(windows, 12) == 0, "no two have so many windows"
    episodes = np.repeat(np.arange(5), windows)
    chance = np.random.default_rng(0)
    drawn = (episodes[chance.permutation(len(episodes))[:5]] for _ in range(20_000))
    happened = np.mean([len(np.unique(each)) <= 2 for each in drawn])
    assert probability_of_two_episodes(windows, 5) == pytest.approx(happened, rel=0.1)
    assert probability_of_two_episodes(np.full(40_000, 20), 64) < 1e-100


def test_a_run_that_would_end_for_want_of_a_negative_is_refused_before_it_begins() -> None:
    ten = np.full(10, 50)
    check_episodes(ten, size=16, count=20_000)
    with pytest.raises(TooFewEpisodesError, match="a micro-batch of 4 trajectories out of 10 episodes"):
        check_episodes(ten, size=4, count=20_000)
    for windows, size in ((ten, 2), (ten[:2], 16)):
        with pytest.raises(TooFewEpisodesError, match="raise batch_size, or lower gradient_accumulation_steps"):
            check_episodes(windows, size=size, count=1)
