import numpy as np
import pytest


def test_rows_on_identical_data_differ_by_nothing_at_all() -> None:
    from astra.evaluation.statistics import paired_difference

    values = np.random.default_rng(0).uniform(0, 100, (3, 40))
    difference = paired_difference(values, values.copy(), share=False)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_rows_that_are_equally_good_differ_by_an_interval_around_nothing() -> None:
    from astra.evaluation.statistics import paired_difference

    generator = np.random.default_rng(1)
    ours, theirs = (generator.random((2, 5, 100)) < 0.6).astype(float)
    difference = paired_difference(ours, theirs, share=True)
    assert difference.low < 0 < difference.high
    assert difference.high - difference.low < 0.2


def test_a_constant_shift_is_found_exactly_however_much_the_episodes_differ() -> None:
    from astra.evaluation.statistics import paired_difference

    theirs = np.random.default_rng(2).integers(0, 100, (3, 30)).astype(float)
    difference = paired_difference(theirs + 5, theirs, share=False)
    assert (difference.low, difference.value, difference.high) == (5, 5, 5)


def test_seeds_without_chance_in_episodes_span_the_seeds() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    values = np.repeat([[10.0], [20.0], [60.0]], 25, axis=1)
    estimate = two_level_bootstrap(values)
    # one resample of three draws the lowest seed three times in 1/27 of all cases, more than the tail of 2.5 %
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((10, 30, 60))


def test_without_chance_in_seeds_it_is_the_bootstrap_over_episodes() -> None:
    from astra.evaluation.statistics import two_level_bootstrap
    from astra.evaluation.success import bootstrap_interval

    episodes = (np.arange(200) < 60).astype(float)
    two, one = two_level_bootstrap(np.tile(episodes, (4, 1))), bootstrap_interval(episodes)
    assert two.low == pytest.approx(one.low, abs=0.006)
    assert two.high == pytest.approx(one.high, abs=0.006)


def test_every_task_keeps_its_number_of_episodes() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    values = np.tile([1.0] * 10 + [0.0] * 10, (3, 1))
    within = two_level_bootstrap(values, ["easy"] * 10 + ["hard"] * 10)
    assert (within.low, within.high) == pytest.approx((0.5, 0.5))
    across = two_level_bootstrap(values)
    assert across.high - across.low > 0.3


def test_few_episodes_of_each_task_vary_as_much_as_new_ones_do() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    generator = np.random.default_rng(5)
    easy = np.linspace(0, 50, 30)
    names = [f"task {number // 3}" for number in range(90)]
    rows = [(easy.repeat(3) + generator.normal(0, 10, 90))[None] for _ in range(60)]
    widths = [np.ptp([e.low, e.high]) for e in (two_level_bootstrap(row, names, resamples=1000) for row in rows)]
    right = 2 * 1.96 * 10 / 90**0.5
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(right, rel=0.05)  # uncorrected: 0.82 of it


def test_tasks_of_one_episode_each_have_an_interval() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    values = np.random.default_rng(6).random((2, 12)) < 0.5
    names = [f"task {number}" for number in range(12)]
    alone, together = two_level_bootstrap(values * 1.0, names), two_level_bootstrap(values * 1.0)
    assert alone == together
    one = two_level_bootstrap(np.array([[0.0, 1.0, 1.0]]), ["a", "b", "b"])
    assert one.low < one.high


