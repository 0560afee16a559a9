from dataclasses import replace

from astra.cli.demo import SMALL, WHOLE, Demo


def test_the_demo_ends_by_its_updates_on_a_fixed_number_of_threads() -> None:
    one = Demo().training
    assert Demo(small=True).training == replace(one, updates=SMALL.updates)
    assert one.max_minutes is None
    assert one.updates == WHOLE.updates
    assert one.threads == 1


def test_chosen_numbers_replace_those_of_either_size() -> None:
    assert Demo(small=True, updates=7).size == replace(SMALL, updates=7)
    assert Demo(episodes=9, test_episodes=8).size == replace(WHOLE, episodes=9, test_episodes=8)