def test_no_interval_leaves_the_range_of_the_values() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    estimate = two_level_bootstrap(np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert (estimate.low, estimate.high) == (0, 1)


def test_differences_of_shares_that_are_all_equal_are_as_uncertain_as_their_episodes() -> None:
    from astra.evaluation.statistics import paired_difference
    from astra.evaluation.success import difference, wilson_interval

    won, lost, nothing = np.ones((1, 50)), np.zeros((1, 50)), wilson_interval(0, 50)
    assert paired_difference(lost, won, share=True) == difference(nothing, wilson_interval(50, 50))
    same = paired_difference(won, won, share=True)
    assert (same.value, same.low, same.high) == pytest.approx((0, -nothing.high, nothing.high))
    tasks = ["easy"] * 25 + ["hard"] * 25
    half = paired_difference(won, np.repeat([[1.0, 0.0]], 25, axis=1), tasks, share=True)
    assert half.low < half.value == 0.5 < half.high
    assert paired_difference(lost, won, share=False).low == -1


def test_counts_have_no_interval_of_a_share() -> None:
    from astra.evaluation.statistics import row_mean
    from astra.evaluation.success import wilson_interval

    ones = np.ones((1, 20))
    assert row_mean(ones, share=True) == wilson_interval(20, 20)
    assert (row_mean(ones, share=False).low, row_mean(ones, share=False).high) == (1, 1)


def test_equal_differences_and_one_seed_detect_nothing() -> None:
    from astra.evaluation.statistics import detectable_difference, difference_by_seed

    theirs = np.random.default_rng(7).random((3, 30))
    assert detectable_difference(theirs + 0.1, theirs) is None  # up to rounding
    assert detectable_difference(theirs[:1] * 2, theirs[:1]) is None
    assert difference_by_seed(theirs[:, 0] + 0.1, theirs[:, 0]).detectable is None


def test_a_mean_of_some_episodes_weighs_them_equally_and_holds_the_truth_as_often_as_it_says() -> None:
    from astra.evaluation.statistics import mean_by_seed, mean_of_some

    generator, held = np.random.default_rng(8), []
    for _ in range(200):
        values = np.where(generator.random((5, 60)) < 0.3, generator.normal(10, 3, (5, 60)), np.nan)
        estimate = mean_of_some(values, share=False)
        assert estimate is not None
        assert estimate.value == pytest.approx(np.nanmean(values))
        assert mean_by_seed(values).value == pytest.approx(estimate.value)
        held.append(estimate.low <= 10 <= estimate.high)
    assert np.mean(held) >= 0.9
    assert mean_of_some(np.full((3, 5), np.nan), share=True) is None


def test_one_seed_is_told_by_its_episodes_alone() -> None:
    from astra.evaluation.statistics import row_mean
    from astra.evaluation.success import wilson_interval

    values = np.array([[1.0, 1.0, 0.0, 1.0]])
    assert row_mean(values, share=True) == wilson_interval(3, 4)
    assert row_mean(values, share=True).value == 0.75


def test_a_row_that_always_fails_may_still_succeed_once() -> None:
    from astra.evaluation.statistics import row_mean
    from astra.evaluation.success import wilson_interval

    assert row_mean(np.zeros((3, 50)), share=True) == wilson_interval(0, 50)
    assert row_mean(np.ones((3, 50)), share=True) == wilson_interval(50, 50)


def test_the_same_data_give_the_same_interval_and_no_data_are_refused() -> None:
    from astra.evaluation.statistics import two_level_bootstrap

    values = np.random.default_rng(3).random((3, 20))
    assert two_level_bootstrap(values) == two_level_bootstrap(values)
    with pytest.raises(ValueError, match="at least one seed and one episode, got 0 and 20"):
        two_level_bootstrap(np.zeros((0, 20)))


def coverage(K: int, E: int, seeds_differ: float, repeats: int) -> tuple[float, float]:
    """How often intervals hold the truth: the rate of a row, and the difference of two equally good rows.

    Episodes differ in difficulty, and seeds in skill.
    """
    from astra.evaluation.statistics import two_level_bootstrap

    def chance(logits: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-logits))

    generator = np.random.default_rng(K)
    drawn = generator.normal(0, 1.5, 400_000) + generator.normal(0, seeds_differ, 400_000)
    truth, held = chance(drawn).mean(), np.zeros((repeats, 2))
    for repeat in range(repeats):
        logits = generator.normal(0, 1.5, E) + generator.normal(0, seeds_differ, (2, K, 1))
        ours, theirs = (generator.random((2, K, E)) < chance(logits)).astype(float)
        for place, (values, right) in enumerate(((ours, truth), (ours - theirs, 0))):
            estimate = two_level_bootstrap(values, resamples=500)
            held[repeat, place] = estimate.low <= right <= estimate.high
    row, difference = held.mean(axis=0)
    return float(row), float(difference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("K", "seeds_differ", "least"),
    [
        *((2, 0.2, 0.90), (3, 0.2, 0.92), (5, 0.2, 0.92), (3, 0.0, 0.93)),
        *((2, 0.8, 0.60), (3, 0.8, 0.72), (5, 0.8, 0.80), (10, 0.8, 0.88)),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say_unless_few_seeds_differ_much(
    K: int, seeds_differ: float, least: float
) -> None:
    held = coverage(K, E=200, seeds_differ=seeds_differ, repeats=600)
    print(f"{K} seeds that differ by {seeds_differ}, 200 episodes: row {held[0]:.0%}, difference {held[1]:.0%}")
    assert min(held) >= least


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423)])
def test_quantiles_of_student_are_those_of_printed_tables(freedom: int, quantile: float) -> None:
    from astra.evaluation.statistics import student_quantile

    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-4)


def test_a_detectable_difference_shows_about_four_times_out_of_five() -> None:
    from astra.evaluation.statistics import detectable_difference, two_level_bootstrap

    generator = np.random.default_rng(3)

    def noise() -> np.ndarray:
        return generator.normal(0, 4, (5, 1)) + generator.normal(0, 8, (1, 60)) + generator.normal(0, 10, (5, 60))

    sizes = [detectable_difference(noise(), np.zeros((5, 60))) or 0.0 for _ in range(20)]
    shift = float(np.mean(sizes))
    shown = [two_level_bootstrap(noise() + shift, resamples=2000).low > 0 for _ in range(200)]
    assert 0.72 < np.mean(shown) < 0.94  # printed intervals are a little short at five seeds, so a little more shows


def test_one_number_per_seed_is_compared_by_student_and_needs_two_seeds() -> None:
    from astra.evaluation.statistics import difference_by_seed

    theirs = np.array([1.70, 1.62, 1.66])
    result = difference_by_seed(theirs + np.array([0.02, 0.03, 0.04]), theirs)
    half = 4.3027 * 0.01 / 3**0.5
    assert (result.estimate.low, result.estimate.high) == pytest.approx((0.03 - half, 0.03 + half), abs=1e-5)
    assert result.detectable == pytest.approx((4.3027 + 1.0607) * 0.01 / 3**0.5, abs=1e-5)
    with pytest.raises(ValueError, match="at least two, got 1"):
        difference_by_seed(theirs[:1], theirs[:1])
